"""Who works where from which day on, and what of their time is booked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from concordat.twins.base import Record, Twin

__all__ = ["JOB", "People", "Span", "present", "worked"]

Fields = dict[str, Any]

JOB = ("role", "grade", "company", "cost_center", "location", "weekly_hours", "manager")
"""What an effective-dated row of employment says."""

DEFAULTS: Mapping[str, str] = {
    "role": "Consultant",
    "grade": "",
    "company": "NB-US",
    "cost_center": "",
    "location": "",
    "weekly_hours": "40",
    "manager": "",
}
WORKDAYS = 5


@dataclass(frozen=True, slots=True)
class Span:
    """Days from `start` to `end`, both included."""

    start: date
    end: date

    def days(self) -> Iterator[date]:
        """Give Monday to Friday within."""
        count = (self.end - self.start).days + 1
        days = (self.start + timedelta(days=n) for n in range(max(count, 0)))
        return (day for day in days if day.weekday() < WORKDAYS)


def present(worker: Mapping[str, Any], at: date) -> Fields | None:
    """Give the row in force on a day; None before the first."""
    rows = [row for row in worker["employments"] if row["effective"] <= at.isoformat()]
    return dict(rows[-1]) if rows else None


def worked(worker: Mapping[str, Any], day: date) -> Decimal:
    """Give contractual minutes of one working day."""
    row = present(worker, day)
    ended = worker.get("termination_date")
    if row is None or (ended and day.isoformat() > ended):
        return Decimal(0)
    return Decimal(str(row["weekly_hours"])) * 60 / WORKDAYS


class People:
    """The workers and bookings of one tenant, over the twin's store."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin

    def hired(self, said: Mapping[str, Any]) -> Fields:
        """Shape a worker as the store keeps it, from the words of `hire` or a seed."""
        if "employments" in said:
            return dict(said)
        start = str(said.get("hire_date") or "2020-01-01")
        date.fromisoformat(start)
        row = {name: str(said.get(name, DEFAULTS[name])) for name in JOB} | {"effective": start}
        ref = str(said.get("id") or "")
        return {
            **({"id": ref} if ref else {}),
            "name": str(said["name"]),
            "email": str(said.get("email") or ""),
            "type": str(said.get("type") or "Employee"),
            "universal_id": str(said.get("universal_id") or ref),
            "hire_date": start,
            "termination_date": str(said.get("termination_date") or ""),
            "employments": [row],
        }

    def worker(self, ref: Any) -> Record:
        """Give one worker. Raises LookupError."""
        record = self.twin.store.get("workers", str(ref))
        if record is None:
            raise LookupError(f"no worker {ref}")
        return record

    def booked(self, ref: str, day: date) -> Decimal:
        """Give minutes booked on a day: each booking is spread evenly over its working days."""
        total = Decimal(0)
        for record in self.twin.store.where("bookings", "worker", ref):
            span = Span(date.fromisoformat(record.fields["from"]), date.fromisoformat(record.fields["to"]))
            if span.start <= day <= span.end:
                total += Decimal(record.fields["minutes"]) / max(sum(1 for _ in span.days()), 1)
        return total

    def free(self, ref: str, worker: Mapping[str, Any], span: Span) -> int:
        """Give whole free minutes within a span, never below nothing."""
        days = span.days()
        return int(sum(max(worked(worker, d) - self.booked(ref, d), Decimal(0)) for d in days))

    def touched(self, record: Record, since: datetime) -> bool:
        """Say whether a worker changed, a dated row came into force, or a last day was over, since a moment."""
        if record.changed_at >= since:
            return True
        last = record.fields.get("termination_date")
        days = [row["effective"] for row in record.fields["employments"]]
        days += [(date.fromisoformat(last) + timedelta(days=1)).isoformat()] if last else []
        return any(since.date().isoformat() <= day <= self.twin.now().date().isoformat() for day in days)
