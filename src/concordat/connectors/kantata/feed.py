"""Projects that changed since a cursor: a sweeping poll, as Kantata pushes nothing.

A cursor is `instant` between sweeps and `instant|` inside one. Only first pages are read, and a page that ends
later than it began moves the instant on, so rows that change meanwhile shift nothing out of sight. Where one second
fills a page and more, that second is read whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from concordat.connectors.kantata.desk import Desk, Row, Sheet, need
from concordat.connectors.kantata.facts import OVERLAP
from concordat.connectors.kantata.projects import INCLUDE, Projects
from concordat.connectors.kantata.values import instant, instant_text
from concordat.errors import ResyncRequired
from concordat.sdk.records import each
from concordat.sdk.spec import CallContext, ChangePage, SourceRecord

__all__ = ["changes", "source_record"]

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def changes(desk: Desk, projects: Projects, cursor: str | None, ctx: CallContext) -> ChangePage:
    """One page, oldest first."""
    after = _start(cursor)
    params = {**INCLUDE, "updated_after": instant_text(after), "order": "updated_at:asc"}
    sheets: Sequence[Sheet] = [desk.read(ctx, "workspaces", params)]
    last = max((_stamp(row) for row in sheets[0].rows), default=after)
    if sheets[0].pages <= 1:
        records = source_records(projects, _pairs(sheets))
        return ChangePage(records=records, cursor=instant_text(max(last, _floor(cursor, after))))
    on = last - SECOND
    if on <= after:
        on = after + SECOND
        sheets = desk.all(ctx, "workspaces", {**params, "updated_before": instant_text(on + SECOND)})
    return ChangePage(records=source_records(projects, _pairs(sheets)), cursor=f"{instant_text(on)}|", more=True)


def source_records(projects: Projects, rows: Sequence[tuple[Sheet, Row]]) -> list[SourceRecord]:
    """Give these workspaces; one that cannot be read carries its fault."""
    return each(rows, lambda at: source_record(projects, *at), object_="project", ref=lambda at: at[1]["id"])


def source_record(projects: Projects, sheet: Sheet, row: Row) -> SourceRecord:
    """Give a workspace as a source holds it; the client is a group, known to this system by name alone."""
    seen = projects.observed(sheet, row)
    changed = _stamp(row)
    client = seen.fields.get("client")
    fields = {name: value for name, value in seen.fields.items() if name != "client" and value is not None}
    extra: dict[str, Any] = {"client": client, "record_key": seen.record_key, "kantata": _plain(row)}
    number = fields.get("number")
    return SourceRecord(
        object="project",
        ref=seen.ref,
        version=instant_text(changed),
        changed_at=changed,
        fields=fields,
        extra=extra,
        numbers=[str(number)] if number else (),
        url=seen.url,
    )


def _plain(row: Row) -> Mapping[str, Any]:
    """Keep what the canonical object does not know."""
    names = ("description", "access_level", "percentage_complete", "budgeted", "status", "creator_id")
    return {name: row[name] for name in names if name in row}


def _pairs(sheets: Sequence[Sheet]) -> list[tuple[Sheet, Row]]:
    return [(sheet, row) for sheet in sheets for row in sheet.rows]


def _stamp(row: Row) -> datetime:
    need(row, "updated_at")
    return instant(str(row["updated_at"]))


def _start(cursor: str | None) -> datetime:
    if not cursor:
        return BEGINNING
    moment, inside, _ = cursor.partition("|")
    try:
        return instant(moment) - (timedelta(0) if inside else OVERLAP)
    except ValueError as error:
        raise ResyncRequired(f"{cursor!r} is no cursor of Kantata's.") from error


def _floor(cursor: str | None, after: datetime) -> datetime:
    """Never go back: a sweep that found nothing ends where the one before it did."""
    return instant(cursor.partition("|")[0]) if cursor else after
