"""Planted faults of the engine, each of which some seed must notice: the proof that the harness can fail.

A mutant is a patch of the engine's seams in the harness's own process, undone afterwards; the product has no switches.
One that no longer fits the engine is a `Bug`: it is mended here, never dropped silently.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from concordat.core.settle import REACTIONS, Next, Verdict
from concordat.core.states import EffectState
from concordat.errors import Bug, Contended, NotReachable, Rejected, Unavailable, UnknownOutcome, VendorError
from concordat.prove.fibres import Killed
from concordat.prove.machine import Machine
from concordat.prove.run import play
from concordat.prove.scene import draw
from concordat.store.queries import QUERIES, load

__all__ = ["MUTANTS", "Mutant", "hunt"]

MOST_SEEDS = 60
Patch = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One planted fault."""

    name: str
    says: str
    patch: Patch
    mix: str = ""
    """The vendor class at which it shows soonest."""
    profile: str = "all"
    scale: float = 1.0
    excuse: str = ""
    """Why it may survive."""


# ── ways to patch ─────────────────────────────────────────────────────────────────────────────────


def swap(place: str, make: Callable[[Any], Any]) -> Patch:
    """Put something else in the place of `module:name` (or `module:Class.name`), made from what is there."""
    module, _, path = place.partition(":")

    @contextmanager
    def patch() -> Iterator[None]:
        owner: Any = importlib.import_module(f"concordat.{module}")
        *parts, name = path.split(".")
        for part in parts:
            owner = getattr(owner, part)
        real = owner.__dict__[name]
        setattr(owner, name, make(real))
        try:
            yield
        finally:
            setattr(owner, name, real)

    return patch


def sql(aggregate: str, query: str, old: str, new: str) -> Patch:
    """Change the text of one named statement."""

    @contextmanager
    def patch() -> Iterator[None]:
        known: Any = load(aggregate).queries
        real = known[query]
        if old not in real.sql:
            raise Bug(f"The mutant of {aggregate}.{query} does not fit the statement any more.")
        known[query] = replace(real, sql=real.sql.replace(old, new))
        try:
            yield
        finally:
            known[query] = real

    return patch


def react(kind: type[VendorError], to: Next) -> Patch:
    """Treat one class of error as another kind of trouble."""

    @contextmanager
    def patch() -> Iterator[None]:
        table: Any = REACTIONS
        real = table[kind]
        table[kind] = replace(real, next=to)
        try:
            yield
        finally:
            table[kind] = real

    return patch


def nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


# ── what some of them do instead ──────────────────────────────────────────────────────────────────


def _acknowledged(real: Any) -> Any:
    def receive(*args: Any, **kwargs: Any) -> Any:
        try:
            return real(*args, **kwargs)
        except (NotReachable, Contended, Killed):
            return SimpleNamespace(received=SimpleNamespace(status=202))

    return receive


def _believed(real: Any) -> Any:
    settled = importlib.import_module("concordat.engine.settling")._Settled  # noqa: SLF001

    def failed(world: Any, lane: Any, outcome: Any, at: Any) -> Any:
        if isinstance(outcome.error, UnknownOutcome):
            return settled(outcome=outcome, verdict=Verdict(state=EffectState.APPLIED), word="applied")
        return real(world, lane, outcome, at)

    return failed


def _local(real: Any) -> Any:
    """The worker's own clock, 26 hours ahead, in place of the database's."""
    own = real.__func__

    def of(cls: Any, row: Any, lane: Any, refs: Any, at: Any) -> Any:
        return own(cls, row, lane, refs, at + timedelta(hours=26))

    return classmethod(of)


def _rekeyed(real: Any) -> Any:
    def intent(self: Any, lane: Any) -> Any:
        made = real(self, lane)
        return replace(made, record_key=f"{made.record_key[:-2]}{self.tries % 100:02d}")

    return intent


def _unread(_real: Any) -> Any:
    return lambda _connector, _lane, written, _pool: [replace(outcome, readable=False) for outcome in written]


def _page_dropped(real: Any) -> Any:
    """One record that cannot be taken takes its page with it."""
    part = importlib.import_module("concordat.engine.intake.records")

    def keep(world: Any, conn: Any, connection: str, records: Any, trace: Any) -> Any:
        if any(part._faults(record) for _, record in records):  # noqa: SLF001
            return part._Part(unfit=[place for place, _ in records])  # noqa: SLF001
        return real(world, conn, connection, records, trace)

    return keep


def _last_dropped(real: Any) -> Any:
    def keep(world: Any, conn: Any, connection: str, records: Sequence[Any], **trace: Any) -> Any:
        return real(world, conn, connection, list(records)[:-1] if len(records) > 1 else records, **trace)

    return keep


def _torn(real: Any) -> Any:
    """Commit half of a transaction."""

    def alone(conn: Any, *args: Any) -> Any:
        done = real(conn, *args)
        conn.execute("COMMIT")
        conn.execute("BEGIN")
        return done

    return alone


def _unswept(_real: Any) -> Any:
    def sweep(world: Any, connection: str, object_: str, **_: Any) -> int:
        place = {"connection": connection, "object": object_}
        with world.db.engine() as conn:
            row = conn.execute(QUERIES.intake.claim_cursor, place).fetchone() or {}
            conn.execute(QUERIES.intake.move_cursor, {**place, "position": row.get("position"), "every": 120.0})
        return 0

    return sweep


def _believed_absent(real: Any) -> Any:
    return lambda **facts: real(**{**facts, "settle_by": facts["now"]})


def _retried(real: Any) -> Any:
    def after(error: Any, **facts: Any) -> Any:
        if isinstance(error, Rejected):
            return Verdict(state=EffectState.READY, wait=timedelta(seconds=60))
        return real(error, **facts)

    return after


def _never_older(_real: Any) -> Any:
    return lambda *_: False


WORK = "JOIN work w ON w.effect_id = a.effect_id AND w.fence = a.fence"
RESOLVE = "WHEN s.state IN ('sending', 'in_doubt') THEN 'resolve'"
SENDING = "CASE WHEN s.act = 'resolve' THEN 'in_doubt' ELSE 'sending' END"
SAME = "s.link_digest = s.digest THEN 'unchanged'"
NEWER = 'excluded.version COLLATE "C" > r.version COLLATE "C"'

MUTANTS: Sequence[Mutant] = (
    Mutant(name="acknowledge before persist", says="a push is answered 202 whatever became of its transaction",
           patch=swap("prove.run:receive_push", _acknowledged), profile="database"),
    Mutant(name="timeout as success", says="no certain answer counts as done",
           patch=swap("engine.settling:_failed", _believed), mix="D", profile="network"),
    Mutant(name="no lookup", says="what is in doubt is sent again without a look",
           patch=sql("effect", "claim", RESOLVE, RESOLVE.replace("'resolve'", "'write'")), mix="B", profile="network"),
    Mutant(name="no settle window", says="absence is believed at once",
           patch=swap("engine.settling:after_absence", _believed_absent), mix="B", profile="network"),
    Mutant(name="checkpoint before effect", says="an effect counts as applied before it is sent",
           patch=sql("effect", "claim", SENDING, SENDING.replace("'sending'", "'applied'")), mix="D", profile="crash"),
    Mutant(name="no fence", says="a worker that was presumed dead settles all the same",
           patch=sql("effect", "settle", WORK, "JOIN work w ON w.effect_id = a.effect_id"), mix="B", profile="crash",
           scale=3),
    Mutant(name="last arrival wins", says="an older version overwrites a newer one",
           patch=sql("intake", "keep_records", NEWER, "true"), profile="vendor"),
    Mutant(name="head-of-line poison", says="one record that cannot be taken takes its page with it",
           patch=swap("engine.intake.records:_keep", _page_dropped), mix="A", profile="calm", scale=3),
    Mutant(name="sticky dead letter", says="what was refused stays so when its source is mended",
           patch=sql("effect", "of_handoffs", "d.doubtful,", "e.state = 'held' AS doubtful,"), mix="A",
           profile="calm"),
    Mutant(name="sequence-cursor outbox", says="marks that commit late are passed over",
           patch=sql("handoff", "take_dirty", "WHERE due_at <= app_now()",
                     "WHERE due_at BETWEEN app_now() - interval '1 second' AND app_now()")),
    Mutant(name="no sweep", says="sources are not read from their cursors",
           patch=swap("engine.worker:sweep", _unswept)),
    Mutant(name="local clock", says="patience is counted by the worker's own clock, 26 hours ahead",
           patch=swap("engine.claims:Claimed.of", _local), mix="B", profile="network"),
    Mutant(name="retry without doubt", says="no certain answer counts as nothing done",
           patch=react(UnknownOutcome, Next.RETRY), mix="B", profile="network"),
    Mutant(name="verify skipped", says="nothing is read back", patch=swap("engine.calls:_read_back", _unread), mix="A",
           profile="vendor"),
    Mutant(name="old claim called", says="a worker that slept sends what it had claimed",
           patch=swap("engine.claims:FRESH", lambda _real: math.inf), mix="A", profile="crash"),
    Mutant(name="record key per attempt", says="each try has a key of its own",
           patch=swap("engine.claims:Claimed.intent", _rekeyed), mix="B", profile="network"),
    Mutant(name="write key not raised", says="a new document goes under the old idempotency key",
           patch=sql("effect", "change", "generation = e.generation + a.step", "generation = e.generation"), mix="A",
           profile="calm"),
    Mutant(name="adopt writes", says="what is older than the contract is written",
           patch=swap("core.plan.planner:_older", _never_older), profile="calm"),
    Mutant(name="superseding sending", says="a plan replaces what is on its way",
           patch=swap("core.late:IN_FLIGHT", lambda _real: frozenset())),
    Mutant(name="refusal retried", says="a refused record is sent again and again",
           patch=swap("engine.settling:after_error", _retried), mix="A", profile="calm", scale=2),
    Mutant(name="outage as refusal", says="a system that is down makes cases", patch=react(Unavailable, Next.CASE),
           mix="A", profile="vendor"),
    Mutant(name="lost link", says="the target's id is not kept",
           patch=sql("effect", "settle", "UPDATE link l SET ref = m.ref", "UPDATE link l SET ref = l.ref"), mix="B"),
    Mutant(name="newer hint dropped", says="a hint that came while its record was read is dropped with the old one",
           patch=sql("intake", "drop_hints", "h.hinted_at = t.hinted_at", "true"),
           excuse="the sweep finds the change two minutes later: a promise of speed, which no invariant here is about"),
    Mutant(name="page skipped", says="the last record of a page is not kept",
           patch=swap("engine.intake.sweeps:keep_records", _last_dropped)),
    Mutant(name="torn transaction", says="a record is committed before the mark that plans it",
           patch=swap("engine.intake.records:alone", _torn), profile="database"),
    Mutant(name="nobody takes over", says="what dead workers held stays theirs",
           patch=swap("prove.crew:mend", lambda _real: nothing), profile="crash"),
    Mutant(name="held in silence", says="what only a person can decide opens no case",
           patch=swap("engine.settling:_cases", lambda _real: nothing), mix="A", profile="calm"),
    Mutant(name="change believed done", says="another document counts as the one that the target holds",
           patch=sql("effect", "claim", SAME, "true THEN 'unchanged'"), profile="calm"),
    Mutant(name="not planned again", says="a change that met an effect on its way is forgotten",
           patch=swap("engine.matching:again", lambda _real: nothing), profile="vendor"),
    Mutant(name="inputs forgotten", says="a change of a client does not reach its deals",
           patch=swap("engine.matching:keep_inputs", lambda _real: lambda *_: ()), profile="calm"),
)  # fmt: skip
"""Every planted fault."""
LEFT_OUT: Mapping[str, str] = {
    "no echo check": "no system of these worlds is both read from and written to, so no write comes back as a push",
    "brake ignored": "no world is large enough to reach a brake; tests/engine has it",
    "lease not checked": "the fence makes a robbed worker harmless by design: `no fence` is the mutant that counts",
}
"""What a harness might plant and this one does not, and why."""


def hunt(mutant: Mutant, machine: Machine, known: dict[tuple[int, str, str], str]) -> dict[str, Any]:
    """Play seeds until one notices the planted fault that is green without it."""
    told = {"name": mutant.name, "says": mutant.says}
    for tried, seed in enumerate(range(1, MOST_SEEDS + 1), start=1):
        scene = draw(seed, mutant.profile, scale=mutant.scale, mix=mutant.mix)
        with mutant.patch():
            broken = play(scene, machine).broken
        if not broken:
            continue
        place = (seed, mutant.profile, f"{mutant.mix} {mutant.scale}")
        if place not in known:
            known[place] = play(scene, machine).broken
        if not known[place]:
            return {**told, "killed_by": broken, "seed": seed, "tried": tried, "why": ""}
    return {**told, "killed_by": "", "seed": 0, "tried": MOST_SEEDS, "why": mutant.excuse}
