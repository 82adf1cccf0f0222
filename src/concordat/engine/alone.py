"""One poison item stops only itself: work for many at once, halved where it fails until the culprit stands alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg

from concordat.engine.world import log
from concordat.errors import Contended, NotReachable
from concordat.store.database import Connection, meaning

__all__ = ["alone", "storable"]

T = TypeVar("T")
R = TypeVar("R")
LONGEST = 2_000
"""Characters of a vendor's sentence that are kept."""


def alone(
    conn: Connection, items: Sequence[T], work: Callable[[Sequence[T]], R], poison: Callable[[T, Exception], R]
) -> list[R]:
    """Do `work` for all items; what fails is undone and halved. A single item that fails is given to `poison`.

    What the database does to a whole transaction (a deadlock, a lost connection) is raised: that is nobody's poison.
    """
    if not items:
        return []
    try:
        with conn.transaction():
            return [work(items)]
    except (NotReachable, Contended):
        raise
    except Exception as error:
        if isinstance(error, psycopg.Error) and meaning(error) is not None:
            raise
        if len(items) == 1:
            log.error("poison", item=repr(items[0])[:200], error=repr(error)[:LONGEST])
            return [poison(items[0], error)]
    half = len(items) // 2
    return alone(conn, items[:half], work, poison) + alone(conn, items[half:], work, poison)


def storable(text: str) -> str:
    """A foreign sentence as PostgreSQL and JSON can hold it: no NUL, no half characters, not endless."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
