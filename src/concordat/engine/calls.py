"""The calls of one round: writes in bulk or side by side, look-ups, read-backs, questions, adoptions.

No transaction is open while a vendor is asked. Every claimed row comes back with exactly one outcome.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from concordat.core.agree import disagreements
from concordat.engine.claims import Claimed
from concordat.engine.world import Lane, World, log
from concordat.errors import Bug, Busy, Unavailable, UnknownOutcome, VendorError
from concordat.sdk.spec import Answer, CallContext, Connector, ObjectFacts, Observed, WriteResult
from concordat.telemetry import call_span

__all__ = ["Claimed", "Outcome", "call_all"]

T = TypeVar("T")
CALL_TIMEOUT = 30.0
"""Seconds; far below the ten minutes of a claim, so no call outlives its lease."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one claimed row. `error` and `observed` are empty together only for a write without read-back."""

    row: Claimed
    called: bool = True
    ref: str = ""
    url: str = ""
    version: str = ""
    disposition: str = ""
    error: VendorError | None = None
    unread: VendorError | None = None
    """Why it could not be read back; says nothing about the write."""
    absent: bool = False
    """A look-up found nothing."""
    many: int = 0
    """A look-up found several."""
    readable: bool = True
    """The target can be read back."""
    read: bool = False
    differs: Mapping[str, Any] = field(default_factory=dict)
    """Field to what we wrote and what the target holds."""
    answer: Answer | None = None
    ms: int = 0
    items: int = 1

    @property
    def failure(self) -> VendorError | None:
        """What the connection's breaker counts: a write that went through is an answer, read back or not."""
        return self.error or (self.unread if self.row.act == "verify" else None)


def call_all(world: World, lane: Lane, claimed: Sequence[Claimed], pool: Executor) -> list[Outcome]:
    """Make every call that these rows ask for."""
    connector = world.connectors[lane.connection]
    by_act: dict[str, list[Claimed]] = defaultdict(list)
    for row in claimed:
        priority = world.priorities.get(row.contract, 0)
        by_act[row.act].append(replace(row, priority=priority) if priority else row)
    ways: Mapping[str, Callable[[Connector, Lane, list[Claimed], Executor], list[Outcome]]] = {
        "write": _write,
        "resolve": _resolve,
        "verify": _verify,
        "ask": _ask,
        "adopt": _adopt,
        "unchanged": _unchanged,
    }

    def done(act: str, rows: list[Claimed]) -> list[Outcome]:
        try:
            return ways[act](connector, lane, rows, pool)
        except Exception as error:  # noqa: BLE001 - a connector that breaks its promises must not lose the rows
            log.error("connector.fault", connection=lane.connection, object=lane.object, act=act, exc_info=error)
            fault = _fault(error, write=act in ("write", "resolve"))
            return [Outcome(row=row, error=fault) for row in rows]

    return [outcome for act, rows in by_act.items() for outcome in done(act, rows)]


def _fault(error: Exception, *, write: bool) -> VendorError:
    """What a connector did not translate is doubt after a write, else a refusal to answer."""
    text = f"{type(error).__name__}: {error}"
    return UnknownOutcome(text, code="connector-fault") if write else Unavailable(text, code="connector-fault")


def _unchanged(connector: Connector, lane: Lane, rows: list[Claimed], _pool: Executor) -> list[Outcome]:
    """The target object holds this very document already; nothing is sent."""
    readable = _readable(_facts(connector, lane))
    return [
        Outcome(
            row=r,
            called=False,
            ref=r.ref,
            url=r.url,
            disposition="unchanged",
            readable=readable,
            read=r.verified,
            items=len(rows),
        )
        for r in rows
    ]


def _side_by_side(work: Callable[[list[T]], list[Outcome]], batches: list[list[T]], pool: Executor) -> list[Outcome]:
    """Several batches at once; one batch needs no other thread."""
    if len(batches) == 1:
        return work(batches[0])
    return [outcome for done in pool.map(work, batches) for outcome in done]


def _batches(rows: Sequence[T], size: int) -> list[list[T]]:
    return [list(rows[i : i + size]) for i in range(0, len(rows), max(size, 1))]


def _facts(connector: Connector, lane: Lane) -> ObjectFacts:
    return connector.facts.targets[lane.object]


def _readable(facts: ObjectFacts) -> bool:
    return facts.read_batch >= 1 and facts.find != "no"


# ── write and read back ───────────────────────────────────────────────────────────────────────────


def _write(connector: Connector, lane: Lane, rows: list[Claimed], pool: Executor) -> list[Outcome]:
    facts = _facts(connector, lane)
    written = _side_by_side(lambda batch: _write_batch(connector, lane, batch), _batches(rows, facts.write_batch), pool)
    good = [o for o in written if o.error is None]
    bad = [o for o in written if o.error is not None]
    return bad + _read_back(connector, lane, good, pool)


def _write_batch(connector: Connector, lane: Lane, rows: list[Claimed]) -> list[Outcome]:
    started = time.monotonic()
    intents = [row.intent(lane) for row in rows]
    results = _guarded(lambda ctx: connector.write(intents, ctx), rows, lane, "write", write=True)
    ms = _ms(started)
    if isinstance(results, VendorError):
        return [Outcome(row=row, error=results, ms=ms, items=len(rows)) for row in rows]
    if len(results) != len(rows):
        raise Bug(f"{lane.connection} answered {len(results)} results for {len(rows)} intents")
    return [_written(row, result, ms, len(rows)) for row, result in zip(rows, results, strict=True)]


def _written(row: Claimed, result: WriteResult, ms: int, items: int) -> Outcome:
    return Outcome(
        row=row,
        ref=result.ref or row.ref,
        url=result.url or row.url,
        version=result.version,
        disposition=result.disposition,
        error=result.error or (None if result.ref or row.ref else UnknownOutcome("the target gave no id")),
        ms=ms,
        items=items,
    )


def _read_back(connector: Connector, lane: Lane, written: list[Outcome], pool: Executor) -> list[Outcome]:
    """Compare what the target holds with what we wrote; a failure to read leaves it applied, to be read later."""
    facts = _facts(connector, lane)
    if not written or not _readable(facts):
        return [replace(o, readable=False) for o in written]
    batches = _batches(written, facts.read_batch)
    return _side_by_side(lambda batch: _read_batch(connector, lane, batch), batches, pool)


def _read_batch(connector: Connector, lane: Lane, batch: list[Outcome]) -> list[Outcome]:
    rows = [o.row for o in batch]
    refs = [o.ref for o in batch]
    found = _guarded(lambda ctx: connector.fetch(lane.object, refs, ctx), rows, lane, "verify", write=False)
    if isinstance(found, VendorError):
        return [replace(o, unread=found) for o in batch]
    by_ref = {observed.ref: observed for observed in found}
    return [_compared(o, by_ref.get(o.ref)) for o in batch]


def _compared(outcome: Outcome, observed: Observed | None) -> Outcome:
    if observed is None:
        return outcome
    differs = disagreements(outcome.row.fields, observed.fields)
    return replace(
        outcome,
        read=True,
        differs=differs,
        version=observed.version or outcome.version,
        url=observed.url or outcome.url,
    )


def _verify(connector: Connector, lane: Lane, rows: list[Claimed], pool: Executor) -> list[Outcome]:
    return _read_back(connector, lane, [Outcome(row=row, ref=row.ref, url=row.url) for row in rows], pool)


# ── resolve ───────────────────────────────────────────────────────────────────────────────────────


def _resolve(connector: Connector, lane: Lane, rows: list[Claimed], pool: Executor) -> list[Outcome]:
    """Look up by our key what may have been written; where a target cannot be searched, say so."""
    if lane.operation == "ask":
        return _ask(connector, lane, rows, pool)
    if lane.operation == "adopt":
        return _adopt(connector, lane, rows, pool)
    facts = _facts(connector, lane)
    if facts.find == "no":
        return [Outcome(row=row, called=False, readable=False, absent=not facts.upsert, many=-1) for row in rows]
    return _side_by_side(lambda batch: _resolve_batch(connector, lane, batch), _batches(rows, facts.read_batch), pool)


def _resolve_batch(connector: Connector, lane: Lane, rows: list[Claimed]) -> list[Outcome]:
    started = time.monotonic()
    keys = [row.record_key for row in rows]
    found = _guarded(lambda ctx: connector.find(lane.object, keys, ctx), rows, lane, "resolve", write=False)
    ms = _ms(started)
    if isinstance(found, VendorError):
        return [Outcome(row=row, error=found, ms=ms, items=len(rows)) for row in rows]
    return [_resolved(row, found.get(row.record_key, ()), ms) for row in rows]


def _resolved(row: Claimed, seen: Sequence[Observed], ms: int) -> Outcome:
    if not seen:
        return Outcome(row=row, absent=True, ms=ms)
    if len(seen) > 1:
        return Outcome(row=row, many=len(seen), ref=seen[0].ref, ms=ms)
    outcome = Outcome(row=row, ref=seen[0].ref, url=seen[0].url, version=seen[0].version, disposition="found", ms=ms)
    return _compared(outcome, seen[0])


# ── ask and adopt ─────────────────────────────────────────────────────────────────────────────────


def _ask(connector: Connector, lane: Lane, rows: list[Claimed], _pool: Executor) -> list[Outcome]:
    started = time.monotonic()
    asked = [row.fields for row in rows]
    answers = _guarded(lambda ctx: connector.ask(lane.object, asked, ctx), rows, lane, "ask", write=False)
    ms = _ms(started)
    if isinstance(answers, VendorError):
        return [Outcome(row=row, error=answers, ms=ms, items=len(rows)) for row in rows]
    return [
        Outcome(row=row, error=a.error, answer=a, ms=ms, items=len(rows)) for row, a in zip(rows, answers, strict=True)
    ]


def _adopt(connector: Connector, lane: Lane, rows: list[Claimed], pool: Executor) -> list[Outcome]:
    return _side_by_side(lambda batch: [_adopt_one(connector, lane, row) for row in batch], _batches(rows, 1), pool)


def _adopt_one(connector: Connector, lane: Lane, row: Claimed) -> Outcome:
    """Find by our key, else by natural key; compare; never write."""
    started = time.monotonic()

    def look(ctx: CallContext) -> Sequence[Observed]:
        known = connector.find(lane.object, [row.record_key], ctx).get(row.record_key, ())
        return known or connector.match(lane.object, row.fields, ctx)

    seen = _guarded(look, [row], lane, "adopt", write=False)
    if isinstance(seen, VendorError):
        return Outcome(row=row, error=seen, ms=_ms(started))
    return _resolved(row, seen, _ms(started))


# ── the one door ──────────────────────────────────────────────────────────────────────────────────


def _guarded(
    call: Callable[[CallContext], T], rows: Sequence[Claimed], lane: Lane, act: str, *, write: bool
) -> T | VendorError:
    """Make one vendor call: span, correlation, deadline; what a connector did not translate is doubt."""
    first = rows[0]
    if time.monotonic() > first.until:
        log.warning("call.late", connection=lane.connection, object=lane.object, act=act, rows=len(rows))
        return Busy("claimed too long ago; not called")
    with call_span(lane.connection, lane.object, act, items=len(rows), parent=first.traceparent) as traceparent:
        ctx = CallContext(
            correlation_id=first.correlation_id,
            traceparent=traceparent,
            timeout=CALL_TIMEOUT,
            priority=min(row.priority for row in rows),
        )
        try:
            return call(ctx)
        except VendorError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a connector's fault must not lose the row
            log.error("connector.fault", connection=lane.connection, object=lane.object, act=act, exc_info=error)
            return _fault(error, write=write)


def _ms(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
