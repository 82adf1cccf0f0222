"""Settling: outcomes to states, by the tables of the core, in one transaction with everything that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from concordat.core.settle import Next, Verdict, after_absence, after_error, reaction
from concordat.core.states import EffectState, move
from concordat.core.undo import LOOK, UNDO
from concordat.engine.alone import storable
from concordat.engine.calls import Outcome
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.claims import Ready, Turn, one_writer, taken_at_once
from concordat.engine.rivals import Rival, disagreement, rivals_of
from concordat.engine.world import Lane, World, log
from concordat.errors import Rejected, Unavailable, VendorError
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["free", "put_back", "settle", "unkept"]

E = EffectState
READ_AGAIN = timedelta(seconds=5)
READ_AT_LEAST = timedelta(minutes=15)
"""How often, in the end, what could not be read back is tried again."""
SHOWN_WITHIN = timedelta(minutes=15)
"""How long a target may take to show what it said it wrote, unless it declares a longer lag."""
ASK_AGAIN = timedelta(minutes=15)
BEFORE = {"write": E.SENDING, "ask": E.SENDING, "adopt": E.SENDING, "resolve": E.IN_DOUBT, "verify": E.APPLIED}
"""Where an effect stands while this is done with it."""
MAY_BE_STOPPED = frozenset({"waiting", "withdrawing", "withdrawn", "cancelled"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Settled:
    outcome: Outcome
    verdict: Verdict
    word: str
    """The attempt's outcome, in one word."""
    error: str = ""


def settle(world: World, conn: Connection, lane: Lane, outcomes: Sequence[Outcome], *, turn: Turn) -> Ready:
    """Keep what became of a round; says what is ready because of it.

    The clock is the claim's: patience is counted from before the call. Handoffs that this round cannot move (a step
    that is optional, and that no other waits for) are not locked.
    """
    at = outcomes[0].row.at
    settled = [_judge(world, lane, outcome, at) for outcome in outcomes]
    freeing = sorted({s.outcome.row.handoff for s in settled if _frees(world, s)})
    moving = sorted({*freeing, *(s.outcome.row.handoff for s in settled if _moves(s))})
    stopped = _stopped(conn, moving) if moving else ()
    rows = json_text([_row(world, s) for s in settled])
    mine = {row["effect_id"] for row in conn.execute(QUERIES.effect.settle, {"rows": rows, "worker": turn.worker})}
    late = len(settled) - len(mine)
    if late:
        log.warning("settle.late", connection=lane.connection, rows=late)
    kept = [s for s in settled if s.outcome.row.id in mine]
    _cases(world, conn, lane, kept, at)
    put_back(conn, stopped)
    if landed := sorted({s.outcome.row.handoff for s in kept if _landed(s)} & set(stopped)):
        conn.execute(QUERIES.undo.plan_again, {"ids": landed})  # what was on its way at a withdrawal stands now
    _keep_undos(conn, kept)
    ready = free(world, conn, freeing, turn)
    if moving:
        conn.execute(QUERIES.handoff.derive_states, {"ids": moving})
    if taken := sorted({s.outcome.row.handoff for s in kept if s.outcome.row.step.startswith(UNDO)}):
        conn.execute(QUERIES.undo.close, {"ids": taken})
    at_once = any(s.verdict.wait == timedelta(0) for s in kept)
    return Ready(lanes=ready.lanes | ({lane.id} if at_once else frozenset()), taken=ready.taken)


def _frees(world: World, settled: _Settled) -> bool:
    """Whether a step may go on because of this one."""
    row, state = settled.outcome.row, settled.verdict.state
    done = state in (E.APPLIED, E.VERIFIED) or (row.optional and state in (E.HELD, E.PENDING))
    return done and (row.takes_back or world.waited_for(row.contract, row.version, row.step))


def _landed(settled: _Settled) -> bool:
    return settled.verdict.state in (E.APPLIED, E.VERIFIED) and not settled.outcome.row.takes_back


def _moves(settled: _Settled) -> bool:
    """Whether the handoff's own state may follow, or it must be asked whether another try is wanted at all."""
    row = settled.outcome.row
    return not row.optional or row.takes_back or settled.verdict.state in (E.READY, E.PENDING, E.HELD)


def _stopped(conn: Connection, handoffs: Sequence[int]) -> Sequence[int]:
    """Lock these handoffs, in the one order; say which of them shall send nothing more, not even another try."""
    rows = conn.execute(QUERIES.handoff.lock_for_settling, {"ids": list(handoffs)}).fetchall()
    asked = [row["id"] for row in rows if row["state"] in MAY_BE_STOPPED]
    if not asked:
        return ()
    return [row["id"] for row in conn.execute(QUERIES.handoff.stopped, {"ids": asked})]


def _keep_undos(conn: Connection, kept: Sequence[_Settled]) -> None:
    """What was undone is undone; what was asked before an undo is kept, and the undo planned on."""
    undos = [s.outcome.row for s in kept if s.outcome.row.takes_back]
    if not undos:
        return
    conn.execute(QUERIES.undo.finish, {"ids": [row.id for row in undos]})
    said = [s for s in kept if s.outcome.row.step.startswith(LOOK) and s.verdict.state in (E.VERIFIED, E.HELD)]
    if said:
        known = {s.outcome.row.id: s.outcome.answer.detail for s in said if s.outcome.answer and s.outcome.answer.met}
        keep_answers(conn, known, sorted({s.outcome.row.handoff for s in said}))


def put_back(conn: Connection, handoffs: Sequence[int]) -> None:
    """Supersede what these handoffs have not sent; the trouble of it is over. Their rows are locked by the caller."""
    if handoffs:
        rows = conn.execute(QUERIES.effect.supersede_unsent, {"handoffs": list(handoffs)}).fetchall()
        if rows:
            parameters = {"effects": [row["id"] for row in rows], "resolution": "not wanted at present"}
            conn.execute(QUERIES.case.resolve_effects, parameters)


def free(world: World, conn: Connection, handoffs: Sequence[int], turn: Turn) -> Ready:
    """Free what waited for these handoffs' steps, take what this process goes on with; an event may free more."""
    lanes: set[int] = set()
    taken: list[Mapping[str, Any]] = []
    parameters = {"handoffs": list(handoffs), **turn.parameters(world)}
    while handoffs:
        with one_writer():
            rows = conn.execute(QUERIES.effect.unblock, parameters).fetchall()
        lanes |= {row["lane_id"] for row in rows if row["kind"] != "emit" and row["id"] is None}
        taken += [row for row in rows if row["id"] is not None]
        told = [row for row in rows if row["kind"] == "emit"]
        if not any(world.waited_for(row["contract"], row["version"], row["step"]) for row in told):
            break
    return Ready(lanes=frozenset(lanes), taken=taken_at_once(world, conn, taken))


def keep_answers(conn: Connection, said: Mapping[int, Mapping[str, Any]], handoffs: Sequence[int]) -> None:
    """Keep what targets said before an undo (by effect), and plan these handoffs again now that it is known."""
    conn.execute(QUERIES.undo.keep_answers, {"ids": list(said), "answers": [json_text(each) for each in said.values()]})
    conn.execute(QUERIES.undo.plan_again, {"ids": list(handoffs)})


# ── judging ───────────────────────────────────────────────────────────────────────────────────────


def _judge(world: World, lane: Lane, outcome: Outcome, at: datetime) -> _Settled:
    """One verdict per outcome, each a legal move."""
    row = outcome.row
    settled = _verdict(world, lane, outcome, at)
    move(BEFORE.get(row.act, E.READY), settled.verdict.state)
    return settled


def _verdict(world: World, lane: Lane, outcome: Outcome, at: datetime) -> _Settled:  # noqa: PLR0911 - one line a case
    row = outcome.row
    if outcome.error is not None:
        return _failed(world, lane, outcome, at)
    if outcome.answer is not None:
        return _answered(outcome)
    if outcome.many > 1:
        says = f"{outcome.many} records at {lane.connection} carry the key {row.record_key}"
        return _Settled(outcome=outcome, verdict=Verdict(state=E.HELD, case="refused"), word="ambiguous", error=says)
    if outcome.many < 0:
        return _unsearchable(outcome)
    if row.act == "adopt":
        return _adopted(outcome)
    if outcome.absent:
        return _absent(world, outcome, at)
    return _done(world, outcome, lane, at)


def _absent(world: World, outcome: Outcome, at: datetime) -> _Settled:
    row = outcome.row
    verdict = after_absence(
        now=at,
        settle_by=row.settle_by or at,
        tries=row.tries,
        spread=_spread(row.id),
        policy=world.policy(row.contract, "unknown"),
        failing_for=at - (row.failing_since or at),
    )
    says = "sent again and again without an answer, and the target shows nothing" if verdict.case else ""
    return _Settled(outcome=outcome, verdict=verdict, word="absent", error=says)


def _owners(world: World, lane: Lane, outcome: Outcome) -> str:
    """Whose the fields are that somebody else's automation overwrites."""
    rules = world.owned.get(lane.object, {})
    others = {f: rules[f][0].system for f in outcome.differs if f in rules and rules[f][0].system != lane.connection}
    return "".join(f"; {name} belongs to {system}" for name, system in others.items())


def _done(world: World, outcome: Outcome, lane: Lane, at: datetime) -> _Settled:
    if outcome.differs and outcome.row.act != "resolve":
        fields = ", ".join(outcome.differs) + _owners(world, lane, outcome)
        says = f"{lane.connection} accepted the write but holds something else in: {fields}"
        return _Settled(outcome=outcome, verdict=Verdict(state=E.HELD, case="refused"), word="differs", error=says)
    if outcome.differs:
        return _found_otherwise(outcome, lane, at)
    if outcome.read:
        return _Settled(outcome=outcome, verdict=Verdict(state=E.VERIFIED), word=outcome.disposition or "verified")
    if not outcome.readable:
        return _Settled(outcome=outcome, verdict=Verdict(state=E.APPLIED), word=outcome.disposition or "applied")
    return _not_read(world, outcome, lane, at)


def _found_otherwise(outcome: Outcome, lane: Lane, at: datetime) -> _Settled:
    """Looked up and different: what was sent may still land, so it is written again only after the settle window."""
    left = (outcome.row.settle_by or at) - at
    if left <= timedelta(0):
        return _Settled(outcome=outcome, verdict=Verdict(state=E.READY, wait=timedelta(0)), word="found")
    says = f"{lane.connection} may still take what was sent"
    verdict = Verdict(state=E.IN_DOUBT, wait=min(left, timedelta(seconds=20)), waits_for=says)
    return _Settled(outcome=outcome, verdict=verdict, word="found")


def _not_read(world: World, outcome: Outcome, lane: Lane, at: datetime) -> _Settled:
    """Written and not read back: read again with growing patience, then a person looks."""
    age = at - (outcome.row.applied_at or at)
    facts = world.facts(lane)
    patience = max(SHOWN_WITHIN, facts.search_lag, facts.settle_window) if facts else SHOWN_WITHIN
    says = f"{lane.connection} said that it was written and does not show it"
    if outcome.unread is not None:
        patience = world.policy(outcome.row.contract, reaction(outcome.unread).word).give_up
        says = f"written, and never read back: {outcome.unread.message}"
    if age >= patience:
        return _Settled(outcome=outcome, verdict=Verdict(state=E.HELD, case="held"), word="unread", error=says)
    wait = min(max(age, READ_AGAIN), READ_AT_LEAST)
    word = outcome.disposition or ("unread" if outcome.row.act == "verify" else "applied")
    return _Settled(outcome=outcome, verdict=Verdict(state=E.APPLIED, wait=wait), word=word)


def _answered(outcome: Outcome) -> _Settled:
    answer = outcome.answer
    if answer is None or answer.met or outcome.row.step.startswith(LOOK):
        return _Settled(outcome=outcome, verdict=Verdict(state=E.VERIFIED), word="met")
    waits = Verdict(state=E.PENDING, wait=ASK_AGAIN, waits_for=answer.says or "the answer is no")
    return _Settled(outcome=outcome, verdict=waits, word="not met", error=answer.says)


def _adopted(outcome: Outcome) -> _Settled:
    """Found and equal, found and different, or not there: reported, never written."""
    if outcome.absent:
        verdict = Verdict(state=E.HELD)
        return _Settled(
            outcome=outcome,
            verdict=verdict,
            word="not found",
            error="not found at the target; older than `since`, so not made",
        )
    if outcome.differs:
        says = "adopted; differs in: " + ", ".join(outcome.differs)
        return _Settled(outcome=outcome, verdict=Verdict(state=E.APPLIED), word="differs", error=says)
    return _Settled(outcome=outcome, verdict=Verdict(state=E.VERIFIED), word="adopted")


def _unsearchable(outcome: Outcome) -> _Settled:
    """In doubt at a target that cannot be searched: repeat where repeating is harmless, else ask a person."""
    if not outcome.absent:
        return _Settled(outcome=outcome, verdict=Verdict(state=E.READY, wait=timedelta(0)), word="repeatable")
    says = "sent, no answer, and the target cannot be searched: look there, then retry or skip"
    return _Settled(outcome=outcome, verdict=Verdict(state=E.HELD, case="held"), word="unknown", error=says)


def _failed(world: World, lane: Lane, outcome: Outcome, at: datetime) -> _Settled:
    row, error = outcome.row, outcome.error
    if error is None:
        raise AssertionError
    if row.act in ("ask", "adopt") and reaction(error).next is Next.RESOLVE:
        error = _unanswered(error)
    word = reaction(error).word
    verdict = after_error(
        error,
        policy=world.policy(row.contract, word),
        tries=row.tries,
        failing_for=at - (row.failing_since or at),
        spread=_spread(row.id),
        system=lane.connection,
        now=at,
    )
    if row.act == "resolve" and verdict.state in (E.PENDING, E.READY):
        verdict = Verdict(
            state=E.IN_DOUBT,
            wait=verdict.wait,
            waits_for=f"{lane.connection} is asked again whether it was written",
        )
    if verdict.state is E.IN_DOUBT and not verdict.waits_for:
        verdict = Verdict(state=E.IN_DOUBT, wait=verdict.wait, waits_for=f"{lane.connection} gave no certain answer")
    says = f"{error.message}" + (f" ({error.code})" if error.code else "")
    return _Settled(outcome=outcome, verdict=verdict, word="failed", error=says)


def _unanswered(error: VendorError) -> VendorError:
    """Nothing is ever in doubt about a question: it is asked again."""
    return Unavailable(error.message, code=error.code)


def unkept(outcome: Outcome, error: Exception) -> Outcome:
    """An outcome that the database refuses: held for a person, with what can be said about it."""
    text = storable(f"the answer cannot be kept: {type(error).__name__}: {error}")
    return Outcome(row=outcome.row, called=outcome.called, error=Rejected(text, code="poison"), ms=outcome.ms)


def _spread(effect: int) -> float:
    """A number between 0 and 1 that is an effect's own, so that many do not come back in one instant."""
    return (effect * 2654435761 % 1000) / 1000


# ── keeping ───────────────────────────────────────────────────────────────────────────────────────


def _row(world: World, settled: _Settled) -> dict[str, Any]:
    outcome, verdict, row = settled.outcome, settled.verdict, settled.outcome.row
    sent = row.act in ("write", "resolve")
    return {
        "effect_id": outcome.row.id,
        "fence": outcome.row.fence,
        "state": verdict.state,
        "wait": verdict.wait.total_seconds() if verdict.wait is not None else None,
        "waits_for": storable(verdict.waits_for),
        "error": storable(settled.error),
        "error_class": type(outcome.error).__name__ if outcome.error else "",
        "ref": "" if outcome.many > 1 else outcome.ref,
        "url": outcome.url,
        "version": outcome.version,
        "digest": "" if outcome.differs else outcome.row.digest,
        "act": outcome.row.act,
        "outcome": settled.word,
        "ms": outcome.ms,
        "differs": outcome.differs or None,
        "items": outcome.items,
        "filled": [key for key, value in row.fields.items() if value is not None] if sent else (),
        "timed": world.timed(row.contract, row.version, row.step),
    }


def _cases(world: World, conn: Connection, lane: Lane, settled: Sequence[_Settled], at: datetime) -> None:
    rivals = rivals_of(world, conn, lane, [s.outcome for s in settled])
    told = [s for s in settled if s.verdict.case or s.outcome.row.id in rivals]
    if told:
        open_cases(conn, [_case(world, lane, s, at, rivals.get(s.outcome.row.id)) for s in told])
    fine = [s.outcome.row.id for s in settled if s.verdict.state in (E.VERIFIED, E.APPLIED) and s.outcome.row.tries > 1]
    fine = [id_ for id_ in fine if id_ not in rivals]
    if fine:
        conn.execute(QUERIES.case.resolve_effects, {"effects": fine, "resolution": "it went through"})


def _product(world: World, lane: Lane) -> str:
    connector = world.connectors.get(lane.connection)
    return connector.facts.title if connector else lane.connection


def _case(world: World, lane: Lane, settled: _Settled, at: datetime, rival: Rival | None) -> CaseDraft:
    row = settled.outcome.row
    contract = world.contracts.get(row.contract)
    span = contract.cases.due if contract and contract.cases else None
    error = settled.outcome.error
    thing = (lane.object or row.step).replace("_", " ")
    draft = CaseDraft(
        unit=row.unit,
        kind=settled.verdict.case,
        contract=row.contract,
        handoff=row.handoff,
        effect=row.id,
        title=storable(f"{row.title}: {thing} in {_product(world, lane)}: {settled.error}"),
        owner=row.owner or (contract.case_owner if contract else "operations"),
        facts={
            "system": lane.connection,
            "object": lane.object,
            "step": row.step,
            "class": type(error).__name__ if error else settled.word,
            "code": error.code if error else "",
            "field": error.field if error else "",
            "differs": dict(settled.outcome.differs),
        },
        value=row.value,
        due_at=world.due(row.owner, span.span, at) if span else None,
    )
    return draft if rival is None else disagreement(draft, lane, settled.outcome, rival)
