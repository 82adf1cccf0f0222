"""What planning takes and gives: records as the planner sees them, and the desired effects of one subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from concordat.core.keys import digest
from concordat.core.sla import Span

__all__ = ["Desired", "Known", "Missing", "Plan", "Stance"]


class Stance(StrEnum):
    """What a contract says about one subject."""

    WANTED = "wanted"
    """`when` holds: the desired state must hold."""
    WITHDRAWN = "withdrawn"
    """`withdrawn` holds, or the source sent a tombstone."""
    IDLE = "idle"
    """Neither: nothing new is done, nothing undone."""
    UNKNOWN = "unknown"
    """A rule could not be answered: frozen, a case."""
    ADOPTED = "adopted"
    """Wanted, but older than `since`: found and compared, never written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A record as the planner sees it; `ref` is `<connection>:<vendor id>`."""

    id: int
    object: str
    ref: str
    fields: Mapping[str, Any]
    changed_on: date | None = None
    deleted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A requirement that does not hold, and who can mend it."""

    path: str
    owner: str
    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """One effect that must hold."""

    step: str
    item: str = ""
    kind: str
    system: str = ""
    object: str = ""
    operation: str = "put"
    owner_id: int = 0
    place: str = ""
    """Tells target objects of one kind for one owner apart: `as` and the item's key."""
    record_key: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    """Of the document and the target object it is for: another client's equal document is another one."""
    after: tuple[str, ...] = ()
    optional: bool = False
    owner: str = ""
    due_span: Span | None = None
    if_unavailable: str = "pending"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The answer for one subject. `missing` and `reason` say why nothing may be sent yet."""

    stance: Stance
    reason: str = ""
    missing: tuple[Missing, ...] = ()
    value: tuple[str, str] | None = None
    """Amount as decimal text and its currency."""
    title: str = ""
    effects: tuple[Desired, ...] = ()

    @property
    def digest(self) -> str:
        """Changes when any desired effect does."""
        parts = [[e.step, e.item, e.digest] for e in self.effects]
        return digest({"stance": self.stance, "effects": parts, "missing": [m.path for m in self.missing]})
