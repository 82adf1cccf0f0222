"""Lanes: claim, call, settle. One round takes due work of one (connection, object, operation) through all three.

Claiming and settling are one transaction each; the calls between them hold none. A claimed row carries a fence, and
only who still holds it may settle: a late worker's answer changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta

from concordat.engine.alone import alone
from concordat.engine.breakers import gate, not_tried, went
from concordat.engine.calls import Outcome, call_all
from concordat.engine.claims import NOTHING, Claimed, Ready, Turn, put_back_early, refs_of, round_of, take
from concordat.engine.settling import settle, unkept
from concordat.engine.world import Lane, World, log
from concordat.errors import Busy, Contended, NotReachable
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["Drained", "drain", "give_back"]

PATIENCE = (0.2, 0.5, 1, 1, 2, 2, 4, 4, 8, 8, 15, 15, 30, 30, 60, 60)
"""Seconds between tries to keep outcomes; together well below the lease of a claim."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drained:
    """What one round did: rows taken, and what is ready now (in this lane too, when its turn is a little later)."""

    taken: int = 0
    ready: Ready = NOTHING
    more: bool = False
    """The round was full: there may be more that is due."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taken:
    """What one claim gave."""

    rows: Sequence[Claimed] = ()
    failing: bool = False
    """The connection's last calls failed: a success has something to close."""
    full: bool = False


def drain(world: World, lane: Lane, *, pool: Executor, turn: Turn, given: Sequence[Claimed] = ()) -> Drained:
    """One round of one lane: of the rows that were taken at once, else of what is due. None taken: nothing is due.

    Raises `NotReachable` or `Contended` from the claim only: once a call was made its outcome is kept, however long
    the database is away, until the lease is over.
    """

    def claim() -> _Taken:
        with world.db.engine() as conn:
            return _claim(world, conn, lane, turn.worker)

    taken = _Taken(rows=given) if given else world.db.again(claim)
    claimed = [row for row in taken.rows if row.act != "later"]
    if not claimed:
        return Drained(ready=Ready(lanes=frozenset({lane.id} if taken.rows else ())))
    outcomes = call_all(world, lane, claimed, pool)

    ready = _kept(world, lane, outcomes, turn, failing=taken.failing)
    return Drained(taken=len(claimed), ready=ready, more=taken.full)


def give_back(world: World, lane: Lane, rows: Sequence[Claimed], turn: Turn) -> None:
    """Rows that were taken and will not be called are anybody's again: this process ends."""
    unasked = Busy("the worker stopped before the call")
    _kept(world, lane, [Outcome(row=row, called=False, error=unasked) for row in rows], turn, failing=False)


def _kept(world: World, lane: Lane, outcomes: Sequence[Outcome], turn: Turn, *, failing: bool) -> Ready:
    """Keep what became of a round, one by one if it must be; says what is ready because of it."""

    def keep() -> Ready:
        with world.db.engine() as conn:
            ready = settle(world, conn, lane, outcomes, turn=turn)
            went(conn, lane.connection, [o.failure for o in outcomes if o.called], failing=failing)
            return ready

    def keep_apart() -> Ready:
        def some(part: Sequence[Outcome]) -> Ready:
            return settle(world, conn, lane, part, turn=turn)

        with world.db.engine() as conn:
            return Ready.of(alone(conn, outcomes, some, lambda outcome, error: some([unkept(outcome, error)])))

    try:
        return _insist(world, keep)
    except (NotReachable, Contended):
        raise
    except Exception as error:  # noqa: BLE001 - one outcome that cannot be kept must not lose the others
        log.error("settle.poison", connection=lane.connection, rows=len(outcomes), error=repr(error)[:500])
        return _insist(world, keep_apart)


def _insist(world: World, keep: Callable[[], Ready]) -> Ready:
    """Keep the outcomes of a round even if the database is away for a while; after that they are looked up."""
    for wait in PATIENCE:
        try:
            return world.db.again(keep)
        except (NotReachable, Contended) as error:
            log.warning("settle.waiting", error=str(error), seconds=wait)
            time.sleep(wait)
    return world.db.again(keep)


def _any_due(conn: Connection, lane: Lane) -> bool:
    return bool((conn.execute(QUERIES.effect.any_due, {"lane": lane.id}).fetchone() or {})["due"])


def _claim(world: World, conn: Connection, lane: Lane, worker: int) -> _Taken:
    """Take what is due; only where nothing could be taken, ask whether the connection is down."""
    facts = world.facts(lane)
    limit = round_of(world, lane)
    window = facts.settle_window if facts else timedelta(0)
    rows = take(conn, lane.id, limit=limit, worker=worker, settle_window=window)
    probing = not rows and gate(conn, lane.connection, wanted=lambda: _any_due(conn, lane)).probe
    if probing:
        rows = take(conn, lane.id, limit=1, worker=worker, settle_window=window, probing=True)
    if not rows:
        return _Taken()
    refs = refs_of(conn, rows)
    at = rows[0]["now"]
    early = put_back_early(conn, lane, rows, refs)
    claimed = [Claimed.of(row, lane, refs, at) for row in rows if row["id"] not in early]
    if probing and all(row.act in ("later", "unchanged") for row in claimed):
        not_tried(conn, lane.connection)
    return _Taken(rows=claimed, failing=rows[0]["failing"], full=len(rows) >= limit)
