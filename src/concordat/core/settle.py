"""What one answer of a target means for an effect: `settle(act, outcome, …) -> Verdict`, by a table.

Pure. The clock and the chance are arguments: `failing_for` says how long it has failed, `spread` (0 to 1) keeps
many effects from coming back in the same instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from concordat.core.contract import Retry
from concordat.core.states import EffectState
from concordat.errors import (
    AcceptedPending,
    AmbiguousKey,
    AuthExpired,
    AuthRevoked,
    Busy,
    Duplicate,
    Locked,
    Missing,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ResyncRequired,
    Unavailable,
    UnknownOutcome,
    VendorError,
    VersionConflict,
)

__all__ = ["REACTIONS", "Next", "Policy", "Reaction", "Verdict", "after_absence", "after_error", "backoff"]

E = EffectState


class Next(StrEnum):
    """What an error asks for."""

    RETRY = "retry"
    """Nothing was written: try again, quietly."""
    WAIT = "wait"
    """Nothing was written and somebody should see that it waits."""
    RESOLVE = "resolve"
    """Look it up at the target before anything else."""
    CASE = "case"
    """Repeating changes nothing; a person decides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reaction:
    """The row of one error class."""

    next: Next
    word: str
    """The key under `retry:` in a contract."""
    waits_for: str = ""
    """What a pending effect waits for; `{system}` is filled in."""
    trips: bool = False
    """Counts against the connection: it may be down as a whole."""


REACTIONS: Mapping[type[VendorError], Reaction] = {
    RateLimited: Reaction(next=Next.RETRY, word="rate_limited"),
    QuotaExhausted: Reaction(next=Next.WAIT, word="quota_exhausted", waits_for="the quota of {system} is spent"),
    Busy: Reaction(next=Next.RETRY, word="busy"),
    Locked: Reaction(next=Next.RETRY, word="locked"),
    Unavailable: Reaction(next=Next.WAIT, word="unavailable", waits_for="{system} is unavailable", trips=True),
    AuthExpired: Reaction(
        next=Next.WAIT, word="unavailable", waits_for="the token of {system} has expired", trips=True
    ),
    AuthRevoked: Reaction(
        next=Next.WAIT, word="unavailable", waits_for="the credentials of {system} are refused", trips=True
    ),
    VersionConflict: Reaction(next=Next.RETRY, word="version_conflict"),
    Duplicate: Reaction(next=Next.RESOLVE, word="unknown"),
    AcceptedPending: Reaction(next=Next.RESOLVE, word="unknown"),
    UnknownOutcome: Reaction(next=Next.RESOLVE, word="unknown"),
    AmbiguousKey: Reaction(next=Next.CASE, word="rejected"),
    Rejected: Reaction(next=Next.CASE, word="rejected"),
    Missing: Reaction(next=Next.CASE, word="rejected"),
    ResyncRequired: Reaction(next=Next.CASE, word="rejected"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How patiently one class of error is tried again."""

    first: timedelta = timedelta(seconds=2)
    factor: Decimal = Decimal(2)
    most: timedelta = timedelta(minutes=15)
    give_up: timedelta = timedelta(days=3)
    never: bool = False

    @classmethod
    def of(cls, retry: Retry | None) -> Policy:
        """A contract's `retry` line; what it does not say is the default."""
        if retry is None:
            return cls()
        default = cls()
        return cls(
            first=retry.first.span.length if retry.first else default.first,
            factor=retry.factor or default.factor,
            most=retry.most.span.length if retry.most else default.most,
            give_up=retry.give_up.span.length if retry.give_up else default.give_up,
            never=retry.do == "never",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Where the effect goes now, and when it is looked at again (None: not by itself)."""

    state: EffectState
    wait: timedelta | None = None
    waits_for: str = ""
    case: Literal["", "refused", "held"] = ""


LONGEST_SAID = timedelta(days=1)
"""No word of a vendor puts an effect to sleep for longer."""
_FIRST_DOUBT = 2
"""Tries of a write and its one look-up."""


def backoff(policy: Policy, tries: int, spread: float) -> timedelta:
    """The wait before the next try: first * factor^(tries - 1), at most `most`, give or take 20 % by `spread`."""
    grown = policy.first.total_seconds() * float(policy.factor) ** min(max(tries, 1) - 1, 40)
    return timedelta(seconds=min(grown, policy.most.total_seconds())) * (0.8 + 0.4 * spread)


def reaction(error: VendorError) -> Reaction:
    """The row of this error's class; a class without a row is treated as doubt, never as success."""
    found = (REACTIONS[cls] for cls in type(error).__mro__ if cls in REACTIONS)
    return next(found, REACTIONS[UnknownOutcome])


def after_error(
    error: VendorError,
    *,
    policy: Policy,
    tries: int,
    failing_for: timedelta,
    spread: float,
    system: str,
    now: datetime,
) -> Verdict:
    """The verdict on a failed write, question or read-back."""
    row = reaction(error)
    if row.next is Next.RESOLVE:
        return Verdict(state=E.IN_DOUBT, wait=timedelta(seconds=1))
    if row.next is Next.CASE or policy.never:
        return Verdict(state=E.HELD, case="refused")
    if failing_for >= policy.give_up:
        return Verdict(state=E.HELD, case="held")
    wait = min(_said(error, now) or backoff(policy, tries, spread), LONGEST_SAID)
    if row.next is Next.WAIT:
        return Verdict(state=E.PENDING, wait=wait, waits_for=row.waits_for.format(system=system))
    return Verdict(state=E.READY, wait=wait)


def _said(error: VendorError, now: datetime) -> timedelta | None:
    """The wait that the vendor itself asked for."""
    if isinstance(error, QuotaExhausted) and error.resets_at is not None:
        return max(error.resets_at - now, timedelta(0))
    after: timedelta | None = getattr(error, "retry_after", None)
    return after


def after_absence(
    *,
    now: datetime,
    settle_by: datetime,
    tries: int,
    spread: float,
    policy: Policy = Policy(),
    failing_for: timedelta = timedelta(0),
) -> Verdict:
    """The verdict when a look-up found nothing.

    Before `settle_by` the write may still appear, so absence proves nothing and the effect stays in doubt;
    afterwards it is certain enough to send again: the first time at once, then with the policy's patience, so that
    a target which swallows every write is not stormed, and in the end a person looks.
    """
    if now >= settle_by:
        if policy.never or failing_for >= policy.give_up:
            return Verdict(state=E.HELD, case="held")
        wait = timedelta(0) if tries <= _FIRST_DOUBT else backoff(policy, tries - _FIRST_DOUBT, spread)
        return Verdict(state=E.READY, wait=wait)
    wait = backoff(Policy(first=timedelta(seconds=1), most=timedelta(seconds=20)), tries, spread)
    wait = min(wait, settle_by - now + timedelta(milliseconds=10))
    return Verdict(state=E.IN_DOUBT, wait=wait, waits_for="what was sent may still arrive")
