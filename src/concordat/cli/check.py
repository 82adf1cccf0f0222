"""`concordat check`: whether contracts hold, with every fault at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from concordat.cli.screen import JsonOption, ReportOption, err, out, print_json, write_report
from concordat.core.language import Fault, load_contract
from concordat.errors import NotFound
from concordat.settings import Firm, load_firm, read_text

__all__ = ["check", "faults_of"]


def check(
    path: Annotated[Path, typer.Argument(help="A contract, a folder of contracts, or a firm.")] = Path(),
    as_json: JsonOption = False,
    report: ReportOption = None,
) -> None:
    """Report every fault of every contract at once: where it is, what is wrong, what to write instead."""
    faults, files = faults_of(path)
    serious = [fault for fault in faults if fault.severity == "error"]
    result: dict[str, Any] = {
        "holds": not serious,
        "files": len(files),
        "faults": [fault.to_json() for fault in faults],
    }
    write_report(report, result)
    if as_json:
        print_json(result)
    else:
        _show(faults, files)
    if serious:
        raise typer.Exit(1)


def faults_of(path: Path) -> tuple[list[Fault], list[Path]]:
    """Every fault of the contracts at `path`, in order of place. A path without contracts is `NotFound`."""
    if not path.exists():
        raise NotFound(f"There is nothing at {path}.", remedy="Name a contract, a folder of contracts, or a firm.")
    firm = load_firm(path) if (path / "concordat.toml").is_file() else None
    systems = tuple(firm.connections) if firm else None
    undoes = _undoes(firm) if firm else {}
    files = (
        [path] if path.is_file() else sorted(f for f in path.rglob("*.yaml") if not f.name.endswith(".examples.yaml"))
    )
    files = [f for f in files if ".concordat" not in f.parts]
    if not files:
        raise NotFound(f"{path} holds no contract.", remedy="A contract is a file *.yaml that begins with `contract:`.")
    loaded = [load_contract(read_text(file), file=str(file), systems=systems, undoes=undoes) for file in files]
    return sorted(fault for each in loaded for fault in each.faults), files


def _undoes(firm: Firm) -> dict[tuple[str, str], frozenset[str]]:
    """What each target of the firm can do when a subject is withdrawn."""
    from concordat.wiring import connector_spec  # noqa: PLC0415 - only a firm has connections

    return {
        (name, object_): facts.undo
        for name, connection in firm.connections.items()
        for object_, facts in connector_spec(connection.system).facts.targets.items()
    }


def _show(faults: list[Fault], files: list[Path]) -> None:
    styles = {"error": "red", "later": "yellow", "warning": "cyan"}
    for fault in faults:
        place = Text(f"{fault.file}:{fault.line}:{fault.column} ", style="bold")
        err.print(
            place.append(f"{fault.severity} {fault.code} ", style=styles[fault.severity]).append(
                fault.message, style="default"
            )
        )
        if fault.remedy:
            err.print(Text(f"    {fault.remedy}", style="dim"))
    errors = sum(fault.severity == "error" for fault in faults)
    out.print(f"{_count(len(files), 'contract')}: {_count(errors, 'fault')}, {_count(len(faults) - errors, 'remark')}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
