"""From dirty marks to desired effects, in sets: read, plan (pure), write, one transaction for many subjects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from concordat.core.contract import Contract
from concordat.core.expressions import compile_rule
from concordat.core.late import Change, Changes, Existing, compare
from concordat.core.plan import Desired, Known, Plan, Stance
from concordat.core.states import EffectState
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.world import DEFAULT_BRAKE, World, log
from concordat.store.database import Connection, json_text, now
from concordat.store.queries import QUERIES

__all__ = ["Matched", "plan_dirty"]

PARENT_WAIT = 2.0
"""Seconds until a handoff whose parent is not readable yet is planned again."""

Key = tuple[str, int]
"""Contract name and subject id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matched:
    """What one round of planning did: subjects looked at, and lanes that have work now."""

    subjects: int = 0
    lanes: frozenset[int] = frozenset()


@dataclass(kw_only=True, slots=True)
class _Subject:
    """One dirty mark on its way through planning."""

    contract: Contract
    known: Known
    unit: str
    correlation_id: str
    traceparent: str
    related: dict[str, Known | None] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan(stance=Stance.IDLE))
    handoff: int = 0
    was: str = ""

    @property
    def key(self) -> Key:
        return self.contract.contract, self.known.id


def plan_dirty(world: World, conn: Connection, *, limit: int = 500) -> Matched:
    """Plan up to `limit` dirty subjects inside the caller's transaction."""
    marks = conn.execute(
        QUERIES.handoff.take_dirty, {"contracts": list(world.contracts), "limit": limit}
    ).fetchall()
    if not marks:
        return Matched()
    at = now(conn)
    subjects = _read(world, conn, marks)
    for subject in subjects:
        subject.plan = world.planners[subject.contract.contract].plan(subject.known, subject.related)
    _find_handoffs(conn, subjects)
    lanes = _write(world, conn, subjects, at)
    return Matched(subjects=len(marks), lanes=lanes)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def _read(world: World, conn: Connection, marks: Sequence[Mapping[str, Any]]) -> list[_Subject]:
    ids = [mark["subject_id"] for mark in marks]
    rows = {row["id"]: row for row in conn.execute(QUERIES.handoff.records_by_id, {"ids": ids})}
    subjects = [
        _Subject(
            contract=world.contracts[mark["contract"]],
            known=_known(rows[mark["subject_id"]]),
            unit=rows[mark["subject_id"]]["unit"],
            correlation_id=mark["correlation_id"],
            traceparent=mark["traceparent"],
        )
        for mark in marks
        if mark["subject_id"] in rows
    ]
    by_contract: dict[str, list[_Subject]] = defaultdict(list)
    for subject in subjects:
        by_contract[subject.contract.contract].append(subject)
    for members in by_contract.values():
        for name in members[0].contract.with_:
            _relate(conn, members, name)
    return subjects


def _known(row: Mapping[str, Any]) -> Known:
    changed: datetime | None = row["changed_at"]
    return Known(
        id=row["id"],
        object=row["object"],
        ref=f"{row['connection']}:{row['ref']}",
        fields=row["fields"],
        changed_on=changed.date() if changed else None,
        deleted=row["deleted"],
    )


def _relate(conn: Connection, members: Sequence[_Subject], name: str) -> None:
    """Read one relation of `with` for all members at once."""
    contract = members[0].contract
    rule = compile_rule(contract.with_[name].of)
    object_ = _related_object(contract, name)
    wanted: dict[tuple[str, str], list[_Subject]] = defaultdict(list)
    for member in members:
        fields = {contract.subject: member.known.fields}
        fields.update({n: k.fields for n, k in member.related.items() if k is not None})
        ref = rule.value(fields)
        member.related[name] = None
        if isinstance(ref, str) and ":" in ref:
            connection, _, vendor_id = ref.partition(":")
            wanted[connection, vendor_id].append(member)
    keys = list(wanted)
    rows = conn.execute(
        QUERIES.handoff.records_by_ref,
        {"connections": [k[0] for k in keys], "refs": [k[1] for k in keys], "objects": [object_] * len(keys)},
    )
    for row in rows:
        for member in wanted[row["connection"], row["ref"]]:
            member.related[name] = _known(row)


def _related_object(contract: Contract, name: str) -> str:
    """The canonical object behind a relation: said, or the name itself, or that of the subject (`original`)."""
    said = contract.with_[name].object
    if said:
        return said
    last = contract.with_[name].of.split(".")[-1]
    return {"extends": contract.subject}.get(last, name)


def _find_handoffs(conn: Connection, subjects: Sequence[_Subject]) -> None:
    by_key = {subject.key: subject for subject in subjects}
    rows = conn.execute(
        QUERIES.handoff.lock_handoffs,
        {"contracts": [k[0] for k in by_key], "subjects": [k[1] for k in by_key]},
    )
    for row in rows:
        subject = by_key[row["contract"], row["subject_id"]]
        subject.handoff, subject.was = row["id"], row["state"]


# ── writing ───────────────────────────────────────────────────────────────────────────────────────


def _write(world: World, conn: Connection, subjects: list[_Subject], at: datetime) -> frozenset[int]:
    live = [
        s for s in subjects if s.handoff or s.plan.stance in (Stance.WANTED, Stance.ADOPTED, Stance.UNKNOWN)
    ]
    live = [s for s in live if s.handoff or s.plan.stance is not Stance.UNKNOWN or s.known.object]
    _wait_for_parents(conn, live)
    live = _brake(world, conn, live)
    fresh = [s for s in live if not s.handoff]
    _open(world, conn, fresh, at)
    _renew(conn, [s for s in live if s not in fresh])
    _keep_inputs(conn, live)
    _keep_cases(world, conn, live, at)
    going = [s for s in live if s.plan.stance in (Stance.WANTED, Stance.ADOPTED) and not s.plan.missing]
    changes = _compare(conn, going, {s.handoff for s in fresh})
    lanes = _apply(world, conn, going, changes, at)
    withdrawn = [s for s in live if s.plan.stance is Stance.WITHDRAWN and s.was]
    _freeze(conn, withdrawn)
    _again(conn, [s for s in going if changes[s.handoff].again])
    conn.execute(QUERIES.handoff.derive_states, {"ids": [s.handoff for s in going]})
    return lanes


def _wait_for_parents(conn: Connection, live: Sequence[_Subject]) -> None:
    """A parent that is not here yet is asked for, and the handoff planned again shortly."""
    lacking = [s for s in live if any(k is None for k in s.related.values())]
    hints = [
        (*str(ref).split(":", 1), _related_object(s.contract, name))
        for s in lacking
        for name, known in s.related.items()
        if known is None
        and isinstance(ref := compile_rule(s.contract.with_[name].of).value(_fields(s)), str)
        and ":" in ref
    ]
    if hints:
        conn.execute(
            QUERIES.intake.leave_hints,
            {
                "connections": [h[0] for h in hints],
                "refs": [h[1] for h in hints],
                "objects": [h[2] for h in hints],
                "correlation_id": lacking[0].correlation_id,
                "traceparent": lacking[0].traceparent,
            },
        )
    _again(conn, [s for s in lacking if s.plan.stance in (Stance.WANTED, Stance.ADOPTED)], PARENT_WAIT)


def _fields(subject: _Subject) -> dict[str, Mapping[str, Any]]:
    known = {name: k.fields for name, k in subject.related.items() if k is not None}
    return {subject.contract.subject: subject.known.fields, **known}


def _again(conn: Connection, subjects: Sequence[_Subject], wait: float = 1.0) -> None:
    if subjects:
        conn.execute(
            QUERIES.handoff.mark_again,
            {
                "contracts": [s.contract.contract for s in subjects],
                "subjects": [s.known.id for s in subjects],
                "waits": [wait] * len(subjects),
                "correlations": [s.correlation_id for s in subjects],
            },
        )


def _brake(world: World, conn: Connection, live: list[_Subject]) -> list[_Subject]:
    """Stop what would start too much in an hour; it waits for a person and loses nothing."""
    starting: dict[str, list[_Subject]] = defaultdict(list)
    for subject in live:
        if not subject.handoff and subject.plan.stance is Stance.WANTED:
            starting[subject.contract.contract].append(subject)
    stopped: set[Key] = set()
    for name, members in starting.items():
        most = _most(world.contracts[name])
        if most is None:
            continue
        row = (
            conn.execute(QUERIES.handoff.brake_count, {"contract": name, "subjects": len(members)}).fetchone()
            or {}
        )
        if row["released"] or row["subjects"] <= most:
            continue
        over = members[-min(len(members), row["subjects"] - most) :]
        conn.execute(QUERIES.handoff.brake_stop, {"contract": name, "subjects": len(over)})
        _again(conn, over, 30.0)
        open_cases(conn, [_brake_case(world.contracts[name], over, most)])
        log.warning("brake.stopped", contract=name, subjects=len(over), most=most)
        stopped |= {s.key for s in over}
    return [s for s in live if s.key not in stopped]


def _most(contract: Contract) -> int | None:
    if contract.brake is not None:
        return contract.brake.subjects
    return DEFAULT_BRAKE if contract.channel == "transactional" else None


def _brake_case(contract: Contract, over: Sequence[_Subject], most: int) -> CaseDraft:
    name = contract.contract
    return CaseDraft(
        unit=over[0].unit,
        kind="brake",
        contract=name,
        title=f"{name} would start more than {most} subjects in an hour; the rest waits",
        owner=contract.case_owner,
        facts={
            "waiting": len(over),
            "most": most,
            "remedy": f"Look at them, then: concordat contract release {name}",
        },
    )


def _open(world: World, conn: Connection, fresh: Sequence[_Subject], at: datetime) -> None:
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


def _worth(subjects: Sequence[_Subject]) -> dict[str, list[Any]]:
    return {
        "titles": [s.plan.title for s in subjects],
        "amounts": [s.plan.value[0] if s.plan.value else None for s in subjects],
        "currencies": [s.plan.value[1] if s.plan.value else None for s in subjects],
        "digests": [s.plan.digest for s in subjects],
    }


def _state(subject: _Subject) -> tuple[str, str]:
    """State and what is waited for, as the plan alone tells it."""
    plan = subject.plan
    if plan.stance is Stance.UNKNOWN:
        return "waiting", plan.reason or "a rule cannot be answered"
    if plan.stance is Stance.WITHDRAWN:
        return ("withdrawn" if subject.was in ("", "planned", "withdrawn") else "withdrawing"), ""
    if plan.missing:
        return "waiting", ", ".join(m.path for m in plan.missing)
    if plan.stance is Stance.ADOPTED:
        return "adopted", ""
    return "planned", ""


def _renew(conn: Connection, known: Sequence[_Subject]) -> None:
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


def _keep_inputs(conn: Connection, live: Sequence[_Subject]) -> None:
    pairs = [(k.id, s.handoff) for s in live for k in s.related.values() if k is not None]
    if pairs:
        conn.execute(
            QUERIES.handoff.keep_inputs, {"records": [p[0] for p in pairs], "handoffs": [p[1] for p in pairs]}
        )


def _start_clocks(world: World, conn: Connection, fresh: Iterable[_Subject], at: datetime) -> None:
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


def _keep_cases(world: World, conn: Connection, live: Sequence[_Subject], at: datetime) -> None:
    """One case per handoff that misses something, gone by itself when nothing is missing any more."""
    drafts = [
        _case(world, s, at)
        for s in live
        if s.plan.missing or s.plan.stance in (Stance.UNKNOWN, Stance.WITHDRAWN)
    ]
    if drafts:
        open_cases(conn, [d for d in drafts if d is not None])
    waited = [s.handoff for s in live if s.was == "waiting"]
    over = {
        s.handoff for s in live if not s.plan.missing and s.plan.stance in (Stance.WANTED, Stance.ADOPTED)
    }
    cleared = [h for h in waited if h in over]
    if cleared:
        parameters = {
            "handoffs": cleared,
            "kinds": ["missing", "unknown", "withdrawn"],
            "resolution": "the source was completed",
        }
        conn.execute(QUERIES.case.resolve_handoffs, parameters)


def _case(world: World, subject: _Subject, at: datetime) -> CaseDraft | None:
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
    if plan.stance is Stance.WITHDRAWN:
        if subject.was in ("", "withdrawn"):
            return None
        return CaseDraft(
            kind="withdrawn",
            title=f"{plan.title} was withdrawn after it had started",
            facts={"reason": plan.reason},
            **common,
        )
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


def _compare(conn: Connection, going: Sequence[_Subject], fresh: set[int]) -> Mapping[int, Changes]:
    """What differs from the effects that exist; new handoffs have none."""
    old = [s.handoff for s in going if s.handoff not in fresh]
    existing: dict[int, list[Existing]] = defaultdict(list)
    if old:
        conn.execute(QUERIES.effect.lock_work, {"ids": old})
        for row in conn.execute(QUERIES.effect.of_handoffs, {"ids": old}):
            existing[row["handoff_id"]].append(
                Existing(
                    id=row["id"],
                    step=row["step"],
                    item=row["item"],
                    digest=row["digest"],
                    state=EffectState(row["state"]),
                )
            )
    return {
        s.handoff: compare(
            _wanted(s), existing[s.handoff], lambda step, c=s.contract: c.reaction(step).do or "hold"
        )
        for s in going
    }


def _wanted(subject: _Subject) -> tuple[Desired, ...]:
    effects = subject.plan.effects
    return effects if subject.plan.stance is Stance.WANTED else tuple(e for e in effects if e.kind == "put")


def _apply(
    world: World, conn: Connection, going: Sequence[_Subject], changes: Mapping[int, Changes], at: datetime
) -> frozenset[int]:
    new = [(s, d) for s in going for d in changes[s.handoff].new]
    changed = [(s, c) for s in going for c in changes[s.handoff].changed]
    lanes = _insert(world, conn, new, at) if new else set()
    if changed:
        lanes |= _change(world, conn, changed, at)
    if new or changed:
        rows = conn.execute(QUERIES.effect.unblock, {"handoffs": [s.handoff for s in going]}).fetchall()
        lanes |= {row["lane_id"] for row in rows if row["lane_id"] is not None}
    return frozenset(lanes)


def _insert(
    world: World, conn: Connection, new: Sequence[tuple[_Subject, Desired]], at: datetime
) -> set[int]:
    lane_ids = world.lane_ids(conn)
    puts = [(s, d) for s, d in new if d.kind == "put"]
    conn.execute(
        QUERIES.effect.reserve_links,
        {
            "units": [s.unit for s, _ in puts],
            "connections": [d.system for _, d in puts],
            "objects": [d.object for _, d in puts],
            "owners": [d.owner_id for _, d in puts],
            "items": [d.place for _, d in puts],
            "keys": [d.record_key for _, d in puts],
        },
    )
    adopting = [s.plan.stance is Stance.ADOPTED for s, _ in new]
    presents = {id(s): {e.step for e in s.plan.effects} for s, _ in new}
    afters = [
        [] if a else [x for x in d.after if x in presents[id(s)]]
        for (s, d), a in zip(new, adopting, strict=True)
    ]
    rows = conn.execute(
        QUERIES.effect.insert,
        {
            "units": [s.unit for s, _ in new],
            "handoffs": [s.handoff for s, _ in new],
            "steps": [d.step for _, d in new],
            "items": [d.item for _, d in new],
            "kinds": ["adopt" if a else d.kind for (_, d), a in zip(new, adopting, strict=True)],
            "lanes": [
                lane_ids.get((d.system, d.object, "adopt" if a else d.operation))
                for (_, d), a in zip(new, adopting, strict=True)
            ],
            "owners": [d.owner_id for _, d in new],
            "connections": [d.system for _, d in new],
            "objects": [d.object for _, d in new],
            "places": [d.place for _, d in new],
            "afters": [",".join(after) for after in afters],
            "optionals": [d.optional for _, d in new],
            "desired": [json_text(d.fields) for _, d in new],
            "digests": [d.digest for _, d in new],
            "states": [
                "blocked" if after or d.kind == "emit" else "ready"
                for (_, d), after in zip(new, afters, strict=True)
            ],
            "teams": [d.owner for _, d in new],
            "dues": [_due(world, d, at) for _, d in new],
        },
    ).fetchall()
    return {row["lane_id"] for row in rows if row["lane_id"] is not None}


def _due(world: World, desired: Desired, at: datetime) -> datetime | None:
    return world.due(desired.owner, desired.due_span, at) if desired.due_span else None


def _change(
    world: World, conn: Connection, changed: Sequence[tuple[_Subject, Change]], at: datetime
) -> set[int]:
    full = [(s, c) for s, c in changed if c.desired is not None]
    rested = [c.id for _, c in changed if c.desired is None]
    if rested:
        conn.execute(QUERIES.effect.supersede, {"ids": rested})
    rows = conn.execute(
        QUERIES.effect.change,
        {
            "ids": [c.id for _, c in full],
            "desired": [json_text(c.desired.fields) for _, c in full if c.desired],
            "digests": [c.desired.digest for _, c in full if c.desired],
            "states": [c.state.value for _, c in full],
            "steps": [c.generation for _, c in full],
            "waits": [c.waits_for for _, c in full],
        },
    ).fetchall()
    asked = [(s, c) for s, c in full if c.case]
    if asked:
        open_cases(conn, [_late_case(world, s, c, at) for s, c in asked])
    settled = [c.id for _, c in full if not c.case]
    conn.execute(QUERIES.case.resolve_effects, {"effects": settled, "resolution": "the source was changed"})
    return {row["lane_id"] for row in rows if row["lane_id"] is not None}


def _late_case(world: World, subject: _Subject, change: Change, at: datetime) -> CaseDraft:
    contract = subject.contract
    step = change.desired.step if change.desired else ""
    reaction = contract.reaction(step)
    owner = reaction.to or contract.case_owner
    span = contract.cases.due if contract.cases else None
    return CaseDraft(
        unit=subject.unit,
        kind="late_change",
        contract=contract.contract,
        handoff=subject.handoff,
        effect=change.id,
        title=f"{subject.plan.title}: {step} would change after it was done ({reaction.do})",
        owner=owner,
        value=subject.plan.value,
        facts={"step": step, "desired": dict(change.desired.fields) if change.desired else {}},
        due_at=world.due(owner, span.span, at) if span else None,
    )


def _freeze(conn: Connection, withdrawn: Sequence[_Subject]) -> None:
    """What was not sent yet is not wanted any more; what stands is a decision for the case's owner."""
    if withdrawn:
        conn.execute(QUERIES.effect.supersede_unsent, {"handoffs": [s.handoff for s in withdrawn]})
