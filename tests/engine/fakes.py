"""A system in memory that keeps the connector seam: the adapter of the engine's own tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from concordat.errors import Rejected, UnknownOutcome, VendorError
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ChangePage,
    Hint,
    ObjectFacts,
    Observed,
    PromiseClass,
    Push,
    SourceRecord,
    SystemFacts,
    WriteIntent,
    WriteResult,
)


class FakeSystem:
    """Holds target objects by record key, and source records by id. `fail` makes the next calls go wrong."""

    def __init__(self, name: str, *targets: str, batch: int = 200, **facts: Any) -> None:
        self.name = name
        self.facts = SystemFacts(
            system="fake",
            title=name,
            sources={"client": timedelta(), "contract": timedelta(), "opportunity": timedelta()}
            if name == "crm"
            else {},
            targets={t: _facts(t, batch, facts) for t in targets},
            questions=frozenset({"availability", "usage"} if name == "psa" else {"availability"}),
        )
        self.held: dict[str, list[Observed]] = {}
        self.ledger: list[tuple[str, str, str]] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.records: dict[tuple[str, str], SourceRecord] = {}
        self.failures: list[tuple[str, VendorError, bool]] = []
        self.down: VendorError | None = None
        self.answers: Callable[[Mapping[str, Any]], Answer] = lambda _q: Answer(met=True)
        self.hidden: set[str] = set()
        self.drops: set[str] = set()
        self.calls: list[str] = []
        self._lock = threading.Lock()

    def writable(self, *targets: str) -> None:
        """This source can be written to as well."""
        self.facts = replace(self.facts, targets={t: _facts(t, 200, {}) for t in targets})

    def fail(self, method: str, error: VendorError, *, after_commit: bool = False) -> None:
        """The next call of this method fails, before or after it did its work."""
        self.failures.append((method, error, after_commit))

    def _failure(self, method: str) -> tuple[VendorError, bool] | None:
        self.calls.append(method)
        if self.down is not None:
            return self.down, False
        for i, (name, error, after) in enumerate(self.failures):
            if name == method:
                del self.failures[i]
                return error, after
        return None

    def ping(self, ctx: CallContext) -> None: ...

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        with self._lock:
            failure = self._failure("write")
            if failure and not failure[1]:
                raise failure[0]
            results = [self._put(intent) for intent in intents]
            if failure:
                raise failure[0]
            return results

    def _put(self, intent: WriteIntent) -> WriteResult:
        if intent.fields.get("name") == "poison":
            return WriteResult(error=Rejected("the name is refused", code="BAD_NAME", field="name"))
        fields = {k: v for k, v in intent.fields.items() if k not in self.drops}
        held = self.held.setdefault(intent.record_key, [])
        created = not held or (intent.ref is None and not self.facts.targets[intent.object].upsert)
        ref = f"{self.name}-{len(self.ledger) + 1}" if created else held[0].ref
        fields = fields if created else {**held[0].fields, **fields}
        self.sent.append((intent.object, dict(intent.fields)))
        observed = Observed(ref=ref, record_key=intent.record_key, fields=fields)
        if created:
            held.append(observed)
        else:
            held[0] = observed
        self.ledger.append((intent.object, intent.record_key, "created" if created else "updated"))
        return WriteResult(ref=ref, disposition="created" if created else "updated")

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        with self._lock:
            self._raise("find")
            return {k: self.held[k] for k in record_keys if k in self.held and k not in self.hidden}

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        with self._lock:
            self._raise("fetch")
            return [o for many in self.held.values() for o in many if o.ref in refs]

    def match(self, object_: str, fields: Mapping[str, Any], ctx: CallContext) -> Sequence[Observed]:
        self._raise("match")
        return [o for many in self.held.values() for o in many if o.fields.get("name") == fields.get("name")]

    def ask(self, question: str, questions: Sequence[Mapping[str, Any]], ctx: CallContext) -> Sequence[Answer]:
        self._raise("ask")
        return [self.answers(q) for q in questions]

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        self._raise("changes")
        found = sorted(
            (r for r in self.records.values() if r.object == object_ and r.version > (cursor or "")),
            key=lambda r: r.version,
        )
        return ChangePage(records=found, cursor=found[-1].version if found else cursor or "")

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        self._raise("fetch_source")
        return [r for (o, ref), r in self.records.items() if o == object_ and ref in refs]

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        object_, _, ref = body.decode().partition(":")
        return Push(hints=(Hint(object=object_, ref=ref),))

    def close(self) -> None: ...

    def _raise(self, method: str) -> None:
        failure = self._failure(method)
        if failure:
            raise failure[0]


def _facts(object_: str, batch: int, facts: Mapping[str, Any]) -> ObjectFacts:
    plain: dict[str, Any] = {"promise": PromiseClass.A, "upsert": True, "unique_key": True, "find": "strong"}
    return ObjectFacts(object=object_, vendor_object=object_, write_batch=batch, read_batch=batch, **{**plain, **facts})


LOST = UnknownOutcome("the connection was lost")
