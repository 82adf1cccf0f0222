"""How canonical fields sit on Salesforce's objects, both ways.

Standard fields keep their API names; those that end in `__c` are custom and may be renamed in the
connection's `fields`. An empty name there says that the org has no such field. The roles of a deal are a
JSON list in one long text field (`Roles__c`), as Salesforce has no standard object for them.
A value of the wrong shape is refused here: Salesforce's parser would refuse the whole call over it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from concordat.connectors.salesforce.facts import SalesforceSettings
from concordat.core.money import BadMoney, Money, exponent_of
from concordat.errors import Invalid, Rejected, Unavailable
from concordat.sdk.spec import JsonObject

__all__ = ["OBJECTS", "PREFIXES", "Mapped", "Mapper", "full_id", "instant"]

ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

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
OWN = frozenset({"MasterRecordId", "ContractNumber"})
"""Fields that Salesforce alone fills."""
STAMP = "LastStageChangeDate"

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
        Mapped("merged_into", "MasterRecordId", "ref"),
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
        born = ["CreatedDate"] if object_ == "opportunity" else []
        money = ["CurrencyIsoCode"] if self._settings.multi_currency else []
        own = (field.api for field in self._fields[object_])
        return list(dict.fromkeys([*system, *key, *born, *money, *own]))

    def canonical(self, object_: str, api: str) -> str:
        """Give our name of a vendor's field, or the vendor's when we have none."""
        return next((field.name for field in self._fields[object_] if field.api == api), api)

    def worded(self, object_: str) -> list[str]:
        """Give the API names of fields for which people choose among words."""
        return [field.api for field in self._fields[object_] if field.kind in {"stage", "kind"}]

    def several(self, object_: str, fields: JsonObject) -> bool:
        """Say whether one of these values has more than one word in the org."""
        said = ((self._words(field), fields.get(field.name)) for field in self._fields[object_])
        return any(list(words.values()).count(value) > 1 for words, value in said if value is not None)

    def meant(self, object_: str, fields: JsonObject, row: Mapping[str, Any]) -> list[str]:
        """Give the API names of words in a record that mean already what is wanted."""
        known = [field for field in self._fields[object_] if self._words(field) and field.name in fields]
        return [field.api for field in known if self._words(field).get(row.get(field.api, "")) == fields[field.name]]

    def _words(self, field: Mapped) -> Mapping[str, str]:
        return {"stage": self._settings.stages, "kind": self._settings.kinds}.get(field.kind, {})

    def named(self, object_: str, message: str) -> str:
        """Give our name of the field that a message of the vendor's speaks of, or an empty text."""
        words = set(re.findall(r"\w+", message))
        return next((field.name for field in self._fields[object_] if field.api in words), "")

    def read(self, object_: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Translate a record into canonical fields; what is empty there is None.

        Raises `Unavailable` where a column that was asked for did not come: it is not empty, it is unknown.
        """
        fields = {field.name: self._read(field, row) for field in self._fields[object_]}
        if object_ == "opportunity":
            fields["won_at"] = self._won_at(fields, row)
        elif not fields.get("currency"):
            fields["currency"] = self._currency(row)
        return fields

    def held(self, object_: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Translate a record as a target holds it: references are targets' own."""
        fields = self.read(object_, row)
        refs = {field.name for field in self._fields[object_] if field.kind == "ref"}
        return {name: _target(value) if name in refs else value for name, value in fields.items()}

    def unread(self, object_: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Give what the record says and canonical fields cannot: roles that are no list."""
        texts = {field.name: row.get(field.api) for field in self._fields[object_] if field.kind == "json"}
        return {name: text for name, text in texts.items() if text and _json(text) is None}

    def write(self, object_: str, fields: JsonObject) -> dict[str, Any]:
        """Translate canonical fields into a record body. Raises `Rejected` naming the first field that cannot be."""
        known = {field.name: field for field in self._fields[object_]}
        body: dict[str, Any] = {}
        for name, value in fields.items():
            if name == "currency":
                body.update(self._written_currency(known.get(name), value))
            elif name not in known:
                raise Rejected(f"Salesforce has no place for {object_}.{name}.", code="UNMAPPED", field=name)
            else:
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

    def _won_at(self, fields: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
        """Say when a deal was won: a deal that was made as won never changed its stage."""
        if fields.get("stage") != "closed_won":
            return None
        stamped = any(field.api == STAMP for field in self._fields["opportunity"])
        born = instant(_at(row, "CreatedDate")) if stamped else None
        won: str | None = fields.get("won_at") or born
        return won

    def _read(self, field: Mapped, row: Mapping[str, Any]) -> Any:
        value = _at(row, field.api)
        if field.kind == "present":
            return bool(value)
        if value is None:
            return None
        if field.kind == "money":
            return {"amount": _amount(value, self._currency(row)), "currency": self._currency(row)}
        return self._plain(field, value)

    def _plain(self, field: Mapped, value: Any) -> Any:
        match field.kind:
            case "ref":
                return f"{self._connection}:{value}"
            case "stage" | "kind":
                return self._words(field).get(value, value)
            case _:
                return READ.get(field.kind, str)(value)

    def _written(self, field: Mapped, value: Any) -> dict[str, Any]:
        if field.kind in {"moment", "present"} or "." in field.api or field.api in OWN:
            raise Rejected(f"Salesforce sets {field.name} itself.", code="READ_ONLY", field=field.name)
        if value is None:
            return {field.api: None}
        if field.kind == "money":
            return self._money(field, value)
        if field.kind in {"stage", "kind"}:
            words = self._stage_words if field.kind == "stage" else self._kind_words
            return {field.api: self._word(words, field, value)}
        return {field.api: WRITE[field.kind](field, value)}

    def _written_currency(self, field: Mapped | None, value: Any) -> dict[str, Any]:
        """Write a record's currency, which is never empty; in an org with one there is nothing to write."""
        if value is None:
            raise Rejected("Salesforce keeps no record without a currency.", code="CURRENCY", field="currency")
        if field is not None:
            return {field.api: _plain(field, value)}
        return self._same_currency("currency", value)

    def _same_currency(self, name: str, value: Any) -> dict[str, Any]:
        if self._settings.multi_currency or value != self._settings.currency:
            message = f"The org keeps {self._settings.currency} only, not {value}."
            raise Rejected(message, code="CURRENCY", field=name)
        return {}

    def _money(self, field: Mapped, value: Any) -> dict[str, Any]:
        try:
            money = Money.of_json(value)
        except BadMoney as error:
            raise Rejected(f"{field.name}: {error.message}", code="MONEY", field=field.name) from error
        if len(f"{money.amount:f}".partition(".")[2].rstrip("0")) > self._settings.amount_decimals:
            message = f"{field.api} keeps {self._settings.amount_decimals} decimals, not those of {money}."
            raise Rejected(message, code="DECIMALS", field=field.name)
        if self._settings.multi_currency:
            return {field.api: money.amount, "CurrencyIsoCode": money.currency}
        return {field.api: money.amount, **self._same_currency(field.name, money.currency)}

    @staticmethod
    def _word(words: Mapping[str, str], field: Mapped, value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            message = f"No {field.api} stands for {field.name} {value!r}; add it to the connection's settings."
            raise Rejected(message, code="UNMAPPED", field=field.name)
        return words[value]


def full_id(ref: str) -> str:
    """Give an id with its checksum, as the API shows it; formulas and reports give 15 characters. Empty: no id."""
    bare = ref.rpartition(":")[2]
    if not ID.fullmatch(bare):
        return ""
    if len(bare) > 15:
        return bare
    fives = (bare[start : start + 5] for start in (0, 5, 10))
    check = "".join(CHECK[sum(c.isupper() << bit for bit, c in enumerate(five))] for five in fives)
    return bare + check


def instant(value: str) -> str:
    """Turn Salesforce's `2026-11-22T10:00:00.000+0000` into `2026-11-22T10:00:00Z`; a day alone is its midnight."""
    said = datetime.fromisoformat(value)
    at = (said if said.tzinfo else said.replace(tzinfo=UTC)).astimezone(UTC)
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")


def _at(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for step in path.split("."):
        if value is None:
            return None
        if step not in value:
            raise Unavailable(f"Salesforce answered without the column {path} that was asked for.", code="COLUMN")
        value = value[step]
    return value


def _amount(value: Any, currency: str) -> str:
    amount = Decimal(value)
    try:
        exact = amount.quantize(Decimal(1).scaleb(-exponent_of(currency)))
    except (Invalid, InvalidOperation):
        return format(amount, "f")
    return format(exact if exact == amount else amount, "f")


def _wrong(field: Mapped, value: Any, what: str) -> Rejected:
    return Rejected(f"{field.name} is no {what}: {str(value)[:80]!r}", code="SHAPE", field=field.name)


def _decimal(field: Mapped, value: Any) -> Decimal:
    try:
        number = Decimal(value if isinstance(value, str | int) and not isinstance(value, bool) else "")
    except InvalidOperation as error:
        raise _wrong(field, value, "number") from error
    if not number.is_finite():
        raise _wrong(field, value, "number")
    return number


def _day(field: Mapped, value: Any) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (ValueError, TypeError) as error:
        raise _wrong(field, value, "date") from error


def _ref(field: Mapped, value: Any) -> str:
    """Give the id of a target reference; one without an id would empty the field, and is refused."""
    ref = value.get("ref") if isinstance(value, Mapping) else value
    found = full_id(ref) if isinstance(ref, str) else ""
    if not found:
        raise _wrong(field, ref, "id in Salesforce")
    return found


def _plain(field: Mapped, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(field, value, "text")
    return str(value)


def _list_text(field: Mapped, value: Any) -> str:
    if not isinstance(value, list | tuple):
        raise _wrong(field, value, "list")
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _target(value: Any) -> dict[str, str] | None:
    return {"ref": str(value).rpartition(":")[2]} if value else None


def _json(value: Any) -> list[Any] | None:
    """Read a JSON list; None where the text is none."""
    try:
        found = json.loads(value, parse_float=str)
    except (ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found, list) else None


READ: Mapping[str, Callable[[Any], Any]] = {
    "number": lambda value: format(Decimal(value), "f"),
    "percent": lambda value: int(Decimal(value)),
    "moment": instant,
    "json": lambda value: _json(value) or [],
}
WRITE: Mapping[str, Callable[[Mapped, Any], Any]] = {
    "text": _plain,
    "ref": _ref,
    "date": _day,
    "number": _decimal,
    "percent": _decimal,
    "json": _list_text,
}


def _reverse(words: Mapping[str, str]) -> dict[str, str]:
    """Canonical word to the vendor's; of several, the last listed is written."""
    return {ours: theirs for theirs, ours in words.items()}
