"""The suite must be able to fail: an honest connector passes it, and each kind of liar is caught by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from concordat.errors import Rejected
from concordat.sdk.conformance import Bench, Unfit, checks, same
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ChangePage,
    JsonObject,
    ObjectFacts,
    Observed,
    PromiseClass,
    Push,
    SourceRecord,
    SystemFacts,
    WriteIntent,
    WriteResult,
)

pytestmark = pytest.mark.fast

FACTS = SystemFacts(
    system="shelf",
    title="Shelf",
    sources={"client": timedelta(0)},
    targets={
        "project": ObjectFacts(
            object="project",
            vendor_object="box",
            promise=PromiseClass.A,
            upsert=True,
            find="strong",
            write_batch=10,
            fields=frozenset({"name", "value", "client"}),
            operations=frozenset({"put", "archive"}),
        )
    },
)


class Shelf:
    """An honest connector over a dict: a fake that passes the suite."""

    facts = FACTS

    def __init__(self) -> None:
        self.boxes: dict[str, tuple[str, dict[str, Any]]] = {}

    def ping(self, ctx: CallContext) -> None: ...

    def close(self) -> None: ...

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        page = [SourceRecord(object=object_, ref=ref, version="1", fields={"name": ref}) for ref in ("17", "18")]
        return ChangePage(records=page if cursor is None else [], cursor="end")

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        return [SourceRecord(object=object_, ref=ref, version="1", fields={"name": ref}) for ref in refs]

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        return [self.put(intent) for intent in intents]

    def put(self, intent: WriteIntent) -> WriteResult:
        if set(intent.fields) - FACTS.targets["project"].fields:
            return WriteResult(error=Rejected("unknown field"))
        held = next((ref for ref, (key, _) in self.boxes.items() if key == intent.record_key), None)
        ref = intent.ref or held or f"box-{len(self.boxes) + 1:04d}"
        made = ref not in self.boxes
        self.boxes[ref] = (intent.record_key, {**self.boxes.get(ref, ("", {}))[1], **intent.fields})
        return WriteResult(ref=ref, disposition="created" if made else "updated")

    def seen(self, ref: str) -> Observed:
        return Observed(ref=ref, record_key=self.boxes[ref][0], fields=self.boxes[ref][1])

    def find(self, object_: str, keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        return {key: [self.seen(ref)] for ref, (key, _) in self.boxes.items() if key in keys}

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        return [self.seen(ref) for ref, (_, held) in self.boxes.items() if held["name"] == fields["name"]]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        return [self.seen(ref) for ref in refs if ref in self.boxes]

    def ask(self, question: str, questions: Sequence[JsonObject], ctx: CallContext) -> Sequence[Answer]:
        return []

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        return Push()


def example(number: int) -> JsonObject:
    value = {"amount": f"{number}0.00", "currency": "EUR"}
    return {"name": f"P{number}", "value": value, "client": {"ref": "17", "name": "C"}}


def bench(shelf: Shelf, **more: Any) -> Bench:
    sources = {"client": ["17", "18"]}
    held: Callable[[str], int] = lambda _object: len(shelf.boxes)  # noqa: E731
    return Bench(connector=shelf, examples={"project": example}, held=held, sources=sources, **more)


def broken(shelf: Shelf, **more: Any) -> set[str]:
    found = set()
    for check in checks(FACTS):
        shelf.boxes.clear()
        try:
            check(bench(shelf, **more))
        except Unfit:
            found.add(check.name)
    return found


def test_an_honest_connector_passes():
    assert broken(Shelf()) == set()


class Doubles(Shelf):
    def put(self, intent: WriteIntent) -> WriteResult:
        made = super().put(intent)
        self.boxes[f"{made.ref}-{len(self.boxes)}x"] = ("other", {"name": ""})
        return made


class ForgetsField(Shelf):
    def put(self, intent: WriteIntent) -> WriteResult:
        result = super().put(intent)
        if result.ref:
            self.boxes[result.ref][1].pop("value", None)
        return result


class PassesOverWhatIsEmpty(Shelf):
    def put(self, intent: WriteIntent) -> WriteResult:
        known = {name: value for name, value in intent.fields.items() if value is not None}
        return super().put(
            WriteIntent(object="project", record_key=intent.record_key, write_key="", fields=known, ref=intent.ref)
        )


class RefusesWithoutAName(Shelf):
    def put(self, intent: WriteIntent) -> WriteResult:
        empty = None in intent.fields.values()
        return WriteResult(error=Rejected("something is empty")) if empty else super().put(intent)


class TakesAnything(Shelf):
    def put(self, intent: WriteIntent) -> WriteResult:
        known = {name: value for name, value in intent.fields.items() if name != "no_such_field"}
        return super().put(
            WriteIntent(object="project", record_key=intent.record_key, write_key="", fields=known, ref=intent.ref)
        )


class FindsNothing(Shelf):
    def find(self, object_: str, keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        return {}


class SkipsSource(Shelf):
    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        page = super().changes(object_, cursor, ctx)
        return ChangePage(records=page.records[1:], cursor=page.cursor)


class SpeaksFloat(Shelf):
    def seen(self, ref: str) -> Observed:
        return Observed(ref=ref, record_key=self.boxes[ref][0], fields={**self.boxes[ref][1], "x": 1.5})


@pytest.mark.parametrize(
    ("liar", "caught"),
    [
        (Doubles(), "one key, one record"),
        (ForgetsField(), "reads back"),
        (PassesOverWhatIsEmpty(), "empties"),
        (RefusesWithoutAName(), "empties"),
        (TakesAnything(), "rejects an unknown field"),
        (TakesAnything(), "answers per member"),
        (FindsNothing(), "finds"),
        (SkipsSource(), "reads all"),
        (SpeaksFloat(), "reads back"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Shelf) else value,
)
def test_a_liar_is_caught(liar: Shelf, caught: str):
    assert caught in broken(liar)


def test_a_waiver_stands_for_a_failing_check_and_falls_with_a_passing_one():
    assert "finds" not in broken(FindsNothing(), waivers={"finds project": "no index yet"})
    assert broken(Shelf(), waivers={"finds project": "no index yet"}) == {"finds"}


@pytest.mark.parametrize(
    ("wanted", "got", "equal"),
    [
        ({"amount": "1.50", "currency": "EUR"}, {"amount": "1.5", "currency": "EUR"}, True),
        ({"amount": "1.50", "currency": "EUR"}, {"amount": "1.5", "currency": "USD"}, False),
        ({"ref": "17", "name": "C"}, {"ref": "17"}, True),
        ({"ref": "17"}, "crm:17", True),
        ({"ref": "17"}, "crm:18", False),
        ("120.0", "120", True),
        ("0410", "410", False),
        ("a", "b", False),
        (None, None, True),
        (None, "x", False),
        ([1, {"ref": "1"}], [1, {"ref": "1"}], True),
        ([1], [1, 2], False),
    ],
)
def test_values_are_compared_by_meaning(wanted: Any, got: Any, equal: bool):  # noqa: FBT001
    assert same(wanted, got) is equal
