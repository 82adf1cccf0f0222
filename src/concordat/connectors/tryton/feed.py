"""Changes since a cursor, by `last_modified_at`.

Three facts of Tryton decide the shape (all measured on 8.0.12). A stamp is the start of its transaction, so a
record may appear minutes after its stamp: a sweep begins `OVERLAP` before the last one began. The stamp of a
party does not move when its address or identifier does: their stamps count too. Records move while a sweep
pages through them: a sweep walks by id, which never moves, from a lower bound that stays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from concordat.connectors.tryton.desk import Desk, Row
from concordat.connectors.tryton.facts import OVERLAP, READ_BATCH
from concordat.connectors.tryton.kinds import Kind
from concordat.errors import ResyncRequired
from concordat.sdk.records import each
from concordat.sdk.spec import ChangePage, JsonObject, SourceRecord

__all__ = ["changes", "record"]

_CHILDREN = {"client": ("addresses", "identifiers", "contact_mechanisms"), "project": ()}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cursor:
    """Where a sweep stands: the lower bound of its stamps, the last id given, the bound of the next sweep."""

    since: str | None = None
    after: int = 0
    next: str | None = None

    @classmethod
    def read(cls, text: str | None) -> _Cursor:
        if text is None:
            return cls()
        try:
            said = json.loads(text)
            made = cls(since=said["since"], after=said["after"], next=said["next"])
            for moment in filter(None, (made.since, made.next)):
                datetime.fromisoformat(moment)
        except (ValueError, TypeError, KeyError) as error:
            raise ResyncRequired(f"{text!r} is no cursor of Tryton's changes.") from error
        return made

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def changes(desk: Desk, kind: Kind, connection: str, cursor: str | None) -> ChangePage:
    """Give the next page of a sweep; the last page's cursor begins the next sweep."""
    at = _Cursor.read(cursor)
    if at.next is None:
        at = _Cursor(since=at.since, after=0, next=_bound(desk, at.since))
    rows = kind.read(desk, ["id", ">", at.after], *_scope(desk, kind), *_moved(kind, at.since), limit=READ_BATCH)
    records = sorted(records_of(desk, kind, connection, rows), key=lambda one: one.version)
    if len(rows) == READ_BATCH:
        further = _Cursor(since=at.since, after=rows[-1]["id"], next=at.next)
        return ChangePage(records=records, cursor=further.text(), more=True)
    return ChangePage(records=records, cursor=_Cursor(since=at.next).text())


def records_of(desk: Desk, kind: Kind, connection: str, rows: Sequence[Row]) -> list[SourceRecord]:
    """Read records as a source holds them; one that cannot be read carries its fault."""
    return each(rows, lambda row: record(desk, kind, connection, row), object_=kind.object, ref=lambda row: row["id"])


def record(desk: Desk, kind: Kind, connection: str, row: Row) -> SourceRecord:
    """Read a record as a source holds it."""
    stamp = max(_stamps(kind, row))
    number = row[kind.key] or ""
    return SourceRecord(
        object=kind.object,
        ref=f"{connection}:{row['id']}",
        version=stamp.isoformat(timespec="microseconds") + "Z",
        changed_at=stamp.replace(tzinfo=UTC),
        fields={**_outward(kind.document(desk, row), connection), "number": number or None},
        extra={"active": row["active"]} if kind.object == "client" else {},
        numbers=(number,) if number else (),
        url=kind.url(row["id"]),
    )


def _outward(document: JsonObject, connection: str) -> JsonObject:
    """Turn a target's reference into a source's."""
    return {
        name: f"{connection}:{value['ref']}" if isinstance(value, dict) and "ref" in value else value
        for name, value in document.items()
    }


def _stamps(kind: Kind, row: Row) -> list[datetime]:
    children = (each for name in _CHILDREN[kind.object] for each in row[f"{name}."])
    return [row["last_modified_at"], *(each["last_modified_at"] for each in children)]


def _scope(desk: Desk, kind: Kind) -> list[Any]:
    """Projects only, or parties without our own companies and people."""
    if kind.object == "project":
        return [["type", "=", "project"]]
    own = [row["party"] for row in desk.read("company.company", [], ["party"])]
    people = [row["party"] for row in desk.read("company.employee", [], ["party"])]
    return [["id", "not in", sorted({*own, *people})]]


def _moved(kind: Kind, since: str | None) -> list[Any]:
    if since is None:
        return []
    moment = datetime.fromisoformat(since)
    names = ["last_modified_at", *(f"{name}.last_modified_at" for name in _CHILDREN[kind.object])]
    return [["OR", *([name, ">=", moment] for name in names)]]


def _bound(desk: Desk, since: str | None) -> str:
    """Fix where the next sweep begins: an overlap before now by the server's clock; never back in time."""
    said = desk.ask("company.company", "search_count", [])
    if said.at is None:
        return since or datetime.min.isoformat()  # noqa: DTZ901  Tryton's stamps are naive
    begun = (said.at.astimezone(UTC).replace(tzinfo=None) - OVERLAP).isoformat()
    return max(begun, since or begun)
