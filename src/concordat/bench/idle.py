"""`idle`: what a million pending effects cost while nothing is due."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from concordat.bench.activation import PAGE
from concordat.bench.machine import Spent, machine, versions
from concordat.bench.report import Bar, Report, Say
from concordat.bench.rig import CONTRACT, Rig, world_of
from concordat.bench.stored import store
from concordat.engine.recovery import tidy
from concordat.store.database import Database
from concordat.store.queries import QUERIES

__all__ = ["idle"]

EFFECTS = 1_000_000
SECONDS = 30.0
WARM = 5.0
"""Seconds for the worker's first look and its first tidying, which is counted apart."""
MOST = 1.0
"""Percent of a core more than on an empty database."""
PERIODIC: Mapping[str, Mapping[str, Any]] = {
    "agenda": {"contracts": [CONTRACT]},
    "take_over": {"worker": 0, "silence": 3600},
    "overdue": {},
    "clocks": {},
    "stray": {},
    "tidy": {},
}
"""What a worker asks again and again, with parameters that change nothing here."""


def idle(say: Say, scale: float = 1.0) -> Report:
    """Processor time of one worker and its database over 30 s, full and empty. Bar: 1 % of a core more.

    What is done more seldom than every few seconds is measured apart and added as a share of its interval.
    """
    seconds = SECONDS if scale >= 0.1 else 2.0
    with Rig.open() as rig:
        empty, full = rig.database("empty"), rig.database("full")
        stored = store(rig, full, int(EFFECTS * scale), say, pending=True)
        before = _watch(rig, empty, seconds, say, "empty")
        after = _watch(rig, full, seconds, say, f"{stored} pending")
        more = after["percent"] - before["percent"]
        return Report(
            name="idle",
            holds=more <= MOST,
            ratio=round(after["percent"] / before["percent"], 2) if before["percent"] else 0.0,
            value=round(more, 2),
            unit="percent of a core more",
            yardstick={"what": "percent of a core on an empty database", "value": round(before["percent"], 2)},
            bar=Bar(ratio=None, value=MOST, better="lower"),
            machine=machine(),
            versions=versions(rig.postgresql),
            details={"pending": stored, "seconds": seconds, "full": after, "empty": before},
        )


def _watch(rig: Rig, db: Database, seconds: float, say: Say, name: str) -> Mapping[str, float]:
    """Percent of a core by process, and milliseconds of each periodic query."""
    rig.ask("/reset", {"deals": 0, "page": PAGE})
    worker = rig.work(db, "bulk")
    try:
        say(f"{name}: letting a worker settle")
        time.sleep(min(WARM, seconds))
        say(f"{name}: watching it for {seconds:g} s")
        spent = Spent({"database": [rig.postmaster], "worker": [worker.process.pid]})
        started = time.monotonic()
        time.sleep(seconds)
        cpu, lasted = spent.since(), time.monotonic() - started
    finally:
        worker.end()
    shares = {who: 100 * each / lasted for who, each in cpu.items()} | {"tidying": _tidying(rig, db)}
    rounded = {who: round(share, 2) for who, share in shares.items()}
    return {"percent": round(sum(shares.values()), 3), **rounded, **_periodic(db)}


def _tidying(rig: Rig, db: Database) -> float:
    """Percent of a core that tidying takes, over the interval in which it is done once."""
    world = world_of(db, rig.url, "bulk", sweep=False)
    started = time.perf_counter()
    rest = tidy(world)
    spent = time.perf_counter() - started
    for connector in world.connectors.values():
        connector.close()
    return 100 * spent / rest


def _periodic(db: Database) -> Mapping[str, float]:
    found = {}
    for name, parameters in PERIODIC.items():
        with db.engine() as conn:
            started = time.perf_counter()
            conn.execute(QUERIES.recovery[name], parameters)
            found[f"{name}_ms"] = round((time.perf_counter() - started) * 1000, 1)
    return found
