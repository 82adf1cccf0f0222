"""The seam where a connection's calls are counted and held back: one meter, asked before every exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from concordat.errors import VendorError
from concordat.sdk.spec import CallContext

__all__ = ["Meter", "install", "meter_of"]


class Meter(Protocol):
    """Counts the exchanges of one connection over all processes.

    Safe to call from several threads. `begin` may block for a short while, well within the call's own time, and every
    `begin` that returns is followed by one `end`.
    """

    def begin(self, ctx: CallContext, /) -> None:
        """Let one exchange go. Raises `QuotaExhausted`, `RateLimited` or `Busy`: nothing is sent then."""

    def end(self, status: int | None, headers: Mapping[str, str], error: VendorError | None, /) -> None:
        """Learn from how it went; `headers` have lower-case names and are empty without an answer."""


_meters: dict[str, Meter] = {}


def install(connection: str, meter: Meter) -> Callable[[], None]:
    """Count this connection's exchanges from now on; returns what ends it."""
    _meters[connection] = meter

    def remove() -> None:
        if _meters.get(connection) is meter:
            del _meters[connection]

    return remove


def meter_of(connection: str) -> Meter | None:
    """The meter of one connection, if it has one."""
    return _meters.get(connection)
