"""What a new plan means for effects that exist: `compare(plan, existing, reaction) -> Changes`.

Pure. Same digest: nothing to do. Not sent yet: the new document simply replaces the old one. Sent: the contract's
`late_change` decides, for each field that may have a word of its own. On its way (`sending`, `in_doubt`): nothing until
it is known what the target holds; the handoff is planned again when it settles.

What a person must agree to (`hold`, `propose`) is a proposal: one for each desired document. The effect keeps the
document that the target holds until somebody approves; a document that was declined is not asked about again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from concordat.core.keys import digest
from concordat.core.plan import Desired
from concordat.core.states import IN_FLIGHT, EffectState, move

__all__ = ["Change", "Changes", "Do", "Existing", "Late", "compare"]

E = EffectState
Do = Literal["converge", "hold", "ignore", "propose", "wait"]

UNSENT = frozenset({E.BLOCKED, E.READY, E.PENDING, E.HELD, E.SUPERSEDED, E.SKIPPED})
WAITING = frozenset({E.BLOCKED, E.READY, E.PENDING})
SETTLED = frozenset({E.APPLIED, E.VERIFIED})
TAKEN_BACK = frozenset({E.UNDOING, E.UNDONE})
ASKS = frozenset({"hold", "propose", "wait"})
"""Reactions that leave the change to a person."""
SAYS = {"hold": "a late change waits for a decision", "propose": "a late change is proposed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """The reaction of one step, and of the fields that have another one."""

    do: Do
    fields: Mapping[str, Do] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """Whether a person may have to agree."""
        return bool(ASKS & {self.do, *self.fields.values()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Existing:
    """An effect as it stands."""

    id: int
    step: str
    item: str
    digest: str
    state: EffectState
    done: bool = False
    """It was applied once: the target holds an earlier document."""
    holds: str = ""
    """Digest of the document that the target is known to hold."""
    doubtful: bool = False
    """Held because it may have been sent and cannot be looked up: written again it might be there twice."""
    linked: bool = False
    """Its target object exists."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """Its own document; only where a field has a reaction of its own."""
    asked: str = ""
    """Digest of the document that an open proposal is about."""
    declined: frozenset[str] = frozenset()
    """Digests of documents that somebody declined, or skipped."""
    approved: bool = False
    """Its document was approved and is not sent yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A new desired document, or only a new state, for one effect."""

    id: int
    state: EffectState
    desired: Desired | None = None
    """None: only the state changes."""
    generation: int = 0
    """How far the write key moves on."""
    waits_for: str = ""
    proposal: Desired | None = None
    """What a person must agree to before it is written."""
    void: bool = False
    """An open proposal is about something that is not wanted any more."""

    @property
    def case(self) -> bool:
        """A person must look at it."""
        return self.proposal is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Everything a new plan asks for. `again`: something is on its way, plan once more when it has settled."""

    new: tuple[Desired, ...] = ()
    changed: tuple[Change, ...] = ()
    left: frozenset[int] = frozenset()
    """Effects that were done and are not wanted any more: an item left, a step's `if` does not hold."""
    again: bool = False
    freed: bool = False
    """A step was skipped, or a change of it declined, and others may have waited for it."""


Key = tuple[str, str]


def compare(wanted: Sequence[Desired], existing: Sequence[Existing], reaction: Callable[[str], Late]) -> Changes:
    """The difference between what a plan wants and what exists. `reaction` is the contract's, by step."""
    have: Mapping[Key, Existing] = {(e.step, e.item): e for e in existing}
    names = {(d.step, d.item) for d in wanted}
    new = tuple(d for d in wanted if (d.step, d.item) not in have)
    pairs = [(d, have[(d.step, d.item)]) for d in wanted if (d.step, d.item) in have]
    moved = [_moved(d, e, reaction(d.step)) for d, e in pairs if _differs(d, e) or e.asked]
    gone = [Change(id=e.id, state=E.SUPERSEDED) for e in existing if _is_gone(e, names)]
    left = frozenset(e.id for e in existing if (e.step, e.item) not in names and _stands(e))
    on_the_way = any(_differs(d, e) and (e.state in IN_FLIGHT or _first_sent(e, reaction(d.step))) for d, e in pairs)
    on_the_way = on_the_way or any(e.state in IN_FLIGHT and (e.step, e.item) not in names for e in existing)
    decided = any(e.state is E.SKIPPED or e.declined for e in existing)
    return Changes(
        new=new,
        changed=tuple(c for c in (*moved, *gone) if c is not None),
        left=left,
        again=on_the_way,
        freed=decided and any(e.state is E.BLOCKED for e in existing),
    )


def _differs(desired: Desired, existing: Existing) -> bool:
    return desired.digest != existing.digest or existing.state in (E.SUPERSEDED, *TAKEN_BACK)


def _first_sent(existing: Existing, late: Late) -> bool:
    """Somebody approved this very document: it is written before another one is asked about."""
    return existing.approved and existing.state in WAITING and late.asks


def _stands(existing: Existing) -> bool:
    """It was done, and stands there still, also while a person decides about a change of it."""
    return existing.state in SETTLED or existing.state is E.UNDOING or _undecided(existing)


def _is_gone(existing: Existing, wanted: set[Key]) -> bool:
    unsent = existing.state in UNSENT - {E.SUPERSEDED, E.SKIPPED} and not _undecided(existing)
    return unsent and (existing.step, existing.item) not in wanted


def _undecided(existing: Existing) -> bool:
    """Held after it was done: a person decides, and another change does not decide for them."""
    return existing.state is E.HELD and (existing.done or bool(existing.asked))


def _moved(desired: Desired, existing: Existing, late: Late) -> Change | None:
    if existing.doubtful or existing.state in IN_FLIGHT or _first_sent(existing, late):
        return None
    if desired.digest == existing.digest and existing.state not in (E.SUPERSEDED, *TAKEN_BACK):
        return _as_it_was(desired, existing)
    decided = existing.state is E.SKIPPED or (existing.state is E.HELD and existing.asked and not late.fields)
    if decided and desired.digest != existing.holds:
        return _ask(desired, existing, SAYS.get(late.do, SAYS["hold"]))
    if _free(desired, existing, late):
        return _written(desired, existing)
    return _by_field(desired, existing, late) if late.fields else _whole(desired, existing, late.do)


def _free(desired: Desired, existing: Existing, late: Late) -> bool:
    """Nothing of it stands in a target, or nobody has to be asked."""
    unsent = (existing.state in UNSENT and not _undecided(existing)) or existing.state in TAKEN_BACK
    if desired.kind in ("check", "emit") or desired.digest == existing.holds:
        return True
    stands = late.fields and existing.linked and existing.state not in TAKEN_BACK | {E.SUPERSEDED}
    return (unsent and not stands) or (late.do == "converge" and not late.fields)


def _as_it_was(desired: Desired, existing: Existing) -> Change:
    """The source took its change back before anybody decided about it."""
    if existing.state is not E.HELD:
        return Change(id=existing.id, state=existing.state, void=True)
    if existing.digest in existing.declined:
        return Change(id=existing.id, state=move(existing.state, E.SKIPPED), void=True)
    return replace(_written(desired, existing), void=True)


def _written(desired: Desired, existing: Existing) -> Change:
    state = E.BLOCKED if desired.after or desired.kind == "emit" else E.READY
    to = move(existing.state, state)
    return Change(id=existing.id, state=to, desired=desired, generation=1, void=bool(existing.asked))


def _whole(desired: Desired, existing: Existing, do: Do) -> Change | None:
    if do == "ignore":
        return None
    return _ask(desired, existing, SAYS.get(do, "a late change waits"))


def _ask(desired: Desired, existing: Existing, says: str) -> Change | None:
    """Ask once for each document, and not again for one that was declined."""
    if desired.digest == existing.asked or desired.digest in existing.declined:
        return None
    return Change(id=existing.id, state=move(existing.state, E.HELD), waits_for=says, proposal=desired)


def _by_field(desired: Desired, existing: Existing, late: Late) -> Change | None:
    """Fields that converge are written, those that are ignored stay, those that are asked about wait."""
    old, new = existing.document, desired.fields
    changed = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    by = {name: late.fields.get(name, late.do) for name in changed}
    ignored = {name: old.get(name) for name, do in by.items() if do == "ignore"}
    waiting = {name: old.get(name) for name, do in by.items() if do in ASKS}
    proposal = _masked(desired, ignored)
    unsent = existing.state in UNSENT and not _undecided(existing)
    if unsent or any(do == "converge" for do in by.values()):
        asks = waiting and proposal.digest not in (existing.asked, *existing.declined)
        change = _written(_masked(desired, {**ignored, **waiting}), existing)
        return replace(change, proposal=proposal if asks else None, void=bool(existing.asked) and not waiting)
    if not waiting:
        return Change(id=existing.id, state=existing.state, void=True) if existing.asked else None
    says = SAYS["hold" if "hold" in by.values() else "propose"]
    return _ask(proposal, existing, says)


def _masked(desired: Desired, kept: Mapping[str, Any]) -> Desired:
    """The document with some fields as they were; a document of its own, so a digest of its own."""
    if not kept:
        return desired
    fields = {**desired.fields, **kept}
    return replace(desired, fields=fields, digest=digest({"of": desired.digest, "kept": dict(kept)}))
