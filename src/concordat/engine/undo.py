"""Undo in sets: what was withdrawn, and items that left, are taken back in the targets by the contract's words.

Every undo is an effect of its own (`undo.<step>`) that writes a few fields and is read back like any other write; what
cannot be undone is a case. Wanted again, undos that were not sent are dropped, and the effects themselves are written
again: the same handoff, the same target objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from concordat.core.contract import Contract
from concordat.core.plan import Stance
from concordat.core.states import IN_FLIGHT, EffectState
from concordat.core.undo import LOOK, UNDO, USAGE, Does, Line, Standing, plan_undo
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.matching.subject import Subject
from concordat.engine.world import World
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["Undone", "asks", "lines_of", "supports", "survey", "undo"]

E = EffectState


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """What one round of undoing left: lanes that have work, and subjects of which something is on its way."""

    lanes: frozenset[int] = frozenset()
    waiting: Sequence[Subject] = ()


@dataclass(kw_only=True, slots=True)
class Survey:
    """The effects of one handoff, told apart."""

    effects: list[Mapping[str, Any]] = field(default_factory=list)
    undos: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    looks: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def put(self, row: Mapping[str, Any]) -> None:
        """Sort one effect in."""
        if row["kind"] == "undo":
            self.undos[row["step"].removeprefix(UNDO), row["item"]] = row
        elif row["kind"] == "look":
            self.looks[row["step"].removeprefix(LOOK), row["item"]] = row
        else:
            self.effects.append(row)


def survey(conn: Connection, handoffs: Sequence[int]) -> Mapping[int, Survey]:
    """Read what stands of these handoffs."""
    found: dict[int, Survey] = defaultdict(Survey)
    for row in conn.execute(QUERIES.undo.standing, {"ids": list(handoffs)}):
        found[row["handoff_id"]].put(row)
    return found


def supports(world: World, system: str, object_: str, fields: frozenset[str]) -> bool:
    """Whether a target takes these fields of an object; one that declares no fields takes all."""
    connector = world.connectors.get(system)
    facts = connector.facts.targets.get(object_) if connector else None
    return facts is not None and (not facts.fields or fields <= facts.fields)


def asks(world: World, system: str) -> bool:
    """Whether a system says what people have put on an object."""
    connector = world.connectors.get(system)
    return connector is not None and USAGE in connector.facts.questions


def lines_of(
    world: World,
    contract: Contract,
    stands: Survey,
    records: Mapping[str, Mapping[str, Any]],
    *,
    only: frozenset[int] | None = None,
    said: Mapping[tuple[str, str], Any] | None = None,
) -> tuple[Line, ...]:
    """The undo plan of one handoff, or of some of its effects; `said` is what targets answered just now."""
    standing = [_standing(row, stands, said or {}) for row in stands.effects if _counts(row, only)]
    done = {row["step"] for row in stands.effects if row["state"] in (E.APPLIED, E.VERIFIED)}
    return plan_undo(
        contract,
        standing,
        records,
        supports=lambda system, object_, fields: supports(world, system, object_, fields),
        asks=lambda system: asks(world, system),
        final=contract.final_after in done,
    )


def _counts(row: Mapping[str, Any], only: frozenset[int] | None) -> bool:
    """What is undone already is no line; nor what never came to anything."""
    if only is not None and row["id"] not in only:
        return False
    return row["kind"] in ("put", "check", "emit") and (row["state"] not in (E.UNDONE, E.SUPERSEDED) or _may_stand(row))


def _may_stand(row: Mapping[str, Any]) -> bool:
    """A change that was not sent was superseded, and the object as it was before is still there."""
    return bool(row["state"] == E.SUPERSEDED and row["kind"] == "put" and row["ref"])


def _standing(row: Mapping[str, Any], stands: Survey, said: Mapping[tuple[str, str], Any]) -> Standing:
    place = (row["step"], row["item"])
    look = stands.looks.get(place)
    answered = look is not None and look["state"] in (E.APPLIED, E.VERIFIED, E.HELD)
    return Standing(
        id=row["id"],
        step=row["step"],
        item=row["item"],
        kind=row["kind"],
        state=EffectState(row["state"]),
        system=row["connection"] or "",
        object=row["object"] or "",
        ref=row["ref"] or "",
        record_key=row["record_key"] or "",
        shared=row["owner_id"] != row["subject_id"],
        wanted_by=row["wanted_by"] or 0,
        unknown=row["unknown"],
        usage=said[place] if place in said else look["answer"] if look else None,
        looked=answered or place in said,
    )


# ── doing ─────────────────────────────────────────────────────────────────────────────────────────


def undo(
    world: World, conn: Connection, subjects: Sequence[Subject], left: Mapping[int, frozenset[int]], at: datetime
) -> Undone:
    """Undo withdrawn subjects whole, and of the others the effects in `left` (by handoff); take back the rest.

    The caller holds the handoffs and their work, and has superseded what was not sent.
    """
    if not subjects:
        return Undone()
    surveys = survey(conn, [s.handoff for s in subjects])
    lanes: set[int] = set()
    waiting: list[Subject] = []
    for subject in subjects:
        stands = surveys.get(subject.handoff, Survey())
        only = None if subject.plan.stance is Stance.WITHDRAWN else left.get(subject.handoff, frozenset())
        lines = lines_of(world, subject.contract, stands, subject.fields, only=only)
        on_the_way = _take_back(conn, stands, {(line.step, line.item) for line in lines})
        if on_the_way or any(line.does is Does.WAIT for line in lines):
            waiting.append(subject)
        else:
            lanes |= _run(world, conn, subject, stands, lines, at)
    withdrawn = [s.handoff for s in subjects if s.plan.stance is Stance.WITHDRAWN]
    conn.execute(QUERIES.proposal.void_withdrawn, {"handoffs": withdrawn})
    conn.execute(QUERIES.undo.close, {"ids": withdrawn})
    return Undone(lanes=frozenset(lanes), waiting=waiting)


def _take_back(conn: Connection, stands: Survey, wanted: set[tuple[str, str]]) -> bool:
    """Undos of what is wanted again go; says whether one of them is being sent at this moment."""
    unwanted = [row for rows in (stands.undos, stands.looks) for key, row in rows.items() if key not in wanted]
    undone = {(row["step"], row["item"]) for row in stands.effects if row["state"] in (E.UNDONE, E.UNDOING)}
    gone = [row for row in unwanted if row["state"] not in (E.UNDONE, E.SUPERSEDED) and not _stays(row, undone)]
    if not gone:
        return False
    rows = conn.execute(QUERIES.undo.take_back, {"ids": [row["id"] for row in gone]}).fetchall()
    parameters = {"effects": [row["id"] for row in rows], "resolution": "wanted again"}
    conn.execute(QUERIES.case.resolve_effects, parameters)
    return any(row["state"] in IN_FLIGHT for row in gone)


def _stays(row: Mapping[str, Any], undone: set[tuple[str, str]]) -> bool:
    """The undo of what is still undone: it did its work and stays as it is."""
    return row["kind"] == "undo" and (row["step"].removeprefix(UNDO), row["item"]) in undone


def _run(  # noqa: PLR0917 - what a line needs to run
    world: World, conn: Connection, subject: Subject, stands: Survey, lines: Sequence[Line], at: datetime
) -> set[int]:
    rows = {row["id"]: row for row in stands.effects}
    running = {key for key, row in stands.undos.items() if row["state"] not in (E.UNDONE, E.SUPERSEDED)}
    looks = [line for line in lines if line.does is Does.LOOK]
    if looks:
        return _ask(world, conn, subject, looks, at)
    writes = [line for line in lines if line.does is Does.WRITE and rows[line.effect]["state"] != E.UNDOING]
    lanes = _begin(world, conn, subject, [w for w in writes if (w.step, w.item) not in running], rows, at)
    dropped = [line.effect for line in lines if line.does is Does.DROP]
    if dropped:
        conn.execute(QUERIES.undo.let_go, {"ids": dropped})
    asked = [line for line in lines if (line.does is Does.DECIDE or line.asks) and not rows[line.effect]["decided"]]
    open_cases(conn, _cases(world, subject, asked, at))
    return lanes


def _begin(  # noqa: PLR0917 - what a line needs to run
    world: World,
    conn: Connection,
    subject: Subject,
    writes: Sequence[Line],
    rows: Mapping[int, Mapping[str, Any]],
    at: datetime,
) -> set[int]:
    if not writes:
        return set()
    lanes = world.lane_ids(conn)
    asked = [
        {
            "effect_id": line.effect,
            "step": UNDO + line.step,
            "fields": line.fields,
            "digest": line.digest,
            "after": ",".join(UNDO + step for step in line.after),
            "lane_id": lanes[line.system, line.object, "put"],
            "team": rows[line.effect]["owner"],
            "due_at": _due(world, subject.contract, rows[line.effect]["owner"], at),
        }
        for line in writes
    ]
    conn.execute(QUERIES.case.resolve_effects, {"effects": [w.effect for w in writes], "resolution": "undone"})
    return {row["lane_id"] for row in conn.execute(QUERIES.undo.begin, {"rows": json_text(asked)})}


def _ask(world: World, conn: Connection, subject: Subject, looks: Sequence[Line], at: datetime) -> set[int]:
    lanes = world.lane_ids(conn)
    asked = [
        {
            "effect_id": line.effect,
            "step": LOOK + line.step,
            "fields": {"object": line.object, "ref": line.ref},
            "digest": line.ref,
            "lane_id": lanes[line.system, USAGE, "ask"],
            "team": line.owner,
            "due_at": _due(world, subject.contract, line.owner, at),
        }
        for line in looks
    ]
    return {row["lane_id"] for row in conn.execute(QUERIES.undo.ask, {"rows": json_text(asked)})}


def _due(world: World, contract: Contract, team: str, at: datetime) -> datetime | None:
    span = contract.cases.due if contract.cases else None
    return world.due(team, span.span, at) if span else None


def _cases(world: World, subject: Subject, asked: Sequence[Line], at: datetime) -> list[CaseDraft]:
    """One case for what the contract does not speak of, one for each other step."""
    common = [line for line in asked if line.common]
    apart = [_case(world, subject, [line], at) for line in asked if not line.common]
    return [_case(world, subject, common, at), *apart] if common else apart


def _case(world: World, subject: Subject, lines: Sequence[Line], at: datetime) -> CaseDraft:
    line = lines[0]
    named = ", ".join(f"{each.step} {each.item}".strip() for each in lines)
    what = "undone, and the rest is a decision" if line.asks else "not undone"
    gone = "was withdrawn" if subject.plan.stance is Stance.WITHDRAWN else "no longer wants something"
    return CaseDraft(
        unit=subject.unit,
        kind="withdrawn",
        contract=subject.contract.contract,
        handoff=subject.handoff,
        effect=None if line.common else line.effect,
        title=f"{subject.plan.title} {gone}: {named} {what}: {line.why}",
        owner=line.owner or subject.contract.case_owner,
        value=subject.plan.value,
        facts={"reason": subject.plan.reason, "done": line.asks, "why": line.why, "steps": [_fact(x) for x in lines]},
        due_at=_due(world, subject.contract, line.owner, at),
    )


def _fact(line: Line) -> dict[str, str]:
    names = ("step", "item", "word", "system", "object", "ref")
    return {name: getattr(line, name) for name in names}
