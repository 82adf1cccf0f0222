"""Which fault can meet an effect in which state at a vendor of which class: the declared matrix, and what was reached.

A cell is (fault, state, class). States of an effect are those in which the call or the commit finds it: `ready` (being
claimed), `sending`, `in_doubt`, `applied` (being read back), `asking` (a question). Work without an effect is named by
what is done: `reading` a source, `plan`, `hints`, `sweep`, `look`, `house`, `door`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from concordat.prove.faults import FAULTS, PROFILES

__all__ = ["BAR", "Cell", "Excluded", "cells", "excluded", "short"]

Cell = tuple[str, str, str]
BAR = 50
"""Least hits of a cell in a run of a thousand seeds or more."""
CALLS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "write": ("sending", ("A", "B", "D")),
    "find": ("in_doubt", ("A", "B", "D")),
    "fetch": ("applied", ("A", "B", "D")),
    "ask": ("asking", ("-",)),
    "fetch_source": ("reading", ("source",)),
}
"""Call to the state of the effect that it is about, and the classes that could be called."""
PLACES: Mapping[str, tuple[str, ...]] = {
    "begin": ("ready", "sending", "in_doubt", "applied", "asking"),
    "commit": ("ready", "sending", "in_doubt", "applied", "asking"),
    "committed": ("ready", "sending", "in_doubt", "applied", "asking"),
    "call": ("sending", "in_doubt", "applied", "asking"),
    "effect": ("sending",),
}
WORK = ("plan", "hints", "sweep", "look", "house", "door")


@dataclass(frozen=True, kw_only=True, slots=True)
class Excluded:
    """Cells that cannot be, and why."""

    says: str
    cells: int


REASONS: Mapping[str, str] = {
    "D is not read": "a class D system can be neither searched nor read back: nothing is called in these states",
    "A does not lag": "a class A system is declared to show at once what it holds; a lagging read would break its word",
    "no window": "classes A and D declare no settle window, so nothing of theirs may arrive after the caller gave up",
}


def why_not(kind: str, state: str, promise: str) -> str:
    """The reason why a cell cannot be; empty when it can."""
    if promise == "D" and state in ("in_doubt", "applied"):
        return "D is not read"
    if kind == "silent_drop" and promise == "D":
        return "D is not read"
    if kind == "stale_read" and promise == "A":
        return "A does not lag"
    if kind == "commit_late" and promise in ("A", "D"):
        return "no window"
    return ""


def _all(profile: str) -> Iterator[Cell]:
    for name in sorted(PROFILES[profile]):
        kind = FAULTS[name]
        for call, (state, promises) in CALLS.items():
            if call in kind.where:
                yield from ((name, state, promise) for promise in promises)
        for place in sorted(kind.where & PLACES.keys()):
            for state in PLACES[place]:
                yield from ((name, state, promise) for promise in (("-",) if state == "asking" else ("A", "B", "D")))
            if place in ("begin", "commit", "committed"):
                yield from ((name, work, "-") for work in WORK)


def cells(profile: str) -> list[Cell]:
    """Every cell that can be in this profile."""
    return [cell for cell in dict.fromkeys(_all(profile)) if not why_not(*cell)]


def excluded(profile: str) -> list[Excluded]:
    """What cannot be, by reason."""
    reasons = [why_not(*cell) for cell in dict.fromkeys(_all(profile))]
    return [Excluded(says=says, cells=reasons.count(name)) for name, says in REASONS.items() if name in reasons]


def short(profile: str, reach: Mapping[Cell, int], *, bar: int = BAR) -> list[Cell]:
    """Cells below the bar."""
    return [cell for cell in cells(profile) if reach.get(cell, 0) < bar]
