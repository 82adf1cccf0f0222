"""Systems of record, enforced where records come in: what another system changes is written back, taken over or raised.

Nothing here goes by time. An edit is a value that changed; our own write coming back says what holds already and is no
edit; an automation that keeps overwriting us is answered twice and is then a case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from concordat.core.contract import Ownership
from concordat.core.keys import digest, record_key
from concordat.core.ownership import Edit, Judged, Member, judge
from concordat.engine.alone import storable
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.world import World, log
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["ROUNDS", "keep_owners"]

ROUNDS = 2
"""Answers to one system about one field until it is a person's business."""
Row = Mapping[str, Any]


@dataclass(kw_only=True)
class _Thing:
    """One thing in several systems, and what was judged of it."""

    object: str
    item: str
    owner_id: int
    rows: Sequence[Row]
    owns: Mapping[str, Ownership]
    judged: Judged
    stopped: set[tuple[str, str]] = field(default_factory=set)
    """(field, system) that a person looks at, or has to: nothing more is written there."""

    @property
    def key(self) -> dict[str, Any]:
        return {"owner_id": self.owner_id, "object": self.object, "item": self.item}

    @property
    def source(self) -> Row | None:
        return next((row for row in self.rows if row["source"]), None)

    def of(self, system: str) -> Row:
        return next(row for row in self.rows if row["connection"] == system)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answering:
    """What is needed to write a value back: in whose name, and by which lane."""

    handoffs: Mapping[tuple[int, str], Row]
    lanes: Mapping[tuple[str, str, str], int]


def keep_owners(world: World, conn: Connection, changed: Sequence[Row], trace: Mapping[str, str]) -> Sequence[Row]:
    """Judge records that have just changed; gives the source records whose values for the planner changed by that."""
    ids = [row["id"] for row in changed if row["object"] in world.owned]
    if not ids:
        return ()
    sources = [row["id"] for row in conn.execute(QUERIES.ownership.lock_sources, {"ids": ids})]
    if not sources:
        return ()
    again = {row["id"]: row["answered"] for row in changed if row["answered"] is not None}
    things = _things(world, conn, sources, ids, again)
    _count(conn, sources, things)
    told = _own(conn, things, trace)
    _answer(world, conn, sources, things)
    return told


def _things(
    world: World, conn: Connection, sources: Sequence[int], ids: Sequence[int], again: Mapping[int, Sequence[str]]
) -> list[_Thing]:
    parameters = {"sources": sources, "ids": ids, "objects": list(world.owned)}
    groups: dict[tuple[int, str, str], list[Row]] = defaultdict(list)
    for row in conn.execute(QUERIES.ownership.members, parameters):
        groups[row["owner_id"], row["object"], row["item"]].append(_seen_again(row, again))
    return [_thing(world, key, rows) for key, rows in groups.items() if len(rows) > 1]


def _seen_again(row: Row, again: Mapping[int, Sequence[str]]) -> Row:
    """A record that is newer and yet the same: it holds again what we answered, and has changed nothing else."""
    if row["id"] not in again:
        return row
    was = {name: value for name, value in row["fields"].items() if name not in again[row["id"]]}
    return {**row, "was": was}


def _thing(world: World, key: tuple[int, str, str], rows: Sequence[Row]) -> _Thing:
    owner_id, object_, item = key
    owns = {name: rule for name, (rule, _) in world.owned[object_].items()}
    members = [
        Member(
            system=row["connection"],
            fields=row["fields"],
            was=row["was"],
            touched=row["touched"],
            source=row["source"],
        )
        for row in rows
    ]
    told: Mapping[str, Any] = next((row["provenance"] for row in rows if row["source"]), {})
    accepted = {name: told[name]["value"] for name, rule in owns.items() if rule.others == "accept" and name in told}
    judged = judge(members, owns, accepted)
    return _Thing(owner_id=owner_id, object=object_, item=item, rows=rows, owns=owns, judged=judged)


# ── rounds ────────────────────────────────────────────────────────────────────────────────────────


def _count(conn: Connection, sources: Sequence[int], things: Sequence[_Thing]) -> None:
    """Count the rounds of every edit, end those of whom agrees, and remember where nothing more is written."""
    by_key = {(t.owner_id, t.object, t.item): t for t in things}
    edits = [_row(thing, edit) for thing in things for edit in thing.judged.edits]
    if edits:
        conn.execute(QUERIES.ownership.conflicts, {"rows": json_text(edits), "most": ROUNDS})
    agreed = [
        {**thing.key, "field": name, "connection": system} for thing in things for name, system in thing.judged.settled
    ]
    if agreed:
        ended = conn.execute(QUERIES.ownership.agreed, {"rows": json_text(agreed)}).fetchall()
        over = {"kind": "ownership", "subjects": [_subject(row) for row in ended], "resolution": "the systems agree"}
        conn.execute(QUERIES.case.resolve_subjects, over)
        _rest(conn, things)
    for row in conn.execute(QUERIES.ownership.open_conflicts, {"sources": sources}):
        thing = by_key.get((row["owner_id"], row["object"], row["item"]))
        if thing is not None:
            thing.stopped.add((row["field"], row["connection"]))
    for thing in things:
        thing.judged = _without_stopped(thing)


def _rest(conn: Connection, things: Sequence[_Thing]) -> None:
    """What a person was asked about is over where the system has come to hold the owner's value."""
    agreeing: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    for thing in things:
        for name, system in thing.judged.settled:
            agreeing[thing.owner_id, thing.object, system].append(name)
    rows = [{"owner_id": o, "object": x, "connection": s, "fields": names} for (o, x, s), names in agreeing.items()]
    ended = [row["id"] for row in conn.execute(QUERIES.ownership.carried_anyway, {"rows": json_text(rows)})]
    if ended:
        conn.execute(QUERIES.case.resolve_effects, {"effects": ended, "resolution": "the systems agree"})


def _row(thing: _Thing, edit: Edit) -> dict[str, Any]:
    conflict = edit.conflict
    return {
        **thing.key,
        "field": conflict.field,
        "connection": edit.system,
        "unit": thing.rows[0]["unit"],
        "owner": conflict.owner,
        "holds": conflict.holds,
        "asked": conflict.asked,
        "fate": edit.fate,
    }


def _without_stopped(thing: _Thing) -> Judged:
    """An edit that is taken over, unless its rounds are over: then what held before goes on holding."""
    judged = thing.judged
    back = {
        e.conflict.field: e
        for e in judged.edits
        if e.fate == "accept" and (e.conflict.field, e.system) in thing.stopped
    }
    if not back:
        return judged
    holds = {**judged.holds, **{name: edit.conflict.holds for name, edit in back.items()}}
    source = thing.source
    owned = dict(judged.owned)
    for name in back:
        owned.pop(name, None)
        if source is not None and source["fields"].get(name) != holds[name]:
            owned[name] = holds[name]
    by = {**judged.by, **dict.fromkeys(back, "")}
    carry = {name: value for name, value in judged.carry.items() if name not in back}
    return replace(judged, holds=holds, owned=owned, by=by, carry=carry)


def _subject(row: Row) -> str:
    return f"{row['owner_id']}:{row['object']}:{row['item']}:{row['field']}:{row['connection']}"


# ── what holds ────────────────────────────────────────────────────────────────────────────────────


def _own(conn: Connection, things: Sequence[_Thing], trace: Mapping[str, str]) -> Sequence[Row]:
    """Tell the planner, with whose value it is."""
    rows = [
        {"id": source["id"], "owned": dict(thing.judged.owned), "provenance": _provenance(thing, source)}
        for thing in things
        if (source := thing.source) is not None
    ]
    if not rows:
        return ()
    return conn.execute(QUERIES.ownership.own, {"rows": json_text(rows), **trace}).fetchall()


def _provenance(thing: _Thing, source: Row) -> dict[str, Any]:
    """By field: the value that holds, the system that said it, and its version there."""
    told = dict(source["provenance"])
    for name, value in thing.judged.holds.items():
        system = thing.judged.by[name] or told.get(name, {}).get("system", "")
        member = next((row for row in thing.rows if row["connection"] == system), source)
        told[name] = {"value": value, "system": system, "ref": member["ref"], "version": member["version"]}
    return told


# ── answers ───────────────────────────────────────────────────────────────────────────────────────


def _answer(world: World, conn: Connection, sources: Sequence[int], things: Sequence[_Thing]) -> None:
    """Write back what may be written, and open a case for what a person must see."""
    asking = [thing for thing in things if thing.judged.edits or thing.judged.carry]
    if not asking:
        return
    found = conn.execute(QUERIES.ownership.answerable, {"sources": sources})
    handoffs = {(row["owner_id"], row["contract"]): row for row in found}
    answering = _Answering(handoffs=handoffs, lanes=world.lane_ids(conn))
    writes, drafts = [], []
    for thing in asking:
        for system, fields in _wanted(thing).items():
            written = _write(world, thing, system, fields, answering)
            writes += [written] if written else []
            unwritten = set() if written else set(fields)
            thing.stopped |= {
                (name, system) for name in unwritten if name in {e.conflict.field for e in thing.judged.edits}
            }
        drafts += [
            _case(world, thing, edit, handoffs)
            for edit in thing.judged.edits
            if (edit.conflict.field, edit.system) in thing.stopped
        ]
    if writes:
        log.info("ownership.answered", writes=len(writes))
        conn.execute(QUERIES.ownership.carry, {"rows": json_text(writes)})
    open_cases(conn, drafts)


def _wanted(thing: _Thing) -> Mapping[str, Mapping[str, Any]]:
    """By system: the fields that it must be given. Where the planner writes, an accepted edit goes by the plan."""
    wanted: dict[str, dict[str, Any]] = defaultdict(dict)
    for edit in thing.judged.edits:
        if edit.fate == "revert" and (edit.conflict.field, edit.system) not in thing.stopped:
            wanted[edit.system][edit.conflict.field] = edit.conflict.holds
    source = thing.source
    if source is not None:
        system = source["connection"]
        quiet = {name: value for name, value in thing.judged.carry.items() if (name, system) not in thing.stopped}
        if quiet:
            wanted[system].update(quiet)
    return wanted


def _write(
    world: World, thing: _Thing, system: str, fields: Mapping[str, Any], answering: _Answering
) -> dict[str, Any] | None:
    """One write to one system, in the name of a handoff; None where that system takes none, or nobody may write."""
    facts = world.connectors[system].facts.targets.get(thing.object) if system in world.connectors else None
    lane = answering.lanes.get((system, thing.object, "put"))
    handoff = _handoff(world, thing, next(iter(fields)), answering.handoffs)
    if facts is None or lane is None or handoff is None:
        return None
    if facts.fields and not fields.keys() <= facts.fields:
        return None
    member = thing.of(system)
    ref = member["ref"]
    return {
        "unit": member["unit"],
        "handoff_id": handoff["id"],
        "step": f"owner_{thing.object}_in_{system}",
        "item": ref,
        "lane_id": lane,
        "link_id": member["link_id"],
        "owner_id": thing.owner_id,
        "connection": system,
        "object": thing.object,
        "record_key": record_key(system, thing.object, f"{system}:{ref}", "source"),
        "ref": ref,
        "url": member["url"],
        "desired": dict(fields),
        "digest": digest({"owner": thing.owner_id, "fields": dict(fields)}),
        "owner": world.contracts[handoff["contract"]].case_owner,
    }


def _handoff(world: World, thing: _Thing, name: str, handoffs: Mapping[tuple[int, str], Row]) -> Row | None:
    """The handoff of a contract that says whose this field is."""
    contracts = world.owned[thing.object][name][1]
    return next((row for contract in contracts if (row := handoffs.get((thing.owner_id, contract)))), None)


def _case(world: World, thing: _Thing, edit: Edit, handoffs: Mapping[tuple[int, str], Row]) -> CaseDraft:
    conflict, member = edit.conflict, thing.of(edit.system)
    handoff = _handoff(world, thing, conflict.field, handoffs)
    contract = world.contracts[world.owned[thing.object][conflict.field][1][0]]
    name = member["fields"].get("name") or member["ref"]
    again = "" if edit.fate == "raise" else " again, and is not answered any more"
    title = (
        f"{thing.object} {name}: {conflict.field} belongs to {conflict.owner}, which holds {conflict.holds};"
        f" {edit.system} changed it to {conflict.asked}{again}"
    )
    row = {**thing.key, "field": conflict.field, "connection": edit.system}
    value = (str(handoff["value_amount"]), handoff["value_currency"]) if handoff and handoff["value_currency"] else None
    return CaseDraft(
        unit=member["unit"],
        kind="ownership",
        contract=contract.contract,
        handoff=handoff["id"] if handoff else None,
        subject=_subject(row),
        title=storable(title),
        owner=contract.case_owner,
        facts={"field": f"{thing.object}.{conflict.field}", "owner": conflict.owner, "by": edit.system,
               "holds": conflict.holds, "asked": conflict.asked, "fate": edit.fate, "ref": member["ref"]},
        value=value,
    )  # fmt: skip
