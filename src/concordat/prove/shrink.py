"""From a seed that fails to the shortest story that still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from concordat.prove.faults import FAULTS
from concordat.prove.run import Outcome
from concordat.prove.scene import Scene

__all__ = ["Failure", "shrink", "story"]

MOST_PLAYS = 50


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One seed that fails, told to people."""

    seed: int
    invariant: str
    says: str
    story: str
    command: str


def shrink(outcome: Outcome, play: Callable[[Scene], Outcome]) -> Outcome:
    """Leave out faults, then deals, then events, as long as the same invariant is broken."""
    plays = 0
    smaller = True
    while smaller and plays < MOST_PLAYS:
        smaller = False
        for scene in _parts(outcome.scene):
            plays += 1
            tried = play(scene)
            if tried.broken == outcome.broken:
                outcome, smaller = tried, True
                break
            if plays >= MOST_PLAYS:
                break
    return outcome


def _parts(scene: Scene) -> Iterator[Scene]:
    for fault in list(scene.rates):
        yield scene.without(fault=fault)
    if len(scene.deals) > 1:
        for deal in scene.deals:
            yield scene.without(deal=deal.id)
    for i in range(len(scene.events)):
        yield scene.without(event=i)


def story(outcome: Outcome) -> str:
    """What happened, from the first event to the broken promise."""
    scene = outcome.scene
    faults = [f"{name}: {FAULTS[name].says}" for name in scene.rates]
    head = [
        f"{outcome.broken}: {outcome.says}",
        f"{len(scene.deals)} deals, {len(scene.clients)} clients, {scene.workers} workers, class {scene.mix}",
        *(f"fault  {line}" for line in faults),
    ]
    return "\n".join([*head, *outcome.lines])
