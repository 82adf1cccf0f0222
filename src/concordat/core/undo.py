"""What is done when a subject is withdrawn, or an item leaves: `plan_undo(…) -> lines`, in the order in which they run.

Pure. The contract names a word for each step (`release`, `archive`, `lock`, `hold`, `nothing`); a word is a write of a
few fields, so that it can be read back like any other. Nothing is ever deleted. What the contract forbids, what the
target cannot do, and what nobody thought of becomes a decision for a named owner, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from concordat.core.contract import Contract, Undo
from concordat.core.expressions import Unknown, compile_rule
from concordat.core.keys import digest
from concordat.core.states import IN_FLIGHT, EffectState

__all__ = ["LOOK", "UNDO", "USAGE", "WORDS", "Does", "Line", "Standing", "Words", "back", "plan_undo"]

E = EffectState
UNDO = "undo."
"""Begins the name of the effect that undoes a step."""
LOOK = "look."
"""Begins the name of the question that must be answered before a step is undone."""
USAGE = "usage"
"""What a target is asked before an undo with a rule: what people have put on the object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """One word of `undo` as fields of the target object, and what takes it back when the subject is wanted again."""

    fields: Mapping[str, Any]
    back: Mapping[str, Any]


WORDS: Mapping[str, Words] = {
    "archive": Words(fields={"archived": True}, back={"archived": False}),
    "lock": Words(fields={"locked": True}, back={"locked": False}),
    "hold": Words(fields={"status": "on_hold"}, back={"status": "active"}),
    "release": Words(fields={"released": True}, back={"released": False}),
}
"""What a target must be able to write and read back to be undone by a word."""


def back(undone: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that take an undo back."""
    found: dict[str, Any] = {}
    for words in WORDS.values():
        if undone.items() >= words.fields.items():
            found |= words.back
    return found


class Does(StrEnum):
    """What becomes of one step."""

    WRITE = "write"
    """The word's fields are written to the target object."""
    DROP = "drop"
    """Nothing stands in a target: what was held here is let go."""
    LEAVE = "leave"
    """It stays as it is, and that is meant."""
    DECIDE = "decide"
    """A person decides; a case says why."""
    LOOK = "look"
    """The target is asked first what people have put on it."""
    WAIT = "wait"
    """Nobody knows yet what the target holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """An effect of a handoff as it stands, with the target object behind it."""

    id: int
    step: str
    item: str = ""
    kind: str
    state: EffectState
    system: str = ""
    object: str = ""
    ref: str = ""
    record_key: str = ""
    shared: bool = False
    """The target object belongs to a related record, not to the subject."""
    wanted_by: int = 0
    """Another handoff that wants the same target object."""
    unknown: bool = False
    """A call was made and nobody knows what became of it."""
    usage: Mapping[str, Any] | None = None
    """What the target said people have put on it; None when it was not asked or gave no answer."""
    looked: bool = False
    """It was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of the plan, as it is shown and as it runs."""

    effect: int
    step: str
    item: str = ""
    does: Does
    word: str = ""
    system: str = ""
    object: str = ""
    ref: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Lines (by the step they undo) that are done before this one."""
    why: str = ""
    owner: str = ""
    """Whose decision it is."""
    digest: str = ""
    asks: bool = False
    """Done, and a person decides about what people have put on it."""
    common: bool = False
    """The decision is about the handoff, not about this step alone: one case for all of them."""


Supports = Callable[[str, str, frozenset[str]], bool]
"""(system, object, fields): whether these fields of the object can be written there."""


def plan_undo(
    contract: Contract,
    standing: Sequence[Standing],
    records: Mapping[str, Mapping[str, Any]],
    *,
    supports: Supports,
    asks: Callable[[str], bool],
    final: bool = False,
) -> tuple[Line, ...]:
    """The plan for these effects, dependents first. `asks` says whether a system answers the question of usage.

    With `final` (the step of `final_after` is done) nothing is undone: one decision names the step.
    """
    place = {step: at for at, step in enumerate(contract.order())}
    ordered = sorted(standing, key=lambda s: (-place.get(s.step, -1), s.item, s.id))
    lines = [_line(contract, s, records, supports, asks, final=final) for s in ordered]
    running = {line.step for line in lines if line.does is Does.WRITE}
    behind = {step: _behind(contract, step) & running for step in running}
    return tuple(_placed(line, behind.get(line.step, set())) for line in lines)


def _placed(line: Line, behind: set[str]) -> Line:
    if line.does is not Does.WRITE or not behind:
        return line
    return replace(line, after=tuple(sorted(behind)))


def _behind(contract: Contract, step: str) -> set[str]:
    """Every step that waits for this one, however far away; they are undone before it."""
    found: set[str] = set()
    ahead = [step]
    while ahead:
        before = ahead.pop()
        more = [name for name, other in contract.steps.items() if before in other.after and name not in found]
        found.update(more)
        ahead.extend(more)
    return found


def _line(  # noqa: PLR0911 - one line a case
    contract: Contract,
    standing: Standing,
    records: Mapping[str, Mapping[str, Any]],
    supports: Supports,
    asks: Callable[[str], bool],
    *,
    final: bool,
) -> Line:
    undo = contract.undo.get(standing.step)
    if standing.state in IN_FLIGHT:
        return _said(standing, Does.WAIT, undo, "sent without a certain answer; it is looked up first")
    if standing.kind == "emit":
        return _said(standing, Does.LEAVE, undo, "an event that was published stays published")
    if standing.kind != "put":
        return _said(standing, Does.DROP, undo, "nothing stands in a target")
    if not standing.ref:
        if standing.unknown:
            says = f"nobody knows whether it was made in {standing.system}"
            return _said(standing, Does.DECIDE, undo, says, contract.case_owner)
        return _said(standing, Does.DROP, undo, "nothing was made")
    if final:
        says = f"{contract.final_after} is done: nothing is undone any more"
        return replace(_said(standing, Does.DECIDE, undo, says, contract.case_owner), common=True)
    if undo is None or undo.do == "nothing":
        return _unnamed(contract, standing, undo)
    if standing.wanted_by:
        return _said(standing, Does.LEAVE, undo, f"handoff {standing.wanted_by} still wants it")
    words = WORDS.get(undo.do)
    if words is None or not supports(standing.system, standing.object, frozenset(words.fields)):
        says = f"{standing.system} cannot {undo.do} a {standing.object}"
        return _said(standing, Does.DECIDE, undo, says, undo.else_to or undo.to or contract.case_owner)
    return _ruled(contract, standing, undo, words, records, asks)


def _unnamed(contract: Contract, standing: Standing, undo: Undo | None) -> Line:
    if undo is not None:
        return _said(standing, Does.LEAVE, undo, "the contract leaves it as it is")
    if standing.shared:
        return _said(standing, Does.LEAVE, undo, "it belongs to a related record, and the contract names no undo")
    says = "the contract does not say how it is undone"
    return replace(_said(standing, Does.DECIDE, undo, says, contract.case_owner), common=True)


def _ruled(  # noqa: PLR0917 - what the rules look at
    contract: Contract,
    standing: Standing,
    undo: Undo,
    words: Words,
    records: Mapping[str, Mapping[str, Any]],
    asks: Callable[[str], bool],
) -> Line:
    """The word runs unless a rule forbids it; a rule about the target's own object is asked there first."""
    owner = undo.else_to or undo.to or contract.case_owner
    ruled = undo.unless is not None or undo.decide_if is not None
    if ruled and not standing.looked and asks(standing.system):
        return _said(standing, Does.LOOK, undo, f"{standing.system} is asked first what people have put on it", owner)
    known = {**records, standing.object: standing.usage} if standing.usage is not None else records
    if undo.unless is not None:
        answer = compile_rule(undo.unless).evaluate(known)
        if answer is not False:
            says = f"{undo.unless} holds" if answer is True else f"{undo.unless} cannot be answered"
            return _said(standing, Does.DECIDE, undo, says + _hours(standing), owner)
    asked = compile_rule(undo.decide_if).evaluate(known) if undo.decide_if else False
    says = "" if asked is False else f"{undo.decide_if} " + ("cannot be answered" if _open(asked) else "holds")
    return Line(
        effect=standing.id,
        step=standing.step,
        item=standing.item,
        does=Does.WRITE,
        word=undo.do,
        system=standing.system,
        object=standing.object,
        ref=standing.ref,
        fields=words.fields,
        digest=digest({"undo": standing.record_key, "fields": dict(words.fields)}),
        owner=owner,
        why=says and says + _hours(standing),
        asks=bool(says),
    )


def _open(answer: object) -> bool:
    return isinstance(answer, Unknown)


def _hours(standing: Standing) -> str:
    hours = (standing.usage or {}).get("hours")
    return f" ({hours} h)" if hours else ""


def _said(standing: Standing, does: Does, undo: Undo | None, why: str, owner: str = "") -> Line:
    return Line(
        effect=standing.id,
        step=standing.step,
        item=standing.item,
        does=does,
        word=undo.do if undo else "",
        system=standing.system,
        object=standing.object,
        ref=standing.ref,
        why=why,
        owner=owner,
    )
