"""Proposals as plans leave them: late changes that a person must agree to, and void when they are not wanted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from concordat.core.late import Change
from concordat.core.plan import Desired
from concordat.core.states import EffectState, ProposalState
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.matching.subject import Subject
from concordat.engine.world import World
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["asked_of", "propose", "read_proposals"]

P = ProposalState


def read_proposals(conn: Connection, handoffs: Sequence[int]) -> Mapping[int, Sequence[Mapping[str, Any]]]:
    """What was ever proposed for these handoffs, by effect."""
    found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in conn.execute(QUERIES.proposal.of_handoffs, {"ids": list(handoffs)}):
        found[row["effect_id"]].append(row)
    return found


def asked_of(rows: Sequence[Mapping[str, Any]], digest: str) -> dict[str, Any]:
    """What a comparison must know of an effect's proposals."""
    return {
        "asked": next((row["digest"] for row in rows if row["state"] == P.OPEN), ""),
        "declined": frozenset(row["digest"] for row in rows if row["state"] == P.DECLINED),
        "approved": any(row["state"] == P.APPROVED and row["digest"] == digest for row in rows),
    }


def propose(world: World, conn: Connection, changed: Sequence[tuple[Subject, Change]], at: datetime) -> None:
    """Void what is not wanted any more, open what is; an effect that has nothing else to do is held or put back."""
    if not changed:
        return
    ids = [c.id for _, c in changed]
    before = {row["effect_id"]: row["was"] for row in conn.execute(QUERIES.proposal.void, {"effects": ids})}
    asked = [(s, c, c.proposal) for s, c in changed if c.proposal is not None]
    rows = [_row(s, c, wanted, before.get(c.id, "")) for s, c, wanted in asked]
    made = conn.execute(QUERIES.proposal.open, {"rows": json_text(rows)}).fetchall() if rows else []
    moved = [c for _, c in changed if c.desired is None]
    conn.execute(
        QUERIES.proposal.hold,
        {
            "ids": [c.id for c in moved],
            "states": [c.state.value for c in moved],
            "waits": [c.waits_for if c.state is EffectState.HELD else "" for c in moved],
        },
    )
    by_effect = {row["effect_id"]: row for row in made}
    open_cases(conn, [_case(world, s, c, wanted, by_effect[c.id], at) for s, c, wanted in asked])


def _row(subject: Subject, change: Change, wanted: Desired, was: str) -> dict[str, Any]:
    return {
        "unit": subject.unit,
        "handoff_id": subject.handoff,
        "effect_id": change.id,
        "step": wanted.step,
        "item": wanted.item,
        "digest": wanted.digest,
        "desired": wanted.fields,
        "team": _team(subject, wanted),
        "was": was,
        "subject_id": subject.known.id,
    }


def _team(subject: Subject, wanted: Desired) -> str:
    return subject.contract.reaction(wanted.step).to or subject.contract.case_owner


def _case(  # noqa: PLR0917 - what a case tells
    world: World,
    subject: Subject,
    change: Change,
    wanted: Desired,
    row: Mapping[str, Any],
    at: datetime,
) -> CaseDraft:
    contract, team = subject.contract, _team(subject, wanted)
    span = contract.cases.due if contract.cases else None
    named = f"{wanted.step} {wanted.item}".strip()
    do = contract.reaction(wanted.step).do
    fields = ", ".join(row["changes"]) or "nothing that is shown"
    return CaseDraft(
        unit=subject.unit,
        kind="late_change",
        contract=contract.contract,
        handoff=subject.handoff,
        effect=change.id,
        title=f"{subject.plan.title}: {named} would change after it was done ({do}): {fields}",
        owner=team,
        value=subject.plan.value,
        facts={
            "step": wanted.step,
            "item": wanted.item,
            "proposal": row["id"],
            "changes": row["changes"],
            "remedy": f"concordat handoff approve {row['id']}, or decline {row['id']}",
        },
        due_at=world.due(team, span.span, at) if span else None,
    )
