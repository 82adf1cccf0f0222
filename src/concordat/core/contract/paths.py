"""Follows a dotted path through the records of a contract to the canonical field it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concordat.core.contract.parts import Relation
from concordat.core.objects import OBJECTS, FieldFact, fields_of, part_fields
from concordat.errors import Invalid

__all__ = ["LostPath", "follow", "object_behind"]

_MONEY = {"currency": FieldFact(name="currency", kind="text", help="Currency of the amount")}


class LostPath(Invalid):
    """A path that leads nowhere. `word` is the part that is wrong, `words` what could stand there."""

    def __init__(self, message: str, *, remedy: str = "", word: str = "", words: Sequence[str] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.word = word
        self.words = tuple(words)


def follow(object_: str, parts: Sequence[str]) -> FieldFact | None:
    """Return the field at `parts` below an object; None where any word may stand. Raises `LostPath`."""
    known: Mapping[str, FieldFact] = fields_of(object_)
    where = object_
    fact: FieldFact | None = None
    for part in parts:
        fact = known.get(part)
        if fact is None:
            raise LostPath(f"`{where}` has no field `{part}`", word=part, words=tuple(known))
        if fact.kind == "map":
            return None
        known = _below(fact)
        where = f"{where}.{part}"
    return fact


def _below(fact: FieldFact) -> Mapping[str, FieldFact]:
    if fact.kind == "money":
        return _MONEY
    return part_fields(fact.part) if fact.kind == "record" and fact.part else {}


def object_behind(record: str, subject: str, related: Mapping[str, Relation]) -> str | None:
    """Return the canonical object of a record's name; None when nothing tells it.

    A related record is of the object that it says, else the one its reference leads to, else its own name's.
    """
    return _behind(record, subject, related, frozenset())


def _behind(record: str, subject: str, related: Mapping[str, Relation], seen: frozenset[str]) -> str | None:
    relation = related.get(record)
    if relation is None or record in seen:
        return record if record == subject and record in OBJECTS else None
    if relation.object is not None:
        return relation.object
    root, *parts = relation.of.split(".")
    behind = _behind(root, subject, related, seen | {record})
    return _leads_to(behind, parts) or (record if record in OBJECTS else None)


def _leads_to(object_: str | None, parts: Sequence[str]) -> str | None:
    if object_ not in OBJECTS or object_ is None:
        return None
    try:
        fact = follow(object_, parts)
    except LostPath:
        return None
    return fact.refers if fact and fact.refers in OBJECTS else None
