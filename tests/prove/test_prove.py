"""The harness itself: the same seed is the same run, its canary is noticed, its oracle can say no."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from concordat.prove.canary import CANARY, with_canary
from concordat.prove.machine import Machine
from concordat.prove.run import play
from concordat.prove.scene import draw


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine.open() as machine:
        yield machine


def test_the_same_seed_is_the_same_run(machine: Machine) -> None:
    first, again = (play(draw(3, "crash"), machine) for _ in range(2))
    assert first.lines == again.lines
    assert first.history == again.history


def test_a_planted_violation_is_noticed(machine: Machine) -> None:
    with with_canary():
        assert play(CANARY, machine).broken == "twice"
    assert not play(CANARY, machine).broken


@pytest.mark.parametrize("mix", ["A", "B", "D", "mixed"])
def test_a_calm_world_keeps_every_promise(machine: Machine, mix: str) -> None:
    outcome = play(draw(4, "calm", mix=mix), machine)
    assert (outcome.broken, outcome.says) == ("", ""), "\n".join(outcome.lines)
