"""Sweeps: one source from its cursor to its end, page by page, each page durable before the next is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from concordat.engine.alone import storable
from concordat.engine.breakers import gate, went
from concordat.engine.intake.records import keep_records
from concordat.engine.world import World, log
from concordat.errors import Contended, NotReachable, ResyncRequired, VendorError
from concordat.sdk.spec import CallContext
from concordat.store.queries import QUERIES

__all__ = ["sweep"]

HELD_FOR = 15.0
"""Seconds for which a sweep keeps its source to itself after each page."""


def sweep(world: World, connection: str, object_: str, *, correlation_id: str, traceparent: str) -> int:
    """Read one source from its cursor to its end; says how many records changed.

    Whatever goes wrong with the source gives the cursor free again: its fault is shown, and it is asked again.
    """
    every = world.sweeps[connection, object_].total_seconds()
    place = {"connection": connection, "object": object_}
    with world.db.engine() as conn:
        allowed = gate(conn, connection)
        if allowed.closed:
            return 0
        row = conn.execute(QUERIES.intake.claim_cursor, place).fetchone()
    if row is None:
        return 0
    position, total, more = row["position"], 0, True
    ctx = CallContext(correlation_id=correlation_id, traceparent=traceparent, priority=1)
    try:
        while more:
            page = world.connectors[connection].changes(object_, position, ctx)
            more = page.more and page.cursor != position
            position = page.cursor
            with world.db.engine() as conn:
                total += keep_records(
                    world,
                    conn,
                    connection,
                    page.records,
                    correlation_id=correlation_id,
                    traceparent=traceparent,
                )
                conn.execute(
                    QUERIES.intake.move_cursor, {**place, "position": position, "every": HELD_FOR if more else every}
                )
                went(conn, connection, [None], failing=allowed.failing)
    except VendorError as error:
        _failed(world, place, error, every)
    except (NotReachable, Contended):
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours or of the connector must not keep the cursor
        log.error("sweep.fault", **place, exc_info=error)
        _failed(world, place, error, every)
    return total


def _failed(world: World, place: Mapping[str, str], error: Exception, every: float) -> None:
    """A feed that is gone is read from its beginning; anything else is asked again."""
    says = storable(str(error) if isinstance(error, VendorError) else f"{type(error).__name__}: {error}")
    log.warning("sweep.failed", **place, error=says, error_class=type(error).__name__)
    with world.db.engine() as conn:
        if isinstance(error, ResyncRequired):
            conn.execute(QUERIES.intake.move_cursor, {**place, "position": None, "every": 1})
        else:
            conn.execute(QUERIES.intake.fail_cursor, {**place, "error": says, "every": max(every, 5)})
        if isinstance(error, VendorError):
            went(conn, place["connection"], [error], failing=True)
