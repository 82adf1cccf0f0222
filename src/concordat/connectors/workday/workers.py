"""The report on workers to canonical workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from concordat.connectors.workday.desk import Row, text
from concordat.connectors.workday.facts import KINDS, WorkdaySettings
from concordat.errors import Rejected
from concordat.sdk.spec import SourceRecord

__all__ = ["managers_first", "moment", "worker"]

KNOWN = frozenset(
    {
        "Employee_ID",
        "Worker",
        "Email",
        "Job_Profile",
        "Grade",
        "Company",
        "Cost_Center",
        "Location",
        "Manager_ID",
        "Scheduled_Weekly_Hours",
        "Active",
        "Employment_group",
    }
)
"""Columns that become fields; all others are kept beside them."""


def worker(row: Row, settings: WorkdaySettings, connection: str) -> SourceRecord:
    """Give one worker as of Workday's today. Dated rows, also of the future, are `employments` alone."""
    report = settings.workers_report
    ref = text(row, "Employee_ID", report=report)
    updated = moment(text(row, "Last_Functionally_Updated", report=report))
    manager, last = text(row, "Manager_ID"), text(row, "Termination_Date")
    active = text(row, "Active", report=report) in {"1", "true"}
    fields: dict[str, Any] = {
        "number": ref,
        "name": text(row, "Worker", report=report),
        "email": text(row, "Email") or None,
        "kind": settings.kinds.get(text(row, "Worker_Type")) or KINDS.get(text(row, "Worker_Type")),
        "grade": text(row, "Grade") or None,
        "role": text(row, "Job_Profile") or None,
        "entity": _entity(text(row, "Company"), settings),
        "location": text(row, "Location") or None,
        "cost_centre": text(row, "Cost_Center") or None,
        "active": active,
        "available_minutes_per_week": _minutes(text(row, "Scheduled_Weekly_Hours")),
        "manager": f"{connection}:{manager}" if manager else None,
        "employments": _employments(row, settings, last=last),
    }
    return SourceRecord(
        object="worker",
        ref=ref,
        version=_version(updated, text(row, "Effective_Date"), left=bool(last) and not active),
        changed_at=updated,
        fields={name: value for name, value in fields.items() if value is not None},
        extra={name: value for name, value in row.items() if name not in KNOWN},
        numbers=[ref],
    )


def managers_first(records: Sequence[SourceRecord]) -> list[SourceRecord]:
    """Order a page so that whoever leads comes before whom they lead; circles stay as they come."""
    by_ref = {record.ref: record for record in records}
    ordered: dict[str, SourceRecord] = {}

    def place(record: SourceRecord) -> None:
        chain: list[SourceRecord] = []
        step: SourceRecord | None = record
        while step is not None and step.ref not in ordered and step not in chain:
            chain.append(step)
            step = by_ref.get(str(step.fields.get("manager", "")).rpartition(":")[2])
        for one in reversed(chain):
            ordered[one.ref] = one

    for record in records:
        place(record)
    return list(ordered.values())


def moment(said: str) -> datetime:
    """Read a moment with an offset. Raises `Rejected`."""
    try:
        at = datetime.fromisoformat(said)
    except ValueError as error:
        raise Rejected(f"Workday: {said!r} is no moment.", code="column") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _version(at: datetime, effective: str, *, left: bool) -> str:
    """Write the moment so that texts are in the order of time.

    The effective date behind it tells a row in force from before, `left` one whose last day is over: neither is entered
    on its day.
    """
    entered = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{entered}|{effective or '0000-00-00'}{'|left' if left else ''}"


def _entity(company: str, settings: WorkdaySettings) -> str | None:
    return settings.entities.get(company, company) or None


def _minutes(hours: str) -> int | None:
    try:
        return int(Decimal(hours) * 60) if hours else None
    except (InvalidOperation, ValueError) as error:
        raise Rejected(f"Workday: {hours!r} is no number of hours.", code="column") from error


def _employments(row: Row, settings: WorkdaySettings, *, last: str) -> list[dict[str, Any]]:
    """Give the dated rows, each ending the day before the next; the last one with the worker's last day."""
    group = row.get("Employment_group") or ()
    rows = sorted((r for r in group if isinstance(r, Mapping)), key=lambda r: text(r, "Effective_Date"))
    ends = [_day_before(text(r, "Effective_Date")) for r in rows[1:]] + [last or None]
    made = [
        {
            "entity": _entity(text(r, "Company"), settings),
            "cost_centre": text(r, "Cost_Center") or None,
            "grade": text(r, "Grade") or None,
            "from": text(r, "Effective_Date", report=settings.workers_report),
            "to": end,
        }
        for r, end in zip(rows, ends, strict=True)
    ]
    return [{n: v for n, v in one.items() if v is not None} for one in made if one["entity"]]


def _day_before(day: str) -> str | None:
    try:
        return (date.fromisoformat(day) - timedelta(days=1)).isoformat()
    except ValueError:
        return None
