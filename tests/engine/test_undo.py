"""A deal that is reversed is undone by the contract's words, or somebody decides; won again, it is the same handoff."""

from __future__ import annotations

from typing import Any

import pytest

from concordat.errors import Rejected, Unavailable
from concordat.sdk.spec import Answer
from tests.engine.conftest import CONTRACT, Firm, MakeFirm
from tests.engine.fakes import LOST

UNDO = """
undo:
  staffing: release
  workspace: lock
  project_in_psa: {do: hold, unless: project.has_time, else: case to delivery}
  project_in_erp: hold
"""
LOST_DEAL = {"stage": "closed_lost"}


@pytest.fixture
def firm(make_firm: MakeFirm) -> Firm:
    return make_firm(CONTRACT + UNDO)


def used(firm: Firm, **usage: Any) -> None:
    """People have put this on every project."""
    firm.psa.answers = lambda _q: Answer(met=True, detail={"has_time": False, **usage})


def activate(firm: Firm) -> None:
    used(firm)
    firm.take(*firm.won())
    firm.run()
    assert firm.handoff()["state"] == "in_step"


def lose(firm: Firm) -> None:
    firm.take(*firm.won(opportunity=LOST_DEAL))
    firm.run()


def held(firm: Firm, system: str, object_: str) -> dict[str, Any]:
    target = getattr(firm, system)
    keys = {key for kind, key, _ in target.ledger if kind == object_}
    (key,) = keys
    (one,) = target.held[key]
    return dict(one.fields)


def test_a_reversed_deal_is_undone_in_reverse_order_and_nothing_is_deleted(firm: Firm) -> None:
    activate(firm)
    lose(firm)
    assert firm.handoff()["state"] == "withdrawn"
    assert held(firm, "psa", "project")["status"] == "on_hold"
    assert held(firm, "erp", "project")["status"] == "on_hold"
    assert held(firm, "documents", "workspace")["locked"] is True
    states = firm.states()
    assert {s for step, s in states.items() if step.startswith("undo.")} == {"verified"}
    assert {states[s] for s in ("project_in_psa", "project_in_erp", "workspace", "staffing")} == {"undone"}
    assert states["client_in_erp"] == "verified", "the client is master data and belongs to nobody's deal"
    assert firm.rows('SELECT * FROM "case"') == []
    order = firm.rows(
        "SELECT e.step FROM attempt a JOIN effect e ON e.id = a.effect_id WHERE e.kind = 'undo' ORDER BY a.at"
    )
    assert [row["step"] for row in order][-1] == "undo.project_in_psa", "what others build on goes last"


def test_won_again_it_is_the_same_handoff_and_the_same_objects(firm: Firm) -> None:
    activate(firm)
    before = firm.rows("SELECT id, ref FROM link ORDER BY id")
    for _ in range(2):
        lose(firm)
        assert firm.handoff()["state"] == "withdrawn"
        firm.take(*firm.won())
        firm.run()
        assert firm.handoff()["state"] == "in_step"
        assert held(firm, "psa", "project")["status"] == "active"
        assert held(firm, "documents", "workspace")["locked"] is False
    assert firm.rows("SELECT id, ref FROM link ORDER BY id") == before
    for system in (firm.psa, firm.erp, firm.documents):
        assert [what for _, _, what in system.ledger].count("created") == len(system.held)
    assert not firm.rows("SELECT * FROM link WHERE undone IS NOT NULL")


def test_what_people_used_is_a_decision_of_the_named_owner(firm: Firm) -> None:
    activate(firm)
    used(firm, has_time=True, hours="1.5")
    lose(firm)
    assert firm.handoff()["state"] == "withdrawing"
    (case,) = firm.rows('SELECT * FROM "case"')
    assert (case["kind"], case["owner"]) == ("withdrawn", "delivery")
    assert "1.5 h" in case["title"]
    assert "status" not in held(firm, "psa", "project")
    assert held(firm, "erp", "project")["status"] == "on_hold", "the rest is undone all the same"
    firm.take(*firm.won())
    firm.run()
    assert firm.handoff()["state"] == "in_step"
    assert [c["state"] for c in firm.rows('SELECT state FROM "case"')] == ["resolved"]


def test_it_may_be_done_and_still_be_a_decision(make_firm: MakeFirm) -> None:
    firm = make_firm(
        CONTRACT + UNDO.replace("unless: project.has_time, else: case to", "decide_if: project.has_time, to:")
    )
    activate(firm)
    used(firm, has_time=True, hours="1.5")
    lose(firm)
    assert held(firm, "psa", "project")["status"] == "on_hold"
    assert [(c["owner"], c["facts"]["done"]) for c in firm.rows('SELECT * FROM "case"')] == [("delivery", True)]


def test_an_answer_that_is_not_to_be_had_forbids_the_undo(firm: Firm) -> None:
    activate(firm)
    firm.psa.fail("ask", Rejected("no such report"))
    lose(firm)
    cases = firm.rows("SELECT owner, title FROM \"case\" WHERE kind = 'withdrawn'")
    assert [c["owner"] for c in cases] == ["delivery"]
    assert "cannot be answered" in cases[0]["title"]


def test_what_was_never_sent_is_not_undone(firm: Firm) -> None:
    firm.psa.down = Unavailable("503")
    firm.take(*firm.won())
    firm.run()
    lose(firm)
    assert firm.handoff()["state"] == "withdrawn"
    assert firm.psa.ledger == []
    assert firm.states()["project_in_psa"] == "superseded"


def test_what_is_in_doubt_is_looked_up_before_anything_is_undone(firm: Firm) -> None:
    used(firm)
    firm.psa.fail("write", LOST, after_commit=True)
    firm.take(*firm.won())
    firm.run(rounds=1)
    assert firm.states()["project_in_psa"] == "in_doubt"
    firm.take(*firm.won(opportunity=LOST_DEAL))
    firm.plan()
    assert firm.handoff()["state"] == "withdrawing"
    for _ in range(3):
        firm.later(minutes=1)
        firm.run()
    assert firm.handoff()["state"] == "withdrawn"
    assert held(firm, "psa", "project")["status"] == "on_hold"
    assert len(firm.psa.held) == 1


def test_an_undo_in_doubt_is_not_overtaken_by_winning_again(firm: Firm) -> None:
    activate(firm)
    firm.documents.fail("write", LOST)
    firm.take(*firm.won(opportunity=LOST_DEAL))
    firm.run(rounds=2)
    assert firm.states()["undo.workspace"] == "in_doubt"
    firm.take(*firm.won())
    for _ in range(4):
        firm.run()
        firm.later(minutes=1)
    firm.run()
    assert firm.handoff()["state"] == "in_step"
    assert held(firm, "documents", "workspace").get("locked") is not True


def test_a_word_that_the_target_does_not_take_is_a_case(make_firm: MakeFirm) -> None:
    firm = make_firm(CONTRACT + UNDO, fields=frozenset({"name", "client", "contract_value"}))
    activate(firm)
    lose(firm)
    (case,) = firm.rows('SELECT * FROM "case"')
    assert "psa cannot hold a project" in case["title"]
    assert case["owner"] == "delivery"


def test_after_the_final_step_nothing_is_undone(make_firm: MakeFirm) -> None:
    firm = make_firm(CONTRACT + UNDO + "final_after: activated\n")
    activate(firm)
    lose(firm)
    (case,) = firm.rows('SELECT * FROM "case"')
    assert "activated is done" in case["title"]
    assert "status" not in held(firm, "psa", "project")


def test_an_object_that_another_deal_wants_stays(make_firm: MakeFirm) -> None:
    firm = make_firm(CONTRACT + UNDO + "  client_in_erp: archive\n")
    used(firm)
    firm.take(*firm.won(1), *firm.won(2, opportunity={"client": "crm:C1"}))
    firm.run()
    firm.take(*firm.won(1, opportunity=LOST_DEAL))
    firm.run()
    assert not held(firm, "erp", "client").get("archived")
    firm.take(*firm.won(2, opportunity={"client": "crm:C1", **LOST_DEAL}))
    firm.run()
    assert held(firm, "erp", "client")["archived"] is True


def test_a_question_that_is_answered_is_not_the_end_of_the_withdrawal(firm: Firm) -> None:
    activate(firm)
    firm.take(*firm.won(opportunity=LOST_DEAL))
    firm.plan()
    firm.drain()
    assert firm.states()["look.project_in_psa"] == "verified"
    assert firm.handoff()["state"] == "withdrawing", "the undo is planned now that the answer is known"
    firm.run()
    assert firm.handoff()["state"] == "withdrawn"
