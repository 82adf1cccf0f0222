"""One subject on its way through planning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from concordat.core.contract import Contract
from concordat.core.plan import Known, Plan, Stance

__all__ = ["Key", "Subject"]

Key = tuple[str, int]
"""Contract name and subject id."""


IDLE = Plan(stance=Stance.IDLE)


@dataclass(kw_only=True, slots=True, eq=False)
class Subject:
    """One dirty mark on its way through planning."""

    contract: Contract
    known: Known
    unit: str
    correlation_id: str
    traceparent: str
    related: dict[str, Known | None] = field(default_factory=dict)
    plan: Plan = IDLE
    handoff: int = 0
    was: str = ""
    planned: str = ""
    """Digest of the plan that the handoff has now."""
    age: float = 0.0
    """Seconds since the handoff was opened."""
    stands: bool = False
    """Something of it stands in a target, or may."""
    revisions: dict[int, int] = field(default_factory=dict)
    """Related record to the revision that was read."""

    @property
    def fields(self) -> dict[str, Mapping[str, Any]]:
        """The records that rules look at, by name; what is not readable is absent."""
        related = {name: known.fields for name, known in self.related.items() if known is not None}
        return {self.contract.subject: self.known.fields, **related}

    @property
    def key(self) -> Key:
        """What tells one subject of one contract from all others."""
        return self.contract.contract, self.known.id
