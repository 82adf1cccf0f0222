"""Writes in bulk. Tryton keeps a call whole or not at all; here every record still gets an answer of its own.

A refused batch is split: first our own keys are looked up, which tells duplicates from faults without reading
any text; then halves are tried, so one bad record costs a few calls and never stops the others. What was
split off and lost its connection is unknown for its own records only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from concordat.connectors.tryton.desk import Desk, Row
from concordat.connectors.tryton.kinds import Kind
from concordat.errors import Duplicate, Missing, Rejected, UnknownOutcome, VendorError, VersionConflict
from concordat.sdk.spec import WriteIntent, WriteResult

__all__ = ["write"]

Results = dict[int, WriteResult]
"""Result per position in the caller's intents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Item:
    """One record on its way."""

    position: int
    key: str
    values: dict[str, Any]
    row: Row | None = None


def write(desk: Desk, kind: Kind, intents: Sequence[WriteIntent]) -> list[WriteResult]:
    """Create what has no reference, change the rest, and answer in order.

    Raises only when nothing at all was decided; otherwise failures are in the results.
    """
    fresh = [at for at, intent in enumerate(intents) if intent.ref is None and intent.operation == "put"]
    known = [at for at in range(len(intents)) if at not in set(fresh)]
    results: Results = {}
    if fresh:
        results |= _create(desk, kind, intents, fresh)
    if known and not fresh:
        results |= _change(desk, kind, intents, known)
    elif known:
        results |= _guarded(known, lambda: _change(desk, kind, intents, known))
    return [results[at] for at in range(len(intents))]


def _create(desk: Desk, kind: Kind, intents: Sequence[WriteIntent], positions: list[int]) -> Results:
    parents = kind.parents(desk, [intents[at] for at in positions])
    results: Results = {}
    items = []
    for at in positions:
        intent = intents[at]
        try:
            made = kind.creation(desk, intent, parents)
            items.append(_Item(position=at, key=intent.record_key, values=made))
        except Rejected as error:
            results[at] = WriteResult(error=error)
    return results | _split(items, _creator(desk, kind), _duplicates(desk, kind))


def _change(desk: Desk, kind: Kind, intents: Sequence[WriteIntent], positions: list[int]) -> Results:
    rows = _present(desk, kind, [intents[at] for at in positions])
    results: Results = {}
    items = []
    for at in positions:
        intent = intents[at]
        row = rows.get(intent.ref or intent.record_key)
        try:
            made = kind.change(desk, intent, _there(kind, intent, row))
        except VendorError as error:
            if not isinstance(error, Rejected | Missing):
                raise
            results[at] = WriteResult(error=error)
            continue
        if row is not None and made:
            items.append(_Item(position=at, key=intent.record_key, values=made, row=row))
        elif row is not None:
            results[at] = _done(kind, row["id"], "unchanged")
    return results | _split(items, _changer(desk, kind), lambda _: {})


def _there(kind: Kind, intent: WriteIntent, row: Row | None) -> Row:
    if row is None:
        raise Missing(f"Tryton shows no {kind.model} {intent.ref or intent.record_key}.")
    return row


def _present(desk: Desk, kind: Kind, intents: Sequence[WriteIntent]) -> dict[str, Row]:
    """Read what is to be changed, by id where we know it and by record key where not."""
    refs = [int(intent.ref) for intent in intents if intent.ref and intent.ref.isdigit()]
    keys = [intent.record_key for intent in intents if not intent.ref]
    rows = kind.read(desk, ["OR", ["id", "in", refs], [kind.key, "in", keys]])
    return {str(row["id"]): row for row in rows} | {row[kind.key]: row for row in rows if row[kind.key]}


def _creator(desk: Desk, kind: Kind) -> Callable[[list[_Item]], Results]:
    def create(items: list[_Item]) -> Results:
        numbers = desk.write(kind.model, "create", [item.values for item in items])
        if not isinstance(numbers, list) or len(numbers) != len(items):
            raise UnknownOutcome(f"Tryton made {len(items)} records and named {numbers!r}.")
        return {item.position: _done(kind, number, "created") for item, number in zip(items, numbers, strict=True)}

    return create


def _changer(desk: Desk, kind: Kind) -> Callable[[list[_Item]], Results]:
    """Change under Tryton's optimistic lock: a record that moved since it was read is a VersionConflict."""

    def change(items: list[_Item]) -> Results:
        pairs = [part for item in items if item.row for part in ([item.row["id"]], item.values)]
        stamps = {f"{kind.model},{item.row['id']}": item.row["_timestamp"] for item in items if item.row}
        desk.write(kind.model, "write", *pairs, context={"_timestamp": stamps})
        return {item.position: _done(kind, item.row["id"], "updated") for item in items if item.row}

    return change


def _duplicates(desk: Desk, kind: Kind) -> Callable[[list[_Item]], Results]:
    def taken(items: list[_Item]) -> Results:
        rows = kind.read(desk, [kind.key, "in", [item.key for item in items]])
        present = {row[kind.key] for row in rows}
        return {
            item.position: WriteResult(error=Duplicate(f"Tryton has {kind.model} {item.key} already.", code="unique"))
            for item in items
            if item.key in present
        }

    return taken


def _split(
    items: list[_Item], attempt: Callable[[list[_Item]], Results], explain: Callable[[list[_Item]], Results]
) -> Results:
    """Try all at once; when refused, set apart what `explain` knows, and try the rest again or in halves."""
    if not items:
        return {}
    try:
        return attempt(items)
    except (Rejected, VersionConflict) as error:
        refusal = error
    told = explain(items)
    rest = [item for item in items if item.position not in told]
    if len(items) == 1 and rest:
        return {items[0].position: WriteResult(error=refusal)}
    parts = [rest] if told else [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
    for part in parts:
        positions = [item.position for item in part]
        told |= _guarded(positions, partial(_split, part, attempt, explain))
    return told


def _guarded(positions: list[int], act: Callable[[], Results]) -> Results:
    """Do it; other records have their answer already, so a failure of the call is the answer of these."""
    try:
        return act()
    except VendorError as error:
        return {at: WriteResult(error=error) for at in positions}


def _done(kind: Kind, number: int, disposition: Any) -> WriteResult:
    return WriteResult(ref=str(number), disposition=disposition, url=kind.url(number))
