"""Writes until every document stands, as the engine does with each answer (core/settle.py), without its waiting."""

from __future__ import annotations

from concordat.core.agree import disagreements
from concordat.errors import Duplicate, Retriable, UnknownOutcome, VendorError, VersionConflict
from concordat.sdk.spec import CallContext, Connector, WriteIntent, WriteResult

__all__ = ["CTX", "settle"]

CTX = CallContext(correlation_id="bad-day", timeout=10)
TURNS = 200


def settle(connector: Connector, intents: dict[str, WriteIntent]) -> dict[str, str]:
    """Write until every document stands; gives the id of each."""
    done: dict[str, str] = {}
    doubt: set[str] = set()
    for _ in range(TURNS):
        open_ = [key for key in intents if key not in done]
        if not open_:
            return done
        sure = [key for key in open_ if key not in doubt]
        for key, result in _written(connector, [intents[key] for key in sure]):
            _judge(key, result, intents, done, doubt)
        _look(connector, intents, done, doubt)
    raise AssertionError(f"no end: {sorted(set(intents) - set(done))}, in doubt {sorted(doubt)}")


def _written(connector: Connector, intents: list[WriteIntent]) -> list[tuple[str, WriteResult]]:
    if not intents:
        return []
    try:
        results = connector.write(intents, CTX)
    except VendorError as error:
        results = [WriteResult(error=error)] * len(intents)
    return [(intent.record_key, result) for intent, result in zip(intents, results, strict=True)]


def _judge(
    key: str, result: WriteResult, intents: dict[str, WriteIntent], done: dict[str, str], doubt: set[str]
) -> None:
    if result.error is None:
        assert result.ref
        done[key] = result.ref
    elif isinstance(result.error, UnknownOutcome | Duplicate):
        doubt.add(key)
    else:
        assert isinstance(result.error, Retriable | VersionConflict), result.error


def _look(connector: Connector, intents: dict[str, WriteIntent], done: dict[str, str], doubt: set[str]) -> None:
    """Look up what is in doubt: what stands is done, what stands otherwise is changed, what is not there is written."""
    object_ = next(iter(intents.values())).object
    try:
        found = connector.find(object_, sorted(doubt), CTX) if doubt else {}
    except Retriable:
        return
    for key in sorted(doubt):
        seen = found.get(key, ())
        assert len(seen) <= 1, f"{key} is there {len(seen)} times"
        if seen and not disagreements(intents[key].fields, seen[0].fields):
            done[key] = seen[0].ref
        elif seen:
            was = intents[key]
            intents[key] = WriteIntent(
                object=was.object, record_key=key, write_key=was.write_key, fields=was.fields, ref=seen[0].ref
            )
    doubt.clear()
