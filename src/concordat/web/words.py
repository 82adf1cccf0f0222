"""How values read on a page: money with its currency, times in the reader's zone, ages, capped counts, states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup, escape

__all__ = ["LOOKS", "Look", "count", "lasting", "money", "slug", "stamp", "zone_of"]

CAP = 10_000
THIN = "\u202f"
LASTING = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How a state is shown: a word, a colour's role, and a shape that says it without colour."""

    word: str
    tone: str
    shape: str


def _look(word: str, tone: str, shape: str) -> Look:
    return Look(word=word, tone=tone, shape=shape)


LOOKS: Mapping[str, Look] = {
    # handoffs
    "planned": _look("Planned", "moving", "ring"),
    "converging": _look("On its way", "moving", "half"),
    "waiting": _look("Waiting", "waiting", "clock"),
    "partial": _look("Broken", "broken", "cross"),
    "in_step": _look("In step", "good", "check"),
    "adopted": _look("Adopted", "quiet", "check"),
    "withdrawing": _look("Withdrawing", "waiting", "back"),
    "withdrawn": _look("Withdrawn", "quiet", "back"),
    "cancelled": _look("Cancelled", "quiet", "dash"),
    # effects
    "blocked": _look("Not yet", "quiet", "ring"),
    "ready": _look("Ready", "moving", "half"),
    "sending": _look("Sending", "moving", "half"),
    "in_doubt": _look("In doubt", "doubt", "question"),
    "pending": _look("Waiting", "waiting", "clock"),
    "applied": _look("Applied", "good", "half"),
    "verified": _look("Verified", "good", "check"),
    "held": _look("Held", "broken", "cross"),
    "skipped": _look("Skipped", "quiet", "dash"),
    "superseded": _look("Superseded", "quiet", "dash"),
    "undoing": _look("Undoing", "waiting", "back"),
    "undone": _look("Undone", "quiet", "back"),
    # systems
    "up": _look("Up", "good", "check"),
    "failing": _look("Failing", "waiting", "clock"),
    "down": _look("Down", "broken", "cross"),
    "quiet": _look("Not called yet", "quiet", "ring"),
    # cases and contracts
    "open": _look("Open", "broken", "ring"),
    "assigned": _look("Assigned", "moving", "half"),
    "resolved": _look("Resolved", "good", "check"),
    "active": _look("Active", "good", "check"),
    "retired": _look("Retired", "quiet", "dash"),
    # groups
    "moving": _look("On its way", "moving", "half"),
    "broken": _look("Broken", "broken", "cross"),
}


def count(many: int) -> str:
    """A number for people; counting ends at ten thousand."""
    return "10,000+" if many > CAP else f"{many:,}"


def money(amount: Decimal | None, currency: str | None) -> str:
    """An amount with its currency; cents unless it has finer digits."""
    if amount is None or currency is None:
        return ""
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents if cents == amount else amount:,f}\u00a0{currency}"


def zone_of(name: str) -> ZoneInfo:
    """The reader's zone, UTC when it is unknown."""
    try:
        return ZoneInfo(name) if name else ZoneInfo("UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def stamp(instant: datetime | None, zone: ZoneInfo, now: datetime, *, seconds: bool = False) -> Markup:
    """An instant in the reader's zone; ISO in UTC on hover."""
    if instant is None:
        return Markup("\u2013")
    iso = instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    local, today = instant.astimezone(zone), now.astimezone(zone)
    time = local.strftime("%H:%M:%S" if seconds else "%H:%M")
    year = "" if local.year == today.year else f" {local.year}"
    said = time if local.date() == today.date() else f"{local.day} {local:%b}{year}, {time}"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(iso, said)


def lasting(span: timedelta | float) -> str:
    """A length of time in its one or two largest units: `4 d`, `2 h 5 min`, `3 s`."""
    left = abs(span.total_seconds() if isinstance(span, timedelta) else span)
    if left < 1:
        return "under 1 s"
    parts: list[str] = []
    for seconds, unit in LASTING:
        many, left = divmod(left, seconds)
        if many and len(parts) < 2:
            parts.append(f"{int(many)}\u00a0{unit}")
        elif parts:
            break
    keep = parts if parts[0].endswith(("\u00a0h", "\u00a0min")) and int(parts[0].split("\u00a0")[0]) < 10 else parts[:1]
    return " ".join(keep)


def slug(text: str) -> str:
    """Text that is safe inside an `id`."""
    return str(escape("".join(c if c.isalnum() else "-" for c in text)))
