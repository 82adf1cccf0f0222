"""A vendor's push: kept durable, hinted, and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from concordat.engine.intake import Received, receive
from concordat.engine.world import World
from concordat.errors import NotFound
from concordat.store.database import now
from concordat.telemetry import child_of, new_trace, trace_id

__all__ = ["Pushed", "receive_push"]

NO_TRACE = "0" * 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """The engine's answer to a push, and the id that follows it everywhere."""

    received: Received
    correlation_id: str


def receive_push(world: World, connection: str, *, headers: Mapping[str, str], body: bytes, traceparent: str) -> Pushed:
    """Take one push in a transaction of its own; when this returns, it is durable.

    `headers` have lower-case names. An unknown connection, or one that sends no pushes, is `NotFound`;
    a database that does not answer is `NotReachable` and nothing was taken.
    """
    connector = world.connectors.get(connection)
    if connector is None or not connector.facts.pushes:
        raise NotFound("No connection of that name takes pushes.", remedy="Look at [connections] in concordat.toml.")
    sent = trace_id(traceparent)
    trace = child_of(traceparent) if sent and sent != NO_TRACE else new_trace()
    with world.db.engine() as conn:
        received = receive(
            world,
            conn,
            connection,
            headers=headers,
            body=body,
            at=now(conn),
            correlation_id=trace_id(trace),
            traceparent=trace,
        )
    return Pushed(received=received, correlation_id=trace_id(trace))
