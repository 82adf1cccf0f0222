"""What an answer means: complete over every error, never success by accident, patient within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordat.core.settle import REACTIONS, Next, Policy, Verdict, after_absence, after_error, backoff, reaction
from concordat.core.states import EFFECT_MOVES, EffectState
from concordat.errors import AcceptedPending, QuotaExhausted, RateLimited, Retriable, VendorError

E = EffectState
NOW = datetime(2026, 6, 15, 9, tzinfo=UTC)
SPANS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10))
SPREAD = st.floats(0, 1)
POLICIES = st.builds(
    Policy,
    first=st.timedeltas(min_value=timedelta(milliseconds=100), max_value=timedelta(hours=1)),
    factor=st.decimals(1, 10, places=1),
    most=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(hours=6)),
    give_up=SPANS,
    never=st.booleans(),
)


def every(kind: type[VendorError]) -> Iterator[type[VendorError]]:
    for below in kind.__subclasses__():
        yield below
        yield from every(below)


CLASSES = sorted(set(every(VendorError)) - {Retriable}, key=lambda c: c.__name__)


def make(kind: type[VendorError]) -> VendorError:
    return kind("no", handle="h") if kind is AcceptedPending else kind("no")


def judge(error: VendorError, policy: Policy, tries: int = 1, failing: timedelta = timedelta(0)) -> Verdict:
    return after_error(error, policy=policy, tries=tries, failing_for=failing, spread=0.5, system="erp", now=NOW)


def test_every_error_has_a_row() -> None:
    assert {c for c in CLASSES if c.__module__ == "concordat.errors"} == set(REACTIONS)


def test_an_error_nobody_knows_is_doubt() -> None:
    class OddError(VendorError):
        pass

    assert reaction(OddError("?")).next is Next.RESOLVE


@pytest.mark.parametrize("kind", list(REACTIONS))
@given(policy=POLICIES, tries=st.integers(0, 500), failing=SPANS)
def test_no_error_is_ever_success_and_every_move_is_legal(
    kind: type[VendorError], policy: Policy, tries: int, failing: timedelta
) -> None:
    verdict = judge(make(kind), policy, tries, failing)
    assert verdict.state in EFFECT_MOVES[E.SENDING]
    assert verdict.state not in (E.APPLIED, E.VERIFIED)
    assert (verdict.wait is None) == (verdict.state is E.HELD)
    assert bool(verdict.case) == (verdict.state is E.HELD)
    assert verdict.state is not E.PENDING or verdict.waits_for


@pytest.mark.parametrize("kind", [k for k, r in REACTIONS.items() if r.next in (Next.RETRY, Next.WAIT)])
def test_patience_ends_with_a_person(kind: type[VendorError]) -> None:
    policy = Policy(give_up=timedelta(hours=1))
    assert judge(make(kind), policy, failing=timedelta(minutes=59)).state is not E.HELD
    assert judge(make(kind), policy, failing=timedelta(hours=1)).state is E.HELD


@given(policy=POLICIES, tries=st.integers(-5, 10_000), spread=SPREAD)
def test_the_wait_stays_within_its_bounds(policy: Policy, tries: int, spread: float) -> None:
    wait = backoff(policy, tries, spread)
    least = min(policy.first, policy.most)
    assert least * 0.79 <= wait <= policy.most * 1.21
    assert backoff(policy, tries + 1, spread) >= wait


def test_the_vendors_own_word_on_time_is_kept() -> None:
    asked = RateLimited("429", retry_after=timedelta(seconds=77))
    assert judge(asked, Policy()).wait == timedelta(seconds=77)
    spent = QuotaExhausted("spent", resets_at=NOW + timedelta(hours=3))
    assert judge(spent, Policy()).wait == timedelta(hours=3)
    over = QuotaExhausted("spent", resets_at=NOW - timedelta(hours=3))
    assert judge(over, Policy(first=timedelta(seconds=10))).wait == timedelta(seconds=10)
    for_ever = RateLimited("429", retry_after=timedelta(days=9999))
    assert judge(for_ever, Policy()).wait == timedelta(days=1)


@given(left=st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(hours=1)), tries=st.integers(0, 99))
def test_absence_within_the_settle_window_proves_nothing(left: timedelta, tries: int) -> None:
    verdict = after_absence(now=NOW, settle_by=NOW + left, tries=tries, spread=0.5)
    assert verdict.state is E.IN_DOUBT
    assert verdict.wait is not None
    assert timedelta(0) < verdict.wait <= left + timedelta(milliseconds=10)


@given(ago=SPANS, tries=st.integers(0, 99), policy=POLICIES, failing=SPANS)
def test_absence_afterwards_is_another_try_or_a_person(
    ago: timedelta, tries: int, policy: Policy, failing: timedelta
) -> None:
    verdict = after_absence(now=NOW, settle_by=NOW - ago, tries=tries, spread=0.5, policy=policy, failing_for=failing)
    assert verdict.state in (E.READY, E.HELD)
    assert (verdict.state is E.HELD) == (policy.never or failing >= policy.give_up)


def test_the_first_doubt_is_repeated_at_once_and_the_tenth_is_not() -> None:
    waits = [after_absence(now=NOW, settle_by=NOW, tries=tries, spread=0.5).wait for tries in (1, 2, 10, 20)]
    assert waits[:2] == [timedelta(0), timedelta(0)]
    assert waits[2] is not None
    assert waits[2] >= timedelta(minutes=1)
    assert waits[3] == timedelta(minutes=15)
