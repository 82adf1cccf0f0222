"""Lanes: claim, call, settle. One round takes due work of one (connection, object, operation) through all three.

Claiming and settling are one transaction each; the calls between them hold none. A claimed row carries a fence, and
only who still holds it may settle: a late worker's answer changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.errors import UniqueViolation

from concordat.engine.alone import alone
from concordat.engine.breakers import gate, went
from concordat.engine.calls import Claimed, Outcome, call_all
from concordat.engine.settling import settle, unkept
from concordat.engine.world import Lane, World, log
from concordat.errors import Contended, NotReachable
from concordat.sdk.spec import ObjectFacts
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["Drained", "drain", "take"]

PATIENCE = (0.2, 0.5, 1, 1, 2, 2, 4, 4, 8, 8, 15, 15, 30, 30, 60, 60)
"""Seconds between tries to keep outcomes; together well below the lease of a claim."""
ROUND = 500
"""Most rows of one round; bounds memory and the length of a transaction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drained:
    """What one round did: rows taken, and lanes that have work now (this one, when its turn is a little later)."""

    taken: int = 0
    lanes: frozenset[int] = frozenset()
    more: bool = False
    """The round was full: there may be more that is due."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Taken:
    """What one claim gave."""

    rows: Sequence[Claimed] = ()
    failing: bool = False
    """The connection's last calls failed: a success has something to close."""
    full: bool = False


def drain(world: World, lane: Lane, *, worker: int, pool: Executor) -> Drained:
    """One round of one lane. Nothing taken means that nothing is due.

    Raises `NotReachable` or `Contended` from the claim only: once a call was made its outcome is kept, however long
    the database is away, until the lease is over.
    """

    def claim() -> _Taken:
        with world.db.engine() as conn:
            return _claim(world, conn, lane, worker)

    taken = world.db.again(claim)
    claimed = [row for row in taken.rows if row.act != "later"]
    if not claimed:
        return Drained(lanes=frozenset({lane.id} if taken.rows else ()))
    outcomes = call_all(world, lane, claimed, pool)

    def keep() -> frozenset[int]:
        with world.db.engine() as conn:
            lanes = settle(world, conn, lane, outcomes, worker=worker)
            went(conn, lane.connection, [o.failure for o in outcomes if o.called], failing=taken.failing)
            return lanes

    def keep_apart() -> frozenset[int]:
        def some(part: Sequence[Outcome]) -> frozenset[int]:
            return settle(world, conn, lane, part, worker=worker)

        with world.db.engine() as conn:
            done = alone(conn, outcomes, some, lambda outcome, error: some([unkept(outcome, error)]))
        return frozenset().union(*done)

    try:
        lanes = _insist(world, keep)
    except (NotReachable, Contended):
        raise
    except Exception as error:  # noqa: BLE001 - one outcome that cannot be kept must not lose the others
        log.error("settle.poison", connection=lane.connection, rows=len(outcomes), error=repr(error)[:500])
        lanes = _insist(world, keep_apart)
    return Drained(taken=len(claimed), lanes=lanes, more=taken.full)


def _insist(world: World, keep: Callable[[], frozenset[int]]) -> frozenset[int]:
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
    limit = min(ROUND, _batch(facts, lane) * (facts.parallel if facts else 1))
    window = facts.settle_window if facts else timedelta(0)
    rows = take(conn, lane.id, limit=limit, worker=worker, settle_window=window)
    if not rows and gate(conn, lane.connection, wanted=lambda: _any_due(conn, lane)).probe:
        rows = take(conn, lane.id, limit=1, worker=worker, settle_window=window, probing=True)
    if not rows:
        return _Taken()
    refs = _refs(conn, rows)
    at = rows[0]["now"]
    early = _early(conn, lane, rows, refs)
    claimed = [Claimed.of(row, lane, refs, at) for row in rows if row["id"] not in early]
    return _Taken(rows=claimed, failing=rows[0]["failing"], full=len(rows) >= limit)


def take(
    conn: Connection, lane: int, *, limit: int, worker: int, settle_window: timedelta, probing: bool = False
) -> Sequence[Mapping[str, Any]]:
    """Lock due rows, then read and mark them: nobody plans or settles between the two.

    Nothing is taken for a connection that is down, unless to probe it.
    """
    due = conn.execute(QUERIES.effect.take_due, {"lane": lane, "limit": limit, "probing": probing}).fetchall()
    if not due:
        return ()
    parameters = {
        "ids": [row["effect_id"] for row in due],
        "failing": due[0]["failing"],
        "worker": worker,
        "settle_window": settle_window.total_seconds(),
    }
    try:
        return conn.execute(QUERIES.effect.claim, parameters).fetchall()
    except UniqueViolation as error:
        raise Contended("Another worker writes one of these target objects at this moment.") from error


def _batch(facts: ObjectFacts | None, lane: Lane) -> int:
    """Rows of one call: the vendor's own limit for writes, all for a question, one for an adoption."""
    if facts is None:
        return ROUND
    return facts.write_batch if lane.operation == "put" else 1


def _refs(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> Mapping[tuple[int, str, str, str], Mapping[str, Any]]:
    """What the targets call the objects that these documents refer to."""
    owners = {
        value["$ref"]["owner"]
        for row in rows
        for value in row["desired"].values()
        if isinstance(value, dict) and "$ref" in value
    }
    if not owners:
        return {}
    found = conn.execute(QUERIES.effect.refs, {"owners": sorted(owners)})
    return {(r["owner_id"], r["connection"], r["object"], r["item"]): r for r in found}


def _early(
    conn: Connection, lane: Lane, rows: Sequence[Mapping[str, Any]], refs: Mapping[Any, Mapping[str, Any]]
) -> frozenset[int]:
    """Put back, visibly, what refers to an object that another effect is about to make here; give its ids."""
    lacking = [
        (row["id"], *place, str(value.get("name") or ""))
        for row in rows
        for value in row["desired"].values()
        if row["act"] == "write" and isinstance(value, dict) and "$ref" in value
        if (place := _place(value["$ref"], lane)) not in refs
    ]
    if not lacking:
        return frozenset()
    names = ("ids", "owners", "systems", "objects", "items", "names")
    parameters = dict(zip(names, map(list, zip(*lacking, strict=True)), strict=True))
    waiting = conn.execute(QUERIES.effect.wait_for_others, parameters).fetchall()
    if waiting:
        conn.execute(QUERIES.handoff.derive_states, {"ids": sorted({row["handoff_id"] for row in waiting})})
    return frozenset(row["id"] for row in waiting)


def _place(to: Mapping[str, Any], lane: Lane) -> tuple[int, str, str, str]:
    return to["owner"], to.get("system") or lane.connection, to["object"], to.get("item", "")
