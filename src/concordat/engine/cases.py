"""Cases: what only a person can decide, with owner, due time and the money that hangs on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["CaseDraft", "open_cases"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseDraft:
    """A case to open; the same trouble of the same thing stays one case."""

    unit: str
    kind: str
    title: str
    owner: str
    contract: str = ""
    handoff: int | None = None
    effect: int | None = None
    subject: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    value: tuple[str, str] | None = None
    """Amount and currency."""
    due_at: datetime | None = None


def open_cases(conn: Connection, drafts: Sequence[CaseDraft]) -> None:
    """Open them, or bring the open ones up to date, in one statement."""
    if not drafts:
        return
    conn.execute(
        QUERIES.case.open_many,
        {
            "units": [d.unit for d in drafts],
            "kinds": [d.kind for d in drafts],
            "contracts": [d.contract for d in drafts],
            "handoffs": [d.handoff for d in drafts],
            "effects": [d.effect for d in drafts],
            "subjects": [d.subject for d in drafts],
            "titles": [d.title for d in drafts],
            "facts": [json_text(d.facts) for d in drafts],
            "owners": [d.owner for d in drafts],
            "amounts": [d.value[0] if d.value else None for d in drafts],
            "currencies": [d.value[1] if d.value else None for d in drafts],
            "dues": [d.due_at for d in drafts],
        },
    )
