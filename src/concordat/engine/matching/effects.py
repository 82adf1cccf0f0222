"""Effects as plans leave them: compared with what exists, inserted, changed, superseded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from concordat.core.contract import Contract
from concordat.core.late import Change, Changes, Existing, Late, compare
from concordat.core.plan import Desired, Stance
from concordat.core.states import EffectState
from concordat.engine.claims import Ready, Turn, one_writer, taken_at_once
from concordat.engine.matching.proposals import asked_of, propose, read_proposals
from concordat.engine.matching.subject import Subject
from concordat.engine.settling import free, put_back
from concordat.engine.world import World
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["apply", "compare_all", "freeze", "may_free"]


CARRY = "carry"
"""Kind of effects that bring the value of a system of record to another system: planned where records come in."""
UNDOS = frozenset({"undo", "look"})
"""Kinds of effects that no plan wants: they take back what plans wanted."""


def compare_all(
    conn: Connection, going: Sequence[Subject], fresh: set[int]
) -> tuple[Mapping[int, Changes], frozenset[int]]:
    """What differs from the effects that exist, and which handoffs have undos; new handoffs have none of either."""
    undone: set[int] = set()
    old = [s.handoff for s in going if s.handoff not in fresh]
    existing: dict[int, list[Existing]] = defaultdict(list)
    if old:
        conn.execute(QUERIES.effect.lock_work, {"ids": old})
        asked = read_proposals(conn, old)
        documents = _documents(conn, [s for s in going if s.handoff not in fresh])
        for row in conn.execute(QUERIES.effect.of_handoffs, {"ids": old}):
            if row["kind"] == CARRY:
                continue
            if row["kind"] in UNDOS:
                undone.add(row["handoff_id"])
                continue
            existing[row["handoff_id"]].append(
                Existing(
                    id=row["id"],
                    step=row["step"],
                    item=row["item"],
                    digest=row["digest"],
                    state=EffectState(row["state"]),
                    done=row["done"],
                    doubtful=row["doubtful"],
                    holds=row["holds"] or "",
                    linked=row["linked"],
                    document=documents.get(row["id"], {}),
                    **asked_of(asked.get(row["id"], ()), row["digest"]),
                )
            )
    changes = {s.handoff: compare(_wanted(s), existing[s.handoff], partial(_reaction, s.contract)) for s in going}
    return changes, frozenset(undone)


def _documents(conn: Connection, known: Sequence[Subject]) -> Mapping[int, Mapping[str, Any]]:
    """The documents of effects, where a contract speaks of single fields."""
    ids = [s.handoff for s in known if any(late.fields for late in s.contract.late_change.values())]
    if not ids:
        return {}
    return {row["id"]: row["desired"] for row in conn.execute(QUERIES.effect.documents, {"ids": ids})}


def _reaction(contract: Contract, step: str) -> Late:
    late = contract.reaction(step)
    return Late(do=late.do or "hold", fields=late.fields)


def _wanted(subject: Subject) -> tuple[Desired, ...]:
    effects = subject.plan.effects
    return effects if subject.plan.stance is Stance.WANTED else tuple(e for e in effects if e.kind == "put")


def apply(
    world: World,
    conn: Connection,
    going: Sequence[Subject],
    changes: Mapping[int, Changes],
    at: datetime,
    *,
    turn: Turn,
) -> Ready:
    """Insert and change what the comparison asks for; says what is ready now."""
    new = [(s, d) for s in going for d in changes[s.handoff].new]
    changed = [(s, c) for s in going for c in changes[s.handoff].changed]
    ready = [_insert(world, conn, new, at, turn)] if new else []
    if changed:
        ready.append(Ready(lanes=frozenset(_change(world, conn, changed, at))))
    ready.append(free(world, conn, [s.handoff for s in going if may_free(s, changes[s.handoff])], turn))
    return Ready.of(ready)


def may_free(subject: Subject, changes: Changes) -> bool:
    """Whether anything blocked may go on at once: not in a handoff all of whose steps are new, but for an event."""
    at_once = any(d.kind == "emit" and not d.after for d in changes.new)
    return at_once or (bool(subject.was) and bool(changes.new or changes.changed or changes.freed))


def _insert(world: World, conn: Connection, new: Sequence[tuple[Subject, Desired]], at: datetime, turn: Turn) -> Ready:
    lane_ids = world.lane_ids(conn)
    links = [_link_row(s, d) for s, d in new if d.kind == "put"]
    conn.execute(QUERIES.effect.reserve_links, {"rows": json_text(links)})
    effects = [_effect_row(world, lane_ids, s, d, at) for s, d in new]
    with one_writer():
        rows = conn.execute(QUERIES.effect.insert, {"rows": json_text(effects), **turn.parameters(world)}).fetchall()
    known = {(s.handoff, d.step, d.item): (s, d) for s, d in new}
    taken = [_taken(row, *known[row["handoff_id"], row["step"], row["item"]], at) for row in rows if row["id"]]
    lanes = frozenset(row["lane_id"] for row in rows if not row["id"])
    return Ready(lanes=lanes, taken=taken_at_once(world, conn, taken))


def _taken(row: Mapping[str, Any], subject: Subject, desired: Desired, at: datetime) -> Mapping[str, Any]:
    """A row that was taken as it was made, as a claim would give it."""
    value = subject.plan.value or (None, None)
    return {
        **row,
        "unit": subject.unit,
        "act": "ask" if desired.kind == "check" else "write",
        "contract": subject.contract.contract,
        "version": subject.contract.version,
        "generation": 1,
        "tries": 0,
        "desired": desired.fields,
        "digest": desired.digest,
        "optional": desired.optional,
        "owner": desired.owner,
        "title": subject.plan.title,
        "value_amount": value[0],
        "value_currency": value[1],
        "correlation_id": subject.correlation_id,
        "traceparent": subject.traceparent,
        "record_key": desired.record_key,
        "ref": None,
        "link_url": "",
        "link_verified": False,
        "wrote": [] if desired.kind == "put" else None,
        "failing_since": None,
        "applied_at": None,
        "now": at,
    }


def _link_row(subject: Subject, desired: Desired) -> dict[str, Any]:
    return {
        "unit": subject.unit,
        "connection": desired.system,
        "object": desired.object,
        "owner_id": desired.owner_id,
        "place": desired.place,
        "record_key": desired.record_key,
    }


def _effect_row(
    world: World,
    lane_ids: Mapping[tuple[str, str, str], int],
    subject: Subject,
    desired: Desired,
    at: datetime,
) -> dict[str, Any]:
    adopting = subject.plan.stance is Stance.ADOPTED
    after = () if adopting else desired.after
    operation = "adopt" if adopting else desired.operation
    return {
        "unit": subject.unit,
        "handoff_id": subject.handoff,
        "step": desired.step,
        "item": desired.item,
        "kind": "adopt" if adopting else desired.kind,
        "lane_id": lane_ids.get((desired.system, desired.object, operation)),
        "owner_id": desired.owner_id,
        "connection": desired.system,
        "object": desired.object,
        "place": desired.place,
        "after": ",".join(after),
        "optional": desired.optional,
        "desired": desired.fields,
        "digest": desired.digest,
        "state": "blocked" if after or desired.kind == "emit" else "ready",
        "team": desired.owner,
        "due_at": _due(world, subject.contract, desired, at),
    }


def _due(world: World, contract: Contract, desired: Desired, at: datetime) -> datetime | None:
    """Whatever may have to wait has a time until when: its own, or that of the contract's cases."""
    span = desired.due_span or (contract.cases.due.span if contract.cases and contract.cases.due else None)
    return world.due(desired.owner, span, at) if span else None


def _change(world: World, conn: Connection, changed: Sequence[tuple[Subject, Change]], at: datetime) -> set[int]:
    full = [(s, c) for s, c in changed if c.desired is not None]
    rested = [c.id for _, c in changed if c.state is EffectState.SUPERSEDED]
    if rested:
        conn.execute(QUERIES.effect.supersede, {"ids": rested})
    propose(world, conn, [(s, c) for s, c in changed if c.proposal or c.void], at)
    lanes = _replace(world, conn, full, at) if full else set()
    settled = [*(c.id for _, c in full if not c.case), *rested, *(c.id for _, c in changed if c.void and not c.case)]
    conn.execute(QUERIES.case.resolve_effects, {"effects": settled, "resolution": "the source was changed"})
    return lanes


def _replace(world: World, conn: Connection, full: Sequence[tuple[Subject, Change]], at: datetime) -> set[int]:
    """The next generation of desired documents."""
    links = [_link_row(s, c.desired) for s, c in full if c.desired and c.desired.kind == "put"]
    if links:
        conn.execute(QUERIES.effect.reserve_links, {"rows": json_text(links)})
    rows = conn.execute(
        QUERIES.effect.change,
        {
            "ids": [c.id for _, c in full],
            "desired": [json_text(c.desired.fields) for _, c in full if c.desired],
            "digests": [c.desired.digest for _, c in full if c.desired],
            "states": [c.state.value for _, c in full],
            "steps": [c.generation for _, c in full],
            "waits": [c.waits_for for _, c in full],
            "afters": [",".join(c.desired.after) for _, c in full if c.desired],
            "optionals": [c.desired.optional for _, c in full if c.desired],
            "teams": [c.desired.owner for _, c in full if c.desired],
            "dues": [_due(world, s.contract, c.desired, at) for s, c in full if c.desired],
            "owners": [c.desired.owner_id for _, c in full if c.desired],
            "connections": [c.desired.system for _, c in full if c.desired],
            "objects": [c.desired.object for _, c in full if c.desired],
            "places": [c.desired.place for _, c in full if c.desired],
        },
    ).fetchall()
    return {row["lane_id"] for row in rows if row["lane_id"] is not None}


def freeze(conn: Connection, stopped: Sequence[Subject]) -> None:
    """What was not sent yet shall not be sent; what stands is a decision for the case's owner."""
    if stopped:
        ids = [s.handoff for s in stopped]
        conn.execute(QUERIES.effect.lock_work, {"ids": ids})
        put_back(conn, ids)
