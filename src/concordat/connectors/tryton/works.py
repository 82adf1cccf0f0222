"""Project, contract line and project.work, both ways.

The list price of a work without a product is its price as a whole (project_revenue 8.0.0, `_get_revenue`), to
four decimals in the company's currency; the effort is a duration to the microsecond; first and last day are
those in which time may be booked on the work. All read back exactly. A planned cost has no field there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from concordat.connectors.tryton.desk import Desk, Row
from concordat.connectors.tryton.directory import Company, Directory
from concordat.core.money import Money
from concordat.errors import Invalid, Rejected
from concordat.sdk.spec import JsonObject

__all__ = ["FIELDS", "contract_line", "hours", "project", "target_id", "values"]

FIELDS = [
    "number", "name", "type", "_timestamp", "last_modified_at", "list_price", "effort_duration",
    "timesheet_available", "timesheet_start_date", "timesheet_end_date", "company", "status.name",
    "party.name", "party.code", "parent.name", "parent.number", "currency.code",
]  # fmt: skip

ALWAYS = frozenset({"name", "status", "entity", "currency"})
"""Required of a work, or told by its company."""
_HOUR = 3_600_000_000
"""Microseconds."""


def project(desk: Desk, directory: Directory, row: Row) -> JsonObject:
    """Read a work as a project."""
    return {
        "name": row["name"],
        "client": _reference(row["party."], "code"),
        "contract_value": _money(row),
        "currency": row["currency."]["code"],
        "status": _word(directory, row),
        "entity": directory.company_by_id(desk, row["company"]).entity,
        **_span(row),
    }


def contract_line(directory: Directory, row: Row) -> JsonObject:
    """Read a task as a contract line."""
    return {
        "name": row["name"],
        "project": _reference(row["parent."], "number"),
        "amount": _money(row),
        "status": _word(directory, row),
        **_span(row),
    }


def _word(directory: Directory, row: Row) -> str:
    status = str(row["status."]["name"])
    return directory.status_words.get(status, status)


def values(
    object_: str, fields: JsonObject, row: Row | None, company: Company, status: Callable[[str], int]
) -> dict[str, Any]:
    """Write these fields as Tryton's values; `row` is the work as it is, or None for a new one.

    `company` is where the work is booked; `status` finds a work status by its canonical word. `Rejected`
    names the field that Tryton cannot hold, or always has.
    """
    for name in sorted(ALWAYS & fields.keys()):
        if not fields[name]:
            raise Rejected(f"A {object_} in Tryton always has a {name}: it cannot be emptied.", field=name)
    made = {key: value for name in fields for key, value in _translate(name, fields[name], company).items()}
    if fields.get("status"):
        made |= _status(fields["status"], status)
    if row is None:
        made |= {"type": "project" if object_ == "project" else "task", "company": company.id}
    elif row["company"] != company.id:
        made["company"] = company.id
    if _dated(fields) and not (row and row["timesheet_available"]):
        made["timesheet_available"] = True
    return made


def hours(value: str | int, *, field: str) -> timedelta:
    """Read decimal hours exactly. `Rejected` when they are no number or finer than a microsecond."""
    try:
        microseconds = Decimal(value) * _HOUR
        if microseconds == int(microseconds):
            return timedelta(microseconds=int(microseconds))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise Rejected(f"{value!r} are no hours.", field=field) from error
    raise Rejected(f"{value!r} hours are finer than Tryton's microsecond.", field=field)


def _dated(fields: JsonObject) -> bool:
    return bool(fields.get("start_date") or fields.get("end_date"))


def target_id(reference: Mapping[str, Any] | None) -> int | None:
    """Read the id in Tryton out of a target reference; None when it is not known there."""
    ref = str((reference or {}).get("ref") or "")
    return int(ref) if ref.isdigit() else None


def _translate(name: str, value: Any, company: Company) -> dict[str, Any]:
    """Give one field in Tryton's words; what only checks gives none."""
    match name:
        case "name":
            made = {"name": value}
        case "client" | "project":
            made = {"party" if name == "client" else "parent": _related(value, name)}
        case "contract_value" | "amount":
            made = {"list_price": _price(value, name, company)}
        case "budget_hours":
            made = {"effort_duration": None if value is None else hours(value, field=name)}
        case "start_date" | "end_date":
            made = {f"timesheet_{name}": _day(value, name)}
        case "currency":
            _same_currency(value, name, company)
            made = {}
        case _:
            made = {}
    return made


def _status(word: str, status: Callable[[str], int]) -> dict[str, Any]:
    """Tryton lets a work be done only when its progress says so."""
    done = {"progress": 1} if word == "delivery_complete" else {}
    return {"status": status(word), **done}


def _related(reference: Mapping[str, Any] | None, field: str) -> int | None:
    number = target_id(reference)
    if reference is not None and number is None:
        raise Rejected(f"The {field} is not in Tryton: no id is known there.", field=field)
    return number


def _price(value: Any, field: str, company: Company) -> Decimal | None:
    if value is None:
        return None
    try:
        money = Money.of_json(value)
    except Invalid as error:
        raise Rejected(str(error), field=field) from error
    _same_currency(money.currency, field, company)
    return money.amount


def _same_currency(currency: str | None, field: str, company: Company) -> None:
    if currency is not None and currency != company.currency:
        raise Rejected(
            f"{company.entity} keeps its books in {company.currency}; no price there is in {currency}.",
            field=field,
        )


def _day(value: str | None, field: str) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError as error:
        raise Rejected(f"{value!r} is no civil date.", field=field) from error


def _reference(related: Row | None, number: str) -> JsonObject | None:
    if related is None:
        return None
    return {"ref": str(related["id"]), "name": related["name"], "number": related[number]}


def _money(row: Row) -> JsonObject | None:
    """Give the price; one with more decimals than its currency has is not ours and stays as it is."""
    amount, currency = row["list_price"], row["currency."]["code"]
    if amount is None:
        return None
    try:
        return Money(amount=amount, currency=currency).to_json()
    except Invalid:
        return {"amount": format(amount, "f"), "currency": currency}


def _span(row: Row) -> JsonObject:
    effort, start, end = row["effort_duration"], row["timesheet_start_date"], row["timesheet_end_date"]
    return {
        "budget_hours": None if effort is None else _hours_text(effort),
        "start_date": start.isoformat() if start else None,
        "end_date": end.isoformat() if end else None,
    }


def _hours_text(effort: timedelta) -> str:
    """Give hours as canonical decimal text: no exponent, no trailing zeros."""
    text = format(Decimal(effort // timedelta(microseconds=1)) / _HOUR, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
