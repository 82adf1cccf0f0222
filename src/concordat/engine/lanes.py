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

from concordat.engine.breakers import Gate, gate, went
from concordat.engine.calls import Claimed, call_all
from concordat.engine.settling import settle
from concordat.engine.world import Lane, World, log
from concordat.errors import Contended, NotReachable
from concordat.sdk.spec import ObjectFacts
from concordat.store.database import Connection, now
from concordat.store.queries import QUERIES

__all__ = ["Drained", "drain"]

PATIENCE = (0.2, 0.5, 1, 1, 2, 2, 4, 4, 8, 8, 15, 15, 30, 30, 60, 60)
"""Seconds between tries to keep outcomes; together well below the lease of a claim."""
ROUND = 500
"""Most rows of one round; bounds memory and the length of a transaction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drained:
    """What one round did: rows taken, and lanes that have work because of it."""

    taken: int = 0
    lanes: frozenset[int] = frozenset()


def drain(world: World, lane: Lane, *, worker: int, pool: Executor) -> Drained:
    """One round of one lane. Nothing taken means that nothing is due.

    Raises `NotReachable` or `Contended` from the claim only: once a call was made its outcome is kept, however long
    the database is away, until the lease is over.
    """

    def claim() -> tuple[Gate, Sequence[Claimed]]:
        with world.db.engine() as conn:
            allowed = gate(conn, lane.connection)
            return allowed, _claim(world, conn, lane, allowed, worker)

    allowed, claimed = world.db.again(claim)
    if not claimed:
        return Drained()
    outcomes = call_all(world, lane, claimed, pool)

    def keep() -> frozenset[int]:
        with world.db.engine() as conn:
            lanes = settle(world, conn, lane, outcomes, worker=worker)
            went(conn, lane.connection, [o.error for o in outcomes if o.called], failing=allowed.failing)
            return lanes

    return Drained(taken=len(claimed), lanes=_insist(world, keep))


def _insist(world: World, keep: Callable[[], frozenset[int]]) -> frozenset[int]:
    """Keep the outcomes of a round even if the database is away for a while; after that they are looked up."""
    for wait in PATIENCE:
        try:
            return world.db.again(keep)
        except (NotReachable, Contended) as error:
            log.warning("settle.waiting", error=str(error), seconds=wait)
            time.sleep(wait)
    return world.db.again(keep)


def _claim(world: World, conn: Connection, lane: Lane, allowed: Gate, worker: int) -> Sequence[Claimed]:
    if allowed.closed:
        return ()
    facts = world.facts(lane)
    batch = _batch(facts, lane)
    parallel = facts.parallel if facts else 1
    window = facts.settle_window if facts else timedelta(0)
    rows = conn.execute(
        QUERIES.effect.claim,
        {
            "lane": lane.id,
            "limit": 1 if allowed.probe else min(ROUND, batch * parallel),
            "worker": worker,
            "settle_window": window.total_seconds(),
        },
    ).fetchall()
    refs = _refs(conn, rows)
    at = now(conn)
    return [Claimed.of(row, lane, refs, at) for row in rows]


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
