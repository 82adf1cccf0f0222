"""`concordat twin`: the systems of a firm, played on this machine."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from concordat.cli.open import the_firm
from concordat.cli.screen import FirmOption, JsonOption, err, out, waiting
from concordat.northbeam.outside import Twin
from concordat.northbeam.twins import Started, begin, seed_data

__all__ = ["app"]

app = typer.Typer(help="Twins: programs that answer as the vendors' systems do.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Twins: programs that answer as the vendors' systems do."""


@app.command()
def up(
    firm: FirmOption = None,
    faults: Annotated[
        Path | None, typer.Option(help="JSON or YAML: {system: [fault, …]}; see the reference of faults.")
    ] = None,
    with_data: Annotated[
        bool, typer.Option("--seed-data", help="Begin with Northbeam's clients, deals and people.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Decides the data and every chance of a fault.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Run the twins of a firm's connections, those whose url is on this machine, until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    known = the_firm(firm)
    with ExitStack() as stack:
        with waiting("starting the twins", quiet=as_json) as say:
            running = stack.enter_context(begin(known, faults=faults, seed=seed, progress=say))
        if with_data:
            _fill(running, seed)
        _announce(running, as_json=as_json)
        stop.wait()


def _fill(running: Sequence[Started], seed: int) -> None:
    data = seed_data(seed)
    for one in running:
        if one.system in data:
            with Twin(one.url) as twin:
                twin.seed(data[one.system])


def _announce(running: Sequence[Started], *, as_json: bool) -> None:
    """One line of JSON per twin, or a table; flushed, since whoever started us waits for it."""
    if as_json:
        sys.stdout.write("".join(json.dumps(asdict(one)) + "\n" for one in running))
        sys.stdout.flush()
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("System", "Connection", "Address"):
        table.add_column(heading, overflow="fold")
    for one in running:
        table.add_row(one.system, one.connection, one.url)
    out.print(table)
    err.print("Ctrl-C ends them; what they hold is gone then.")
