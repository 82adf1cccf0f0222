"""A vendor's push: kept durable, hinted, and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from concordat.engine.alone import storable
from concordat.engine.intake import Received, receive
from concordat.engine.world import World
from concordat.errors import AuthRevoked, NotFound, Rejected
from concordat.sdk.spec import Connector, Push
from concordat.store.database import now
from concordat.telemetry import child_of, new_trace, trace_id

__all__ = ["Pushed", "receive_push"]

NO_TRACE = "0" * 32
LONGEST = 1_000
"""Characters of an event's id or a record's reference; PostgreSQL indexes no endless ones."""


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
    careful = replace(world, connectors={connection: cast("Connector", _Careful(connector))})
    trace = child_of(traceparent) if sent and sent != NO_TRACE else new_trace()
    with world.db.engine() as conn:
        received = receive(
            careful,
            conn,
            connection,
            headers=headers,
            body=body,
            at=now(conn),
            correlation_id=trace_id(trace),
            traceparent=trace,
        )
    return Pushed(received=received, correlation_id=trace_id(trace))


class _Careful:
    """A connection whose decoder gives a sound push, `AuthRevoked` or `Rejected`, whatever it stumbles over.

    A decoder trusts its vendor. A body that breaks it, or that names what cannot be stored, is one that cannot be read:
    it is kept and becomes a case; an answer of 500 would make its sender repeat it without end.
    """

    def __init__(self, connector: Connector) -> None:
        self.connector = connector

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """Decode as the connector does."""
        try:
            push = self.connector.decode_push(headers, body, now)
        except AuthRevoked:
            raise
        except Rejected as error:
            raise Rejected(storable(str(error)), code=error.code) from error
        except Exception as error:
            raise Rejected(storable(f"{type(error).__name__}: {error}")) from error
        if not all(map(_sound, (push.key, *(word for hint in push.hints for word in (hint.object, hint.ref))))):
            raise Rejected("it names a record in characters that cannot be stored, or without end")
        return push


def _sound(word: object) -> bool:
    """Whether it is text that the database can hold and find again."""
    return isinstance(word, str) and len(word) <= LONGEST and storable(word) == word
