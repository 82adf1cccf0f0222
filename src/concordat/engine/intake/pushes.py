"""Pushes: raw bytes kept before the answer, then hints; what cannot be read is a case."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.world import World
from concordat.errors import AuthRevoked, Rejected
from concordat.sdk.spec import Hint
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["Received", "receive"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """How a push is answered."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    delivery: int | None = None
    hinted: bool = False


def receive(
    world: World,
    conn: Connection,
    connection: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
    at: datetime,
    correlation_id: str,
    traceparent: str,
) -> Received:
    """Keep one push durable, then leave its hints. Bad signature: 401, only counted; unreadable: kept, a case."""
    connector = world.connectors[connection]
    kept = {
        "unit": world.unit,
        "connection": connection,
        "kind": "push",
        "headers": json_text(_harmless(headers)),
        "body": body,
        "correlation_id": correlation_id,
        "traceparent": traceparent,
    }
    try:
        push = connector.decode_push(headers, body, at)
    except AuthRevoked as error:
        conn.execute(QUERIES.intake.count_refusal, {"connection": connection, "reason": error.code or "signature"})
        return Received(status=401)
    except Rejected as error:
        return _unreadable(world, conn, connection, kept, str(error))
    if push.reply is not None:
        return Received(status=200, body=push.reply, media_type=push.reply_type)
    hints = list(dict.fromkeys(push.hints))
    mark = {"key": push.key or _digest(body), "hints": len(hints), "note": "", "unreadable": False}
    row = conn.execute(QUERIES.intake.keep_delivery, {**kept, **mark}).fetchone() or {}
    hinted = bool(hints) and (row["fresh"] or not push.key)  # equal bytes without a vendor's key may be two changes
    if hinted:
        _leave(conn, connection, hints, {**row, "correlation_id": correlation_id, "traceparent": traceparent})
    return Received(status=202, delivery=row["id"], hinted=hinted)


def _unreadable(world: World, conn: Connection, connection: str, kept: Mapping[str, Any], why: str) -> Received:
    key = _digest(kept["body"])
    mark = {"key": key, "hints": 0, "note": why, "unreadable": True}
    row = conn.execute(QUERIES.intake.keep_delivery, {**kept, **mark}).fetchone() or {}
    draft = CaseDraft(
        unit=world.unit,
        kind="unreadable",
        subject=f"{connection}:{key[:16]}",
        title=f"A push from {connection} cannot be read: {why}",
        owner="integration",
        facts={"connection": connection, "delivery": row["id"], "why": why},
    )
    open_cases(conn, [draft])
    return Received(status=202, delivery=row["id"])


def _leave(conn: Connection, connection: str, hints: list[Hint], delivery: Mapping[str, Any]) -> None:
    """Leave the hints; the delivery ends when they have been read, unless it has ended as a duplicate."""
    parameters = {
        "connections": [connection] * len(hints),
        "objects": [hint.object for hint in hints],
        "refs": [hint.ref for hint in hints],
        "delivery": delivery["id"] if delivery["fresh"] else None,
        "received_at": delivery["received_at"],
        "correlation_id": delivery["correlation_id"],
        "traceparent": delivery["traceparent"],
    }
    conn.execute(QUERIES.intake.leave_delivered_hints, parameters)


def _harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers without credentials."""
    return {k: v for k, v in headers.items() if k.lower() not in ("authorization", "cookie", "proxy-authorization")}


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
