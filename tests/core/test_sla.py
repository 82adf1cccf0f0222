"""Due times: inside opening hours, monotone, right on the days when the clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordat.core.sla import (
    BusinessCalendar,
    Clock,
    ClockState,
    Pause,
    Span,
    Unit,
    age,
    due,
    public_calendar,
    state,
    worked,
)
from concordat.errors import Invalid

pytestmark = pytest.mark.fast

BERLIN, NEW_YORK, LONDON = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Europe/London")
OFFICE = BusinessCalendar(zone=BERLIN)
ALWAYS = BusinessCalendar(zone=BERLIN, opens=time(0), closes=time(0), weekend=frozenset())


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def until(text: str, span: str, calendar: BusinessCalendar = OFFICE) -> datetime:
    return due(berlin(text), Span.parse(span), calendar).astimezone(BERLIN).replace(tzinfo=None)


calendars = st.sampled_from(
    [
        OFFICE,
        ALWAYS,
        BusinessCalendar(zone=NEW_YORK, opens=time(1, 30), closes=time(2, 45), weekend=frozenset()),
        BusinessCalendar(zone=LONDON, opens=time(1), closes=time(2), weekend=frozenset({0, 1, 2, 3, 4, 5})),
        BusinessCalendar(zone=ZoneInfo("Australia/Lord_Howe"), opens=time(1, 45), closes=time(9)),
        BusinessCalendar(zone=ZoneInfo("Pacific/Apia"), holidays=frozenset({date(2026, 12, 25)})),
        public_calendar("Europe/Berlin", "DE", range(2025, 2030), subdivision="BY"),
    ]
)
starts = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
spans = st.one_of(
    st.builds(Span, count=st.integers(1, 300), unit=st.sampled_from(Unit), business=st.just(False)),
    st.builds(
        Span,
        count=st.integers(1, 20),
        unit=st.sampled_from([Unit.MINUTE, Unit.HOUR, Unit.DAY]),
        business=st.just(True),
    ),
)
later = st.timedeltas(timedelta(0), timedelta(days=20))


@given(starts, later, spans, calendars)
def test_a_later_start_is_never_due_earlier(start: datetime, more: timedelta, span: Span, calendar: BusinessCalendar):
    assert due(start, span, calendar) <= due(start + more, span, calendar)


@given(starts, spans, st.integers(1, 10), calendars)
def test_a_longer_span_is_due_later(start: datetime, span: Span, more: int, calendar: BusinessCalendar):
    longer = Span(count=span.count + more, unit=span.unit, business=span.business)
    assert start < due(start, span, calendar) < due(start, longer, calendar)


@given(starts, spans.filter(lambda span: span.business), calendars)
def test_business_time_ends_inside_opening_hours(start: datetime, span: Span, calendar: BusinessCalendar):
    end = due(start, span, calendar)
    day = end.astimezone(calendar.zone).date()
    windows = [w for d in (day - timedelta(days=1), day) if (w := calendar.window(d))]
    assert any(w.opens < end <= w.closes for w in windows)


@given(starts, st.integers(1, 3000), calendars)
def test_due_and_worked_agree(start: datetime, minutes: int, calendar: BusinessCalendar):
    span = Span(count=minutes, unit=Unit.MINUTE, business=True)
    assert worked(start, due(start, span, calendar), calendar) == timedelta(minutes=minutes)


@given(starts, spans, calendars, later, later)
def test_a_pause_never_makes_it_earlier(
    start: datetime, span: Span, calendar: BusinessCalendar, wait: timedelta, stop: timedelta
):
    pause = Pause(start + wait, start + wait + stop)
    plain, paused = due(start, span, calendar), due(start, span, calendar, [pause])
    assert plain <= paused
    if not span.business:
        assert paused == (plain + stop if pause.start < plain else plain)
    assert due(start, span, calendar, [pause, pause]) == paused


@given(spans)
def test_a_span_reads_as_it_is_written(span: Span):
    if not (span.business and span.unit is Unit.SECOND):
        assert Span.parse(str(span)) == span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("15 minutes", Span(count=15, unit=Unit.MINUTE)),
        ("1 minute", Span(count=1, unit=Unit.MINUTE)),
        ("4 business hours", Span(count=4, unit=Unit.HOUR, business=True)),
        ("1 business day", Span(count=1, unit=Unit.DAY, business=True)),
        ("2 s", Span(count=2, unit=Unit.SECOND)),
        ("3 days", Span(count=3, unit=Unit.DAY)),
    ],
)
def test_spans_as_contracts_write_them(text: str, span: Span):
    assert Span.parse(text) == span


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a length"),
        ("soon", "not a length"),
        ("15", "not a length"),
        ("1.5 hours", "not a length"),
        ("-1 days", "not a length"),
        ("2 fortnights", "'fortnights'"),
        ("1 working day", "not a length"),
        ("0 s", "no time at all"),
        ("5 business s", "too fine"),
        (15, "not a length"),
    ],
)
def test_a_wrong_span_says_what_to_write(text: str, says: str):
    with pytest.raises(Invalid, match=says) as caught:
        Span.parse(text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("start", "span", "end"),
    [
        ("2026-11-30 10:00", "4 business hours", "2026-11-30 14:00"),  # a Monday
        ("2026-11-30 16:00", "4 business hours", "2026-12-01 12:00"),  # over a month's end
        ("2026-11-30 13:00", "4 business hours", "2026-11-30 17:00"),  # due at the close, not next morning
        ("2026-12-04 16:59", "2 business minutes", "2026-12-07 09:01"),  # Friday to Monday
        ("2026-12-05 12:00", "1 business hours", "2026-12-07 10:00"),  # begun on a Saturday
        ("2026-11-30 10:00", "1 business day", "2026-12-01 10:00"),
        ("2026-11-30 07:00", "1 business day", "2026-11-30 17:00"),
        ("2026-11-30 17:00", "1 business day", "2026-12-01 17:00"),
        ("2026-12-04 10:00", "2 business days", "2026-12-08 10:00"),
        ("2026-12-06 10:00", "2 business days", "2026-12-08 17:00"),
        ("2026-12-31 16:00", "3 days", "2027-01-03 16:00"),
    ],
)
def test_an_office_week(start: str, span: str, end: str):
    assert until(start, span) == datetime.fromisoformat(end)


def test_public_holidays_are_skipped():
    bavaria = public_calendar("Europe/Berlin", "DE", [2026], subdivision="BY")
    assert until("2026-01-05 16:00", "2 business hours", bavaria) == datetime.fromisoformat("2026-01-07 10:00")
    with pytest.raises(Invalid, match="DE-QQ"):
        public_calendar("Europe/Berlin", "DE", [2026], subdivision="QQ")


def test_an_hour_that_does_not_exist_is_not_worked():
    assert until("2026-03-29 01:30", "1 business hour", ALWAYS) == datetime.fromisoformat("2026-03-29 03:30")
    assert worked(berlin("2026-03-29 00:00"), berlin("2026-03-30 00:00"), ALWAYS) == timedelta(hours=23)
    gone = BusinessCalendar(zone=BERLIN, opens=time(2), closes=time(3), weekend=frozenset())
    assert gone.window(date(2026, 3, 29)) is None
    assert gone.window(date(2026, 3, 28)) is not None


def test_an_hour_that_comes_twice_is_worked_twice():
    assert worked(berlin("2026-10-25 00:00"), berlin("2026-10-26 00:00"), ALWAYS) == timedelta(hours=25)
    twice = BusinessCalendar(zone=BERLIN, opens=time(2), closes=time(3), weekend=frozenset())
    first = berlin("2026-10-25 02:30")
    assert due(first, Span.parse("1 business hour"), twice) == first.astimezone(UTC) + timedelta(hours=1)
    second = first.replace(fold=1)
    assert age(first, second) == timedelta(hours=1)


def test_elapsed_days_are_24_hours_on_every_clock():
    assert until("2026-03-28 12:00", "1 day") == datetime.fromisoformat("2026-03-29 13:00")
    assert age(berlin("2026-03-28 12:00"), berlin("2026-03-29 12:00")) == timedelta(hours=23)


def test_age_is_elapsed_or_business():
    friday, monday = berlin("2026-12-04 16:00"), berlin("2026-12-07 10:00")
    assert age(friday, monday) == timedelta(days=2, hours=18)
    assert age(friday, monday, OFFICE) == timedelta(hours=2)
    assert age(monday, friday) == age(monday, friday, OFFICE) == timedelta(0)


def test_a_pause_in_business_hours_counts_only_them():
    weekend = Pause(berlin("2026-12-04 16:00"), berlin("2026-12-07 11:00"))
    end = due(berlin("2026-12-04 15:00"), Span.parse("4 business hours"), OFFICE, [weekend])
    assert end == berlin("2026-12-07 14:00")


def clock(**told: object) -> Clock:
    plain = {"start": berlin("2026-11-30 10:00"), "within": Span.parse("15 minutes"), "calendar": OFFICE}
    return Clock(**{**plain, "warn_at": Span.parse("10 minutes"), **told})


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("2026-11-30 09:00", ClockState.RUNNING),
        ("2026-11-30 10:09", ClockState.RUNNING),
        ("2026-11-30 10:10", ClockState.WARNED),
        ("2026-11-30 10:15", ClockState.WARNED),
        ("2026-11-30 10:16", ClockState.BREACHED),
    ],
)
def test_a_clock_runs_warns_and_is_breached(now: str, said: ClockState):
    assert state(clock(), berlin(now)) is said


def test_a_clock_that_was_met_stays_met_and_a_late_one_breached():
    now = berlin("2026-12-24 10:00")
    assert state(clock(met_at=berlin("2026-11-30 10:15")), now) is ClockState.MET
    assert state(clock(met_at=berlin("2026-11-30 10:16")), now) is ClockState.BREACHED


def test_an_open_pause_stops_the_clock():
    waiting = clock(pauses=(Pause(berlin("2026-11-30 10:05")),))
    assert state(waiting, berlin("2026-12-24 10:00")) is ClockState.RUNNING
    assert waiting.due_at(berlin("2026-11-30 11:00")) == berlin("2026-11-30 11:10")
    assert state(clock(warn_at=None), berlin("2026-11-30 10:14")) is ClockState.RUNNING


def test_what_is_refused():
    naive = datetime.fromisoformat("2026-11-30 10:00")
    for act in (
        lambda: due(naive, Span.parse("2 s"), OFFICE),
        lambda: age(naive, naive),
        lambda: Pause(berlin("2026-11-30 10:00"), berlin("2026-11-30 09:00")),
        lambda: BusinessCalendar(zone=BERLIN, opens=time(17), closes=time(9)),
        lambda: BusinessCalendar(zone=BERLIN, weekend=frozenset(range(7))),
        lambda: BusinessCalendar(zone=BERLIN, opens=time(9, tzinfo=UTC)),
        lambda: Span.parse("1 business day").length,
    ):
        with pytest.raises(Invalid):
            act()
