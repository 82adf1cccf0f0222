"""The time of a call belongs to all of its requests together."""

from __future__ import annotations

import pytest

from concordat.errors import Unavailable
from concordat.sdk.spec import CallContext
from concordat.sdk.timing import left, timed

pytestmark = pytest.mark.fast
CTX = CallContext(correlation_id="c-1", traceparent="00-1", timeout=30)


def test_what_is_left_shrinks_and_the_rest_stays():
    running = timed(CTX)
    first = left(running)
    assert 0 < left(first).timeout <= first.timeout < 30
    assert (running.correlation_id, running.traceparent) == ("c-1", "00-1")
    assert timed(running) is running


@pytest.mark.parametrize("seconds", [-1, 0, 0.01])
def test_when_too_little_is_left_nothing_is_sent(seconds: float):
    with pytest.raises(Unavailable):
        left(timed(CallContext(correlation_id="c-1", timeout=seconds)))


def test_a_context_without_a_clock_is_left_alone():
    assert left(CTX) is CTX
