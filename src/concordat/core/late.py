"""What a new plan means for effects that exist: `compare(plan, existing, reaction) -> Changes`.

Pure. Same digest: nothing to do. Not sent yet: the new document simply replaces the old one. Sent: the contract's
`late_change` decides. On its way (`sending`, `in_doubt`): nothing until it is known what the target holds; the
handoff is planned again when it settles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from concordat.core.plan import Desired
from concordat.core.states import IN_FLIGHT, EffectState, move

__all__ = ["Change", "Changes", "Do", "Existing", "compare"]

E = EffectState
Do = Literal["converge", "hold", "ignore", "propose", "wait"]

UNSENT = frozenset({E.BLOCKED, E.READY, E.PENDING, E.HELD, E.SUPERSEDED, E.SKIPPED})
SETTLED = frozenset({E.APPLIED, E.VERIFIED})
TAKEN_BACK = frozenset({E.UNDOING, E.UNDONE})


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
    case: bool = False
    """A person must look at it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Everything a new plan asks for. `again`: something is on its way, plan once more when it has settled."""

    new: tuple[Desired, ...] = ()
    changed: tuple[Change, ...] = ()
    left: frozenset[int] = frozenset()
    """Effects that were done and are not wanted any more: an item left, a step's `if` does not hold."""
    again: bool = False


Key = tuple[str, str]


def compare(wanted: Sequence[Desired], existing: Sequence[Existing], reaction: Callable[[str], Do]) -> Changes:
    """The difference between what a plan wants and what exists. `reaction` is the contract's, by step."""
    have: Mapping[Key, Existing] = {(e.step, e.item): e for e in existing}
    names = {(d.step, d.item) for d in wanted}
    new = tuple(d for d in wanted if (d.step, d.item) not in have)
    pairs = [(d, have[(d.step, d.item)]) for d in wanted if (d.step, d.item) in have]
    moved = [_moved(d, e, reaction(d.step)) for d, e in pairs if _differs(d, e)]
    gone = [Change(id=e.id, state=E.SUPERSEDED) for e in existing if _is_gone(e, names)]
    left = frozenset(e.id for e in existing if (e.step, e.item) not in names and _stands(e))
    on_the_way = any(e.state in IN_FLIGHT and _differs(d, e) for d, e in pairs)
    on_the_way = on_the_way or any(e.state in IN_FLIGHT and (e.step, e.item) not in names for e in existing)
    return Changes(new=new, changed=tuple(c for c in (*moved, *gone) if c is not None), left=left, again=on_the_way)


def _differs(desired: Desired, existing: Existing) -> bool:
    return desired.digest != existing.digest or existing.state in (E.SUPERSEDED, *TAKEN_BACK)


def _stands(existing: Existing) -> bool:
    """It was done, and stands there still, also while a person decides about a change of it."""
    return existing.state in SETTLED or existing.state is E.UNDOING or _undecided(existing)


def _is_gone(existing: Existing, wanted: set[Key]) -> bool:
    unsent = existing.state in UNSENT - {E.SUPERSEDED, E.SKIPPED} and not _undecided(existing)
    return unsent and (existing.step, existing.item) not in wanted


def _undecided(existing: Existing) -> bool:
    """Held after it was done: a person decides, and another change does not decide for them."""
    return existing.state is E.HELD and existing.done


def _moved(desired: Desired, existing: Existing, do: Do) -> Change | None:
    if existing.doubtful or existing.state in IN_FLIGHT:
        return None
    unsent = (existing.state in UNSENT and not _undecided(existing)) or existing.state in TAKEN_BACK
    if unsent or desired.kind in ("check", "emit") or do == "converge" or desired.digest == existing.holds:
        state = E.BLOCKED if desired.after or desired.kind == "emit" else E.READY
        return Change(id=existing.id, state=move(existing.state, state), desired=desired, generation=1)
    if do == "ignore":
        return None
    says = {"hold": "a late change waits for a decision", "propose": "a late change is proposed"}
    return Change(
        id=existing.id,
        state=move(existing.state, E.HELD),
        desired=desired,
        generation=1,
        waits_for=says.get(do, "a late change waits"),
        case=True,
    )
