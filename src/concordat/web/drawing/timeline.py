"""A handoff's timeline: one bar a step, the service levels, and *now*; widths in per cent, so it fits any screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

__all__ = ["Bar", "Mark", "Timeline", "axis", "draw", "lines", "timeline"]

TALL = 30
APART = 36.0
"""Per cent between two words on one line, with room for long ones on a phone."""
TICKS = 5
STEPS = tuple(
    timedelta(seconds=s)
    for s in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800, 2592000)
)  # fmt: skip
AT_REST = frozenset({"applied", "verified", "skipped", "superseded", "undone"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One step's stretch of time, in per cent of the picture."""

    at: float
    wide: float
    tone: str
    open: bool = False
    """It has no end yet: it runs up to now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A vertical line with a word."""

    at: float
    word: str
    kind: str
    """`now`, `due` or `late`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """Where everything lies."""

    bars: Mapping[int, Bar | None]
    """By effect; None before its turn."""
    marks: Sequence[Mark]
    ticks: Sequence[tuple[float, str]]


def timeline(row: Mapping[str, Any], now: datetime) -> Timeline:
    """Lay out a handoff. It ends a little after what happened last; a due time far beyond is not drawn."""
    start: datetime = row["opened_at"]
    effects = row["effects"]
    over = row["state"] in ("in_step", "adopted", "withdrawn", "cancelled")
    ends = [e[k] for e in effects for k in ("verified_at", "applied_at", "ready_at", "sent_at") if e[k]]
    last = max([start, *ends]) if over else max([start, now, *ends])
    span = max(last - start, timedelta(seconds=1))
    dues = [clock for clock in row["clocks"] if clock["due_at"] - start <= span * 3 or not over]
    for clock in dues:
        span = max(span, min(clock["due_at"] - start, span * 3))
    span *= 1.06
    place = _Scale(start=start, span=span)
    marks = [_due(place, clock) for clock in dues if clock["due_at"] - start <= span]
    if not over:
        marks.append(Mark(at=place(now), word="now", kind="now"))
    bars = {e["id"]: _bar(place, e, now) for e in effects}
    return Timeline(bars=bars, marks=marks, ticks=_ticks(span))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    start: datetime
    span: timedelta

    def __call__(self, instant: datetime) -> float:
        return round(max(0.0, min(100.0, (instant - self.start) / self.span * 100)), 2)


def _due(place: _Scale, clock: Mapping[str, Any]) -> Mark:
    late = clock["breached_at"] is not None or (clock["met_at"] is not None and clock["met_at"] > clock["due_at"])
    return Mark(at=place(clock["due_at"]), word=f"{clock['name']} due", kind="late" if late else "due")


def _bar(place: _Scale, effect: Mapping[str, Any], now: datetime) -> Bar | None:
    state = effect["state"]
    begins = effect["ready_at"] or effect["sent_at"]
    if begins is None or state == "blocked":
        return None
    ended = effect["verified_at"] or effect["applied_at"] if state in AT_REST else None
    if state in AT_REST and ended is None:
        return None
    at, end = place(begins), place(max(ended or now, begins))
    tone = {
        "held": "broken",
        "pending": "waiting",
        "in_doubt": "doubt",
        "ready": "moving",
        "sending": "moving",
    }.get(state, "tried" if effect["tries"] > 1 else "good")
    return Bar(at=at, wide=max(end - at, 0.0), tone=tone, open=state not in AT_REST)


def _ticks(span: timedelta) -> list[tuple[float, str]]:
    step = next((s for s in STEPS if span / s <= TICKS), STEPS[-1])
    many = int(span / step)
    return [(round(n * step / span * 100, 2), f"+{_said(n * step)}") for n in range(many + 1)]


def _said(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


# ── markup ────────────────────────────────────────────────────────────────────────────────────────


def lines(found: Timeline) -> Markup:
    """The vertical lines behind a row."""
    ticks = Markup("").join(
        Markup('<line class="tick" x1="{0}%" x2="{0}%" y1="0" y2="100%"/>').format(at) for at, _ in found.ticks
    )
    marks = Markup("").join(
        Markup('<line class="mark-{1}" x1="{0}%" x2="{0}%" y1="0" y2="100%"/>').format(m.at, m.kind)
        for m in found.marks
    )
    return ticks + marks


def draw(found: Timeline, effect: int) -> Markup:
    """One row: the lines, and the step's bar."""
    bar = found.bars[effect]
    shape = Markup("")
    if bar is not None:
        # A short stretch still shows: the outline of the bar is three pixels wide at least.
        shape = Markup(
            '<svg x="{0}%" width="{1}%" height="100%" overflow="visible">'
            '<rect class="bar tone-{2}{3}" x="0" y="8" width="100%" height="14" rx="3"/>{4}</svg>'
        ).format(min(bar.at, 99.2), max(bar.wide, 0.8), bar.tone, " open" if bar.open else "", _hatching(bar))
    return Markup('<svg class="row-picture" width="100%" height="{0}" aria-hidden="true">{1}{2}</svg>').format(
        TALL, lines(found), shape
    )


def _hatching(bar: Bar) -> Markup:
    """A pattern besides the colour."""
    if bar.tone != "broken":
        return Markup("")
    return Markup('<rect fill="url(#pattern-broken)" x="0" y="8" width="100%" height="14" rx="3"/>')


def axis(found: Timeline) -> Markup:
    """The scale above the rows, and the words of the vertical lines on as many lines as they need."""
    said = [
        Markup('<text class="tick-word" x="{0}%" y="11" text-anchor="{1}">{2}</text>').format(at, _anchor(at), word)
        for at, word in found.ticks
    ]
    floors = _floors(found.marks)
    said += [
        Markup('<text class="word-{4}" x="{0}%" y="{3}" text-anchor="{1}">{2}</text>').format(
            mark.at, _anchor(mark.at), _short(mark.word), 27 + floor * 15, mark.kind
        )
        for mark, floor in floors
    ]
    tall = 34 + 15 * max((floor for _, floor in floors), default=-1)
    drawn = Markup("").join(said)
    return Markup('<svg class="axis" width="100%" height="{0}" aria-hidden="true">{1}</svg>').format(tall, drawn)


def _floors(marks: Sequence[Mark]) -> list[tuple[Mark, int]]:
    """Give each word the first line on which nothing is near it."""
    taken: list[list[float]] = []
    found = []
    for mark in sorted(marks, key=lambda m: m.at):
        floor = next((n for n, line in enumerate(taken) if all(abs(mark.at - at) > APART for at in line)), len(taken))
        if floor == len(taken):
            taken.append([])
        taken[floor].append(mark.at)
        found.append((mark, floor))
    return found


def _anchor(at: float) -> str:
    return "start" if at < 6 else "end" if at > 90 else "middle"


def _short(word: str) -> str:
    return word if len(word) <= 24 else word[:22] + "…"
