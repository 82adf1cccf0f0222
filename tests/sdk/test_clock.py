"""A machine whose clock is off goes by the database's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from concordat.sdk.auth import follow, wire_clock


@pytest.mark.parametrize("hours", [26, -26])
def test_a_clock_that_is_off_is_corrected(hours: int) -> None:
    real = datetime.now(UTC)  # noqa: TID251  this machine's own
    try:
        follow(real + timedelta(hours=hours))
        assert abs(wire_clock() - (real + timedelta(hours=hours))) < timedelta(seconds=5)
        follow(datetime.now(UTC))  # noqa: TID251  as above
        assert abs(wire_clock() - real) < timedelta(seconds=5)
    finally:
        follow(datetime.now(UTC))  # noqa: TID251  as above
