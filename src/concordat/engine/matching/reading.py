"""Reading what planning needs, in sets: subjects, relations level by level, handoffs that exist."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from concordat.core.contract import Contract
from concordat.core.expressions import compile_rule
from concordat.core.plan import Known, Stance
from concordat.engine.matching.subject import Subject
from concordat.engine.world import World
from concordat.errors import NotFound
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["again", "find_standing", "read", "read_one", "wait_for_parents"]

PARENT_WAIT = 2.0
"""Seconds until a handoff whose parent is not readable yet is planned again; it grows with the handoff's age."""
PARENT_WAIT_MOST = 60.0


def read(world: World, conn: Connection, marks: Sequence[Mapping[str, Any]]) -> list[Subject]:
    """Read the marked subjects, lock the handoffs they have, and read all that their contracts relate them to.

    A handoff is planned by the version of its contract that it began on, whatever is active now.
    """
    ids = [mark["subject_id"] for mark in marks]
    rows = {row["id"]: row for row in conn.execute(QUERIES.handoff.records_by_id, {"ids": ids})}
    subjects = [
        Subject(
            contract=world.contracts[mark["contract"]],
            known=_known(rows[mark["subject_id"]]),
            unit=rows[mark["subject_id"]]["unit"],
            correlation_id=mark["correlation_id"],
            traceparent=mark["traceparent"],
        )
        for mark in marks
        if mark["subject_id"] in rows
    ]
    _find_handoffs(world, conn, subjects)
    by_contract: dict[str, list[Subject]] = defaultdict(list)
    for subject in subjects:
        by_contract[subject.contract.key].append(subject)
    for members in by_contract.values():
        for name in members[0].contract.with_:
            _relate(conn, members, name)
    return subjects


def read_one(conn: Connection, contract: Contract, subject_id: int) -> Subject:
    """One subject with everything its contract relates it to, for somebody who only looks: nothing is locked."""
    row = conn.execute(QUERIES.handoff.records_by_id, {"ids": [subject_id]}).fetchone()
    if row is None:
        raise NotFound(f"There is no record {subject_id}.")
    subject = Subject(contract=contract, known=_known(row), unit=row["unit"], correlation_id="", traceparent="")
    for name in contract.with_:
        _relate(conn, [subject], name)
    return subject


def _known(row: Mapping[str, Any]) -> Known:
    changed: datetime | None = row["changed_at"]
    return Known(
        id=row["id"],
        object=row["object"],
        ref=f"{row['connection']}:{row['ref']}",
        fields=row["fields"],
        changed_on=changed.date() if changed else None,
        deleted=row["deleted"],
    )


def _relate(conn: Connection, members: Sequence[Subject], name: str) -> None:
    """Read one relation of `with` for all members at once."""
    contract = members[0].contract
    rule = compile_rule(contract.with_[name].of)
    object_ = contract.object_of(name)
    wanted: dict[tuple[str, str], list[Subject]] = defaultdict(list)
    for member in members:
        fields = {contract.subject: member.known.fields}
        fields.update({n: k.fields for n, k in member.related.items() if k is not None})
        ref = rule.value(fields)
        member.related[name] = None
        if isinstance(ref, str) and ":" in ref:
            connection, _, vendor_id = ref.partition(":")
            wanted[connection, vendor_id].append(member)
    keys = list(wanted)
    rows = conn.execute(
        QUERIES.handoff.records_by_ref,
        {"connections": [k[0] for k in keys], "refs": [k[1] for k in keys], "objects": [object_] * len(keys)},
    )
    for row in rows:
        for member in wanted[row["connection"], row["ref"]]:
            member.related[name] = _known(row)
            member.revisions[row["id"]] = row["revision"]


def _find_handoffs(world: World, conn: Connection, subjects: Sequence[Subject]) -> None:
    by_key = {subject.key: subject for subject in subjects}
    rows = conn.execute(
        QUERIES.handoff.lock_handoffs,
        {"contracts": [k[0] for k in by_key], "subjects": [k[1] for k in by_key]},
    )
    for row in rows:
        subject = by_key[row["contract"], row["subject_id"]]
        subject.handoff, subject.was, subject.age = row["id"], row["state"], row["age"]
        subject.planned = row["plan_digest"]
        if row["version"] != subject.contract.version:
            subject.contract = world.pinned(conn, row["contract"], row["version"])


def find_standing(conn: Connection, withdrawn: Sequence[Subject]) -> None:
    """Find out of which withdrawn handoffs something stands in a target, or may."""
    if withdrawn:
        rows = conn.execute(QUERIES.handoff.standing, {"ids": [s.handoff for s in withdrawn]})
        standing = {row["handoff_id"] for row in rows}
        for subject in withdrawn:
            subject.stands = subject.handoff in standing


def wait_for_parents(conn: Connection, live: Sequence[Subject]) -> None:
    """A parent that is not here yet is asked for, and the handoff planned again shortly."""
    lacking = [s for s in live if any(k is None for k in s.related.values())]
    hints = [
        (*str(ref).split(":", 1), s.contract.object_of(name))
        for s in lacking
        for name, known in s.related.items()
        if known is None
        and isinstance(ref := compile_rule(s.contract.with_[name].of).value(s.fields), str)
        and ":" in ref
    ]
    if hints:
        conn.execute(
            QUERIES.intake.leave_hints,
            {
                "connections": [h[0] for h in hints],
                "refs": [h[1] for h in hints],
                "objects": [h[2] for h in hints],
                "correlation_id": lacking[0].correlation_id,
                "traceparent": lacking[0].traceparent,
            },
        )
    for subject in lacking:
        if subject.plan.stance in (Stance.WANTED, Stance.ADOPTED):
            again(conn, [subject], min(max(PARENT_WAIT, subject.age / 4), PARENT_WAIT_MOST))


def again(conn: Connection, subjects: Sequence[Subject], wait: float = 1.0) -> None:
    """Plan these subjects once more, `wait` seconds from now."""
    if subjects:
        conn.execute(
            QUERIES.handoff.mark_again,
            {
                "contracts": [s.contract.contract for s in subjects],
                "subjects": [s.known.id for s in subjects],
                "waits": [wait] * len(subjects),
                "correlations": [s.correlation_id for s in subjects],
            },
        )
