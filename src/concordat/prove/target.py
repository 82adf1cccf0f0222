"""Small target systems behind the connector seam, of class A, B or D, with a ledger and faults of their own.

They promise what their facts declare and no more: a class B system makes a second record when it is asked twice, a
class D system cannot be searched. A call whose answer was lost may still be written within the settle window.
"""

# ruff: noqa: ARG002  the seam's own signatures

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from concordat.errors import Duplicate, Locked, Missing, Rejected, UnknownOutcome
from concordat.prove.mishaps import AFTER, LATENCY, before_call
from concordat.prove.stage import Stage
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ObjectFacts,
    Observed,
    PromiseClass,
    SystemFacts,
    WriteIntent,
    WriteResult,
)

__all__ = ["FIELDS", "SETTLE", "Entry", "Held", "Target"]

SETTLE = timedelta(minutes=6)
"""Settle window of the class B systems: as Kantata's."""
LAG = timedelta(seconds=40)
FIELDS: Mapping[str, frozenset[str]] = {
    "client": frozenset({"name", "number", "country", "currency", "tax_id", "payment_terms", "phone", "billing_email"}),
    "project": frozenset({"name", "number", "client", "contract_value", "budget_hours", "budget_cost", "currency",
                          "start_date", "end_date", "status", "entity"}),
    "contract_line": frozenset({"name", "project", "amount", "start_date", "end_date", "budget_hours"}),
    "workspace": frozenset({"name", "client_name", "project_name"}),
    "channel": frozenset({"name", "topic"}),
}  # fmt: skip
DROPPABLE = frozenset({"budget_hours", "phone", "end_date", "project_name", "topic"})
"""Fields that a silent drop may take: none by which the oracle knows the object."""
OPERATIONS = frozenset({"put", "archive", "lock", "hold", "release", "reactivate", "unlock"})
REFUSED = "refuse-me"


@dataclass(kw_only=True, slots=True)
class Held:
    """One record of a target."""

    ref: str
    key: str
    object: str
    fields: dict[str, Any]
    made: float
    state: str = ""
    """What was done with it besides writing: `archive`, `hold`."""
    dropped: set[str] = field(default_factory=set)
    """Fields of which a write was silently lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One committed write."""

    at: float
    object: str
    key: str
    ref: str
    what: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Landing:
    """Writes on their way: they arrive at this time, whatever became of their caller."""

    at: float
    intents: Sequence[WriteIntent]
    results: list[WriteResult] = field(default_factory=list)


class Target:
    """One system that is written to."""

    def __init__(
        self, name: str, objects: Sequence[str], promise: str, stage: Stage, *, upsert: bool, batch: int
    ) -> None:
        self.name = name
        self.promise = promise
        self.stage = stage
        self.facts = SystemFacts(
            system="small",
            title=name,
            targets={o: _facts(o, promise, upsert=upsert, batch=batch) for o in objects},
            questions=frozenset({"availability"}),
        )
        self.held: dict[str, Held] = {}
        self.ledger: list[Entry] = []
        self.landing: list[Landing] = []
        self.answered: dict[str, WriteResult] = {}
        """Class A without an upsert knows idempotency keys: the same one gets the same answer, and writes nothing."""
        self.down_until = 0.0
        self.quota_until = 0.0
        self.calls = 0

    # ── the seam ──────────────────────────────────────────────────────────────────────────────

    def ping(self, ctx: CallContext) -> None:
        """Nothing to prove."""

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Write each, unless something happens on the way."""
        kind = self._begin("write", "sending")
        if kind == "commit_late":
            self._send(intents, self._late(intents))
            raise UnknownOutcome("no answer in time")
        if kind == "latency":
            seconds = self.stage.swarm.chance(kind).uniform(0.2, LATENCY)
            results = self._send(intents, seconds)
            self.stage.sleep(seconds)
            self.land()
        else:
            spared = self._spared(kind, intents)
            drops = kind == "silent_drop"
            results = [
                WriteResult(error=Locked("locked")) if i in spared else self._put(intent, drops=drops)
                for i, intent in enumerate(intents)
            ]
        self.stage.place("effect", "sending", self.promise)
        self.stage.pause()
        if kind in AFTER:
            said = AFTER[kind]()
            raise said
        return results

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Everything under these keys; a lagging search does not see what is young."""
        kind = self._begin("find", "in_doubt")
        edge = self.stage.now - (LAG.total_seconds() if kind == "stale_read" else 0.0)
        found: dict[str, list[Observed]] = {}
        for held in self.held.values():
            if held.object == object_ and held.key in record_keys and (not kind or held.made <= edge):
                found.setdefault(held.key, []).append(_seen(held))
        self.stage.pause()
        return found

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read back by id."""
        kind = self._begin("fetch", "applied")
        edge = self.stage.now - (LAG.total_seconds() if kind == "stale_read" else -1.0)
        seen = [_seen(self.held[ref]) for ref in refs if ref in self.held and self.held[ref].made < edge]
        self.stage.pause()
        return seen

    def match(self, object_: str, fields: Mapping[str, Any], ctx: CallContext) -> Sequence[Observed]:
        """By name."""
        self._begin("find", "in_doubt")
        return [
            _seen(h) for h in self.held.values() if h.object == object_ and h.fields.get("name") == fields.get("name")
        ]

    def ask(self, question: str, questions: Sequence[Mapping[str, Any]], ctx: CallContext) -> Sequence[Answer]:
        """Somebody is free, unless nobody is."""
        kind = self._begin("ask", "asking")
        return [Answer(met=kind != "scarce", says="nobody is free" if kind else "") for _ in questions]

    def close(self) -> None:
        """Nothing to release."""

    # ── what happens on the way ───────────────────────────────────────────────────────────────

    def _begin(self, call: str, state: str) -> str:
        """The call arrives, or something else happens; gives the fault that strikes after it was carried out."""
        self.stage.place("call", state, self.promise)
        self.calls += 1
        self.land()
        kind = self.stage.swarm.strike(call)
        if (kind == "stale_read" and not self._lags) or (kind == "silent_drop" and self.promise == "D"):
            kind = ""
        if kind:
            self.stage.swarm.count(kind, state, "-" if call == "ask" else self.promise)
            self.stage.tell(f"{self.name}.{call}: {kind}")
        return before_call(self, call, kind)

    @property
    def _lags(self) -> bool:
        return any(facts.find == "eventual" for facts in self.facts.targets.values())

    def _spared(self, kind: str, intents: Sequence[WriteIntent]) -> frozenset[int]:
        if kind != "partial_batch":
            return frozenset()
        chance = self.stage.swarm.chance(kind)
        return frozenset(i for i in range(len(intents)) if chance.random() < 0.5)

    def _late(self, intents: Sequence[WriteIntent]) -> float:
        """How long a lost write may take: well within the settle window; without one, it is there at once."""
        window = min(self.facts.targets[i.object].settle_window.total_seconds() for i in intents)
        return self.stage.swarm.chance("commit_late").uniform(0.1, 0.7) * window

    def _send(self, intents: Sequence[WriteIntent], seconds: float) -> list[WriteResult]:
        sent = Landing(at=self.stage.now + seconds, intents=intents)
        self.landing.append(sent)
        self.land()
        return sent.results

    def land(self) -> None:
        """What is due to arrive arrives."""
        due = [sent for sent in self.landing if sent.at <= self.stage.now]
        self.landing = [sent for sent in self.landing if sent.at > self.stage.now]
        for sent in sorted(due, key=lambda sent: sent.at):
            self.stage.tell(f"{self.name}: a write arrives late")
            sent.results.extend([self._put(intent) for intent in sent.intents])

    # ── writing ───────────────────────────────────────────────────────────────────────────────

    def _put(self, intent: WriteIntent, *, drops: bool = False) -> WriteResult:
        if REFUSED in str(intent.fields.get("name", "")):
            return WriteResult(error=Rejected("the name is refused", code="BAD_NAME", field="name"))
        facts = self.facts.targets[intent.object]
        remembers = facts.unique_key and not facts.upsert
        if remembers and intent.write_key in self.answered:
            return self.answered[intent.write_key]
        done = self._written(intent, facts, drops=drops)
        if remembers and done.error is None:
            self.answered[intent.write_key] = done
        return done

    def _written(self, intent: WriteIntent, facts: ObjectFacts, *, drops: bool) -> WriteResult:
        known = [h for h in self.held.values() if h.object == intent.object and h.key == intent.record_key]
        if intent.ref:
            mine = self.held.get(intent.ref)
            if mine is None:
                return WriteResult(error=Missing("no such record"))
            return self._update(mine, intent, drops=drops)
        if known and facts.upsert:
            return self._update(known[0], intent, drops=drops)
        if known and facts.unique_key:
            return WriteResult(error=Duplicate("the key is taken"))
        return self._create(intent, drops=drops)

    def _create(self, intent: WriteIntent, *, drops: bool) -> WriteResult:
        ref = f"{self.name}-{len(self.held) + 1}"
        held = Held(ref=ref, key=intent.record_key, object=intent.object, fields={}, made=self.stage.now)
        self.held[ref] = held
        self._store(held, intent, "created", drops=drops)
        return WriteResult(ref=ref, disposition="created", version="1")

    def _update(self, held: Held, intent: WriteIntent, *, drops: bool) -> WriteResult:
        self._store(held, intent, "updated", drops=drops)
        return WriteResult(ref=held.ref, disposition="updated", version=str(len(self.ledger)))

    def _store(self, held: Held, intent: WriteIntent, what: str, *, drops: bool) -> None:
        fields = dict(intent.fields)
        lost = sorted(f for f in fields if f in DROPPABLE and fields[f] != held.fields.get(f)) if drops else []
        for name in lost:
            del fields[name]
        held.dropped = (held.dropped - set(fields)) | set(lost)
        if intent.operation == "put":
            held.fields = {**held.fields, **fields}
            held.state = ""
        else:
            held.state, what = intent.operation, intent.operation
        self.ledger.append(
            Entry(at=self.stage.now, object=held.object, key=held.key, ref=held.ref, what=what, fields=fields)
        )
        self.stage.tell(f"{self.name}: {held.object} {held.ref} {what} {fields.get('name', '')}")


def _seen(held: Held) -> Observed:
    archived = held.state == "archive"
    return Observed(ref=held.ref, record_key=held.key, fields=dict(held.fields), version="1", archived=archived)


def _facts(object_: str, promise: str, *, upsert: bool, batch: int) -> ObjectFacts:
    common = ObjectFacts(
        object=object_,
        vendor_object=object_,
        promise=PromiseClass(promise),
        write_batch=batch,
        read_batch=batch,
        fields=FIELDS[object_],
        operations=OPERATIONS,
        note="A small system of the harness.",
    )
    if promise == "A":
        return replace(common, upsert=upsert, unique_key=True, find="strong")
    if promise == "B":
        return replace(common, find="eventual", search_lag=LAG, settle_window=SETTLE)
    return replace(common, find="no", read_batch=0)
