"""The harness itself: the same seed is the same run, its canary is noticed, its oracle can say no."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from concordat.prove.campaign import Order, prove
from concordat.prove.canary import CANARY, with_canary
from concordat.prove.machine import Machine
from concordat.prove.mutants import MUTANTS, hunt
from concordat.prove.reach import cells, excluded, short
from concordat.prove.run import play
from concordat.prove.scene import draw
from concordat.prove.shrink import shrink

KEPT = json.loads((Path(__file__).parent.parent / "seeds" / "engine.json").read_text())


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine.open() as machine:
        yield machine


def test_the_same_seed_is_the_same_run(machine: Machine) -> None:
    first, again = (play(draw(3, "crash"), machine) for _ in range(2))
    assert first.lines == again.lines
    assert first.history == again.history


@pytest.mark.slow
def test_a_planted_violation_is_noticed_and_shrunk(machine: Machine) -> None:
    assert not play(CANARY, machine).broken
    with with_canary():
        found = play(CANARY, machine)
        assert found.broken == "twice"
        least = shrink(found, lambda scene: play(scene, machine))
    assert least.broken == "twice"
    assert len(least.scene.events) < len(CANARY.events)


@pytest.mark.parametrize("mix", ["A", "B", "D", "mixed"])
def test_a_calm_world_keeps_every_promise(machine: Machine, mix: str) -> None:
    outcome = play(draw(4, "calm", mix=mix), machine)
    assert (outcome.broken, outcome.says) == ("", ""), "\n".join(outcome.lines)


@pytest.mark.parametrize("profile", ["vendor", "crash", "network", "database", "all"])
def test_faults_break_nothing(machine: Machine, profile: str) -> None:
    outcome = play(draw(2, profile), machine)
    assert outcome.struck
    assert (outcome.broken, outcome.says) == ("", ""), "\n".join(outcome.lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no lookup", "torn transaction"])
def test_a_mutant_is_killed(machine: Machine, name: str) -> None:
    (mutant,) = (m for m in MUTANTS if m.name == name)
    assert hunt(mutant, machine, {})["killed_by"]


def test_every_cell_is_declared_once_and_what_cannot_be_has_a_reason() -> None:
    declared = cells("all")
    assert len(declared) == len(set(declared))
    assert all(each.says for each in excluded("all"))
    assert short("all", dict.fromkeys(declared, 50)) == []
    assert short("calm", {}) == []


@pytest.mark.slow
def test_seeds_that_once_failed_stay_green(machine: Machine) -> None:
    """Each of them found a fault of the engine; numbers name other worlds when the harness learns something new."""
    for kept in KEPT:
        outcome = play(draw(kept["seed"], kept["faults"]), machine)
        assert (outcome.broken, outcome.says) == ("", ""), "\n".join(outcome.lines)


@pytest.mark.slow
def test_a_campaign_holds() -> None:
    report = prove(Order(first=51, last=90, jobs=2))
    assert report.canary == "twice"
    assert report.failures == []
