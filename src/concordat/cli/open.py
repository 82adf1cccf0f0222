"""How commands get at a firm: its folder, its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from concordat.errors import NotReachable
from concordat.settings import Firm, find_firm, load_firm, read_environment
from concordat.store.database import Connection, Database
from concordat.store.database.opening import open_database

__all__ = ["database", "reading", "the_firm"]


def the_firm(folder: Path | None) -> Firm:
    """The firm that a command is about. Raises `NotFound` with the way out."""
    return load_firm(find_firm(folder, read_environment()))


@contextmanager
def database(folder: Path | None) -> Iterator[tuple[Firm, Database]]:
    """The firm's database alone; nothing is migrated."""
    firm = the_firm(folder)
    with open_database(read_environment().database_url, firm.state) as db:
        yield firm, db


@contextmanager
def reading(folder: Path | None) -> Iterator[Connection]:
    """A transaction of the firm's own unit, as a person at the keyboard sees it."""
    with database(folder) as (firm, db), db.app([firm.firm.unit]) as conn:
        if conn.execute("SELECT to_regclass('handoff') AS there").fetchone() == {"there": None}:
            raise NotReachable(
                "The database has no tables yet.", remedy="Run `concordat db migrate` or `concordat up`."
            )
        yield conn
