"""Changes since a cursor, by lastModifiedDate through SuiteQL.

Records move while a sweep pages through them, so a sweep walks by id, which never moves, from a lower bound
that stays. The next sweep begins `OVERLAP` before the newest stamp that this one found when it began.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from concordat.connectors.netsuite.facts import OVERLAP
from concordat.connectors.netsuite.kinds import Kind, stamp
from concordat.errors import ResyncRequired
from concordat.sdk.records import each
from concordat.sdk.spec import ChangePage, SourceRecord

__all__ = ["Ask", "Page", "changes", "record", "records_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The rows of one answer, and whether the query has more: a page may be shorter than was asked for."""

    rows: Sequence[Mapping[str, Any]]
    more: bool


Ask = Callable[[str, int], Page]
"""Run one query for at most so many rows."""
PAGE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cursor:
    """Where a sweep stands: its lower bound, the last id given, and where the next one begins."""

    since: str = ""
    after: int = 0
    next: str = ""

    @classmethod
    def read(cls, text: str | None) -> _Cursor:
        if text is None:
            return cls()
        try:
            said = json.loads(text)
            made = cls(since=said["since"], after=int(said["after"]), next=said["next"])
            for moment in filter(None, (made.since, made.next)):
                datetime.fromisoformat(moment)
        except (ValueError, TypeError, KeyError) as error:
            raise ResyncRequired(f"{text!r} is no cursor of NetSuite's changes.") from error
        return made

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def changes(ask: Ask, kind: Kind, connection: str, cursor: str | None) -> ChangePage:
    """Give the next page of a sweep; the last page's cursor begins the next sweep."""
    at = _Cursor.read(cursor)
    if not at.next:
        at = _Cursor(since=at.since, next=_bound(ask, kind) or at.since)
    moved = (
        f" AND SYS_EXTRACT_UTC(lastmodifieddate) >= TO_TIMESTAMP('{_wire(at.since)}', 'YYYY-MM-DD HH24:MI:SS')"
        if at.since
        else ""
    )
    where = f"id > {at.after}{moved}"
    page = ask(f"SELECT {kind.selected()} FROM {kind.type} WHERE {where} ORDER BY id", PAGE)  # noqa: S608  ours
    records = sorted(records_of(kind, connection, page.rows), key=lambda one: one.version)
    if page.more and page.rows:
        further = _Cursor(since=at.since, after=int(page.rows[-1]["id"]), next=at.next)
        return ChangePage(records=records, cursor=further.text(), more=True)
    return ChangePage(records=records, cursor=_Cursor(since=at.next).text())


def records_of(kind: Kind, connection: str, rows: Sequence[Mapping[str, Any]]) -> list[SourceRecord]:
    """Read rows as a source holds them; one that cannot be read carries its fault."""
    return each(rows, lambda row: record(kind, connection, row), object_=kind.object, ref=lambda row: row["id"])


def record(kind: Kind, connection: str, row: Mapping[str, Any]) -> SourceRecord:
    """Read a row as a source holds it."""
    version, seen = stamp(row), kind.fields(row)
    number = seen.get("number") or ""
    return SourceRecord(
        object=kind.object,
        ref=f"{connection}:{row['id']}",
        version=version,
        changed_at=datetime.fromisoformat(version) if version else None,
        fields={
            name: f"{connection}:{value['ref']}" if isinstance(value, dict) and "ref" in value else value
            for name, value in seen.items()
        },
        extra={"isInactive": row.get("isinactive") == "T"},
        numbers=(number,) if number else (),
        url=kind.url(str(row["id"])),
    )


def _bound(ask: Ask, kind: Kind) -> str:
    newest = "TO_CHAR(SYS_EXTRACT_UTC(lastmodifieddate), 'YYYY-MM-DD HH24:MI:SS') AS changed"
    rows = ask(f"SELECT id, {newest} FROM {kind.type} ORDER BY lastmodifieddate DESC, id", 1).rows  # noqa: S608  ours
    if not rows or not stamp(rows[0]):
        return ""
    return (datetime.fromisoformat(stamp(rows[0])) - OVERLAP).isoformat()


def _wire(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S}"
