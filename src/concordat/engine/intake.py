"""What comes in: pushes kept durable before their answer, hints read back in bulk, sources swept with overlap.

A push or a feed never brings data of record; it leaves a hint, and the state is read from the source.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from concordat.core.keys import digest
from concordat.core.objects import parse
from concordat.engine.alone import alone, storable
from concordat.engine.breakers import gate, went
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.world import World, log
from concordat.errors import AuthRevoked, Rejected, ResyncRequired, VendorError
from concordat.sdk.spec import CallContext, SourceRecord
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES
from concordat.telemetry import call_span

__all__ = ["HINTS", "Received", "keep_records", "read_hints", "receive", "sweep"]

HINTS = 200
"""Most hints of one read."""
HELD_FOR = 15.0
"""Seconds for which a sweep keeps its source to itself after each page."""
LARGEST = 1_000_000
"""Characters of one record, as JSON."""


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
    row = (
        conn.execute(QUERIES.intake.keep_delivery, {**kept, "key": push.key or _digest(body), "note": ""}).fetchone()
        or {}
    )
    fresh = row["state"] == "received"
    hinted = bool(push.hints) and (fresh or not push.key)  # equal bytes without a vendor's key may be two changes
    if hinted:
        _leave(conn, connection, [(h.object, h.ref) for h in push.hints], correlation_id, traceparent)
    return Received(status=202, delivery=row["id"], hinted=hinted)


def _unreadable(world: World, conn: Connection, connection: str, kept: Mapping[str, Any], why: str) -> Received:
    key = _digest(kept["body"])
    row = conn.execute(QUERIES.intake.keep_delivery, {**kept, "key": key, "note": why}).fetchone() or {}
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


def _leave(
    conn: Connection, connection: str, hints: Sequence[tuple[str, str]], correlation_id: str, traceparent: str
) -> None:
    parameters = {
        "connections": [connection] * len(hints),
        "objects": [object_ for object_, _ in hints],
        "refs": [ref for _, ref in hints],
        "correlation_id": correlation_id,
        "traceparent": traceparent,
    }
    conn.execute(QUERIES.intake.leave_hints, parameters)


def _harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers without credentials."""
    return {k: v for k, v in headers.items() if k.lower() not in ("authorization", "cookie", "proxy-authorization")}


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


# ── hints ─────────────────────────────────────────────────────────────────────────────────────────


def read_hints(world: World, connection: str) -> int:
    """Read back what was hinted for one connection; says how many hints were taken."""
    with world.db.engine() as conn:
        allowed = gate(conn, connection)
        if allowed.closed:
            return 0
        hints = conn.execute(QUERIES.intake.claim_hints, {"connection": connection, "limit": HINTS}).fetchall()
    by_object: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for hint in hints:
        by_object[hint["object"]].append(hint)
    for object_, members in by_object.items():
        _read(world, connection, object_, members, failing=allowed.failing)
    return len(hints)


def _read(world: World, connection: str, object_: str, hints: Sequence[Mapping[str, Any]], *, failing: bool) -> None:
    first = hints[0]
    refs = [hint["ref"] for hint in hints]
    parameters = {"connection": connection, "objects": [object_] * len(hints), "refs": refs}
    try:
        with call_span(connection, object_, "read", items=len(refs), parent=first["traceparent"]) as traceparent:
            ctx = CallContext(correlation_id=first["correlation_id"], traceparent=traceparent)
            records = world.connectors[connection].fetch_source(object_, refs, ctx)
    except VendorError as error:
        log.warning("hint.failed", connection=connection, object=object_, error=str(error))
        with world.db.engine() as conn:
            conn.execute(QUERIES.intake.postpone_hints, parameters)
            went(conn, connection, [error], failing=True)
        return
    with world.db.engine() as conn:
        keep_records(
            world,
            conn,
            connection,
            records,
            correlation_id=first["correlation_id"],
            traceparent=first["traceparent"],
        )
        conn.execute(QUERIES.intake.drop_hints, {**parameters, "hinted": [hint["hinted_at"] for hint in hints]})
        went(conn, connection, [None], failing=failing)


# ── sweeps ────────────────────────────────────────────────────────────────────────────────────────


def sweep(world: World, connection: str, object_: str, *, correlation_id: str, traceparent: str) -> int:
    """Read one source from its cursor to its end, page by page, each page durable before the next is asked for."""
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
    ctx = CallContext(correlation_id=correlation_id, traceparent=traceparent)
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
    return total


def _failed(world: World, place: Mapping[str, str], error: VendorError, every: float) -> None:
    """A feed that is gone is read from its beginning; anything else is asked again."""
    log.warning("sweep.failed", **place, error=str(error), error_class=type(error).__name__)
    with world.db.engine() as conn:
        if isinstance(error, ResyncRequired):
            conn.execute(QUERIES.intake.move_cursor, {**place, "position": None, "every": 1})
        else:
            conn.execute(QUERIES.intake.fail_cursor, {**place, "error": str(error), "every": max(every, 5)})
        went(conn, place["connection"], [error], failing=True)


# ── records ───────────────────────────────────────────────────────────────────────────────────────


def keep_records(
    world: World,
    conn: Connection,
    connection: str,
    records: Sequence[SourceRecord],
    *,
    correlation_id: str,
    traceparent: str,
) -> int:
    """Merge records in one statement; says how many changed. A record that cannot be taken becomes a case, alone."""
    trace = {"correlation_id": correlation_id, "traceparent": traceparent}
    latest = {(r.object, r.ref): r for r in sorted(records, key=lambda r: r.version)}

    def keep(part: Sequence[SourceRecord]) -> list[Mapping[str, Any]]:
        return _keep(world, conn, connection, part, trace)

    def poison(record: SourceRecord, error: Exception) -> list[Mapping[str, Any]]:
        _unfit(world, conn, connection, record, storable(f"{type(error).__name__}: {error}"))
        return []

    changed = [row for part in alone(conn, list(latest.values()), keep, poison) for row in part]
    if changed:
        contracts, subjects = world.subjects
        parameters = {
            "ids": [row["id"] for row in changed],
            "objects": [row["object"] for row in changed],
            "contracts": contracts,
            "subjects": subjects,
            **trace,
        }
        conn.execute(QUERIES.intake.mark_readers, parameters)
    return len(changed)


def _keep(
    world: World, conn: Connection, connection: str, records: Sequence[SourceRecord], trace: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    good = [r for r in records if _sound(world, conn, connection, r)]
    if not good:
        return []
    rows = f"[{','.join(map(_row_text, good))}]"
    parameters = {"unit": world.unit, "connection": connection, "rows": rows, **trace}
    changed = conn.execute(QUERIES.intake.keep_records, parameters).fetchall()
    _keep_numbers(world, conn, connection, good, {(row["object"], row["ref"]) for row in changed})
    mended = {"kind": "unreadable", "subjects": [_subject(connection, r) for r in good]}
    conn.execute(QUERIES.case.resolve_subjects, {**mended, "resolution": "the record was corrected"})
    return list(changed)


def _keep_numbers(
    world: World,
    conn: Connection,
    connection: str,
    good: Sequence[SourceRecord],
    touched: set[tuple[str, str]],
) -> None:
    numbers = [(r, value) for r in good if (r.object, r.ref) in touched for value in {r.ref, *r.numbers} if value]
    if numbers:
        parameters = {
            "unit": world.unit,
            "connection": connection,
            "objects": [r.object for r, _ in numbers],
            "refs": [r.ref for r, _ in numbers],
            "values": [value.casefold() for _, value in numbers],
        }
        conn.execute(QUERIES.intake.keep_numbers, parameters)


def _subject(connection: str, record: SourceRecord) -> str:
    """What an unreadable record's case is found by."""
    return storable(f"{connection}:{record.object}:{record.ref}"[:200])


def _row_text(record: SourceRecord) -> str:
    """The row as JSON. A record beyond all measure is refused: it would be copied into every effect."""
    text = json_text(_row(record))
    if len(text) > LARGEST:
        raise ValueError(f"the record has {len(text):,} characters; {LARGEST:,} are taken")
    return text


def _row(record: SourceRecord) -> dict[str, Any]:
    return {
        "object": record.object,
        "ref": record.ref,
        "version": record.version,
        "fields": record.fields,
        "extra": record.extra,
        "digest": digest(record.fields),
        "url": record.url,
        "deleted": record.deleted,
        "changed_at": record.changed_at,
    }


def _sound(world: World, conn: Connection, connection: str, record: SourceRecord) -> bool:
    """A poison record stops itself, never its page."""
    parsed = parse(record.object, record.fields)
    wrong = [f for f in parsed.faults if record.fields.get(f.field) not in (None, "")]
    if not wrong or record.deleted:
        return True
    says = "; ".join(f"{f.field}: {f.message}" for f in wrong)
    _unfit(world, conn, connection, record, says, faults=[(f.field, f.message) for f in wrong])
    return False


def _unfit(
    world: World,
    conn: Connection,
    connection: str,
    record: SourceRecord,
    says: str,
    *,
    faults: Sequence[tuple[str, str]] = (),
) -> None:
    """One case for one record that cannot be taken, until a version of it can."""
    draft = CaseDraft(
        unit=world.unit,
        kind="unreadable",
        subject=_subject(connection, record),
        title=storable(f"{record.object} {record.ref[:100]} of {connection} cannot be taken: {says}"),
        owner="integration",
        facts={
            "connection": connection,
            "ref": storable(record.ref),
            "faults": [{"field": storable(name), "message": storable(message)} for name, message in faults],
        },
    )
    open_cases(conn, [draft])
