"""`concordat prove`: try to break the engine's promises with seeded faults, and say which hold."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.table import Table

from concordat.cli.screen import JsonOption, ReportOption, err, out, print_json, waiting, write_report
from concordat.errors import UserError
from concordat.prove.campaign import Order, Report
from concordat.prove.campaign import prove as run
from concordat.prove.faults import PROFILES

__all__ = ["prove"]

SEEDS = re.compile(r"(\d+)(?:-(\d+))?")


def prove(  # noqa: PLR0917 - Typer reads options by name
    seeds: Annotated[str, typer.Option(help="Which seeds: A-B, or one.", metavar="A-B")] = "1-200",
    faults: Annotated[str, typer.Option(help=f"Which faults may strike: {', '.join(PROFILES)}.")] = "all",
    scale: Annotated[float, typer.Option(min=0.1, max=20, help="How much happens in one seed.")] = 1.0,
    mutants: Annotated[bool, typer.Option("--mutants", help="Hunt planted faults of the engine too.")] = False,
    jobs: Annotated[int, typer.Option(min=0, max=64, help="Processes; 0: one per core.")] = 0,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try to break the engine's promises with seeded faults and crashes; exit 1 when one is broken.

    Each seed is a small firm whose people change their minds, vendors of one class or mixed, one to four workers and a
    swarm of faults. The engine, its SQL and PostgreSQL are real; time and chance are the seed's. When the faults have
    stopped and nothing moves any more, an oracle that shares no code with the engine says what every target must hold.
    A seed that fails is shrunk to the shortest story that still fails, and printed with the command that repeats it.

    Every run plants one violation, the canary. A run that does not notice it has proven nothing, and exits 1 too.
    """
    order = replace(_order(seeds, faults, scale, jobs), mutants=mutants)
    with waiting("prove", quiet=as_json) as say:
        found = run(order, lambda done, many, failed: _progress(say, done, many, failed))
    told = found.as_json()
    write_report(report, told)
    if as_json:
        print_json(told)
    else:
        _show(found)
    if not found.holds:
        raise typer.Exit(1)


def _order(seeds: str, faults: str, scale: float, jobs: int) -> Order:
    named = SEEDS.fullmatch(seeds.strip())
    if named is None or int(named[2] or named[1]) < int(named[1]):
        raise UserError(f"{seeds} are no seeds.", remedy="Write --seeds 1-200, or --seeds 17.", exit_code=2)
    if faults not in PROFILES:
        raise UserError(f"There is no profile {faults}.", remedy=f"There is: {', '.join(PROFILES)}.", exit_code=2)
    first, last = int(named[1]), int(named[2] or named[1])
    return Order(first=first, last=last, profile=faults, scale=scale, jobs=jobs or os.cpu_count() or 1)


def _progress(say: Any, done: int, many: int, failed: int) -> None:
    every = 1 if err.is_terminal else max(1, many // 10)
    if done % every == 0 or done == many:
        say(f"{done} of {many} seeds, {failed} failed")


def _show(found: Report) -> None:
    told = found.as_json()
    for failure in found.failures:
        out.print(f"[red]seed {failure.seed}[/red] breaks [bold]{failure.invariant}[/bold]")
        out.print(failure.story, markup=False)
        out.print(f"again: {failure.command}\n", markup=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("seeds", f"{told['seeds']} ({', '.join(f'{n} of class {c}' for c, n in told['classes'].items())})")
    table.add_row("faults", f"{sum(found.struck.values())} of {len(found.struck)} kinds struck")
    table.add_row("failed", str(len(found.failures)))
    if told["mutants"]:
        table.add_row("mutants", _mutants(told["mutants"]))
    table.add_row("canary", f"noticed: {found.canary}" if found.canary else "[red]not noticed[/red]")
    table.add_row("reach", _reach(told["reach"], judged=bool(found.short) or told["seeds"] >= 1000))
    table.add_row(
        "seconds", f"{told['seconds']:g} ({60 * told['seeds'] / max(told['seconds'], 0.1):.0f} seeds a minute)"
    )
    out.print(table)
    out.print("[green]holds[/green]" if found.holds else "[red]does not hold[/red]")


def _mutants(mutants: list[dict[str, Any]]) -> str:
    alive = [f"[red]{m['name']}[/red]: {m['why'] or 'nobody noticed'}" for m in mutants if not m["killed_by"]]
    return "\n".join([f"{len(mutants) - len(alive)} of {len(mutants)} killed", *alive])


def _reach(reach: dict[str, Any], *, judged: bool) -> str:
    hit = sum(1 for hits in reach["hits"].values() if hits)
    said = f"{hit} of {reach['cells']} cells hit"
    return f"{said}, {len(reach['below'])} fewer than {reach['bar']} times" if judged else said
