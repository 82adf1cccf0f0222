"""`workers`: activation by 1, 2 and 4 worker processes at targets that answer in 50 ms, and by 4 under a budget."""

from __future__ import annotations

from typing import Any

from concordat.bench.activation import Ran, Terms, run_engine
from concordat.bench.machine import machine, versions
from concordat.bench.report import Bar, Report, Say
from concordat.bench.rig import Rig

__all__ = ["workers"]

DELAY = 0.05
"""Seconds until a target answers."""
DEALS = 300
COUNTS = (1, 2, 4)
BUDGET = 2
"""Calls side by side of each connection, over all processes, in the last run."""
LINEAR = 0.8
"""Share of the n-fold that n workers must reach."""


def workers(say: Say, scale: float = 1.0) -> Report:
    """Handoffs a second by number of workers, two records a call, one call at a time for each lane and worker.

    Bar: 80 % of the n-fold with n workers; under a budget never more calls side by side than it allows.
    """
    deals = max(int(DEALS * scale), 4)
    with Rig.open() as rig:
        free = {n: _run(rig, deals, n, 0, say) for n in COUNTS}
        bound = _run(rig, deals, COUNTS[-1], BUDGET, say)
        most = max(rig.ask("/count")["most"].values())
        one = free[1].rate
        shares = {n: ran.rate / one / n for n, ran in free.items()}
        worst = min(shares.values())
        faults = [fault for ran in (*free.values(), bound) for fault in ran.faults]
        return Report(
            name="workers",
            holds=worst >= LINEAR and most <= BUDGET and not faults,
            ratio=round(worst, 2),
            value=round(free[COUNTS[-1]].rate, 1),
            unit=f"handoffs a second with {COUNTS[-1]} workers",
            yardstick={"what": "handoffs a second with 1 worker", "value": round(one, 1)},
            bar=Bar(ratio=LINEAR),
            machine=machine(),
            versions=versions(rig.postgresql),
            details={
                "deals": deals,
                **{f"{n} worker(s)": _told(ran, one) for n, ran in free.items()},
                f"{COUNTS[-1]} workers, {BUDGET} calls side by side": {**_told(bound, one), "most_side_by_side": most},
            },
        )


def _run(rig: Rig, deals: int, count: int, parallel: int, say: Say) -> Ran:
    name = f"{count} worker(s), budget {parallel}" if parallel else f"{count} worker(s)"
    terms = Terms(db=rig.database(f"workers_{count}_{parallel}"), workers=count, delay=DELAY, parallel=parallel)
    return run_engine(rig, "slow", deals, lambda text: say(f"{name}: {text}"), terms)


def _told(ran: Ran, one: float) -> dict[str, Any]:
    cores = sum(ran.cpu.values()) / ran.seconds
    return {
        "rate": round(ran.rate, 1),
        "times": round(ran.rate / one, 2),
        "cores": round(cores, 2),
        "faults": ran.faults,
    }
