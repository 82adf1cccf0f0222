"""The objects and fields of the twin's org: what exists, what it holds, and how a value is kept.

Standard names come from Salesforce's object reference; the fields that end in `__c` are the custom ones that
docs/reference/connectors/salesforce.md asks an administrator to add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["OBJECTS", "STAGES", "Field", "Problem", "SObject", "full_id", "keep"]

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

STAGES: Mapping[str, tuple[bool, bool, int]] = {
    "Prospecting": (False, False, 10),
    "Qualification": (False, False, 10),
    "Proposal/Price Quote": (False, False, 75),
    "Negotiation/Review": (False, False, 90),
    "Closed Won": (True, True, 100),
    "Closed Lost": (True, False, 0),
}
"""The standard sales stages: closed, won, default probability."""


@dataclass(frozen=True, slots=True)
class Problem(Exception):  # noqa: N818  it becomes one error of an answer
    """Why a record is refused: Salesforce's code, sentence and fields."""

    code: str
    message: str
    fields: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    """What some codes say beside it: `duplicateResult`."""

    def row(self) -> dict[str, Any]:
        """One member of an error array."""
        return {"message": self.message, "errorCode": self.code, "fields": list(self.fields), **self.more}

    def item(self) -> dict[str, Any]:
        """One error of a SaveResult."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields), **self.more}


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field. `to` is the object a reference points at; `length` bounds a text."""

    type: str = "string"
    length: int = 255
    to: str = ""
    required: bool = False
    external_id: bool = False
    read_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SObject:
    """One object: key prefix of its ids, fields, and parents by relationship name."""

    prefix: str
    fields: Mapping[str, Field]
    parents: Mapping[str, str]
    """Relationship name to the reference field behind it."""


TEXT, LONG = Field(), Field(length=131072)
DAY, MOMENT, FLAG = Field(type="date"), Field(type="datetime"), Field(type="boolean")
MONEY, NUMBER = Field(type="currency"), Field(type="double")
KEY = Field(external_id=True)
AUTO = Field(read_only=True)
SYSTEM = {
    "Id": AUTO,
    "CreatedDate": Field(type="datetime", read_only=True),
    "LastModifiedDate": Field(type="datetime", read_only=True),
    "SystemModstamp": Field(type="datetime", read_only=True),
    "IsDeleted": Field(type="boolean", read_only=True),
    "OwnerId": Field(type="reference", to="User"),
    "CurrencyIsoCode": Field(length=3),
    "Concordat_Key__c": KEY,
}

OBJECTS: Mapping[str, SObject] = {
    "Account": SObject(
        prefix="001",
        parents={"Parent": "ParentId", "Owner": "OwnerId"},
        fields={
            **SYSTEM,
            "Name": Field(required=True),
            "AccountNumber": Field(length=40),
            "ParentId": Field(type="reference", to="Account"),
            "BillingCountryCode": Field(length=2),
            "Phone": Field(length=40),
            "Website": TEXT,
            "Description": LONG,
            "Type": TEXT,
            "Tax_Id__c": Field(length=40),
            "Tax_Status__c": TEXT,
            "Payment_Terms__c": TEXT,
            "Billing_Email__c": Field(length=80),
            "MasterRecordId": Field(type="reference", to="Account", read_only=True),
        },
    ),
    "Contract": SObject(
        prefix="800",
        parents={"Account": "AccountId", "Owner": "OwnerId"},
        fields={
            **SYSTEM,
            "ContractNumber": AUTO,
            "Name": TEXT,
            "AccountId": Field(type="reference", to="Account", required=True),
            "Status": TEXT,
            "StartDate": DAY,
            "EndDate": DAY,
            "CustomerSignedDate": DAY,
            "Value__c": MONEY,
            "Billing_Model__c": TEXT,
            "Billing_Terms__c": TEXT,
            "Budget_Hours__c": NUMBER,
            "Budget_Cost__c": MONEY,
            "Legal_Entity__c": Field(length=20),
        },
    ),
    "Opportunity": SObject(
        prefix="006",
        parents={
            "Account": "AccountId",
            "Contract": "ContractId",
            "Owner": "OwnerId",
            "Extends__r": "Extends__c",
        },
        fields={
            **SYSTEM,
            "Name": Field(required=True, length=120),
            "AccountId": Field(type="reference", to="Account"),
            "ContractId": Field(type="reference", to="Contract"),
            "StageName": Field(required=True),
            "CloseDate": Field(type="date", required=True),
            "Amount": MONEY,
            "Probability": Field(type="percent"),
            "Type": TEXT,
            "IsWon": Field(type="boolean", read_only=True),
            "IsClosed": Field(type="boolean", read_only=True),
            "LastStageChangeDate": Field(type="datetime", read_only=True),
            "HasOpportunityLineItem": Field(type="boolean", read_only=True),
            "Deal_Number__c": Field(length=30),
            "Extends__c": Field(type="reference", to="Opportunity"),
            "Legal_Entity__c": Field(length=20),
            "Roles__c": LONG,
        },
    ),
    "User": SObject(
        prefix="005",
        parents={},
        fields={**SYSTEM, "Name": Field(required=True), "Email": TEXT, "Username": TEXT, "IsActive": FLAG},
    ),
}


class TooLong(ValueError):  # noqa: N818  it becomes a code
    """A text that does not fit into its field."""


def full_id(prefix: str, number: int) -> str:
    """Make an 18-character id: 15 case-sensitive ones and the checksum that makes it safe to fold."""
    digits = ""
    for _ in range(9):
        number, rest = divmod(number, 62)
        digits = BASE62[rest] + digits
    short = f"{prefix}xx0{digits}"
    bits = ("".join("1" if c.isupper() else "0" for c in short[i : i + 5][::-1]) for i in (0, 5, 10))
    return short + "".join(SUFFIX[int(five, 2)] for five in bits)


def keep(name: str, field: Field, value: Any) -> Any:
    """Give the value as the org keeps it, or raise `Problem`.

    Text loses surrounding blanks and an empty text is null (src: Salesforce stores no empty strings);
    numbers are Decimal; a text longer than its field is STRING_TOO_LONG. A value of the wrong type is no
    record's fault but the parser's (src: issues regican/Salesforce 2, qoretechnologies/qore 3908).
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return KEEP.get(field.type, _text)(value, field)
    except TooLong as error:
        raise Problem("STRING_TOO_LONG", f"{name}: {error}", (name,)) from error
    except (ValueError, TypeError, InvalidOperation) as error:
        message = f"Cannot deserialize instance of {field.type} from value {value}"
        hint = f"{message} or request may be missing a required field at [line:1, column:1]"
        raise Problem("JSON_PARSER_ERROR", hint) from error


def _text(value: Any, field: Field) -> str:
    text = value.strip() if isinstance(value, str) else _not(value, "a string")
    if len(text) > field.length:
        raise TooLong(f"data value too large: {text[:40]} (max length={field.length})")
    return text


def _number(value: Any, _field: Field) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        _not(value, "a number")
    return Decimal(value)


def _money(value: Any, field: Field) -> Decimal:
    return _number(value, field).quantize(Decimal("0.01"))


def _flag(value: Any, _field: Field) -> bool:
    return value if isinstance(value, bool) else bool(_not(value, "a boolean"))


def _day(value: Any, _field: Field) -> str:
    return date.fromisoformat(value[:10]).isoformat()


def _moment(value: Any, _field: Field) -> str:
    return f"{datetime.fromisoformat(value):%Y-%m-%dT%H:%M:%S}.000+0000"


def _reference(value: Any, _field: Field) -> str:
    text = str(value)
    if len(text) not in {15, 18} or not text.isalnum():
        raise Problem("MALFORMED_ID", f"id value of incorrect type: {text}", ())
    return text


def _not(value: Any, what: str) -> Any:
    raise TypeError(f"Cannot deserialize instance of {what} from {value!r}")


KEEP = {
    "currency": _money,
    "double": _number,
    "percent": _number,
    "boolean": _flag,
    "date": _day,
    "datetime": _moment,
    "reference": _reference,
}
