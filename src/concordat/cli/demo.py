"""`concordat demo`: a firm at work, broken and healed on purpose, verified from outside."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from concordat.cli.screen import ReportOption, err, out, write_report
from concordat.errors import UserError
from concordat.northbeam.board import Board
from concordat.northbeam.deals import Plot
from concordat.northbeam.demo import Demo, Wish, stage
from concordat.northbeam.settings import ERPS, PORTS

__all__ = ["demo"]

STEPS = ("client_in_erp", "project_in_psa", "project_in_erp", "staffing", "workspace", "channel", "activated")
MARKS: Mapping[str, tuple[str, str]] = {
    "blocked": ("·", "dim"),
    "ready": ("…", "cyan"),
    "sending": ("→", "cyan"),
    "in_doubt": ("?", "yellow"),
    "pending": ("⏳", "yellow"),
    "applied": ("✓", "green"),
    "verified": ("✓✓", "green"),
    "skipped": ("-", "dim"),
    "held": ("✋", "red"),
}


def demo(  # noqa: PLR0917  Typer's way to declare options
    headless: Annotated[bool, typer.Option("--headless", help="Run, verify, report, end; for programs.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same firm and the same story.")] = 1,
    scale: Annotated[float, typer.Option(min=0.1, max=100, help="1 is twelve deals.")] = 1.0,
    report: ReportOption = None,
    erp: Annotated[str, typer.Option(help="netsuite (a twin) or tryton (a real server).")] = "netsuite",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The console's port; default 8484.")] = None,
    firm: Annotated[Path | None, typer.Option(help="Where the firm is written, new or empty; else temporary.")] = None,
    kill: Annotated[int, typer.Option(min=0, max=100, help="Kill `concordat up` so many times on the way.")] = 0,
) -> None:
    """Run Northbeam Consulting: deals are won, projects activate in every system, an outage strikes and heals.

    Exit code 0 only if all promises held, as seen from outside. The console stays until Ctrl-C, unless --headless.
    """
    if erp not in ERPS:
        raise UserError(f"There is no ERP {erp} to run.", remedy=f"Choose {' or '.join(ERPS)}.", exit_code=2)
    console = port if port is not None else 0 if headless else PORTS["web"]
    folder = firm or Path(tempfile.mkdtemp(prefix="northbeam-"))
    wish = Wish(folder=folder, seed=seed, scale=scale, erp=erp, port=console, kills=kill)
    signal.signal(signal.SIGTERM, _interrupted)
    held = False
    try:
        held = _run(wish, headless=headless, report=report)
    finally:
        _leave(folder, temporary=firm is None, done=held and headless)
    if not held:
        raise typer.Exit(1)


def _run(wish: Wish, *, headless: bool, report: Path | None) -> bool:
    with _screen() as screen, stage(wish, screen) as played:
        screen.plot = played.plot
        played.play()
        result = played.prove()
        screen.end()
        _show(result)
        write_report(report, result)
        if not headless:
            _stay(played)
    return bool(result["holds"])


def _leave(folder: Path, *, temporary: bool, done: bool) -> None:
    """Everything has ended here. What nobody named and nobody needs goes; else say where it is."""
    if temporary and (done or not (folder / "logs").exists()):
        shutil.rmtree(folder, ignore_errors=True)
        return
    if temporary:
        shutil.rmtree(folder / ".concordat", ignore_errors=True)
    if not (folder / "logs").exists():
        return  # nothing was begun
    err.print(f"All of it has ended. The firm and its logs: {folder}", soft_wrap=True)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _stay(played: Demo) -> None:
    out.print(f"The console: {played.up.url}")
    out.print(f"Sign in once with {played.up.link()}", soft_wrap=True)
    out.print("Ctrl-C ends everything.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        out.print("Ending.")


def _show(result: Mapping[str, Any]) -> None:
    for promise in result["promises"]:
        mark = Text("✓ ", style="green") if promise["holds"] else Text("✗ ", style="red")
        out.print(mark.append(promise["name"], style="default"))
        out.print(Text(f"  {promise['evidence']}", style="dim"))
    counts = result["counts"]
    kept = sum(promise["holds"] for promise in result["promises"])
    out.print(
        f"{kept} of {len(result['promises'])} promises held: {counts['deals']} deals of {counts['clients']} clients "
        f"in {counts['seconds']} s, seed {result['seed']}, killed {counts['kills']} times."
    )


class _Screen:
    """A live table on a terminal, one line per event elsewhere."""

    def __init__(self, live: Live | None) -> None:
        self.plot: Plot | None = None
        self._live = live
        self._table: list[Table] = []
        self._now = ""
        self._began = time.monotonic()

    def said(self, text: str) -> None:
        """What is being done now."""
        self._now = text
        if self._live:
            self._live.update(Group(*self._table, Text(f"{text} …", style="bold")))
        else:
            err.print(f"… {time.monotonic() - self._began:5.1f} s  {text}", soft_wrap=True, markup=False)

    def seen(self, board: Board) -> None:
        """How the deals stand."""
        if self._live and self.plot:
            self._table = [_table(self.plot, board)]
            self._live.update(Group(*self._table, Text(f"{self._now} …", style="bold")))

    def end(self) -> None:
        """No more news."""
        if self._live:
            self._live.update(Group(*self._table))
            self._live.stop()


def _table(plot: Plot, board: Board) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Deal", "Client", *STEPS, "State"):
        table.add_column(heading.replace("_in_", " "), no_wrap=True, max_width=28)
    for deal in plot.deals:
        whole = board.whole(deal.id)
        steps = {step["step"]: _mark(step["state"]) for step in board.steps(deal.id)}
        state = Text(whole["state"] if whole else "", style="green" if whole and whole["state"] == "in_step" else "")
        table.add_row(deal.number, Text(deal.client_name), *(steps.get(name, Text("")) for name in STEPS), state)
    return table


def _mark(state: str) -> Text:
    word, style = MARKS.get(state, (state, ""))
    return Text(word, style=style)


@contextmanager
def _screen() -> Iterator[_Screen]:
    if not out.is_terminal:
        yield _Screen(None)
        return
    with Live(console=out, refresh_per_second=8) as live:
        yield _Screen(live)
