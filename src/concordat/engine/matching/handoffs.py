"""Handoffs as plans leave them: opened, renewed, their clocks started, their cases kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from concordat.core.plan import Stance
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.matching.subject import Subject
from concordat.engine.world import World
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["keep_adopted", "keep_cases", "keep_inputs", "open_handoffs", "renew_handoffs", "wanted_again"]


def open_handoffs(world: World, conn: Connection, fresh: Sequence[Subject], at: datetime) -> None:
    """Open one handoff per new subject and start its clocks."""
    if not fresh:
        return
    states = [_state(s) for s in fresh]
    rows = conn.execute(
        QUERIES.handoff.open_handoffs,
        {
            "units": [s.unit for s in fresh],
            "contracts": [s.contract.contract for s in fresh],
            "versions": [s.contract.version for s in fresh],
            "subjects": [s.known.id for s in fresh],
            "states": [state for state, _ in states],
            "waits": [waits for _, waits in states],
            "correlations": [s.correlation_id for s in fresh],
            "traces": [s.traceparent for s in fresh],
            **_worth(fresh),
        },
    )
    by_key = {s.key: s for s in fresh}
    for row in rows:
        by_key[row["contract"], row["subject_id"]].handoff = row["id"]
    _start_clocks(world, conn, [s for s in fresh if s.plan.stance is Stance.WANTED], at)


def _worth(subjects: Sequence[Subject]) -> dict[str, list[Any]]:
    return {
        "titles": [s.plan.title for s in subjects],
        "amounts": [s.plan.value[0] if s.plan.value else None for s in subjects],
        "currencies": [s.plan.value[1] if s.plan.value else None for s in subjects],
        "digests": [s.plan.digest for s in subjects],
    }


def _state(subject: Subject) -> tuple[str, str]:
    """State and what is waited for, as the plan alone tells it."""
    plan = subject.plan
    if plan.stance is Stance.UNKNOWN:
        return "waiting", plan.reason or "a rule cannot be answered"
    if plan.stance is Stance.WITHDRAWN:
        return ("withdrawing" if subject.stands else "withdrawn"), ""
    if plan.missing:
        return "waiting", ", ".join(m.path for m in plan.missing)
    if plan.stance is Stance.ADOPTED:
        return "adopted", ""
    return "planned", ""


def renew_handoffs(world: World, conn: Connection, known: Sequence[Subject], at: datetime) -> None:
    """Keep what a new plan says of handoffs that exist; an idle one stays as it is. Withdrawn, its clocks stop."""
    known = [s for s in known if s.plan.stance is not Stance.IDLE]
    if not known:
        return
    states = [_state(s) for s in known]
    conn.execute(
        QUERIES.handoff.renew_handoffs,
        {
            "ids": [s.handoff for s in known],
            "states": [state for state, _ in states],
            "waits": [waits for _, waits in states],
            **_worth(known),
        },
    )
    stopped = [s.handoff for s in known if s.plan.stance is Stance.WITHDRAWN]
    if stopped:
        conn.execute(QUERIES.handoff.stop_clocks, {"ids": stopped})
    begun = [s for s in known if s.plan.stance is Stance.WANTED and s.was in ("waiting", "withdrawing", "withdrawn")]
    _start_clocks(world, conn, begun, at)


def keep_inputs(conn: Connection, live: Sequence[Subject]) -> Sequence[Subject]:
    """Remember which records a handoff reads, so that their changes reach it.

    Gives back those whose records were changed while they were planned: the change did not know of them yet.
    """
    pairs = [(k.id, s.handoff) for s in live for k in s.related.values() if k is not None]
    if not pairs:
        return ()
    parameters = {"records": [p[0] for p in pairs], "handoffs": [p[1] for p in pairs]}
    new = {(row["record_id"], row["handoff_id"]) for row in conn.execute(QUERIES.handoff.keep_inputs, parameters)}
    read = {id_: revision for s in live for id_, revision in s.revisions.items() if (id_, s.handoff) in new}
    if not read:
        return ()
    steady = conn.execute(QUERIES.handoff.steady, {"ids": list(read), "revisions": list(read.values())})
    moving = read.keys() - {row["id"] for row in steady}
    return [s for s in live if any((id_, s.handoff) in new for id_ in moving & s.revisions.keys())]


def _start_clocks(world: World, conn: Connection, fresh: Iterable[Subject], at: datetime) -> None:
    rows = [
        (s.handoff, level.name, s.unit, level.until, team := level.owner or s.contract.owner,
         world.due(team, level.warn_at.span, at) if level.warn_at else None, world.due(team, level.within.span, at))
        for s in fresh
        for level in s.contract.service_levels
    ]  # fmt: skip
    if rows:
        names = ("handoffs", "names", "units", "untils", "owners", "warns", "dues")
        conn.execute(
            QUERIES.handoff.start_service_levels,
            dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)),
        )


def keep_cases(world: World, conn: Connection, live: Sequence[Subject], at: datetime) -> None:
    """One case per handoff that misses something, gone by itself when nothing is missing any more."""
    open_cases(conn, [_case(world, s, at) for s in live if s.plan.missing or s.plan.stance is Stance.UNKNOWN])
    stopped = ("waiting", "withdrawing", "withdrawn")
    _resolve(conn, [s for s in live if s.was in stopped and _goes(s)], ("missing", "unknown"), COMPLETED)
    begun = [s for s in live if s.was == "waiting" and s.plan.stance is Stance.WITHDRAWN]
    _resolve(conn, begun, ("missing", "unknown"), "withdrawn")


COMPLETED = "the source was completed"


def wanted_again(conn: Connection, going: Sequence[Subject]) -> None:
    """Everything these handoffs ever wrote is wanted: no decision about what was withdrawn is left."""
    _resolve(conn, going, ("withdrawn",), "wanted again")


def keep_adopted(world: World, conn: Connection, live: Sequence[Subject], at: datetime) -> None:
    """What was adopted stays so, also when its date moves past `since`; a person says whether it is written now."""
    adopted = [s for s in live if s.was == "adopted"]
    moved = [s for s in adopted if s.plan.stance is Stance.WANTED]
    older = [s for s in adopted if s.plan.stance is Stance.ADOPTED]
    for subject in moved:
        subject.plan = replace(subject.plan, stance=Stance.ADOPTED)
    _resolve(conn, older, ("adopted",), "its date is before the contract's again")
    if moved:
        rows = conn.execute(QUERIES.case.decided, {"handoffs": [s.handoff for s in moved], "kind": "adopted"})
        decided = {row["handoff_id"] for row in rows}
        open_cases(conn, [_newer(world, s, at) for s in moved if s.handoff not in decided])


def _newer(world: World, subject: Subject, at: datetime) -> CaseDraft:
    contract = subject.contract
    span = contract.cases.due if contract.cases else None
    return CaseDraft(
        unit=subject.unit,
        kind="adopted",
        contract=contract.contract,
        handoff=subject.handoff,
        title=f"{subject.plan.title} was older than {contract.since}, was adopted, and is not older any more",
        owner=contract.case_owner,
        value=subject.plan.value,
        facts={
            "since": str(contract.since),
            "remedy": f"Nothing is written. concordat handoff take-on H{subject.handoff}, or decide the case",
        },
        due_at=world.due(contract.case_owner, span.span, at) if span else None,
    )


def _goes(subject: Subject) -> bool:
    return not subject.plan.missing and subject.plan.stance in (Stance.WANTED, Stance.ADOPTED)


def _resolve(conn: Connection, subjects: Sequence[Subject], kinds: Sequence[str], says: str) -> None:
    if subjects:
        parameters = {"handoffs": [s.handoff for s in subjects], "kinds": list(kinds), "resolution": says}
        conn.execute(QUERIES.case.resolve_handoffs, parameters)


def _case(world: World, subject: Subject, at: datetime) -> CaseDraft:
    plan, contract = subject.plan, subject.contract
    span = contract.cases.due if contract.cases else None
    common: dict[str, Any] = {
        "unit": subject.unit,
        "contract": contract.contract,
        "handoff": subject.handoff,
        "value": plan.value,
        "owner": contract.case_owner,
        "due_at": world.due(contract.case_owner, span.span, at) if span else None,
    }
    if plan.stance is Stance.UNKNOWN:
        return CaseDraft(
            kind="unknown",
            title=f"{plan.title}: a rule cannot be answered",
            facts={"reason": plan.reason},
            **common,
        )
    missing = [{"field": m.path, "owner": m.owner, "says": m.says} for m in plan.missing]
    title = f"{plan.title} cannot start: " + ", ".join(m.says for m in plan.missing)
    return CaseDraft(kind="missing", title=title, facts={"missing": missing}, **common)
