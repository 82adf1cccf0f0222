"""Is there enough free time? Rows of free minutes by worker and week against roles asked for; pure arithmetic.

A week counts with the share of its working days that lie inside the dates asked for, rounded down: never more
is promised than is free. Roles of one question share the people: an hour that one role takes is gone for the
next. Several questions are answered each for itself, as a check books nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from concordat.connectors.workday.desk import Row, text
from concordat.errors import Rejected
from concordat.sdk.spec import Answer, JsonObject

__all__ = ["Need", "Pool", "Week", "answer", "by_role", "needs", "slices", "window"]

SATURDAY = 5

Pool = Mapping[str, Sequence["Week"]]
"""Weeks by role, case aside, the earliest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """One role of a question."""

    role: str
    minutes: int
    start: date
    end: date
    location: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Week:
    """Free minutes of one worker in one span of days."""

    worker: str
    name: str
    role: str
    location: str
    start: date
    end: date
    free: int

    @classmethod
    def of(cls, row: Row, report: str) -> Week:
        """Read a row. Raises `Rejected`: what is not known is not counted as nothing."""
        try:
            return cls(
                worker=text(row, "Employee_ID", report=report),
                name=text(row, "Worker"),
                role=text(row, "Job_Profile"),
                location=text(row, "Location"),
                start=date.fromisoformat(text(row, "Start_Date", report=report)),
                end=date.fromisoformat(text(row, "End_Date", report=report)),
                free=int(Decimal(text(row, "Free_Minutes", report=report))),
            )
        except (ValueError, InvalidOperation) as error:
            raise Rejected(f"The report {report} gives a row that cannot be read: {error}", code="column") from error


def needs(question: JsonObject) -> list[Need]:
    """Read a question: `{"roles": [{"role", "hours", "from", "to", "location"}]}`. Raises `Rejected`."""
    roles = question.get("roles") or []
    if not isinstance(roles, Sequence) or isinstance(roles, str):
        raise Rejected("The roles asked for are no list.", field="roles")
    return [_need(number, role) for number, role in enumerate(roles, 1)]


def _need(number: int, role: Any) -> Need:
    said = role if isinstance(role, Mapping) else {}
    missing = [name for name in ("role", "hours", "from", "to") if said.get(name) in {None, ""}]
    if missing:
        raise Rejected(f"Role {number} does not say: {', '.join(missing)}.", field="roles")
    try:
        start, end = date.fromisoformat(said["from"]), date.fromisoformat(said["to"])
        minutes = Decimal(str(said["hours"])) * 60
    except (ValueError, TypeError, InvalidOperation) as error:
        raise Rejected(f"Role {number} cannot be read: {error}.", field="roles") from error
    if end < start or not minutes.is_finite() or minutes < 0:
        raise Rejected(f"Role {number} ends before it starts, or needs less than nothing.", field="roles")
    whole = int(minutes.to_integral_value(rounding="ROUND_CEILING"))
    place = str(said.get("location") or "")
    return Need(role=str(said["role"]), minutes=whole, start=start, end=end, location=place)


def window(asked: Iterable[Need]) -> tuple[date, date] | None:
    """Give the first and last day that any need touches; None when nothing is asked."""
    known = list(asked)
    return (min(n.start for n in known), max(n.end for n in known)) if known else None


def slices(start: date, end: date, weeks: int) -> list[tuple[date, date]]:
    """Cut a window into runs of at most `weeks` whole weeks, Monday to Sunday: no week is in two of them."""
    cuts = []
    first = start
    while first <= end:
        monday = first - timedelta(days=first.weekday())
        last = min(monday + timedelta(days=7 * weeks - 1), end)
        cuts.append((first, last))
        first = last + timedelta(days=1)
    return cuts


def by_role(weeks: Iterable[Week]) -> Pool:
    """Sort weeks for many questions at once."""
    pool: dict[str, list[Week]] = {}
    for week in sorted(weeks, key=lambda w: (w.start, w.worker)):
        pool.setdefault(week.role.casefold(), []).append(week)
    return pool


def answer(asked: Sequence[Need], pool: Pool) -> Answer:
    """Weigh one question, the role that ends first being served first."""
    left: dict[tuple[str, date], int] = {}
    lines: dict[int, dict[str, Any]] = {}
    for number in sorted(range(len(asked)), key=lambda n: (asked[n].end, asked[n].start)):
        lines[number] = _serve(asked[number], pool, left)
    roles = [lines[number] for number in range(len(asked))]
    short = [line for line in roles if line["free"] < line["needed"]]
    detail = {"roles": [{**r, "needed": _hours(r["needed"]), "free": _hours(r["free"])} for r in roles]}
    return Answer(met=not short, says=_says(short, asked), detail=detail)


def _serve(need: Need, pool: Pool, left: dict[tuple[str, date], int]) -> dict[str, Any]:
    """Count what is free for a role, then take what it needs, the earliest weeks first."""
    fits = [w for w in pool.get(need.role.casefold(), ()) if _fits(need, w)]
    usable = [(w, min(_share(need, w), left.get((w.worker, w.start), w.free))) for w in fits]
    usable = [(week, minutes) for week, minutes in usable if minutes > 0]
    wanted = need.minutes
    for week, minutes in usable:
        taken = min(minutes, wanted)
        left[week.worker, week.start] = left.get((week.worker, week.start), week.free) - taken
        wanted -= taken
    people = sorted({(week.worker, week.name) for week, _ in usable})
    workers = [{"number": ref, "name": name} for ref, name in people]
    free = sum(minutes for _, minutes in usable)
    return {"role": need.role, "needed": need.minutes, "free": free, "workers": workers}


def _fits(need: Need, week: Week) -> bool:
    place = not need.location or week.location.casefold() == need.location.casefold()
    return place and week.start <= need.end and week.end >= need.start


def _share(need: Need, week: Week) -> int:
    """Give the minutes of a week that fall into the need's days, rounded down."""
    if need.start <= week.start and week.end <= need.end:
        return week.free
    inside = _working(max(need.start, week.start), min(need.end, week.end))
    return week.free * inside // max(_working(week.start, week.end), 1)


def _working(start: date, end: date) -> int:
    count = (end - start).days + 1
    return sum((start + timedelta(days=n)).weekday() < SATURDAY for n in range(max(count, 0)))


def _hours(minutes: int) -> str:
    return format((Decimal(minutes) / 60).quantize(Decimal("0.01")).normalize(), "f")


def _says(short: Sequence[Mapping[str, Any]], asked: Sequence[Need]) -> str:
    if not asked:
        return "Nobody is asked for."
    if not short:
        return "Enough people are free."
    parts = [f"{s['role']}: {_hours(s['needed'])} h needed, {_hours(s['free'])} h free" for s in short]
    return "; ".join(parts)
