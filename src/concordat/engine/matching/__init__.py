"""From dirty marks to desired effects, in sets: read, plan (pure), write; one transaction for many subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from concordat.core.plan import Stance
from concordat.engine.alone import alone, storable
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.claims import NO_TURN, NOTHING, Ready, Turn
from concordat.engine.matching.brakes import brake
from concordat.engine.matching.effects import apply, compare_all, freeze, may_free
from concordat.engine.matching.handoffs import (
    keep_adopted,
    keep_cases,
    keep_inputs,
    open_handoffs,
    renew_handoffs,
    wanted_again,
)
from concordat.engine.matching.reading import again, find_standing, read, wait_for_parents
from concordat.engine.matching.subject import Subject
from concordat.engine.undo import undo
from concordat.engine.world import World
from concordat.store.database import Connection, now
from concordat.store.queries import QUERIES

__all__ = ["Matched", "plan_dirty"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Matched:
    """What one round of planning did: subjects looked at, and what is ready now."""

    subjects: int = 0
    ready: Ready = NOTHING


def plan_dirty(world: World, conn: Connection, *, limit: int = 500, turn: Turn = NO_TURN) -> Matched:
    """Plan up to `limit` dirty subjects inside the caller's transaction. One that breaks becomes a case, alone."""
    marks = conn.execute(QUERIES.handoff.take_dirty, {"contracts": list(world.contracts), "limit": limit}).fetchall()
    if not marks:
        return Matched()
    at = now(conn)

    def some(part: Sequence[Mapping[str, Any]]) -> Ready:
        return _plan(world, conn, part, at, turn)

    def poison(mark: Mapping[str, Any], error: Exception) -> Ready:
        open_cases(conn, [_unplannable(world, mark, error)])
        return Ready()

    return Matched(subjects=len(marks), ready=Ready.of(alone(conn, marks, some, poison)))


def _plan(world: World, conn: Connection, marks: Sequence[Mapping[str, Any]], at: datetime, turn: Turn) -> Ready:
    subjects = read(world, conn, marks)
    for subject in subjects:
        subject.plan = world.planner(subject.contract).plan(subject.known, subject.related)
    return write(world, conn, subjects, at, turn)


def _subject(mark: Mapping[str, Any]) -> str:
    return f"{mark['contract']}:{mark['subject_id']}"


def _unplannable(world: World, mark: Mapping[str, Any], error: Exception) -> CaseDraft:
    contract = world.contracts[mark["contract"]]
    text = storable(f"{type(error).__name__}: {error}")
    return CaseDraft(
        unit=world.unit,
        kind="unknown",
        contract=contract.contract,
        subject=_subject(mark),
        title=storable(f"A {contract.subject} cannot be planned: {text}"),
        owner=contract.case_owner,
        facts={"reason": text, "record": mark["subject_id"]},
    )


def write(world: World, conn: Connection, subjects: list[Subject], at: datetime, turn: Turn) -> Ready:
    """Bring handoffs, cases, clocks and effects in line with these plans; says what is ready now."""
    begun = (Stance.WANTED, Stance.ADOPTED, Stance.UNKNOWN)
    live = [s for s in subjects if s.was != "cancelled" and (s.handoff or s.plan.stance in begun)]
    keep_adopted(world, conn, live, at)
    wait_for_parents(conn, live)
    find_standing(conn, [s for s in live if s.plan.stance is Stance.WITHDRAWN])
    braked, live = live, brake(world, conn, live)
    let = {s.key for s in live}
    freeze(conn, [s for s in braked if s.stands and s.key not in let])  # no undo yet, but nothing more either
    fresh = [s for s in live if not s.handoff]
    open_handoffs(world, conn, fresh, at)
    renew_handoffs(world, conn, [s for s in live if s.was], at)
    again(conn, keep_inputs(conn, live), 0.0)
    keep_cases(world, conn, live, at)
    going = [s for s in live if s.plan.stance in (Stance.WANTED, Stance.ADOPTED) and not s.plan.missing]
    changes, undone = compare_all(conn, going, {s.handoff for s in fresh})
    ready = apply(world, conn, going, changes, at, turn=turn)
    stopped = [s for s in live if s.was and (s.plan.missing or s.plan.stance in (Stance.WITHDRAWN, Stance.UNKNOWN))]
    freeze(conn, stopped)
    left = {s.handoff: changes[s.handoff].left for s in going if s.plan.stance is Stance.WANTED}
    back = [s for s in going if left.get(s.handoff) or s.handoff in undone]
    wanted_again(conn, [s for s in going if s.was and not left.get(s.handoff)])
    taken = undo(world, conn, [*(s for s in live if s.stands), *back], left, at)
    again(conn, [*(s for s in going if changes[s.handoff].again), *taken.waiting])
    moved = [s.handoff for s in going if s.was or may_free(s, changes[s.handoff]) or not changes[s.handoff].new]
    conn.execute(QUERIES.handoff.derive_states, {"ids": moved})
    return Ready.of([ready, Ready(lanes=taken.lanes)])
