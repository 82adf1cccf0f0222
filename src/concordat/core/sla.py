"""Clocks of service levels: spans as contracts write them, business calendars, due times and ages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import islice
from typing import Self
from zoneinfo import ZoneInfo

from concordat.errors import Invalid

__all__ = [
    "BusinessCalendar",
    "Clock",
    "ClockState",
    "Pause",
    "Span",
    "Unit",
    "Window",
    "age",
    "due",
    "public_calendar",
    "state",
    "worked",
]


class Unit(StrEnum):
    """Units of a span. Elapsed days are 24 hours; business days are whole openings of the calendar."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


_WORDS = {
    word: unit
    for unit, words in {
        Unit.SECOND: "s second seconds",
        Unit.MINUTE: "min minute minutes",
        Unit.HOUR: "h hour hours",
        Unit.DAY: "day days",
    }.items()
    for word in words.split()
}
_SPAN = re.compile(r"([0-9]{1,6}) (business )?([a-z]+)")
_LENGTHS = {
    Unit.SECOND: timedelta(seconds=1),
    Unit.MINUTE: timedelta(minutes=1),
    Unit.HOUR: timedelta(hours=1),
    Unit.DAY: timedelta(days=1),
}
_WRITE = 'Write a whole number and a unit: "2 s", "15 minutes", "4 business hours", "1 business day", "3 days".'
_LAST_YEAR = 9990


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A length of time, elapsed or on the business clock."""

    count: int
    unit: Unit
    business: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `15 minutes`, `4 business hours`, `2 s`; `Invalid` says what is wrong and what to write."""
        found = _SPAN.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise Invalid(f"{text!r} is not a length of time.", remedy=_WRITE)
        unit = _WORDS.get(found[3])
        if unit is None:
            raise Invalid(f"{found[3]!r} in {text!r} is not a unit of time.", remedy=_WRITE)
        if not int(found[1]):
            raise Invalid(f"{text!r} is no time at all.", remedy="Write at least 1.")
        if found[2] and unit is Unit.SECOND:
            raise Invalid(f"{text!r} is too fine for the business clock.", remedy="Write business minutes.")
        return cls(count=int(found[1]), unit=unit, business=bool(found[2]))

    @property
    def length(self) -> timedelta:
        """How long it is on its own clock; a business day has the calendar's length, so it has none here."""
        if self.business and self.unit is Unit.DAY:
            raise Invalid(f"{self} has no fixed length.", remedy="Ask `due` with a calendar.")
        return self.count * _LENGTHS[self.unit]

    def __str__(self) -> str:
        unit = "s" if self.unit is Unit.SECOND else self.unit if self.count == 1 else f"{self.unit}s"
        return f"{self.count} {'business ' if self.business else ''}{unit}"


@dataclass(frozen=True, slots=True)
class Window:
    """Opening hours of one day as two instants in UTC; `closes` is not part of it."""

    opens: datetime
    closes: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class BusinessCalendar:
    """When people work: a zone, opening hours on the wall clock, the days off. All of it data.

    `closes` at 00:00 is midnight at the end of the day. An hour that a change of the clocks skips is not
    worked; one that it repeats is worked twice, when the opening hours hold it.
    """

    zone: ZoneInfo
    opens: time = time(9)
    closes: time = time(17)
    weekend: frozenset[int] = frozenset({5, 6})
    """Days off each week, Monday 0 to Sunday 6."""
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if self.opens.tzinfo or self.closes.tzinfo:
            raise Invalid("Opening hours carry no zone.", remedy="The calendar's zone applies.")
        if self.closes != time.min and self.closes <= self.opens:
            raise Invalid(f"The day closes at {self.closes} before it opens at {self.opens}.")
        if not self.weekend < frozenset(range(7)):
            raise Invalid("No day of the week is left to work on.", remedy="Name days 0 (Monday) to 6, not all.")

    def is_open_on(self, day: date) -> bool:
        """Say whether this civil day is a business day."""
        return day.weekday() not in self.weekend and day not in self.holidays

    def window(self, day: date) -> Window | None:
        """Tell the opening of a civil day; None on a day off, or when a change of the clocks swallows it."""
        if not self.is_open_on(day):
            return None
        last = day if self.closes != time.min else day + timedelta(days=1)
        opens, _ = self._instants(datetime.combine(day, self.opens))
        closes = max(self._instants(datetime.combine(last, self.closes)))
        return Window(opens, closes) if opens < closes else None

    def windows(self, start: datetime) -> Iterator[Window]:
        """All openings that end after `start`, in order."""
        day = start.astimezone(self.zone).date() - timedelta(days=1)
        while day.year < _LAST_YEAR:
            found = self.window(day)
            if found is not None and found.closes > start:
                yield found
            day += timedelta(days=1)
        raise Invalid("The calendar has no business day left.", remedy="Look at its holidays.")

    def _instants(self, wall: datetime) -> tuple[datetime, datetime]:
        first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return first, second


def public_calendar(
    zone: str,
    country: str,
    years: Iterable[int],
    *,
    subdivision: str | None = None,
    opens: time = time(9),
    closes: time = time(17),
    weekend: frozenset[int] = frozenset({5, 6}),
) -> BusinessCalendar:
    """Build a calendar with the public holidays of a country, or a part of it, for these years.

    Source of the days: the `holidays` package (ISO 3166 country and subdivision codes).
    """
    import holidays as public_holidays  # noqa: PLC0415 - every process reads spans, few need calendars

    try:
        days = public_holidays.country_holidays(country, subdiv=subdivision, years=years)
    except NotImplementedError as error:
        place = f"{country}-{subdivision}" if subdivision else country
        raise Invalid(f"No public holidays are known for {place}.", remedy="Give the days as data.") from error
    return BusinessCalendar(zone=ZoneInfo(zone), opens=opens, closes=closes, weekend=weekend, holidays=frozenset(days))


@dataclass(frozen=True, slots=True)
class Pause:
    """The clock stands from `start` until `end`; without an end it stands still."""

    start: datetime
    end: datetime | None = None

    def __post_init__(self) -> None:
        start = _utc(self.start)
        if self.end is not None and _utc(self.end) < start:
            raise Invalid(f"A pause ends at {self.end} before it starts at {self.start}.")


def due(start: datetime, span: Span, calendar: BusinessCalendar, pauses: Sequence[Pause] = ()) -> datetime:
    """Say when a span that starts here is over, in UTC.

    Elapsed spans count every second. Business hours and minutes count inside opening hours only. A business
    day is over at the same place in the next business day's opening; begun before or at the opening, at that
    day's close. Pauses push the end by the time of the same clock that they took; an open one is not counted:
    give it an end (`now`) first.
    """
    begin = _utc(start)
    end = _over(begin, span, calendar)
    for gap_start, gap_end in _merged(pauses):
        if gap_start >= end:
            break
        end = _forward(end, _between(max(gap_start, begin), gap_end, span, calendar), span, calendar)
    return end


def worked(start: datetime, end: datetime, calendar: BusinessCalendar) -> timedelta:
    """Count business time between two instants; nothing when the end is not after the start."""
    begin, stop, total = _utc(start), _utc(end), timedelta(0)
    if stop <= begin:
        return total
    for window in calendar.windows(begin):
        if window.opens >= stop:
            return total
        total += min(window.closes, stop) - max(window.opens, begin)
    return total


def age(start: datetime, now: datetime, calendar: BusinessCalendar | None = None) -> timedelta:
    """How long ago `start` was: elapsed, or business time with a calendar. Never negative."""
    if calendar is not None:
        return worked(start, now, calendar)
    return max(_utc(now) - _utc(start), timedelta(0))


class ClockState(StrEnum):
    """What a service level's clock says."""

    RUNNING = "running"
    WARNED = "warned"
    BREACHED = "breached"
    MET = "met"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """One service level of one handoff: when it started, how long it may take, and when it was met."""

    start: datetime
    within: Span
    calendar: BusinessCalendar
    warn_at: Span | None = None
    """Time after the start at which people are warned."""
    pauses: tuple[Pause, ...] = ()
    met_at: datetime | None = None

    def due_at(self, now: datetime) -> datetime:
        """When it must be met, as far as is known now; an open pause pushes it with every second."""
        return due(self.start, self.within, self.calendar, self._closed(now))

    def warns_at(self, now: datetime) -> datetime | None:
        """When people are warned, as far as is known now."""
        if self.warn_at is None:
            return None
        return due(self.start, self.warn_at, self.calendar, self._closed(now))

    def _closed(self, now: datetime) -> tuple[Pause, ...]:
        moment = _utc(now)
        return tuple(
            Pause(pause.start, moment) if pause.end is None else pause
            for pause in self.pauses
            if pause.end is not None or _utc(pause.start) <= moment
        )


def state(clock: Clock, now: datetime) -> ClockState:
    """Read a clock. Met at the due time is in time; met later stays breached."""
    end = clock.due_at(now)
    if clock.met_at is not None:
        return ClockState.MET if _utc(clock.met_at) <= end else ClockState.BREACHED
    moment = _utc(now)
    if moment > end:
        return ClockState.BREACHED
    warns = clock.warns_at(now)
    return ClockState.WARNED if warns is not None and moment >= warns else ClockState.RUNNING


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise Invalid(f"{moment} has no zone.", remedy="Clocks take aware instants only.")
    return moment.astimezone(UTC)


def _over(begin: datetime, span: Span, calendar: BusinessCalendar) -> datetime:
    if span.business and span.unit is Unit.DAY:
        return _days_on(begin, span.count, calendar)
    return _forward(begin, span.length, span, calendar)


def _days_on(begin: datetime, days: int, calendar: BusinessCalendar) -> datetime:
    """Stay at the same place of the opening, `days` openings on."""
    openings = calendar.windows(begin)
    window = next(openings)
    into = begin - window.opens
    if into <= timedelta(0):
        return next(islice(openings, days - 2, None)).closes if days > 1 else window.closes
    window = next(islice(openings, days - 1, None))
    return min(window.opens + into, window.closes)


def _forward(begin: datetime, length: timedelta, span: Span, calendar: BusinessCalendar) -> datetime:
    """Go on by `length` of the span's clock."""
    if not span.business:
        return begin + length
    left = length
    for window in calendar.windows(begin):
        at = max(begin, window.opens)
        if left <= window.closes - at:
            return at + left if left else begin
        left -= window.closes - at
    return begin


def _between(start: datetime, end: datetime, span: Span, calendar: BusinessCalendar) -> timedelta:
    return worked(start, end, calendar) if span.business else max(end - start, timedelta(0))


def _merged(pauses: Sequence[Pause]) -> list[tuple[datetime, datetime]]:
    """Put closed pauses in order, and make those that touch one."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted((_utc(p.start), _utc(p.end)) for p in pauses if p.end is not None):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
