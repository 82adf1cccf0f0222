"""The two reports: workers as they are today with their dated rows, and free time by week."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from concordat.twins.base import Record
from concordat.twins.workday.people import People, Span, present

__all__ = ["availability", "workers"]

Row = dict[str, Any]

TENANT_ZONE = ZoneInfo("America/Los_Angeles")
"""Workday shows moments in the zone of the integration's user."""


def workers(people: People, query: Mapping[str, str]) -> list[Row]:
    """One row per worker; with `Updated_From` those that changed or came into force since then."""
    since = _moment(query["Updated_From"]) if query.get("Updated_From") else None
    wanted = query.get("Workers!Employee_ID")
    asked = set(wanted.split("!")) if wanted else None
    for ref in sorted(asked or ()):
        if people.twin.store.get("workers", ref) is None:
            raise ValueError(f"Invalid ID value. '{ref}' is not a valid ID value for type = 'Employee_ID'")
    rows = []
    for record, fields in _seen(people):
        if asked is not None and record.ref not in asked:
            continue
        if since is None or people.touched(record, since):
            rows.append(_worker(people, record, fields))
    return rows


def availability(people: People, query: Mapping[str, str]) -> list[Row]:
    """One row per worker and week, Monday to Sunday, that touches the dates asked for."""
    span = Span(date.fromisoformat(query["From_Date"]), date.fromisoformat(query["To_Date"]))
    if span.end < span.start:
        raise ValueError("To_Date is before From_Date")
    return [_week(people, record, fields, week) for record, fields in _seen(people) for week in _weeks(span)]


def _seen(people: People) -> Iterator[tuple[Record, Row]]:
    see = people.twin.visible("workers")
    pairs = ((record, see(record)) for record in people.twin.store.all("workers"))
    return ((record, fields) for record, fields in pairs if fields is not None)


def _weeks(span: Span) -> Iterator[Span]:
    monday = span.start - timedelta(days=span.start.weekday())
    while monday <= span.end:
        yield Span(monday, monday + timedelta(days=6))
        monday += timedelta(days=7)


def _worker(people: People, record: Record, worker: Row) -> Row:
    today = people.twin.now().date()
    job = present(worker, today)
    ended = worker.get("termination_date") or ""
    active = job is not None and not (ended and ended < today.isoformat())
    row = job or worker["employments"][0]
    return {
        "Employee_ID": record.ref,
        "Universal_ID": worker.get("universal_id") or record.ref,
        "Worker": worker["name"],
        "Email": worker.get("email", ""),
        "Worker_Type": worker.get("type", "Employee"),
        "Job_Profile": row["role"],
        "Grade": row["grade"],
        "Company": row["company"],
        "Cost_Center": row["cost_center"],
        "Location": row["location"],
        "Manager_ID": row["manager"],
        "Scheduled_Weekly_Hours": str(row["weekly_hours"]),
        "Active": "1" if active else "0",
        "Hire_Date": worker["hire_date"],
        "Termination_Date": ended,
        "Effective_Date": job["effective"] if job else "",
        "Last_Functionally_Updated": _text(record.changed_at),
        "Employment_group": [_dated(one) for one in worker["employments"]],
    }


def _dated(row: Row) -> Row:
    named = {
        "Effective_Date": row["effective"],
        "Company": row["company"],
        "Cost_Center": row["cost_center"],
        "Grade": row["grade"],
        "Job_Profile": row["role"],
    }
    return {name: value for name, value in named.items() if value}


def _week(people: People, record: Record, worker: Row, week: Span) -> Row:
    row = present(worker, week.end) or worker["employments"][0]
    return {
        "Employee_ID": record.ref,
        "Worker": worker["name"],
        "Job_Profile": row["role"],
        "Location": row["location"],
        "Start_Date": week.start.isoformat(),
        "End_Date": week.end.isoformat(),
        "Free_Minutes": str(people.free(record.ref, worker, week)),
    }


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _text(at: datetime) -> str:
    return at.astimezone(TENANT_ZONE).isoformat(timespec="milliseconds")
