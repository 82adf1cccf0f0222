"""One call's time, shared by every request that it makes: `timed` starts the clock, `left` gives what remains.

def find(self, object_, record_keys, ctx):
    ctx = timed(ctx)
    for part in parts: self._http.send(left(ctx), "GET", …, write=False)
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from concordat.errors import Unavailable
from concordat.sdk.spec import CallContext

__all__ = ["LEAST", "left", "timed"]

LEAST = 0.05
"""Seconds below which a request is not begun: it would be sent and given up, and leave doubt for nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Timed(CallContext):
    """A context whose time runs."""

    until: float


def timed(ctx: CallContext) -> CallContext:
    """Start the clock of one call; a context whose clock runs already stays as it is."""
    if isinstance(ctx, _Timed):
        return ctx
    until = time.monotonic() + ctx.timeout
    return _Timed(
        correlation_id=ctx.correlation_id,
        traceparent=ctx.traceparent,
        timeout=ctx.timeout,
        priority=ctx.priority,
        until=until,
    )


def left(ctx: CallContext) -> CallContext:
    """Give the context with the seconds that remain. Raises `Unavailable` when there are too few: nothing is sent."""
    if not isinstance(ctx, _Timed):
        return ctx
    seconds = ctx.until - time.monotonic()
    if seconds < LEAST:
        raise Unavailable("The call's time is over; the next request was not sent.")
    return replace(ctx, timeout=seconds)
