"""Breakers: a connection that is down is probed once a minute by one worker, not hammered by all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concordat.core.settle import reaction
from concordat.engine.world import log
from concordat.errors import VendorError
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["TRIPS_AFTER", "Gate", "gate", "not_tried", "went"]

TRIPS_AFTER = 3
"""Calls in a row that find the connection down."""
FIRST_PROBE = 5.0
"""Seconds until the first probe of a connection that has just been found down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Whether calls to a connection may be made now."""

    closed: bool = False
    probe: bool = False
    """One call, to see whether it answers again."""
    failing: bool = False
    """Its last calls failed: a success has something to close."""


def gate(conn: Connection, connection: str, *, wanted: Callable[[], bool] = lambda: True) -> Gate:
    """Ask for passage. While a connection is down, what is ready for it is shown as pending.

    `wanted` says whether there is anything to try the connection with: the one probe a minute is not given away.
    """
    failing = {row["connection"]: row for row in conn.execute(QUERIES.breaker.failing)}
    row = failing.get(connection)
    if row is None or row["state"] != "open":
        return Gate(failing=row is not None)
    if wanted() and conn.execute(QUERIES.breaker.probe, {"connection": connection}).fetchone():
        return Gate(probe=True, failing=True)
    _hold_back(conn, connection, row)
    return Gate(closed=True)


def not_tried(conn: Connection, connection: str) -> None:
    """Give the probe back: what was taken for it waits for something else, and no call will be made."""
    conn.execute(QUERIES.breaker.not_tried, {"connection": connection})


def _hold_back(conn: Connection, connection: str, row: Mapping[str, Any]) -> None:
    """Handoffs first, then work, then effects: the one order of locks, so that nobody waits in a circle."""
    ready = [r["handoff_id"] for r in conn.execute(QUERIES.breaker.held_back, {"connection": connection})]
    if not ready:
        return
    conn.execute(QUERIES.handoff.lock_for_settling, {"ids": ready})
    parameters = {
        "connection": connection,
        "handoffs": ready,
        "waits_for": row["reason"],
        "probe_at": row["probe_at"],
    }
    conn.execute(QUERIES.breaker.hold_back, parameters)
    conn.execute(QUERIES.handoff.derive_states, {"ids": ready})


def went(conn: Connection, connection: str, errors: Sequence[VendorError | None], *, failing: bool) -> None:
    """Count what calls found: any answer closes a breaker that counted failures, failures in a row open it."""
    if not errors:
        return
    rows = [reaction(error) if error is not None else None for error in errors]
    if all(row is not None and row.trips for row in rows):
        reason = next(row.waits_for for row in rows if row is not None).format(system=connection)
        parameters = {
            "connection": connection,
            "reason": reason,
            "most": TRIPS_AFTER,
            "first_probe": FIRST_PROBE,
        }
        state = conn.execute(QUERIES.breaker.fail, parameters).fetchone() or {}
        log.warning("connection.failing", connection=connection, reason=reason, breaker=state.get("state"))
        return
    if failing:
        conn.execute(QUERIES.breaker.close, {"connection": connection})
