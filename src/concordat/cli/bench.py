"""`concordat bench`: measure this machine against a yardstick in the same run."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from rich.table import Table

from concordat.cli.screen import JsonOption, ReportOption, out, print_json, waiting, write_report
from concordat.errors import NotFound

__all__ = ["bench"]

BENCHES = {
    "activation": ("concordat.bench.activation", "activation"),
    "activation-single": ("concordat.bench.activation", "activation_single"),
    "latency": ("concordat.bench.latency", "latency"),
    "console": ("concordat.bench.console", "console"),
    "wake": ("concordat.bench.wake", "wake"),
    "calls": ("concordat.bench.calls", "calls"),
    "growth": ("concordat.bench.growth", "growth"),
    "idle": ("concordat.bench.idle", "idle"),
    "workers": ("concordat.bench.workers", "workers"),
}


def bench(
    name: Annotated[str, typer.Argument(help=", ".join(BENCHES))],
    report: ReportOption = None,
    as_json: JsonOption = False,
    scale: Annotated[float, typer.Option(min=0.01, max=100, help="How much work: 0.1 is a tenth of it.")] = 1.0,
) -> None:
    """Measure speed on this machine against a yardstick in the same run; exit 1 when a bar is missed.

    - **activation**: won deals, 6 effects each, through the whole engine, on targets that take 500 records a call
    - **activation-single**: the same on targets that take one record a call
    - **latency**: from a webhook to the first write at the target, and to activated, at 5 and 20 deals a second
    - **console**: every page of the console over a million effects and a hundred thousand cases
    - **wake**: from a commit to the worker that looks at the rows, against a job of a queue (Procrastinate)
    - **calls**: write calls to the vendor for 1,000 activations, against one call per effect
    - **growth**: activation with a million effects stored already, and under a held snapshot, against ten thousand
    - **idle**: a million pending effects of which nothing is due, against an empty database
    - **workers**: activation by 1, 2 and 4 workers at targets that answer in 50 ms, against one worker

    Each starts a database, and where it needs them a lean target and workers of its own on loopback, and stops them.
    The yardstick of the console is `select 1`, that of the others one durable workflow per deal (DBOS); DBOS and
    Procrastinate come with the extra `concordat-hub[bench]`.
    Read the ratio: absolute numbers drift with the machine.
    """
    if name not in BENCHES:
        raise NotFound(f"There is no benchmark {name}.", remedy=f"There is: {', '.join(BENCHES)}.")
    module, function = BENCHES[name]
    with waiting(f"bench {name}") as say:
        found: dict[str, Any] = getattr(import_module(module), function)(say, scale).as_json()
    write_report(report, found)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found["holds"]:
        raise typer.Exit(1)


def _show(found: dict[str, Any]) -> None:
    bar, yardstick = found["bar"], found["yardstick"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("value", f"{found['value']:g} {found['unit']}", _bar(bar["value"], bar["better"]))
    table.add_row("yardstick", f"{yardstick['value']:g}", yardstick["what"])
    table.add_row("ratio", f"{found['ratio']:g}", _bar(bar["ratio"], bar["better"]))
    for key, value in found["details"].items():
        for name, each in value.items() if isinstance(value, dict) else (("", value),):
            table.add_row(f"{key} {name}".strip(), str(each), "")
    out.print(table)
    out.print("[green]holds[/green]" if found["holds"] else "[red]does not hold[/red]")


def _bar(value: float | None, better: str) -> str:
    if value is None:
        return ""
    return f"bar: {'≥' if better == 'higher' else '≤'} {value:g}"
