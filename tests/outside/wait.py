"""Waiting without sleeping blindly: look until it is so, or say what was awaited and what was seen last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["never_within", "until", "until_equal"]

T = TypeVar("T")


def until(awaited: str, look: Callable[[], T], *, within: float = 30.0, every: float = 0.1) -> T:
    """Give the first true answer of `look`. Fails with the last answer when `within` seconds have passed."""
    end = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {within:.0f} s in vain for {awaited}; last seen: {found!r}")
        time.sleep(every)


def until_equal(awaited: str, look: Callable[[], T], expected: T, *, within: float = 30.0) -> None:
    """Look until the answer is this one. Fails with both when `within` seconds have passed."""
    end = time.monotonic() + within
    while (found := look()) != expected:
        if time.monotonic() > end:
            raise AssertionError(f"waited {within:.0f} s in vain for {awaited}: {found!r}, not {expected!r}")
        time.sleep(0.2)


def never_within(said: str, look: Callable[[], object], *, seconds: float, every: float = 0.2) -> None:
    """Look for so long, and fail as soon as it is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        assert not found, f"{said}: {found!r}"
        time.sleep(every)
