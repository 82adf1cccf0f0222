"""Money, hours, days and statuses between canonical values and Kantata's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from concordat.core.money import BadMoney, Money
from concordat.errors import Rejected

__all__ = [
    "exact_price",
    "hours",
    "instant",
    "instant_text",
    "minutes",
    "money",
    "price",
    "reference",
    "shown",
    "status_of",
    "status_write",
]


def money(value: Any, field: str) -> Money:
    """Read canonical money. Raises `Rejected`."""
    try:
        return Money.of_json(value)
    except BadMoney as error:
        raise Rejected(f"Kantata: {field}: {error.message}", field=field) from error


def price(value: Money) -> int:
    """Give the price as Kantata takes it: whole base units of the currency, dollars and not cents.

    Source: OpenAPI, PUT /workspaces/{id}: "in base units of the currency (e.g. dollars for USD)", an integer.
    """
    return int(value.amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def exact_price(row: Mapping[str, Any], kept: str | None) -> dict[str, str] | None:
    """Give the price as Kantata shows it, with the decimals that the custom field kept for it.

    `price_in_cents` counts minor units, `currency_base_unit` of them to the unit. The kept amount is believed
    only while it rounds to the price: a price that somebody changed wins. A price of nothing without a kept amount is
    no value: Kantata makes no budgeted project without a price (OpenAPI, POST /workspaces).
    """
    cents, currency = row.get("price_in_cents"), row.get("currency")
    if cents is None or not currency or (int(cents) == 0 and not kept):
        return None
    amount = Decimal(int(cents)) / int(row.get("currency_base_unit") or 100)
    try:
        exact = Money.parse(kept or "")
    except BadMoney:
        return shown(amount, str(currency))
    believed = exact.currency == currency and amount == price(exact)
    return exact.to_json() if believed else shown(amount, str(currency))


def shown(amount: Decimal, currency: str) -> dict[str, str]:
    """Write an amount that Kantata shows; one that is no money of ours stays as it is, for a person to see."""
    try:
        return Money(amount, currency).to_json()
    except BadMoney:
        return {"amount": format(amount, "f"), "currency": currency}


def minutes(value: Any) -> int | None:
    """Hours as decimal text to whole minutes. Raises `Rejected` for a part of a minute."""
    if value is None:
        return None
    try:
        made = Decimal(str(value)) * 60
    except InvalidOperation as error:
        raise Rejected(f"{value!r} is no number of hours.", field="budget_hours") from error
    if not made.is_finite() or made != made.to_integral_value():
        raise Rejected(f"Kantata counts whole minutes; {value} hours are not.", field="budget_hours")
    return int(made)


def hours(value: Any) -> str | None:
    """Whole minutes to hours as decimal text."""
    if value is None:
        return None
    made = (Decimal(int(value)) / 60).quantize(Decimal("0.0001")).normalize()
    return format(made, "f")


def reference(value: Any, field: str) -> str:
    """Give the id in a target reference, or an empty text. Raises `Rejected` for what is no id."""
    ref = value.get("ref") if isinstance(value, Mapping) else value
    if ref is None or ref == "":
        return ""
    found = ref.rpartition(":")[2] if isinstance(ref, str) else ""
    if not (found.isascii() and found.isdigit()):
        raise Rejected(f"{str(ref)[:80]!r} is no id in Kantata.", field=field)
    return found


def instant(text: str) -> datetime:
    """Read an instant with an offset; without one it is UTC. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def instant_text(at: datetime) -> str:
    """Write whole seconds of UTC: texts in the order of time, whatever offset Kantata shows."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def status_write(status: Any, keys: Mapping[str, int]) -> dict[str, Any]:
    """Give the attributes that a canonical status sets; `archived` is a flag of its own."""
    if status == "archived":
        return {"archived": True}
    if status not in keys:
        says = f"Kantata has no status for {status!r}; the connection's `statuses` name: {', '.join(keys)}."
        raise Rejected(says, field="status")
    return {"status_key": keys[status]}


def status_of(row: Mapping[str, Any], keys: Mapping[str, int]) -> str | None:
    """Give the canonical status, or Kantata's own word where no setting knows its key."""
    if row.get("archived"):
        return "archived"
    status = row.get("status") or {}
    known = next((name for name, key in keys.items() if key == status.get("key")), None)
    return known or status.get("message")
