"""The scalar words of a contract: how a text of the YAML becomes a typed, frozen value."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from concordat.core.money import Money
from concordat.core.sla import Span
from concordat.errors import Invalid

__all__ = [
    "Amount",
    "Civil",
    "Code",
    "Count",
    "Exact",
    "Flag",
    "Lasting",
    "Name",
    "Rule",
    "Shorthand",
    "Text",
    "Texts",
    "Value",
    "Word",
]

_CIVIL = re.compile(r"\d{4}-\d{2}-\d{2}")
_COUNT = re.compile(r"[0-9]{1,9}")


def _civil(raw: object) -> object:
    if isinstance(raw, str) and not _CIVIL.fullmatch(raw):
        raise PydanticCustomError("bad-date", "{raw} is not a date", {"raw": repr(raw)})
    return raw


def _flag(raw: object) -> object:
    if isinstance(raw, str):
        if raw not in ("true", "false"):
            raise PydanticCustomError("bad-flag", "{raw} is neither true nor false", {"raw": repr(raw)})
        return raw == "true"
    return raw


def _exact(raw: object) -> object:
    """Amounts and rates are read from their text; a float would have lost cents already."""
    if isinstance(raw, float):
        raise PydanticCustomError("bad-number", "{raw} came in as a float", {"raw": repr(raw)})
    try:
        number = Decimal(str(raw))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise PydanticCustomError("bad-number", "{raw} is not a decimal number", {"raw": repr(raw)})
    return number


def _count(raw: object) -> object:
    if isinstance(raw, str) and not _COUNT.fullmatch(raw):
        raise PydanticCustomError("bad-number", "{raw} is not a whole number", {"raw": repr(raw)})
    return raw


def _amount(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    try:
        return Money.parse(raw)
    except Invalid as error:
        raise PydanticCustomError(
            "bad-money", "{raw} is not an amount with its currency", {"raw": repr(raw)}
        ) from error


def _texts(raw: object) -> object:
    return (raw,) if isinstance(raw, str) else raw


Text = Annotated[str, Field(min_length=1, max_length=4000)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=60)]
"""A word that rules can use: letters, digits, underscores."""
Code = Annotated[str, Field(min_length=1, max_length=100)]
"""A word that people chose: a team, a system, an object; `0410` and `NO` stay as written."""
Rule = Annotated[str, Field(min_length=1)]
"""A CEL expression that answers true or false."""
Value = Annotated[str, Field(min_length=1)]
"""A path such as `contract.value`, handed through untouched, or a CEL expression."""
Texts = Annotated[
    tuple[Code, ...],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Flag = Annotated[bool, BeforeValidator(_flag)]
Count = Annotated[int, BeforeValidator(_count), Field(ge=1)]
Exact = Annotated[Decimal, BeforeValidator(_exact), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]})]
Amount = Annotated[Money, BeforeValidator(_amount), WithJsonSchema({"type": "string", "examples": ["25000.00 EUR"]})]
Civil = Annotated[date, BeforeValidator(_civil)]


class Word(BaseModel):
    """A frozen mapping of the language; a key it does not know is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class Shorthand(Word):
    """A mapping that may be written as its one most telling word: `workspace: lock`."""

    short: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _lengthen(cls, raw: object) -> object:
        return {cls.short: raw} if isinstance(raw, str) else raw

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer editors the short form beside the long one."""
        long = handler.resolve_ref_schema(handler(core_schema))
        short = cast("dict[str, Any]", long["properties"])[cls.short]
        return {"anyOf": [short, long], "description": long.get("description", "")}


class Lasting(RootModel[str]):
    """A length of time as people write it: `15 minutes`, `4 business hours`, `3 days`."""

    model_config = ConfigDict(frozen=True)

    @field_validator("root")
    @classmethod
    def _parses(cls, text: str) -> str:
        try:
            Span.parse(text)
        except (Invalid, ValueError) as error:
            raise PydanticCustomError("bad-duration", "{raw} is not a length of time", {"raw": repr(text)}) from error
        return text

    @property
    def text(self) -> str:
        """As it was written."""
        return self.root

    @property
    def span(self) -> Span:
        """The length, with business time kept apart from elapsed time."""
        return Span.parse(self.root)
