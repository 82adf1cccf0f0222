"""What commands print: tables for people, JSON for programs, progress on long work, one sentence for a mistake."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from concordat.errors import ConcordatError, UserError

__all__ = [
    "HOST",
    "FirmOption",
    "JsonOption",
    "LogOption",
    "PortOption",
    "ReportOption",
    "err",
    "fail",
    "listing",
    "out",
    "print_json",
    "waiting",
    "write_report",
]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
FirmOption = Annotated[
    Path | None, typer.Option("--firm", help="The firm's folder; default: $CONCORDAT_FIRM, else this folder.")
]
ReportOption = Annotated[Path | None, typer.Option("--report", help="Write a JSON report to this file.")]

HOST = "127.0.0.1"
PortOption = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Loopback port; default: [web] port of the firm, 8484."),
]


def _level(said: str) -> str:
    if said.lower() not in LEVELS:
        raise typer.BadParameter(f"{said} is none of {', '.join(LEVELS)}.")
    return said.lower()


LEVELS = ("debug", "info", "warning", "error")
LogOption = Annotated[str, typer.Option("--log-level", callback=_level, help="debug, info, warning or error.")]


def fail(error: ConcordatError) -> None:
    """Print a mistake: what is wrong in one line, the way out in the next."""
    message = error.message if isinstance(error, UserError) else str(error)
    err.print(Text("✗ ", style="red").append(message, style="default"), soft_wrap=True)
    if isinstance(error, UserError) and error.remedy:
        err.print(Text(f"  {error.remedy}", style="dim"), soft_wrap=True)


def plain(value: Any) -> Any:
    """A value as JSON holds it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def print_json(value: Any) -> None:
    """Print for a program: JSON and nothing else on standard output."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def write_report(file: Path | None, report: Mapping[str, Any]) -> None:
    """Write a report where one was asked for; a folder that is missing is made."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(plain(report), indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {file}: {error.strerror}.",
            remedy="Name another file.",
            exit_code=2,
        ) from error


def listing(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, empty: str) -> None:
    """Show rows as a table (key → heading), or as JSON with every field; `empty`: what to do when there are none."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        out.print(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns))
    out.print(table)


def _cell(value: Any) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, datetime):
        return Text(value.strftime("%Y-%m-%d %H:%M"))
    if isinstance(value, Mapping):
        return Text(", ".join(f"{k} {v}" for k, v in value.items()))
    return Text(str(value))


@contextmanager
def waiting(text: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal, plain lines elsewhere; yields a function that says what is being done now."""
    if quiet:
        yield lambda _now: None
        return
    if not err.is_terminal:
        yield lambda now: err.print(f"… {now}")
        return
    with err.status(text) as status:
        yield status.update
