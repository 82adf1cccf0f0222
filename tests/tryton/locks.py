"""Hold Tryton up at a known place, by a lock in its database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from concordat.tryton_server import Tryton


@contextmanager
def held(tryton: Tryton, table: str) -> Iterator[Callable[[], bool]]:
    """Hold writes to a table back; gives a question: does anybody wait for it?"""
    with psycopg.connect(tryton.dsn) as holder, psycopg.connect(tryton.dsn, autocommit=True) as watcher:
        holder.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield lambda: bool(watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())


def until(question: Callable[[], object], *, seconds: float = 30) -> None:
    """Ask until the answer is yes."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "nothing happened in time"
