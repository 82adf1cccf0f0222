"""Records as sources hold them: merged in one statement; one that cannot be taken is a case, alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concordat.core.keys import digest
from concordat.core.objects import parse
from concordat.engine.alone import alone, storable
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.ownership import keep_owners
from concordat.engine.world import World
from concordat.sdk.spec import SourceRecord
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["Kept", "bare", "keep_records", "take_records", "unfit"]

LARGEST = 1_000_000
"""Characters of one record, as JSON."""
LONGEST_REF = 1_000
"""Characters of a record's id: an index holds no more."""
Place = tuple[str, str]
"""Object and reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What became of records that were read: those that changed, those that cannot be taken; the rest was known."""

    changed: frozenset[Place] = frozenset()
    unfit: frozenset[Place] = frozenset()


@dataclass(kw_only=True)
class _Part:
    """What one part of a page gave."""

    changed: list[Mapping[str, Any]] = field(default_factory=list)
    unfit: list[Place] = field(default_factory=list)


def keep_records(
    world: World,
    conn: Connection,
    connection: str,
    records: Sequence[SourceRecord],
    *,
    correlation_id: str,
    traceparent: str,
) -> int:
    """Merge records; says how many changed. See `take_records`."""
    kept = take_records(world, conn, connection, records, correlation_id=correlation_id, traceparent=traceparent)
    return len(kept.changed)


def take_records(
    world: World,
    conn: Connection,
    connection: str,
    records: Sequence[SourceRecord],
    *,
    correlation_id: str,
    traceparent: str,
) -> Kept:
    """Merge records in one statement, and mark what reads them. A record that cannot be taken becomes a case, alone."""
    trace = {"correlation_id": correlation_id, "traceparent": traceparent}
    latest = {(r.object, bare(connection, r.ref)): r for r in sorted(records, key=lambda r: r.version)}

    def keep(part: Sequence[tuple[Place, SourceRecord]]) -> _Part:
        return _keep(world, conn, connection, part, trace)

    def poison(item: tuple[Place, SourceRecord], error: Exception) -> _Part:
        says = storable(f"{type(error).__name__}: {error}")
        open_cases(conn, [unfit(world, conn, connection, item[0], f"it cannot be taken: {says}")])
        return _Part(unfit=[item[0]])

    parts = alone(conn, list(latest.items()), keep, poison)
    kept = [row for part in parts for row in part.changed]
    changed = [row for row in kept if row["answered"] is None]
    if changed:
        _mark(conn, world.subjects_from(connection), changed, trace)
    if kept:
        told = keep_owners(world, conn, kept, trace)
        if told:
            _mark(conn, world.subjects, told, trace)
    return Kept(
        changed=frozenset((row["object"], row["ref"]) for row in changed),
        unfit=frozenset(place for part in parts for place in part.unfit),
    )


def _mark(
    conn: Connection,
    about: tuple[Sequence[str], Sequence[str]],
    changed: Sequence[Mapping[str, Any]],
    trace: Mapping[str, str],
) -> None:
    contracts, subjects = about
    parameters = {
        "ids": [row["id"] for row in changed],
        "objects": [row["object"] for row in changed],
        "contracts": contracts,
        "subjects": subjects,
        **trace,
    }
    conn.execute(QUERIES.intake.mark_readers, parameters)


def _keep(
    world: World,
    conn: Connection,
    connection: str,
    records: Sequence[tuple[Place, SourceRecord]],
    trace: Mapping[str, str],
) -> _Part:
    faults = [(place, record, _faults(record)) for place, record in records]
    bad = _latest(conn, connection, [(place, record.version, found) for place, record, found in faults if found])
    if bad:
        open_cases(conn, [_misfit(world, conn, connection, place, found) for place, found in bad])
    part = _Part(unfit=[place for place, _ in bad])
    good = {place: record for place, record, found in faults if not found}
    if good:
        part.changed = _merge(world, conn, connection, good, trace)
    return part


def _latest(
    conn: Connection, connection: str, bad: Sequence[tuple[Place, str, list[tuple[str, str]]]]
) -> list[tuple[Place, list[tuple[str, str]]]]:
    """What was wrong with an older version than the known one does not matter any more."""
    if not bad:
        return []
    parameters = {
        "connection": connection,
        "objects": [place[0] for place, _, _ in bad],
        "refs": [storable(place[1]) for place, _, _ in bad],
        "versions": [storable(version) for _, version, _ in bad],
    }
    older = {(row["object"], row["ref"]) for row in conn.execute(QUERIES.intake.older, parameters)}
    return [(place, found) for place, _, found in bad if place not in older]


def _merge(
    world: World,
    conn: Connection,
    connection: str,
    good: Mapping[Place, SourceRecord],
    trace: Mapping[str, str],
) -> list[Mapping[str, Any]]:
    rows = f"[{','.join(_row_text(ref, record) for (_, ref), record in good.items())}]"
    parameters = {"unit": world.unit, "connection": connection, "rows": rows, **trace}
    changed = conn.execute(QUERIES.intake.keep_records, parameters).fetchall()
    _keep_numbers(world, conn, connection, good, {(row["object"], row["ref"]) for row in changed})
    mended = {"kind": "unreadable", "subjects": [subject(connection, place) for place in good]}
    conn.execute(QUERIES.case.resolve_subjects, {**mended, "resolution": "the record was corrected"})
    return list(changed)


def _keep_numbers(
    world: World, conn: Connection, connection: str, good: Mapping[Place, SourceRecord], touched: set[Place]
) -> None:
    numbers = [
        (place, value)
        for place, r in good.items()
        if place in touched
        for value in {place[1], r.ref, *r.numbers}
        if value
    ]
    if numbers:
        parameters = {
            "unit": world.unit,
            "connection": connection,
            "objects": [object_ for (object_, _), _ in numbers],
            "refs": [ref for (_, ref), _ in numbers],
            "values": [value.casefold() for _, value in numbers],
        }
        conn.execute(QUERIES.intake.keep_numbers, parameters)


def bare(connection: str, ref: str) -> str:
    """A record's id as its own system says it: some connectors put the connection's name before it."""
    return ref.removeprefix(f"{connection}:")


def subject(connection: str, place: Place) -> str:
    """What an unreadable record's case is found by."""
    return storable(f"{connection}:{place[0]}:{bare(connection, place[1])}"[:200])


def _row_text(ref: str, record: SourceRecord) -> str:
    """The row as JSON. A record beyond all measure is refused: it would be copied into every effect."""
    text = json_text(_row(ref, record))
    if len(text) > LARGEST:
        raise ValueError(f"the record has {len(text):,} characters; {LARGEST:,} are taken")
    if len(ref) > LONGEST_REF:
        raise ValueError(f"the record's id has {len(ref):,} characters; {LONGEST_REF:,} are taken")
    return text


def _row(ref: str, record: SourceRecord) -> dict[str, Any]:
    return {
        "object": record.object,
        "ref": ref,
        "version": record.version,
        "fields": record.fields,
        "extra": record.extra,
        "digest": digest(record.fields),
        "url": record.url,
        "deleted": record.deleted,
        "changed_at": record.changed_at,
    }


# ── what cannot be taken ──────────────────────────────────────────────────────────────────────────


def _faults(record: SourceRecord) -> list[tuple[str, str]]:
    """Field and what is wrong with it; none for a record that can be taken, and for one that is gone."""
    if record.fault:
        return [("", record.fault)]
    if record.deleted:
        return []
    parsed = parse(record.object, record.fields)
    return [(f.field, f.message) for f in parsed.faults if record.fields.get(f.field) not in (None, "")]


def _misfit(
    world: World, conn: Connection, connection: str, place: Place, faults: Sequence[tuple[str, str]]
) -> CaseDraft:
    says = "; ".join(f"{name}: {message}" if name else message for name, message in faults)
    told = [{"field": storable(name), "message": storable(message)} for name, message in faults]
    return unfit(world, conn, connection, place, f"it cannot be taken: {says}", faults=told)


def unfit(world: World, conn: Connection, connection: str, place: Place, says: str, **facts: Any) -> CaseDraft:
    """One case for one record that cannot be taken, with the money that hangs on it, until a version of it can."""
    object_, ref = place
    worth = conn.execute(
        QUERIES.intake.worth, {"connection": connection, "object": object_, "ref": storable(bare(connection, ref))}
    ).fetchone()
    return CaseDraft(
        unit=world.unit,
        kind="unreadable",
        subject=subject(connection, place),
        title=storable(f"{object_} {ref[:100]} of {connection}: {says}"),
        owner="integration",
        facts={"connection": connection, "object": object_, "ref": storable(ref), "cause": storable(says), **facts},
        value=(str(worth["amount"]), worth["currency"]) if worth else None,
    )
