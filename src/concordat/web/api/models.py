"""What the API answers, as types; money, instants and ids as `docs/reference/interfaces.md` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Alert",
    "AlertPage",
    "Attempt",
    "Case",
    "CasePage",
    "Clock",
    "Connection",
    "Contract",
    "ContractText",
    "Delivery",
    "DeliveryPage",
    "Effect",
    "Event",
    "Handoff",
    "HandoffPage",
    "HandoffWhole",
    "Missing",
    "Money",
    "Replay",
    "Replayed",
    "Source",
    "Subject",
    "money",
]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Money(_Value):
    """An amount with its currency; never a number."""

    amount: str = Field(examples=["1250.00"])
    currency: str = Field(examples=["EUR"])


def money(amount: Decimal | None, currency: str | None) -> Money | None:
    """Write an amount as text, in full."""
    return None if amount is None or currency is None else Money(amount=f"{amount:f}", currency=currency)


class Subject(_Value):
    """The source record that a handoff is about."""

    connection: str
    object: str
    ref: str
    number: str = Field(description="The number people know it by; empty if it has none.")
    url: str
    client: str = Field(description="The client's name, where it is known.")


class Handoff(_Value):
    """One subject under one contract."""

    id: int
    unit: str
    contract: str
    version: int
    state: str
    title: str
    waits_for: str
    subject: Subject
    value: Money | None
    effects: int = Field(description="How many effects it has.")
    done: int = Field(description="How many of them are at rest.")
    next_try_at: datetime | None = Field(description="When something of it is tried next.")
    due_at: datetime | None = Field(description="When its nearest service level is due.")
    breached: bool = Field(description="Whether that one passed its due time.")
    correlation_id: str
    opened_at: datetime
    changed_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Handoff:
        """From a row of the list."""
        return cls(**_handoff(row))


def _handoff(row: Mapping[str, Any]) -> dict[str, Any]:
    named = ("id", "unit", "contract", "version", "state", "title", "waits_for", "correlation_id")
    dated = ("opened_at", "changed_at", "settled_at")
    subject = {k: row[k] for k in ("connection", "object", "ref", "number", "url", "client")}
    return {
        **{k: row[k] for k in (*named, *dated)},
        "subject": Subject(**subject),
        "value": money(row["value_amount"], row["value_currency"]),
        "effects": row.get("effect_count", row["effects"]),
        "done": row["done"],
        "next_try_at": row["next_try"],
        "due_at": row["clock_due_at"] if row["clock_met_at"] is None else None,
        "breached": row["clock_breached_at"] is not None,
    }


class _Page(_Value):
    next: str = Field(default="", description="Cursor of the next page; empty at the end.")


class HandoffPage(_Page):
    """One page of handoffs."""

    items: Sequence[Handoff]
    looked_back: bool = Field(
        default=False, description="The page is short because one stretch was looked through; go on with `next`."
    )


class Attempt(_Value):
    """One call that was made."""

    act: str = Field(description="`write`, `resolve`, `verify`, `ask`, `adopt` or `unchanged`.")
    outcome: str
    error_class: str
    error: str
    ref: str | None
    items: int = Field(description="How many records went in the same call.")
    ms: int = Field(description="How long it took, in milliseconds.")
    at: datetime


class Effect(_Value):
    """One desired write, question or event, and what became of it."""

    id: int
    step: str
    item: str
    kind: str
    connection: str
    object: str
    state: str
    optional: bool
    after: Sequence[str]
    generation: int = Field(description="Rises with every desired change.")
    tries: int
    waits_for: str
    owner: str
    error: str
    error_class: str
    record_key: str | None = Field(description="The name of the target object for ever.")
    ref: str | None = Field(description="What the target calls it.")
    url: str | None = Field(description="Where a person sees it at the target.")
    ready_at: datetime | None
    sent_at: datetime | None
    applied_at: datetime | None
    verified_at: datetime | None
    due_at: datetime | None
    next_at: datetime | None = Field(description="When it is looked at next.")
    attempts: Sequence[Attempt]


class Clock(_Value):
    """One running or finished service level."""

    name: str
    until: str
    owner: str
    started_at: datetime
    warn_at: datetime | None
    due_at: datetime
    met_at: datetime | None
    breached_at: datetime | None


class Event(_Value):
    """Something that was published."""

    id: str
    type: str
    source: str
    at: datetime


class Missing(_Value):
    """A fact that is missing, and who can mend it."""

    field: str
    owner: str
    says: str


class Case(_Value):
    """What only a person can decide."""

    id: int
    unit: str
    kind: str
    contract: str
    handoff_id: int | None
    title: str
    owner: str
    state: str
    value: Money | None
    opened_at: datetime
    due_at: datetime | None
    resolved_at: datetime | None
    resolution: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Case:
        """From a row."""
        names = set(cls.model_fields) - {"value"}
        return cls(**{k: row[k] for k in names}, value=money(row["amount"], row["currency"]))


class CasePage(_Page):
    """One page of open cases."""

    items: Sequence[Case]


class HandoffWhole(Handoff):
    """Everything about one handoff."""

    says: str = Field(description="Where it stands, in one sentence.")
    next_action: str = Field(description="What happens next, or who must do what.")
    steps: Sequence[Effect]
    missing: Sequence[Missing]
    cases: Sequence[Case]
    service_levels: Sequence[Clock]
    events: Sequence[Event]
    numbers: Sequence[str] = Field(description="Every number the subject is known by.")

    @classmethod
    def whole(cls, row: Mapping[str, Any], *, says: str, next_action: str) -> HandoffWhole:
        """From everything that was read about it."""
        return cls(
            **_handoff(row),
            says=says,
            next_action=next_action,
            steps=[Effect.model_validate(effect) for effect in row["effects"]],
            missing=[Missing.model_validate(missing) for missing in row["missing"]],
            cases=[Case.of(case) for case in row["cases"]],
            service_levels=[Clock.model_validate(clock) for clock in row["clocks"]],
            events=[Event.model_validate(event) for event in row["events"]],
            numbers=row["numbers"],
        )


class Replay(_Value):
    """What to replay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str = Field(default="", max_length=60, description="From this step on; empty: all of it.")


class Left(_Value):
    """A step that a replay left alone."""

    step: str
    why: str


class Replayed(_Value):
    """What a replay set going. What was verified is never done again."""

    handoff: int
    released: Sequence[str] = Field(description="Steps that were held or waiting and are ready now.")
    left: Sequence[Left] = Field(description="Steps that stay as they are, and why.")


class Contract(_Value):
    """One version of a contract."""

    name: str
    version: int
    title: str
    owner: str
    state: str
    activated_at: datetime


class ContractText(Contract):
    """One version with its text."""

    digest: str
    text: str


class Alert(_Value):
    """One cause for one owner, however many items it has."""

    id: int
    unit: str
    kind: str
    owner: str
    cause: str
    items: int
    money: Mapping[str, str] = Field(description="Amount by currency, never summed across.")
    raised_at: datetime


class AlertPage(_Page):
    """One page of alerts."""

    items: Sequence[Alert]


class Delivery(_Value):
    """Something that came in; its body stays inside."""

    id: int
    unit: str
    connection: str
    kind: str
    state: str
    bytes: int
    note: str
    correlation_id: str
    received_at: datetime


class DeliveryPage(_Page):
    """One page of deliveries."""

    items: Sequence[Delivery]


class Source(_Value):
    """How far one source has been read."""

    object: str
    read_at: datetime | None
    next_at: datetime
    error: str


class Budget(_Value):
    """How much a system was called in its present period, and when that is used up."""

    quota: int | None = Field(description="Calls of one period; null: none is known.")
    used: int = Field(description="Used or leased.")
    resets_at: datetime
    pace: float = Field(description="Calls a second, at present.")
    runs_out_at: datetime | None = Field(description="At the present pace; null when it lasts until it resets.")
    rate: float | None = Field(description="Calls a second that are allowed.")
    parallel: int | None = Field(description="Calls side by side that are allowed.")
    blocked_for: float = Field(description="Seconds until a system that asked for patience is called again.")


class Connection(_Value):
    """One system, by its progress."""

    name: str
    title: str
    state: str = Field(description="`up`, `failing`, `down` or `quiet` (never called).")
    reason: str = Field(description="What it said; empty for whoever does not see the firm's own unit.")
    ok_at: datetime | None = Field(description="When it last came back after failures.")
    probe_at: datetime | None = Field(description="When a connection that is down is tried next.")
    open_effects: int = Field(description="Counting ends at 250 a lane.")
    waiting_seconds: float = Field(description="Age of the oldest of the next open effects.")
    refusals: int = Field(description="Pushes that proved nothing; 0 for whoever does not see the firm's own unit.")
    budget: Budget | None = Field(description="Null before it was ever called.")
    sources: Sequence[Source]
