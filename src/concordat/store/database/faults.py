"""What PostgreSQL's errors mean for the caller: not there, run it again, or the caller's own business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from concordat.errors import ConcordatError, Contended, NotReachable

__all__ = ["MEANING", "meaning", "translated"]

MEANING: Mapping[str, tuple[type[Contended | NotReachable], str]] = {
    "08": (NotReachable, "The connection to the database is lost."),
    "40": (Contended, "The transaction was undone in favour of another one."),
    "40P01": (Contended, "The transaction was chosen as the victim of a deadlock."),
    "53": (NotReachable, "The database has run out of a resource."),
    "53100": (NotReachable, "The database's disk is full."),
    "53200": (NotReachable, "The database is out of memory."),
    "53300": (NotReachable, "The database takes no more connections."),
    "55P03": (Contended, "A lock was not to be had in time."),
    "57": (NotReachable, "The database stopped what it was doing."),
    "57014": (NotReachable, "The database did not finish a statement in time."),
    "57P01": (NotReachable, "The database was shut down."),
    "57P02": (NotReachable, "The database crashed and is recovering."),
    "57P03": (NotReachable, "The database is starting up or shutting down."),
    "57P05": (NotReachable, "The connection was idle for too long."),
    "25P03": (Contended, "The transaction was idle for too long and was undone."),
    "25P04": (Contended, "The transaction took too long and was undone."),
    "58": (NotReachable, "The database's machine failed it."),
    "28": (NotReachable, "The database refused the login."),
    "3D000": (NotReachable, "There is no such database."),
}
"""By SQLSTATE, or by its class of two characters (PostgreSQL 18, appendix A). What is not here is not
translated: a broken constraint or a wrong statement concerns the caller."""

REMEDY = "Check that it runs and that CONCORDAT_DATABASE_URL is right; `concordat db status` tells."


def meaning(error: psycopg.Error) -> ConcordatError | None:
    """Translate an error of the driver; None if it is the caller's own business."""
    state = error.sqlstate
    if state is None:
        return _without_state(error)
    found = MEANING.get(state) or MEANING.get(state[:2])
    if found is None:
        return None
    kind, sentence = found
    detail = f"{sentence} ({state})"
    return Contended(detail) if kind is Contended else NotReachable(detail, remedy=REMEDY)


def _without_state(error: psycopg.Error) -> ConcordatError | None:
    """Judge an error without a state: the server never said it, the client did."""
    if isinstance(error, (PoolTimeout, TooManyRequests, PoolClosed)):
        return NotReachable("No connection to the database was to be had in time.", remedy=REMEDY)
    if isinstance(error, psycopg.OperationalError):
        words = " ".join(str(error).split())
        return NotReachable(f"The database is not reachable: {words}", remedy=REMEDY)
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Raise the driver's transient errors as ours, keeping the cause."""
    try:
        yield
    except psycopg.Error as error:
        ours = meaning(error)
        if ours is None:
            raise
        raise ours from error
