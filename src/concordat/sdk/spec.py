"""The seam between the engine and one system: what a connector declares and what it answers.

A connector never decides a retry, never sleeps, never starts a thread and never keeps state that matters.
It translates: canonical to vendor, vendor to canonical, vendor errors to `concordat.errors`.
All field values that cross this seam are plain JSON values (`str`, `int`, `bool`, `None`, `list`, `dict`);
money is `{"amount": "1250.00", "currency": "EUR"}`, a civil date `"2026-11-30"`, an instant ISO 8601 in UTC,
a reference to another record of the same system `"<connection>:<vendor id>"`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from concordat.core.undo import WORDS
from concordat.errors import VendorError

__all__ = [
    "Answer",
    "CallContext",
    "ChangePage",
    "Connector",
    "ConnectorSpec",
    "Hint",
    "ObjectFacts",
    "Observed",
    "PromiseClass",
    "Push",
    "SourceRecord",
    "SystemFacts",
    "WriteIntent",
    "WriteResult",
]

JsonObject = Mapping[str, Any]


class PromiseClass(StrEnum):
    """What a target can promise about one object; see docs/explanation/promises.md."""

    A = "A"
    """The target enforces uniqueness of our key for longer than we retry: exactly one effect."""
    B = "B"
    """No unique key, but searchable by our reference: exactly one inside the settle window."""
    C = "C"
    """Files with totals."""
    D = "D"
    """Fire and forget: at most once or at least once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectFacts:
    """What one vendor does with one canonical object. Facts are declared, tested, and read by the engine."""

    object: str
    """Canonical object: `client`, `project`, `workspace`, …"""
    vendor_object: str
    """The vendor's word, for people: `Account`, `job`, `workspaces`."""
    promise: PromiseClass
    upsert: bool = False
    """One call creates or updates by our record key, natively."""
    unique_key: bool = False
    """A create with a record key that exists is refused (Duplicate)."""
    find: Literal["no", "strong", "eventual"] = "no"
    """`find` by our record key: never, at once, or only after `search_lag`."""
    search_lag: timedelta = timedelta(0)
    """How long a committed write may stay invisible to `find`."""
    settle_window: timedelta = timedelta(0)
    """Class B: how long after a call was sent its write may still appear; stored before the call."""
    write_batch: int = 1
    """Most records in one vendor write call."""
    read_batch: int = 1
    """Most records in one vendor read call."""
    parallel: int = 4
    """Most calls of this object in flight at once, over one process."""
    atomic_batch: bool = False
    """One bad record refuses the whole batch."""
    serialise_by: str = ""
    """A field whose equal values must never be written in parallel (the vendor locks the parent)."""
    fields: frozenset[str] = frozenset()
    """Canonical fields that can be written and read back; any other field in an intent is a Rejected."""
    operations: frozenset[str] = frozenset({"put"})
    """`put`, and what undo needs: `archive`, `lock`, `hold`, `release`, `reactivate`, …"""
    note: str = ""
    """One sentence with the source of the fact."""

    @property
    def undo(self) -> frozenset[str]:
        """Words of a contract's `undo` that this target can do: those whose fields it writes and reads back."""
        return frozenset(word for word, words in WORDS.items() if words.fields.keys() <= self.fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemFacts:
    """What a connector declares about its system as a whole."""

    system: str
    """`salesforce`, `kantata`, …"""
    title: str
    sources: Mapping[str, timedelta] = field(default_factory=dict)
    """Canonical objects that can be read as a source, with the overlap a sweeping poll needs."""
    targets: Mapping[str, ObjectFacts] = field(default_factory=dict)
    """Canonical objects that can be written."""
    questions: frozenset[str] = frozenset()
    """What `ask` can answer: `availability`; `usage`, what people have put on `{object, ref}`, before an undo."""
    pushes: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CallContext:
    """What travels with every vendor call."""

    correlation_id: str
    traceparent: str = ""
    """W3C trace context, sent as the `traceparent` header."""
    timeout: float = 30.0
    """Seconds the call may take; no call outlives its lease."""
    priority: int = 0
    """Who goes first when calls are scarce: 0 transactional, 1 stream and reading back, 2 batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteIntent:
    """One desired write. `write` answers in the order of its intents."""

    object: str
    operation: str = "put"
    record_key: str
    """Stable for ever: contract, subject, step, item. At most 35 characters of [A-Za-z0-9-]."""
    write_key: str
    """Record key and generation: a vendor's idempotency key."""
    fields: JsonObject
    """The desired document in canonical names; only fields the contract maps. None: empty this field, we filled it."""
    ref: str | None = None
    """The vendor's id when it is known: update, never create."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteResult:
    """What became of one intent: either `error`, or a `ref`."""

    ref: str | None = None
    disposition: Literal["created", "updated", "unchanged"] = "updated"
    version: str = ""
    url: str = ""
    """Where a person sees the record in the vendor's own pages."""
    error: VendorError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """A record as a target holds it now, in canonical names."""

    ref: str
    record_key: str = ""
    fields: JsonObject = field(default_factory=dict)
    version: str = ""
    url: str = ""
    archived: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRecord:
    """A record as a source holds it, in canonical names. Parents come before children in a page."""

    object: str
    ref: str
    version: str
    """Orders versions of one record; compared as text, so pad numbers and use ISO instants in UTC."""
    changed_at: datetime | None = None
    fields: JsonObject = field(default_factory=dict)
    extra: JsonObject = field(default_factory=dict)
    """What the vendor sent and the canonical object does not know; kept, reported, never dropped."""
    numbers: Sequence[str] = ()
    """Numbers people know this record by (deal number, project code): searchable in the console."""
    url: str = ""
    deleted: bool = False
    fault: str = ""
    """Why the vendor's record cannot be translated: it becomes a case, alone, and its page goes on (`records.each`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePage:
    """One page of changes. `cursor` continues after it; `more` says that the next page can be asked at once."""

    records: Sequence[SourceRecord]
    cursor: str
    more: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer to one question of `ask`."""

    met: bool
    says: str = ""
    detail: JsonObject = field(default_factory=dict)
    error: VendorError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """Something changed: read it again. Never data of record."""

    object: str
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """A decoded webhook call."""

    hints: Sequence[Hint] = ()
    key: str = ""
    """Deduplicates deliveries: the vendor's event id, or a digest."""
    reply: bytes | None = None
    """A handshake's answer, to be sent instead of the ordinary 202."""
    reply_type: str = "text/plain"


@runtime_checkable
class Connector(Protocol):
    """One connection to one system.

    Every method blocks until answered or `ctx.timeout` is over, is safe to call from several threads at once,
    raises only `VendorError`, and holds no resource after `close`. A method that a system cannot serve is absent
    from its facts and is then never called.
    """

    facts: SystemFacts

    def ping(self, ctx: CallContext) -> None:
        """Prove that address and credentials are good. Costs one cheap call."""

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """Records of one object changed since `cursor` (None: since the beginning), oldest first.

        May repeat records; never skips one. Related parents may ride along as records of their own.
        """

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """Present state of these source records, parents along. A ref that cannot be read is simply absent."""

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Make it so, for at most `write_batch` intents of one object and operation, in one vendor call if it can.

        One result per intent, in order; a failure of one is in its result, a failure of the call is raised.
        """

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Everything the target holds under these record keys; a key with nothing is absent."""

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Existing records that look like this document by natural key (adoption of what was made by hand)."""

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read back target records by vendor id, at most `read_batch`; an unreadable one is absent."""

    def ask(self, question: str, questions: Sequence[JsonObject], ctx: CallContext) -> Sequence[Answer]:
        """Answer a `check` step for several subjects, in order."""

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """Verify and decode a webhook call. Bad signature: `AuthRevoked`. Unreadable body: `Rejected`."""

    def close(self) -> None:
        """Release sockets. Calls after this are a bug."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectorSpec:
    """How `wiring` knows a connector: one line there, one of these in the module as `SPEC`."""

    system: str
    title: str
    settings: type[BaseModel]
    """The connection's table in `concordat.toml`, secrets already resolved; field help makes the docs."""
    facts: SystemFacts
    connect: Any
    """`connect(settings, *, connection: str) -> Connector`; opens nothing until the first call."""
    credentials: str = ""
    """How to obtain them, in one sentence."""
    checked_against: str = ""
    """Honest sentence: what this was checked against (twin, vendor's client, real server)."""
