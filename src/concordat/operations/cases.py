"""Cases as people ask for them, one by one; lists of them are in `overview`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concordat.errors import NotFound
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["show_case"]

LAST = 2**62


def show_case(conn: Connection, id_: int) -> Mapping[str, Any]:
    """Everything about one case. Raises `NotFound`, also for one of another unit."""
    row = conn.execute(QUERIES.case.one, {"id": id_}).fetchone() if 0 < id_ < LAST else None
    if row is None:
        raise NotFound(f"There is no case {id_}.", remedy="`concordat case list` shows the open ones.")
    return row
