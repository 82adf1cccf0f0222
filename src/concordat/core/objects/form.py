"""What every canonical object is made of: the kinds of field, references, and the shape all objects share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic.types import StrictBool, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from concordat.core.money import EXPONENTS, Money

__all__ = [
    "Canonical",
    "CivilDate",
    "Country",
    "Currency",
    "Entity",
    "Flag",
    "Instant",
    "Kind",
    "KindName",
    "Money",
    "Number",
    "Part",
    "Percent",
    "Posted",
    "Reference",
    "TargetRef",
    "Text",
    "To",
    "Whole",
    "Words",
    "said",
    "several",
]

KindName = Literal[
    "text",
    "choice",
    "money",
    "date",
    "instant",
    "number",
    "whole",
    "flag",
    "reference",
    "record",
    "list",
    "map",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """Marks a field type with the word that people and the planner use for it."""

    name: KindName


@dataclass(frozen=True, slots=True)
class To:
    """Marks what a reference, or a code, leads to."""

    object: str


def said(description: str) -> Any:
    """Give an optional field its help."""
    return Field(default=None, description=description)


def several(description: str) -> Any:
    """Give a list its help; no members unless told."""
    return Field(default=(), description=description)


def _fault(code: str, message: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{message}", {"message": message, "remedy": remedy})


_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_REFERENCE = re.compile(r"[a-z][a-z0-9_-]*:\S.*")
_TARGET_KEYS = frozenset({"ref", "name", "number"})


def _civil_date(value: object) -> date:
    if type(value) is date:
        return value
    if isinstance(value, str) and len(value) == 10 and value[4] == value[7] == "-":
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _fault("date", f"{value!r} is not a civil date.", 'Write it as "2026-11-30".')


def _instant(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            read = datetime.fromisoformat(value)
            return read if read.tzinfo is UTC else read.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise _fault("instant", f"{value!r} is not an instant with a zone.", 'Write it as "2026-11-30T10:00:00Z".')


def _instant_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _number(value: object) -> Decimal:
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if type(value) is int or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return Decimal(value)
    raise _fault("number", f"{value!r} is not an exact number.", 'Write it as decimal text: "120.5".')


def _number_text(value: Decimal) -> str:
    text = format(value, "f")
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short in {"", "-", "-0"} else short


def _currency(value: object) -> str:
    if isinstance(value, str) and value in EXPONENTS:
        return value
    raise _fault("currency", f"{value!r} is no ISO 4217 currency.", "Write its three capital letters: EUR.")


class TargetRef(BaseModel):
    """A reference inside a target's document: its id there if known, and what people call it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ref: StrictStr | None = None
    name: StrictStr | None = None
    number: StrictStr | None = None


def _reference(value: object) -> str | TargetRef:
    if isinstance(value, TargetRef) or (isinstance(value, str) and _REFERENCE.fullmatch(value)):
        return value
    if isinstance(value, Mapping) and value and value.keys() <= _TARGET_KEYS:
        words = list(value.values())
        if all(word is None or isinstance(word, str) for word in words):
            return TargetRef.model_construct(**value)
    message = f"{value!r} is not a reference."
    raise _fault("reference", message, 'Write "<connection>:<id>", or {"ref", "name", "number"} for a target.')


def _reference_json(value: str | TargetRef) -> Any:
    if isinstance(value, str):
        return value
    return {"ref": value.ref, "name": value.name, "number": value.number}


Text = Annotated[StrictStr, Kind("text")]
"""Words and codes as they stand; a number is not text (cost centre "0410")."""
Words = Annotated[StrictStr, Field(min_length=1), Kind("text")]
"""Text that must say something."""
Entity = Annotated[StrictStr, Kind("text"), To("legal_entity")]
"""The code of a legal entity: "NB-US"."""
Country = Annotated[StrictStr, Field(pattern="^[A-Z]{2}$"), Kind("text")]
"""ISO 3166-1, two letters."""
Currency = Annotated[
    str, PlainValidator(_currency), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$"}), Kind("text")
]
"""ISO 4217, three letters."""
CivilDate = Annotated[
    date,
    PlainValidator(_civil_date),
    PlainSerializer(date.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date"}),
    Kind("date"),
]
"""A day without a zone."""
Instant = Annotated[
    datetime,
    PlainValidator(_instant),
    PlainSerializer(_instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
    Kind("instant"),
]
"""A point in time, kept in UTC."""
Number = Annotated[
    Decimal,
    PlainValidator(_number),
    PlainSerializer(_number_text, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "pattern": r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$"}),
    Kind("number"),
]
"""An exact number as decimal text; its canonical text has no exponent and no trailing zeros."""
Whole = Annotated[StrictInt, Kind("whole")]
Percent = Annotated[StrictInt, Field(ge=0, le=100), Kind("whole")]
Flag = Annotated[StrictBool, Kind("flag")]
Reference = Annotated[
    str | TargetRef,
    PlainValidator(_reference),
    PlainSerializer(_reference_json),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[a-z][a-z0-9_-]*:\S.*$"},
                {
                    "type": "object",
                    "properties": {key: {"type": ["string", "null"]} for key in ("ref", "name", "number")},
                    "minProperties": 1,
                    "additionalProperties": False,
                },
            ]
        }
    ),
    Kind("reference"),
]
"""Another record: `"<connection>:<vendor id>"` in a source, `{"ref", "name", "number"}` in a target."""


class Part(BaseModel):
    """A record inside an object: a role, a line's rate, an approval. It has no life of its own."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        use_enum_values=True,
        protected_namespaces=(),
        defer_build=True,  # a process uses a few of the objects; building all costs half of a command's start
    )


class Canonical(Part):
    """What every canonical object has, whatever system it came from."""

    object_name: ClassVar[str]

    id: Text | None = said("Our id; absent until the record is taken in")
    unit: Text | None = said("Who may see it: the business unit")
    source: Mapping[StrictStr, StrictStr] = Field(
        default_factory=dict, description="Where it came from: the record's reference by system"
    )
    extra: Mapping[str, Any] = Field(
        default_factory=dict, description="What a source sent and this object does not know, by path"
    )


class Posted(Canonical):
    """What every posting has besides its own amount: the same in two more currencies, with the rates."""

    functional_amount: Money | None = said("The amount in the currency of the company's books")
    functional_rate: Annotated[Reference, To("exchange_rate")] | None = said("The rate used for that")
    group_amount: Money | None = said("The amount in the currency of the group")
    group_rate: Annotated[Reference, To("exchange_rate")] | None = said("The rate used for that")
