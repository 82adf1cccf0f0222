"""How canonical fields sit on Salesforce's objects, both ways.

Standard fields keep their API names; those that end in `__c` are custom and may be renamed in the
connection's `fields`. An empty name there says that the org has no such field. The roles of a deal are a
JSON list in one long text field (`Roles__c`), as Salesforce has no standard object for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from concordat.connectors.salesforce.facts import SalesforceSettings
from concordat.core.money import exponent_of
from concordat.errors import Invalid, Rejected
from concordat.sdk.spec import JsonObject

__all__ = ["OBJECTS", "PREFIXES", "Mapped", "Mapper"]

Kind = Literal["text", "date", "moment", "money", "number", "percent", "present", "ref", "stage", "kind", "json"]


@dataclass(frozen=True, slots=True)
class Mapped:
    """One canonical field and where it sits."""

    name: str
    api: str
    kind: Kind = "text"


OBJECTS: Mapping[str, str] = {"client": "Account", "contract": "Contract", "opportunity": "Opportunity"}
PREFIXES: Mapping[str, str] = {"Account": "client", "Contract": "contract", "Opportunity": "opportunity"}
"""Vendor object to canonical one."""

FIELDS: Mapping[str, Sequence[Mapped]] = {
    "client": (
        Mapped("name", "Name"),
        Mapped("number", "AccountNumber"),
        Mapped("country", "BillingCountryCode"),
        Mapped("currency", "CurrencyIsoCode"),
        Mapped("tax_id", "Tax_Id__c"),
        Mapped("tax_status", "Tax_Status__c"),
        Mapped("payment_terms", "Payment_Terms__c"),
        Mapped("phone", "Phone"),
        Mapped("billing_email", "Billing_Email__c"),
        Mapped("parent", "ParentId", "ref"),
    ),
    "contract": (
        Mapped("number", "ContractNumber"),
        Mapped("name", "Name"),
        Mapped("client", "AccountId", "ref"),
        Mapped("start_date", "StartDate", "date"),
        Mapped("end_date", "EndDate", "date"),
        Mapped("currency", "CurrencyIsoCode"),
        Mapped("value", "Value__c", "money"),
        Mapped("billing_model", "Billing_Model__c"),
        Mapped("billing_terms", "Billing_Terms__c"),
        Mapped("budget_hours", "Budget_Hours__c", "number"),
        Mapped("budget_cost", "Budget_Cost__c", "money"),
        Mapped("entity", "Legal_Entity__c"),
        Mapped("signed", "CustomerSignedDate", "present"),
    ),
    "opportunity": (
        Mapped("name", "Name"),
        Mapped("number", "Deal_Number__c"),
        Mapped("stage", "StageName", "stage"),
        Mapped("kind", "Type", "kind"),
        Mapped("amount", "Amount", "money"),
        Mapped("probability", "Probability", "percent"),
        Mapped("close_date", "CloseDate", "date"),
        Mapped("won_at", "LastStageChangeDate", "moment"),
        Mapped("client", "AccountId", "ref"),
        Mapped("contract", "ContractId", "ref"),
        Mapped("extends", "Extends__c", "ref"),
        Mapped("entity", "Legal_Entity__c"),
        Mapped("owner_name", "Owner.Name"),
        Mapped("roles", "Roles__c", "json"),
    ),
}


class Mapper:
    """The mapping of one connection, with its renamed fields."""

    def __init__(self, settings: SalesforceSettings, connection: str) -> None:
        self._settings = settings
        self._connection = connection
        self._fields = {object_: tuple(self._named(object_)) for object_ in FIELDS}
        self._stage_words = _reverse(settings.stages)
        self._kind_words = _reverse(settings.kinds)

    def columns(self, object_: str) -> list[str]:
        """Give the API names to read, without repeats."""
        system = ["Id", "SystemModstamp", "IsDeleted"]
        key = [] if object_ == "contract" else [self._settings.key_field]
        money = ["CurrencyIsoCode"] if self._settings.multi_currency else []
        return list(dict.fromkeys([*system, *key, *money, *(field.api for field in self._fields[object_])]))

    def canonical(self, object_: str, api: str) -> str:
        """Give our name of a vendor's field, or the vendor's when we have none."""
        return next((field.name for field in self._fields[object_] if field.api == api), api)

    def read(self, object_: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Translate a record into canonical fields; what is empty there is None."""
        fields = {field.name: self._read(field, row) for field in self._fields[object_]}
        if object_ == "opportunity" and fields.get("stage") != "closed_won":
            fields["won_at"] = None
        if object_ != "opportunity" and not fields.get("currency"):
            fields["currency"] = self._currency(row)
        return fields

    def write(self, object_: str, fields: JsonObject) -> dict[str, Any]:
        """Translate canonical fields into a record body. Raises `Rejected` naming the first field that cannot be."""
        known = {field.name: field for field in self._fields[object_]}
        body: dict[str, Any] = {}
        for name, value in fields.items():
            if name not in known:
                raise Rejected(f"Salesforce has no place for {object_}.{name}.", code="UNMAPPED", field=name)
            body.update(self._written(known[name], value))
        return body

    def _named(self, object_: str) -> Iterator[Mapped]:
        renamed = self._settings.fields.get(object_, {})
        for field in FIELDS[object_]:
            api = renamed.get(field.name, field.api)
            single = api == "CurrencyIsoCode" and not self._settings.multi_currency
            if api and not single:
                yield Mapped(field.name, api, field.kind)

    def _currency(self, row: Mapping[str, Any]) -> str:
        return str(row.get("CurrencyIsoCode") or self._settings.currency)

    def _read(self, field: Mapped, row: Mapping[str, Any]) -> Any:
        value = _at(row, field.api)
        if field.kind == "present":
            return bool(value)
        if value is None:
            return [] if field.kind == "json" else None
        if field.kind == "money":
            return {"amount": _amount(value, self._currency(row)), "currency": self._currency(row)}
        return self._plain(field, value)

    def _plain(self, field: Mapped, value: Any) -> Any:
        match field.kind:
            case "ref":
                return f"{self._connection}:{value}"
            case "stage" | "kind":
                words = self._settings.stages if field.kind == "stage" else self._settings.kinds
                return words.get(value, value)
            case _:
                return READ.get(field.kind, str)(value)

    def _written(self, field: Mapped, value: Any) -> dict[str, Any]:
        if field.kind in {"moment", "present"} or "." in field.api:
            raise Rejected(f"Salesforce sets {field.name} itself.", code="READ_ONLY", field=field.name)
        if value is None:
            return {field.api: None}
        if field.kind == "money":
            return self._money(field, value)
        if field.kind in {"stage", "kind"}:
            words = self._stage_words if field.kind == "stage" else self._kind_words
            return {field.api: self._word(words, field, value)}
        return {field.api: WRITE[field.kind](field, value) if field.kind in WRITE else value}

    def _money(self, field: Mapped, value: Any) -> dict[str, Any]:
        amount = _decimal(field, value.get("amount"))
        if self._settings.multi_currency:
            return {field.api: amount, "CurrencyIsoCode": value["currency"]}
        if value["currency"] != self._settings.currency:
            message = f"The org keeps {self._settings.currency} only, not {value['currency']}."
            raise Rejected(message, code="CURRENCY", field=field.name)
        return {field.api: amount}

    @staticmethod
    def _word(words: Mapping[str, str], field: Mapped, value: Any) -> str:
        if value not in words:
            message = f"No {field.api} stands for {field.name} {value!r}; add it to the connection's settings."
            raise Rejected(message, code="UNMAPPED", field=field.name)
        return words[value]


def instant(value: str) -> str:
    """Turn Salesforce's `2026-11-22T10:00:00.000+0000` into `2026-11-22T10:00:00Z`."""
    at = datetime.fromisoformat(value).astimezone(UTC)
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")


def _at(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _amount(value: Any, currency: str) -> str:
    amount = Decimal(value)
    try:
        exact = amount.quantize(Decimal(1).scaleb(-exponent_of(currency)))
    except (Invalid, InvalidOperation):
        return format(amount, "f")
    return format(exact if exact == amount else amount, "f")


def _decimal(field: Mapped, value: Any) -> Decimal:
    try:
        return Decimal(value if isinstance(value, str | int) else "")
    except InvalidOperation as error:
        raise Rejected(f"{field.name} is no number: {value!r}", code="NUMBER", field=field.name) from error


def _ref(value: Any) -> str | None:
    ref = value.get("ref") if isinstance(value, Mapping) else value
    return str(ref).rpartition(":")[2] if ref else None


def _json(value: str) -> Any:
    try:
        found = json.loads(value, parse_float=str)
    except ValueError:
        return []
    return found if isinstance(found, list) else []


READ: Mapping[str, Callable[[Any], Any]] = {
    "number": lambda value: format(Decimal(value), "f"),
    "percent": lambda value: int(Decimal(value)),
    "moment": instant,
    "json": _json,
}
WRITE: Mapping[str, Callable[[Mapped, Any], Any]] = {
    "ref": lambda _field, value: _ref(value),
    "number": _decimal,
    "percent": _decimal,
    "json": lambda _field, value: json.dumps(value, ensure_ascii=False, sort_keys=True),
}


def _reverse(words: Mapping[str, str]) -> dict[str, str]:
    """Canonical word to the vendor's; of several, the last listed is written."""
    return {ours: theirs for theirs, ours in words.items()}
