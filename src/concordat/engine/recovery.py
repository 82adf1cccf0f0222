"""The sweep that makes every lost wake-up harmless: dead workers, stray work, overdue waits, months ahead."""

from __future__ import annotations

import time
from collections.abc import Callable

from concordat.engine.world import World, log
from concordat.store.queries import QUERIES

__all__ = ["SILENCE", "bury", "mend", "tidy"]

SILENCE = 10.0
"""Seconds without a beat after which a worker is presumed dead; its claims are taken over, its calls looked up."""

TIDY = 60.0
"""Seconds between two tidyings, at least."""
SELDOM = 200
"""How many times its own length tidying rests."""


def bury(world: World, is_dead: Callable[[str], bool]) -> None:
    """Take over at once from workers that somebody knows to be dead (`is_dead` is asked by name), not after silence."""
    with world.db.engine() as conn:
        gone = [row["id"] for row in conn.execute(QUERIES.recovery.workers).fetchall() if is_dead(row["name"])]
        if gone:
            conn.execute(QUERIES.recovery.bury, {"ids": gone})


def mend(world: World, worker: int) -> None:
    """Take over what dead workers held, put stray work back, raise one alert per cause for what is overdue."""
    with world.db.engine() as conn:
        taken = conn.execute(QUERIES.recovery.take_over, {"worker": worker, "silence": SILENCE}).fetchall()
        alerts = conn.execute(QUERIES.recovery.overdue).fetchall()
        late = conn.execute(QUERIES.recovery.clocks).fetchall()
    if taken:
        log.warning("work.taken_over", rows=len(taken))
    for alert in alerts:
        log.warning(
            "alert.raised",
            owner=alert["owner"],
            cause=alert["cause"],
            items=alert["items"],
            money=alert["money"],
        )
    for clock in late:
        log.warning(
            "service_level.late",
            handoff=clock["handoff_id"],
            name=clock["name"],
            owner=clock["owner"],
            breached=bool(clock["breached_at"]),
        )


def tidy(world: World) -> float:
    """Expired keys go, partitions of the coming months are opened, stray work is put back; says when to tidy again.

    That is in a minute, or so much later that it takes half a percent of the time: it reads all that waits.
    """
    started = time.monotonic()
    with world.db.engine() as conn:
        conn.execute(QUERIES.recovery.open_months)
        conn.execute(QUERIES.recovery.tidy)
        stray = conn.execute(QUERIES.recovery.stray).fetchall()
    if stray:
        log.error("work.stray", rows=len(stray))
    return max(TIDY, SELDOM * (time.monotonic() - started))
