"""Every state and every move of effects, handoffs and cases, as data.

Two rules. Whatever changes a state does it by a move of this file; an illegal move raises. And this file knows
nothing of databases, vendors or clocks: it takes a state and an outcome and answers with a state.

An effect is one desired write (or question, or event) of a handoff:

    blocked → ready → sending → applied → verified
                 ▲        ├→ in_doubt → (resolve) → applied | ready | held
                 │        ├→ ready (retry at …) → held after the policy's last try
              pending ◀───┘ (target down, a fact awaited: visible, with age, owner and due time)
    held (a case for a person) → ready | skipped
    applied/verified → undoing → undone          blocked, ready, pending, held → superseded

An undo is a write of its own (an effect named `undo.<step>`), with the same states, doubts and read-back; while it runs
the effect that it undoes is `undoing`. Wanted again, that effect is written again: same handoff, same target object.

Never superseded while `sending` or `in_doubt`: newer desired state waits until they resolve, since nobody knows
yet what the target holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from concordat.errors import IllegalMove

__all__ = [
    "ALERTING",
    "CASE_MOVES",
    "EFFECT_MOVES",
    "IN_FLIGHT",
    "MET",
    "OPEN",
    "PROPOSAL_MOVES",
    "CaseState",
    "EffectState",
    "HandoffState",
    "ProposalState",
    "move",
]


class EffectState(StrEnum):
    """Where one effect stands."""

    BLOCKED = "blocked"
    """Waits for a step before it."""
    READY = "ready"
    """May be sent now, or at its next try."""
    SENDING = "sending"
    """A call is being made at this moment."""
    IN_DOUBT = "in_doubt"
    """Sent, no certain answer; looked up before anything else happens."""
    PENDING = "pending"
    """Waits for something named: a system that is down, a fact, an approval."""
    APPLIED = "applied"
    """The target said yes."""
    VERIFIED = "verified"
    """The target was read back and agrees on every field the contract owns."""
    HELD = "held"
    """Only a person can go on; a case says why."""
    SKIPPED = "skipped"
    """A person decided that it shall not happen."""
    SUPERSEDED = "superseded"
    """Not wanted any more before it was sent."""
    UNDOING = "undoing"
    UNDONE = "undone"


class HandoffState(StrEnum):
    """Where a handoff stands; derived from its effects."""

    PLANNED = "planned"
    """Known, nothing sent yet."""
    CONVERGING = "converging"
    """Effects are on their way."""
    WAITING = "waiting"
    """Something named is awaited: a missing field, a system that is down, an approval."""
    PARTIAL = "partial"
    """Something is held: a person decides, the rest stands."""
    IN_STEP = "in_step"
    """Every required effect holds."""
    ADOPTED = "adopted"
    """Older than the contract's `since`: found, linked and compared, never written."""
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"


class CaseState(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"


class ProposalState(StrEnum):
    """Where a proposed late change stands; one per desired document."""

    OPEN = "open"
    APPROVED = "approved"
    """Somebody other than its author agreed; it is written."""
    DECLINED = "declined"
    """It is not written; the next different document asks again."""
    VOID = "void"
    """The desired document is another one now."""


E = EffectState

EFFECT_MOVES: Mapping[EffectState, frozenset[EffectState]] = {
    E.BLOCKED: frozenset({E.READY, E.VERIFIED, E.SUPERSEDED, E.BLOCKED}),
    E.READY: frozenset({E.SENDING, E.PENDING, E.BLOCKED, E.APPLIED, E.VERIFIED, E.SUPERSEDED, E.READY}),
    E.SENDING: frozenset({E.APPLIED, E.VERIFIED, E.READY, E.PENDING, E.IN_DOUBT, E.HELD}),
    E.IN_DOUBT: frozenset({E.APPLIED, E.VERIFIED, E.READY, E.HELD, E.IN_DOUBT}),
    E.PENDING: frozenset({E.READY, E.SENDING, E.BLOCKED, E.SKIPPED, E.SUPERSEDED, E.APPLIED, E.VERIFIED}),
    E.APPLIED: frozenset({E.VERIFIED, E.READY, E.BLOCKED, E.HELD, E.UNDOING, E.APPLIED}),
    E.VERIFIED: frozenset({E.READY, E.BLOCKED, E.HELD, E.UNDOING}),
    E.HELD: frozenset({E.READY, E.BLOCKED, E.SKIPPED, E.SUPERSEDED, E.HELD, E.UNDOING, E.APPLIED, E.VERIFIED}),
    E.SKIPPED: frozenset({E.READY, E.BLOCKED, E.HELD, E.UNDOING}),
    E.SUPERSEDED: frozenset({E.READY, E.BLOCKED, E.UNDOING}),
    E.UNDOING: frozenset({E.UNDONE, E.READY, E.BLOCKED, E.HELD}),
    E.UNDONE: frozenset({E.READY, E.BLOCKED, E.HELD}),
}

PROPOSAL_MOVES: Mapping[ProposalState, frozenset[ProposalState]] = {
    ProposalState.OPEN: frozenset({ProposalState.APPROVED, ProposalState.DECLINED, ProposalState.VOID}),
    ProposalState.APPROVED: frozenset(),
    ProposalState.DECLINED: frozenset(),
    ProposalState.VOID: frozenset(),
}

CASE_MOVES: Mapping[CaseState, frozenset[CaseState]] = {
    CaseState.OPEN: frozenset({CaseState.ASSIGNED, CaseState.RESOLVED}),
    CaseState.ASSIGNED: frozenset({CaseState.OPEN, CaseState.RESOLVED}),
    CaseState.RESOLVED: frozenset({CaseState.OPEN}),
}

IN_FLIGHT = frozenset({E.SENDING, E.IN_DOUBT})
"""Nobody knows what the target holds; at most one such effect per target object."""

OPEN = frozenset({E.BLOCKED, E.READY, E.SENDING, E.IN_DOUBT, E.PENDING, E.HELD, E.UNDOING})
"""Not at rest yet."""

MET = frozenset({E.APPLIED, E.VERIFIED, E.SKIPPED})
"""What satisfies an `after`; steps that post, send or bill ask for `verified` instead of `applied`."""

ALERTING = frozenset({E.PENDING, E.HELD, E.IN_DOUBT})
"""Waits with a due time that somebody answers for."""


def move(state: EffectState, to: EffectState) -> EffectState:
    """The new state; `IllegalMove` when the table has no such move."""
    if to not in EFFECT_MOVES[state]:
        raise IllegalMove(f"an effect cannot go from {state} to {to}")
    return to
