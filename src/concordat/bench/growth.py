"""`growth`: activation on a database that is full already, and while a snapshot is held open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from concordat.bench.activation import Ran, Terms, run_engine
from concordat.bench.machine import machine, versions
from concordat.bench.report import Bar, Report, Say, percentile
from concordat.bench.rig import Rig
from concordat.bench.stored import store
from concordat.store.database import Database

__all__ = ["growth"]

SMALL, LARGE = 10_000, 1_000_000
DEALS = 2000
SLOWER = 1.4
CLAIMS = 3.0
"""How much longer the 99th percentile of a claim may take while a snapshot is held."""
HELD = 30.0
"""Seconds after which the snapshot is let go, at the latest."""


def growth(say: Say, scale: float = 1.0) -> Report:
    """Small, large, under a snapshot, small again. Bar: at most 1.4 times slower, and claims at most 3 times."""
    deals, large = max(int(DEALS * min(scale, 1)), 12), int(LARGE * scale)
    with Rig.open() as rig:
        first = _run(rig, "small", _small(scale), deals, say)
        big = _run(rig, "large", large, deals, say)
        held = _run(rig, "held", _small(scale), deals, say, hold=True)
        again = _run(rig, "again", _small(scale), deals, say)
        rate = (first.rate + again.rate) / 2
        usual = percentile([*first.claims, *again.claims], 0.99)
        under, slower = percentile(list(held.claims), 0.99) / usual if usual else 0.0, rate / big.rate
        faults = [fault for ran in (first, big, held, again) for fault in ran.faults]
        return Report(
            name="growth",
            holds=slower <= SLOWER and under <= CLAIMS and not faults,
            ratio=round(slower, 2),
            value=round(under, 2),
            unit="times: claim p99 under a held snapshot",
            yardstick={"what": f"handoffs a second with {_small(scale)} effects stored", "value": round(rate, 1)},
            bar=Bar(ratio=SLOWER, value=CLAIMS, better="lower"),
            machine=machine(),
            versions=versions(rig.postgresql),
            details={
                "stored": large,
                "held_at_most_seconds": HELD,
                "slower_under_snapshot": round(rate / held.rate, 2),
                "small": _told(first),
                "large": _told(big),
                "held": _told(held),
                "small again": _told(again),
            },
        )


def _small(scale: float) -> int:
    return int(SMALL * min(scale, 1))


def _run(rig: Rig, name: str, effects: int, deals: int, say: Say, *, hold: bool = False) -> Ran:
    db = rig.database(f"growth_{name}")
    store(rig, db, effects, lambda text: say(f"{name}: {text}"))
    terms = Terms(db=db, claims=True)
    if not hold:
        return run_engine(rig, "bulk", deals, lambda text: say(f"{name}: {text}"), terms)
    with _snapshot(rig, db):
        return run_engine(rig, "bulk", deals, lambda text: say(f"{name}: {text}"), terms)


@contextmanager
def _snapshot(rig: Rig, db: Database) -> Iterator[None]:
    """A reader that sees the database as it is now until this ends, or 30 s are over: no row can be cleaned up."""
    done = threading.Event()
    with rig.superuser(str(conninfo_to_dict(db.dsn)["dbname"])) as conn:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        conn.execute("SELECT count(*) FROM work")

        def let_go() -> None:
            done.wait(HELD)
            conn.execute("ROLLBACK")

        thread = threading.Thread(target=let_go)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _told(ran: Ran) -> dict[str, Any]:
    claims = list(ran.claims)
    timed = {"claims": len(claims), "claim_p50_ms": round(percentile(claims, 0.5), 2)}
    return ran.details() | timed | {"claim_p99_ms": round(percentile(claims, 0.99), 2)}
