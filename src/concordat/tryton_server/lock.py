"""File locks that die with their holder, so that no stale state is ever waited for."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["held", "taken"]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, waiting for whoever has it; the kernel releases it if we die."""
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def taken(path: Path, *, seconds: float = 0.0) -> IO[str] | None:
    """Take the lock within `seconds` and return its open file, which holds it until closed; or None.

    A child that inherits the file holds the lock too.
    """
    file = path.open("a+")
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                return None
            time.sleep(0.05)
        else:
            return file
