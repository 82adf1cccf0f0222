"""From dirty marks to desired effects, in sets: read, plan (pure), write; one transaction for many subjects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from concordat.core.plan import Stance
from concordat.engine.matching.brakes import brake
from concordat.engine.matching.effects import apply, compare_all, freeze
from concordat.engine.matching.handoffs import keep_cases, keep_inputs, open_handoffs, renew_handoffs
from concordat.engine.matching.reading import again, find_handoffs, read, wait_for_parents
from concordat.engine.matching.subject import Subject
from concordat.engine.world import World
from concordat.store.database import Connection, now
from concordat.store.queries import QUERIES

__all__ = ["Matched", "plan_dirty"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Matched:
    """What one round of planning did: subjects looked at, and lanes that have work now."""

    subjects: int = 0
    lanes: frozenset[int] = frozenset()


def plan_dirty(world: World, conn: Connection, *, limit: int = 500) -> Matched:
    """Plan up to `limit` dirty subjects inside the caller's transaction."""
    marks = conn.execute(QUERIES.handoff.take_dirty, {"contracts": list(world.contracts), "limit": limit}).fetchall()
    if not marks:
        return Matched()
    at = now(conn)
    subjects = read(world, conn, marks)
    for subject in subjects:
        subject.plan = world.planners[subject.contract.contract].plan(subject.known, subject.related)
    find_handoffs(conn, subjects)
    lanes = write(world, conn, subjects, at)
    return Matched(subjects=len(marks), lanes=lanes)


def write(world: World, conn: Connection, subjects: list[Subject], at: datetime) -> frozenset[int]:
    live = [s for s in subjects if s.handoff or s.plan.stance in (Stance.WANTED, Stance.ADOPTED, Stance.UNKNOWN)]
    live = [s for s in live if s.handoff or s.plan.stance is not Stance.UNKNOWN or s.known.object]
    wait_for_parents(conn, live)
    live = brake(world, conn, live)
    fresh = [s for s in live if not s.handoff]
    open_handoffs(world, conn, fresh, at)
    renew_handoffs(conn, [s for s in live if s.was])
    keep_inputs(conn, live)
    keep_cases(world, conn, live, at)
    going = [s for s in live if s.plan.stance in (Stance.WANTED, Stance.ADOPTED) and not s.plan.missing]
    changes = compare_all(conn, going, {s.handoff for s in fresh})
    lanes = apply(world, conn, going, changes, at)
    withdrawn = [s for s in live if s.plan.stance is Stance.WITHDRAWN and s.was]
    freeze(conn, withdrawn)
    again(conn, [s for s in going if changes[s.handoff].again])
    conn.execute(QUERIES.handoff.derive_states, {"ids": [s.handoff for s in going]})
    return lanes
