"""Client and party.party, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concordat.connectors.tryton.desk import Desk, Row
from concordat.connectors.tryton.directory import TERM_FIELDS, Directory, term_of
from concordat.connectors.tryton.taxes import shown, tax_identifier, type_of
from concordat.sdk.spec import JsonObject

__all__ = ["FIELDS", "client", "values"]

FIELDS = [
    "name", "code", "active", "_timestamp", "last_modified_at", "tax_identifier.id",
    *(f"identifiers.{field}" for field in ("active", "type", "code", "code_compact", "last_modified_at")),
    *(f"addresses.{field}" for field in ("active", "country.code", "last_modified_at")),
    *(f"contact_mechanisms.{field}" for field in ("active", "type", "value", "invoice", "last_modified_at")),
    *(f"customer_payment_term.{field}" for field in TERM_FIELDS),
]  # fmt: skip


def client(row: Row) -> JsonObject:
    """Read a party as a client."""
    identifier = tax_identifier(row)
    term = row["customer_payment_term."]
    address = _first(row["addresses."])
    return {
        "name": row["name"],
        "country": address["country."]["code"] if address and address["country."] else None,
        "tax_id": _tax_id(identifier),
        "payment_terms": term_of(term) if term else None,
        "phone": _value(_mechanism(row, "phone")),
        "billing_email": _value(_mechanism(row, "billing_email")),
    }


def values(desk: Desk, directory: Directory, fields: JsonObject, row: Row | None) -> dict[str, Any]:
    """Write these fields of a client as Tryton's values; `row` is the party as it is, or None for a new one.

    `Rejected` names the field that Tryton cannot hold.
    """
    made: dict[str, Any] = {}
    if "name" in fields:
        made["name"] = fields["name"]
    if "payment_terms" in fields:
        terms = fields["payment_terms"]
        made["customer_payment_term"] = directory.term(desk, terms) if terms else None
    if "country" in fields:
        made["addresses"] = _address(desk, directory, fields["country"], row)
    if "tax_id" in fields:
        made["identifiers"] = _identifier(fields, row)
    mechanisms = [
        command
        for name in ("phone", "billing_email")
        if name in fields
        for command in _contact(name, fields[name], row)
    ]
    return {**made, "contact_mechanisms": mechanisms} if mechanisms else made


def _address(desk: Desk, directory: Directory, country: str | None, row: Row | None) -> list[Any]:
    number = directory.country(desk, country) if country else None
    return _one(_first(row["addresses."]) if row else None, {"country": number})


def _identifier(fields: JsonObject, row: Row | None) -> list[Any]:
    present = tax_identifier(row) if row else None
    number = fields["tax_id"]
    if not number:
        return [["delete", [present["id"]]]] if present else []
    country = fields.get("country") or (client(row)["country"] if row else None)
    return _one(present, {"type": type_of(number, country), "code": number})


def _contact(name: str, value: str | None, row: Row | None) -> list[Any]:
    present = _mechanism(row, name) if row else None
    if not value:
        return [["delete", [present["id"]]]] if present else []
    kind: dict[str, Any] = {"type": "phone"} if name == "phone" else {"type": "email", "invoice": True}
    return _one(present, {**kind, "value": value})


def _one(present: Row | None, made: Mapping[str, Any]) -> list[Any]:
    """Give the command that changes the related record that is there, or makes one."""
    return [["write", [present["id"]], made]] if present else [["create", [made]]]


def _mechanism(row: Row, name: str) -> Row | None:
    """Find where a party is reached: the first phone, the first e-mail address meant for invoices."""
    wanted = {"phone": ("phone", False), "billing_email": ("email", True)}[name]
    return next(
        (
            each
            for each in row["contact_mechanisms."]
            if each["active"] and each["type"] == wanted[0] and (each["invoice"] or not wanted[1])
        ),
        None,
    )


def _tax_id(identifier: Row | None) -> str | None:
    if identifier is None:
        return None
    return shown(identifier["type"], identifier["code"], identifier["code_compact"])


def _value(mechanism: Row | None) -> str | None:
    return mechanism["value"] if mechanism else None


def _first(rows: list[Row]) -> Row | None:
    return next((row for row in rows if row["active"]), None)
