"""The edge of the core: JSON fields become canonical objects, every fault told and nothing lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import is_
from types import MappingProxyType
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from concordat.core.objects.form import Canonical, Part
from concordat.core.objects.registry import object_type, part_fields
from concordat.errors import Invalid

__all__ = ["Fault", "Parsed", "normalise", "parse", "validate_many"]

_LONGEST = 300
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One field that does not hold."""

    field: str
    """Its path inside the object: `value`, `roles[0].hours`."""
    message: str
    remedy: str = ""
    value: Any = None
    """What came instead, as it came."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message} {self.remedy}".strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """What became of one record: the object, or its faults; and what is unknown, by path."""

    name: str
    object: Canonical | None
    faults: tuple[Fault, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The known fields as they came, wrong ones included."""

    @property
    def fields(self) -> dict[str, Any]:
        """The good fields in canonical JSON form, also of a record with faults."""
        if self.object is not None:
            return self.object.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"extra"})
        good, _ = _take(object_type(self.name), self.given)
        return {name: value for name, value in good.items() if name != "extra"}


def parse(object_name: str, fields: Mapping[str, Any]) -> Parsed:
    """Make an object of plain JSON fields; bad data never raises.

    Each wrong field is a fault, each unknown one is set aside in `extra`.

    `NotFound` when there is no such canonical object.
    """
    return _parse(object_type(object_name), object_name, fields)


def validate_many(object_name: str, rows: Iterable[Mapping[str, Any]]) -> list[Parsed]:
    """Parse many records of one object, in order; one bad row touches no other."""
    shape = object_type(object_name)
    return [_parse(shape, object_name, row) for row in rows]


def normalise(object_name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write some fields of an object in canonical JSON form, in sorted order: equal meaning, equal JSON.

    Money has its currency's decimals, other numbers no exponent and no trailing zeros, instants a `Z`.
    Takes a partial document (a step maps only some fields). `Invalid` names every wrong or unknown field.
    """
    good, faults = _take(object_type(object_name), fields)
    if faults:
        raise Invalid(f"This is no {object_name}: " + "; ".join(map(str, faults)))
    return {name: good[name] for name in sorted(good)}


def _parse(shape: type[Canonical], name: str, fields: Mapping[str, Any]) -> Parsed:
    extra: dict[str, Any] = {}
    given = _known(shape, dict(fields), "", extra)
    if extra or "extra" in given:
        given["extra"] = _together(given.get("extra"), extra)
    try:
        made = _adapter(shape).validate_python(given)
    except ValidationError as error:
        faults = tuple(_fault(detail) for detail in error.errors(include_url=False))
        return Parsed(name=name, object=None, faults=faults, extra=given.get("extra", _NOTHING), given=given)
    return Parsed(name=name, object=made, extra=made.extra, given=given)


def _together(before: Any, extra: dict[str, Any]) -> dict[str, Any]:
    if isinstance(before, Mapping):
        return {**before, **extra}
    return extra if before is None else {**extra, "extra": before}


def _known(shape: type[Part], fields: dict[str, Any], path: str, extra: dict[str, Any]) -> dict[str, Any]:
    """Keep the fields this shape knows; put the others aside. A wholly known record is not copied."""
    names, parts = _table(shape)
    if not fields.keys() <= names:
        extra.update({f"{path}{name}": value for name, value in fields.items() if name not in names})
        fields = {name: value for name, value in fields.items() if name in names}
    for name, part in parts:
        value = fields.get(name)
        if value and (known := _known_parts(part, value, f"{path}{name}", extra)) is not value:
            fields = {**fields, name: known}
    return fields


def _known_parts(part: type[Part], value: Any, path: str, extra: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return _known(part, value, f"{path}.", extra)
    if isinstance(value, list | tuple):
        found = [_known_parts(part, member, f"{path}[{place}]", extra) for place, member in enumerate(value)]
        return value if all(map(is_, found, value)) else found
    return value


@cache
def _table(shape: type[Part]) -> tuple[frozenset[str], tuple[tuple[str, type[Part]], ...]]:
    facts = part_fields(shape)
    return frozenset(facts), tuple((name, fact.part) for name, fact in facts.items() if fact.part)


@cache
def _adapter(shape: type[Canonical]) -> TypeAdapter[Canonical]:
    return TypeAdapter(shape)


@cache
def _field_adapters(shape: type[Canonical]) -> Mapping[str, TypeAdapter[Any]]:
    hints = get_type_hints(shape, include_extras=True)
    return {info.alias or name: TypeAdapter(hints[name]) for name, info in shape.model_fields.items()}


def _take(shape: type[Canonical], fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Judge field by field: the good ones in canonical form, and a fault for each of the others."""
    good: dict[str, Any] = {}
    faults: list[Fault] = []
    adapters = _field_adapters(shape)
    for name, value in fields.items():
        if name not in adapters:
            faults.append(Fault(field=str(name), message="is not a field of this object.", value=value))
            continue
        try:
            held = adapters[name].validate_python(value)
        except ValidationError as error:
            faults += [_fault(detail, name) for detail in error.errors(include_url=False)]
        else:
            good[name] = adapters[name].dump_python(held, mode="json", by_alias=True, exclude_unset=True)
    return good, faults


def _fault(detail: ErrorDetails, *under: str) -> Fault:
    context = detail.get("ctx", {})
    says = _SAYS.get(detail["type"])
    message, remedy = (words.format(**context) for words in says) if says else (detail["msg"], "")
    return Fault(
        field=_path((*under, *detail["loc"])),
        message=message if len(message) <= _LONGEST else f"{message[:_LONGEST]} …",
        remedy=str(context.get("remedy", remedy)),
        value=None if detail["type"] == "missing" else detail["input"],
    )


def _path(place: tuple[int | str, ...]) -> str:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


_SAYS: Mapping[str, tuple[str, str]] = {
    "missing": ("is missing.", "Fill it in at its source."),
    "string_type": ("is not text.", "Write numbers and codes as text, in quotes."),
    "string_too_short": ("is empty.", "Fill it in at its source."),
    "string_pattern_mismatch": ("does not look as it must.", "It must match {pattern}."),
    "string_unicode": ("is not valid Unicode text.", "Send UTF-8."),
    "literal_error": ("is not one of the words allowed.", "Write one of {expected}."),
    "int_type": ("is not a whole number.", "Write it without quotes and decimals."),
    "bool_type": ("is neither true nor false.", "Write true or false, without quotes."),
    "greater_than_equal": ("is too small.", "The least is {ge}."),
    "less_than_equal": ("is too large.", "The most is {le}."),
    "tuple_type": ("is not a list.", "Write it as a list."),
    "model_type": ("is not a record.", "Write it as names and values."),
    "mapping_type": ("is not a record.", "Write it as names and values."),
}
