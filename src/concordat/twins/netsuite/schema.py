"""The record types of the twin's account: their fields, how a value is kept, and how each door shows it.

Names are those of the REST API browser 2026.1 (src: wsjmnh/netsuite-record-rest-docs, docs/schemas). Custom
fields are what docs/reference/connectors/netsuite.md asks an administrator to add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from concordat.twins.wire import Refuse

__all__ = ["LISTS", "TYPES", "Field", "RecordType", "keep", "lowered", "problem", "record_type"]

W3C = "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html"
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
}


def problem(status: int, code: str, detail: str, *, title: str = "", **more: str) -> Refuse:
    """Make NetSuite's error (src: ns-online-help section_156570709583); `path`, `query`, `header`: where."""
    names = {"path": "o:errorPath", "query": "o:errorQueryParam", "header": "o:errorHeader"}
    where = {names[name]: value for name, value in more.items() if name in names}
    details = [{"detail": detail, **where, "o:errorCode": code}]
    said = {"type": W3C, "title": title or TITLES[status], "status": status, "o:errorDetails": details}
    return Refuse(status, said, {"Content-Type": "application/vnd.oracle.resource+json; type=error"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `to` is the record type, or the list, that a reference points at."""

    kind: str = "text"
    to: str = ""
    read_only: bool = False
    most: int = 0
    """Characters of a text, where there is a limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordType:
    """One record type. `entity` types share entity ids; `dated` is the field that a closed period refuses."""

    name: str
    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    title: str = "title"
    entity: bool = False
    dated: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    """SuiteQL column to field, where they differ in more than case."""


TEXT, NUMBER, MONEY, DAY, FLAG = Field(), Field("number"), Field("money"), Field("day"), Field("flag")
MOMENT = Field("moment", read_only=True)
COMMON = {"externalId": TEXT, "isInactive": FLAG, "lastModifiedDate": MOMENT, "customForm": Field("enum")}
ENTITY = {
    **COMMON,
    "entityId": TEXT,
    "companyName": Field(most=83),
    "subsidiary": Field("ref", "subsidiary"),
    "currency": Field("ref", "currency"),
    "dateCreated": MOMENT,
    "comments": TEXT,
}

TYPES: Mapping[str, RecordType] = {
    "customer": RecordType(
        name="customer",
        required=("companyName", "subsidiary"),
        title="companyName",
        entity=True,
        fields={
            **ENTITY,
            "email": TEXT,
            "phone": TEXT,
            "terms": Field("ref", "term"),
            "parent": Field("ref", "customer"),
            "isPerson": FLAG,
            "entityStatus": Field("enum"),
            "custentity_concordat_country": TEXT,
            "custentity_concordat_tax_id": TEXT,
            "custentity_concordat_tax_status": TEXT,
        },
    ),
    "job": RecordType(
        name="job",
        required=("companyName", "subsidiary"),
        title="companyName",
        entity=True,
        fields={
            **ENTITY,
            "parent": Field("ref", "customer"),
            "startDate": DAY,
            "projectedEndDate": DAY,
            "entityStatus": Field("enum", "jobStatus"),
            "jobBillingType": Field("enum"),
            "estimatedCost": MONEY,
            "estimatedRevenue": MONEY,
            "projectExpenseType": Field("enum"),
            "custentity_concordat_contract_value": MONEY,
            "custentity_concordat_budget_hours": NUMBER,
            "custentity_concordat_budget_cost": MONEY,
        },
        columns={"customer": "parent"},
    ),
    "projectTask": RecordType(
        name="projectTask",
        required=("title", "project"),
        fields={
            **COMMON,
            "title": TEXT,
            "project": Field("ref", "job"),
            "constraintType": Field("enum"),
            "startDateTime": Field("moment"),
            "finishByDate": DAY,
            "estimatedWork": NUMBER,
            "status": Field("enum", "taskStatus"),
            "message": TEXT,
            "custevent_concordat_amount": MONEY,
            "custevent_concordat_budget_hours": NUMBER,
            "custevent_concordat_currency": TEXT,
            "custevent_concordat_start": DAY,
            "custevent_concordat_end": DAY,
        },
    ),
    "timeBill": RecordType(
        name="timeBill",
        required=("customer", "hours", "tranDate"),
        title="memo",
        dated="tranDate",
        fields={
            **COMMON,
            "employee": Field("enum"),
            "customer": Field("ref", "job"),
            "hours": TEXT,
            "tranDate": DAY,
            "memo": TEXT,
            "isBillable": FLAG,
        },
    ),
}

LISTS: Mapping[str, Mapping[str, str]] = {
    "subsidiary": {
        "1": "Northbeam Consulting Inc.",
        "2": "Northbeam Consulting Ltd",
        "3": "Northbeam Consulting GmbH",
    },
    "currency": {"1": "USD", "2": "GBP", "4": "EUR"},
    "term": {"1": "Net 15", "2": "Net 30", "3": "Net 60", "4": "Due on receipt"},
    "jobStatus": {"1": "Closed", "2": "In Progress", "3": "Not Awarded", "4": "Pending", "5": "Awarded"},
    "taskStatus": {"NOTSTART": "Not Started", "PROGRESS": "In Progress", "COMPLETE": "Completed"},
}
"""Set-up lists by internal id; the options `subsidiaries`, `currencies`, `terms` replace theirs."""


def lowered(kind: RecordType) -> Mapping[str, str]:
    """Give the field behind each SuiteQL column, which is always lower case."""
    return {"id": "id", **{name.lower(): name for name in kind.fields}, **kind.columns}


def record_type(name: str) -> RecordType:
    """Find a record type, whatever the case of its name. Refuses an unknown one as NetSuite does."""
    for each in TYPES.values():
        if each.name.lower() == name.lower():
            return each
    raise problem(404, "NONEXISTENT_ID", f"Record type '{name}' does not exist.", path=name)


def keep(name: str, spec: Field, value: Any) -> Any:
    """Give a scalar as the account keeps it. Refuses INVALID_CONTENT with the path of the field."""
    if value is None or value == "":
        return None
    try:
        kept = KEEP[spec.kind](value)
    except (ValueError, TypeError, KeyError, InvalidOperation) as error:
        detail = f"Error while accessing a resource. Invalid value for the field '{name}': {value}."
        raise problem(400, "INVALID_CONTENT", detail, path=name) from error
    if spec.most and len(kept) > spec.most:
        detail = f"Error while accessing a resource. The field {name} contained more than {spec.most} characters."
        raise problem(400, "USER_ERROR", detail, path=name)
    return kept


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value.strip()


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise TypeError(value)
    return Decimal(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


KEEP: Mapping[str, Any] = {
    "text": _text,
    "number": _number,
    "money": lambda value: _number(value).quantize(Decimal("0.01")),
    "day": lambda value: date.fromisoformat(str(value)[:10]).isoformat(),
    "moment": lambda value: f"{datetime.fromisoformat(str(value)):%Y-%m-%dT%H:%M:%SZ}",
    "flag": _flag,
    "enum": lambda value: str(value["id"] if isinstance(value, Mapping) else value),
}
