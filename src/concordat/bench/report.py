"""What a benchmark says: one number, its yardstick from the same run, the bar, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Bar", "Report", "Say", "percentile"]

Say = Callable[[str], None]
"""Tells a person what is being done now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """What must be reached: `value` in the report's unit and `ratio`; None: it does not count."""

    ratio: float | None = None
    value: float | None = None
    better: str = "higher"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The stable report of design: names never change, `details` may grow."""

    name: str
    holds: bool
    """The work was done exactly once and every bar is reached."""
    ratio: float
    """Ours to the yardstick's; see `bar.better` for which way is good."""
    value: float
    unit: str
    yardstick: Mapping[str, Any]
    bar: Bar
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
