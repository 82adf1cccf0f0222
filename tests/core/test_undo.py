"""The undo plan, as a value."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.test_language import GOOD

from concordat.core.contract import Contract
from concordat.core.language import load_contract
from concordat.core.states import EffectState
from concordat.core.undo import WORDS, Does, Line, Standing, back, plan_undo

pytestmark = pytest.mark.fast
CONTRACT = """
contract: c
version: 1
title: t
owner: sales
channel: transactional
subject: opportunity
since: 2026-01-01
when: opportunity.stage == "closed_won"
withdrawn: opportunity.stage == "closed_lost"
with: {client: opportunity.client}
steps:
  account: {put: client, in: erp}
  project: {put: project, in: psa, map: {name: opportunity.name}}
  job: {put: project, in: erp, map: {name: opportunity.name}, after: [project]}
  told: {emit: project.activated, after: [job]}
  workspace: {put: workspace, in: documents, map: {name: opportunity.name}, after: [told]}
  staffing: {check: availability, in: hr, for: opportunity.roles}
undo: {project: hold, job: hold, workspace: lock, staffing: release}
cases: {owner: ops}
"""


def contract(text: str = CONTRACT) -> Contract:
    loaded = load_contract(text, file="c.yaml", systems=None)
    assert loaded.contract is not None, loaded.faults
    return loaded.contract


def standing(step: str, state: str = "verified", **more: Any) -> Standing:
    of = contract().steps[step]
    plain = {"id": len(step), "kind": of.kind, "system": of.system, "object": of.word, "ref": "7", "record_key": step}
    return Standing(step=step, state=EffectState(state), **{**plain, **more})


def lines(*standing_: Standing, text: str = CONTRACT, can: bool = True, final: bool = False) -> dict[str, Line]:
    planned = plan_undo(contract(text), standing_, {}, supports=lambda *_: can, asks=lambda _system: True, final=final)
    return {line.step: line for line in planned}


def test_dependents_go_first_however_far_away() -> None:
    plan = lines(*(standing(step) for step in contract().steps))
    assert list(plan) == ["staffing", "workspace", "told", "job", "project", "account"]
    assert plan["project"].after == ("job", "workspace")
    assert plan["job"].after == ("workspace",)
    assert [line.does.value for line in plan.values()] == ["drop", "write", "leave", "write", "write", "decide"]


def test_a_related_record_without_a_word_stays_and_the_subjects_own_object_is_a_decision() -> None:
    assert lines(standing("account", shared=True))["account"].does is Does.LEAVE
    text = CONTRACT.replace("project: hold, ", "")
    decided = lines(standing("project"), text=text)["project"]
    assert (decided.does, decided.owner, decided.common) == (Does.DECIDE, "ops", True)


def test_a_word_is_written_only_where_the_target_takes_it() -> None:
    assert lines(standing("job"), can=False)["job"].why == "erp cannot hold a project"


def test_what_another_handoff_wants_stays() -> None:
    assert lines(standing("job", wanted_by=12))["job"].why == "handoff 12 still wants it"


@pytest.mark.parametrize("state", ["sending", "in_doubt"])
def test_what_is_on_its_way_is_waited_for(state: str) -> None:
    assert lines(standing("job", state))["job"].does is Does.WAIT


def test_what_was_not_made_is_let_go_and_what_nobody_knows_is_a_decision() -> None:
    assert lines(standing("job", ref=""))["job"].does is Does.DROP
    assert lines(standing("job", "held", ref="", unknown=True))["job"].does is Does.DECIDE


def test_after_the_final_step_there_is_only_a_decision() -> None:
    final = lines(standing("job"), standing("workspace"), text=CONTRACT + "final_after: told\n", final=True)
    assert {line.does for line in final.values()} == {Does.DECIDE}
    assert all(line.common for line in final.values())


@pytest.mark.parametrize(
    ("usage", "looked", "does", "asks"),
    [
        (None, False, Does.LOOK, False),
        (None, True, Does.DECIDE, False),
        ({"has_time": True, "hours": "1.5"}, True, Does.DECIDE, False),
        ({"has_time": False}, True, Does.WRITE, False),
    ],
)
def test_a_rule_is_asked_at_the_target(
    usage: dict[str, Any] | None,
    looked: bool,  # noqa: FBT001
    does: Does,
    asks: bool,  # noqa: FBT001
) -> None:
    text = CONTRACT.replace("project: hold,", "project: {do: hold, unless: project.has_time, else: case to pm},")
    line = lines(standing("project", usage=usage, looked=looked), text=text)["project"]
    assert (line.does, line.asks) == (does, asks)
    assert line.owner == "pm"


def test_it_may_be_done_and_asked() -> None:
    text = CONTRACT.replace("project: hold,", "project: {do: hold, decide_if: project.has_time, to: pm},")
    line = lines(standing("project", usage={"has_time": True, "hours": "1.5"}, looked=True), text=text)["project"]
    assert (line.does, line.asks, line.owner) == (Does.WRITE, True, "pm")
    assert line.why == "project.has_time holds (1.5 h)"


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_can_be_taken_back(word: str) -> None:
    words = WORDS[word]
    assert back(words.fields) == words.back
    assert words.back.keys() == words.fields.keys()


def test_the_language_knows_the_words() -> None:
    assert load_contract(GOOD, file="g.yaml", systems=None).contract
