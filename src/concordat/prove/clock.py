"""The run's own time: one virtual clock for the database, for waits and for every worker's monotonic clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Clock", "local_time"]

ASK_TIME = ("concordat.engine", "concordat.sdk", "concordat.connectors")
"""Packages whose modules measure durations or sleep by the `time` that they imported."""


@dataclass(kw_only=True)
class Clock:
    """Stands still until it is moved."""

    start: datetime
    seconds: float = 0.0

    @property
    def now(self) -> datetime:
        """The instant that the database believes it is."""
        return self.start + timedelta(seconds=self.seconds)

    def move(self, seconds: float) -> None:
        """Go on; never back."""
        self.seconds = round(self.seconds + max(seconds, 0.0), 3)


@dataclass(frozen=True, kw_only=True)
class _Time:
    """Takes the place of the module `time` where the engine asks for it."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


@contextmanager
def local_time(monotonic: Callable[[], float], sleep: Callable[[float], None]) -> Iterator[None]:
    """Let the engine of this process measure and sleep by the run's clock, until the block ends."""
    modules = [vars(m) for name, m in sys.modules.items() if name.startswith(ASK_TIME) and vars(m).get("time") is time]
    try:
        for module in modules:
            module["time"] = _Time(monotonic=monotonic, sleep=sleep)
        yield
    finally:
        for module in modules:
            module["time"] = time
