"""The list of canonical objects, and what is known about each field of each."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from concordat.core.objects import (
    billing,
    books,
    cash,
    delivery,
    parties,
    people,
    rates,
    revenue,
    sales,
    supply,
    work,
)
from concordat.core.objects.form import Canonical, Kind, KindName, Part, To
from concordat.errors import NotFound

__all__ = ["OBJECTS", "FieldFact", "fields_of", "json_schema", "object_type", "part_fields"]

_FAMILIES = (parties, sales, rates, delivery, people, work, billing, revenue, cash, supply, books)

OBJECTS: Mapping[str, type[Canonical]] = {
    member.object_name: member
    for family in _FAMILIES
    for name in family.__all__
    if isinstance(member := getattr(family, name), type) and issubclass(member, Canonical)
}
"""Every canonical object by the name that contracts use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldFact:
    """What is known about one field of an object."""

    name: str
    """The name in JSON and in contracts."""
    kind: KindName
    help: str
    mandatory: bool = False
    refers: str = ""
    """The object a reference, a code, or the members of a list lead to."""
    choices: tuple[str, ...] = ()
    """All words a choice allows."""
    item: KindName | None = None
    """Kind of a list's members."""
    part: type[Part] | None = None
    """The shape of a record, or of a list's records; see `part_fields`."""


def object_type(name: str) -> type[Canonical]:
    """Find an object's class; `NotFound` names the nearest."""
    found = OBJECTS.get(name)
    if found is None:
        near = get_close_matches(name, OBJECTS, n=1)
        raise NotFound(f"There is no canonical object {name!r}.", remedy=f"Did you mean {near[0]!r}?" if near else "")
    return found


def fields_of(name: str) -> Mapping[str, FieldFact]:
    """Describe all fields of an object, in the order they are declared."""
    return part_fields(object_type(name))


@cache
def part_fields(shape: type[Part]) -> Mapping[str, FieldFact]:
    """Describe all fields of an object's class, or of a record inside one."""
    hints = get_type_hints(shape, include_extras=True)
    return {
        fact.name: fact
        for attribute, info in shape.model_fields.items()
        for fact in [
            replace(
                _of_type(hints[attribute], info.alias or attribute),
                help=info.description or "",
                mandatory=info.is_required(),
            )
        ]
    }


@cache
def json_schema(name: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of an object as it crosses the edge; unknown fields are allowed and set aside."""
    schema = object_type(name).model_json_schema(by_alias=True)
    _open(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": name}


def _open(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("title") not in {"Money", None}:
            schema.pop("additionalProperties", None)
        for member in schema.values():
            _open(member)
    elif isinstance(schema, list):
        for member in schema:
            _open(member)


def _of_type(hint: Any, name: str) -> FieldFact:
    """Read the kind of a field from its type: markers first, then its shape."""
    if get_origin(hint) is Annotated:
        return _of_marks(hint, name)
    if get_origin(hint) in {Union, types.UnionType}:
        (inner,) = (member for member in get_args(hint) if member is not type(None))
        return _of_type(inner, name)
    if get_origin(hint) is tuple:
        member = _of_type(get_args(hint)[0], name)
        return replace(member, kind="list", item=member.kind)
    if get_origin(hint) is Literal:
        return FieldFact(name=name, kind="choice", help="", choices=get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Part):
        return FieldFact(name=name, kind="record", help="", part=hint, refers=getattr(hint, "object_name", ""))
    return FieldFact(name=name, kind=_SHAPES[getattr(get_origin(hint) or hint, "__name__", "")], help="")


def _of_marks(hint: Any, name: str) -> FieldFact:
    marks = hint.__metadata__
    kind: KindName = next((mark.name for mark in marks if isinstance(mark, Kind)), "text")
    refers = next((mark.object for mark in reversed(marks) if isinstance(mark, To)), "")
    return FieldFact(name=name, kind=kind, help="", refers=refers)


_SHAPES: Mapping[str, KindName] = {"Money": "money", "Mapping": "map"}
