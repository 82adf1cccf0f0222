"""How every connector begins: what it does not serve, what it cannot hold, and how it sorts what it found.

class AcmeConnector(Unserved):
    facts = FACTS

    def write(self, intents, ctx):
        for intent in intents:
            for intent in intents:
            about = judged(FACTS, intent)        # Rejected: an object, operation or field that is not declared

    def find(self, object_, record_keys, ctx):
        return by_key(seen, record_keys)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict

from concordat.errors import Rejected
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ChangePage,
    JsonObject,
    ObjectFacts,
    Observed,
    Push,
    SourceRecord,
    SystemFacts,
    WriteIntent,
)

__all__ = ["Settings", "Unserved", "by_key", "holding", "judged", "parts", "served", "unserved"]

T = TypeVar("T")


class Settings(BaseModel):
    """A connection's table in `concordat.toml`: it does not change, and no word in it is one that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def unserved(facts: SystemFacts, what: str) -> NoReturn:
    """Refuse what a system is not used for."""
    raise Rejected(f"{facts.title} does not serve {what} here.")


class Unserved:
    """Refuses every door of the seam that a system may lack; a connector defines those that it has."""

    facts: SystemFacts

    def changes(self, object_: str, _cursor: str | None, _ctx: CallContext) -> ChangePage:
        """Refuse: this is no source of it."""
        unserved(self.facts, f"changes of a {object_}")

    def fetch_source(self, object_: str, _refs: Sequence[str], _ctx: CallContext) -> Sequence[SourceRecord]:
        """Refuse: this is no source of it."""
        unserved(self.facts, f"a {object_} as a source")

    def ask(self, question: str, _questions: Sequence[JsonObject], _ctx: CallContext) -> Sequence[Answer]:
        """Refuse: it answers no questions."""
        unserved(self.facts, f"the question {question!r}")

    def decode_push(self, _headers: Mapping[str, str], _body: bytes, _now: datetime) -> Push:
        """Refuse: it sends nothing by itself."""
        unserved(self.facts, "pushes")


def served(facts: SystemFacts, object_: str) -> ObjectFacts:
    """Give the facts of an object that is written here. `Rejected` for any other."""
    if object_ not in facts.targets:
        unserved(facts, f"a {object_}")
    return facts.targets[object_]


def judged(facts: SystemFacts, intent: WriteIntent) -> ObjectFacts:
    """Give the facts of what is to be written. `Rejected` for an object, operation or field that is not declared.

    Only `put` makes a record; every other operation needs the id of one.
    """
    about = served(facts, intent.object)
    holding(facts, about, intent.fields)
    if intent.operation not in about.operations:
        raise Rejected(f"{facts.title} has no {intent.operation!r} for a {intent.object}.")
    if intent.operation != "put" and intent.ref is None:
        raise Rejected(f"{intent.operation} needs the {intent.object}'s id.")
    return about


def holding(facts: SystemFacts, about: ObjectFacts, fields: JsonObject) -> JsonObject:
    """Give the fields, all of which the system can hold. `Rejected` names the first that it cannot."""
    for name in sorted(fields):
        if name not in about.fields:
            raise Rejected(f"{facts.title} holds no {name!r} of a {about.object}.", field=name)
    return fields


def by_key(seen: Iterable[Observed], wanted: Iterable[str]) -> dict[str, list[Observed]]:
    """Sort what was seen by record key; every hit counts, and a key with nothing is absent."""
    keys, found = frozenset(wanted), dict[str, list[Observed]]()
    for observed in seen:
        if observed.record_key in keys:
            found.setdefault(observed.record_key, []).append(observed)
    return found


def parts(values: Sequence[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of at most `size`."""
    return (list(values[at : at + size]) for at in range(0, len(values), size))
