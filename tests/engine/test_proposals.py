"""Late changes that a person must agree to, steps that a person skips, handoffs that a person stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from concordat.errors import Invalid, Rejected
from concordat.operations.decisions import approve, cancel, decide_case, decline, list_proposals, skip
from concordat.operations.handoffs import replay
from concordat.store.database import Connection
from tests.engine.conftest import CONTRACT, Firm, MakeFirm

pytestmark = pytest.mark.slow

ADA = "ada"
LATE = "late_change: {default: converge}\n"
STEP = "late_change: {default: converge, project_in_psa: {do: propose, to: finance}}\n"
FIELD = (
    "late_change: {default: converge, project_in_psa: {do: converge, to: finance, fields: {contract_value: propose}}}\n"
)


def told(firm: Firm, work: Callable[[Connection], Any]) -> Any:
    """Somebody at the console does this."""
    with firm.world.db.app([firm.world.unit]) as conn:
        return work(conn)


def money(amount: str) -> dict[str, dict[str, str]]:
    return {"value": {"amount": amount, "currency": "USD"}}


def project(firm: Firm) -> dict[str, Any]:
    ((one,),) = firm.psa.held.values()
    return dict(one.fields)


def proposed(firm: Firm) -> dict[str, Any]:
    (one,) = told(firm, list_proposals)
    return dict(one)


@pytest.fixture
def firm(make_firm: MakeFirm) -> Firm:
    firm = make_firm(CONTRACT.replace(LATE, STEP))
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(contract=money("400000.00")))
    firm.run()
    return firm


def test_a_proposed_change_waits_and_is_written_when_somebody_approves(firm: Firm) -> None:
    assert project(firm)["contract_value"]["amount"] == "350000.00"
    assert firm.handoff()["state"] == "partial"
    one = proposed(firm)
    assert one["team"] == "finance"
    assert {k: v["to"] for k, v in one["changes"].items()} == {"contract_value": money("400000.00")["value"]}
    (case,) = firm.rows('SELECT * FROM "case"')
    assert (case["kind"], case["owner"], case["facts"]["proposal"]) == ("late_change", "finance", one["id"])
    told(firm, lambda conn: approve(conn, one["id"], person=ADA))
    firm.run()
    assert project(firm)["contract_value"]["amount"] == "400000.00"
    assert firm.handoff()["state"] == "in_step"
    assert firm.rows('SELECT state, resolution FROM "case"') == [{"state": "resolved", "resolution": "approved by ada"}]
    assert [(a["person"], a["act"]) for a in firm.rows("SELECT * FROM audit")] == [(ADA, "proposal.approved")]
    with pytest.raises(Invalid, match="approved"):
        told(firm, lambda conn: approve(conn, one["id"], person=ADA))


def test_a_declined_change_stays_away_until_the_source_says_something_else(firm: Firm) -> None:
    told(firm, lambda conn: decline(conn, proposed(firm)["id"], person=ADA, reason="not agreed"))
    firm.take(*firm.won(contract=money("400000.00"), opportunity={"amount": {"amount": "1.00", "currency": "USD"}}))
    firm.run()
    assert project(firm)["contract_value"]["amount"] == "350000.00"
    assert firm.handoff()["state"] == "in_step"
    assert told(firm, list_proposals) == []
    firm.take(*firm.won(contract=money("410000.00")))
    firm.run()
    assert proposed(firm)["changes"]["contract_value"]["to"]["amount"] == "410000.00"


def test_a_proposal_is_void_when_its_document_changes(firm: Firm) -> None:
    first = proposed(firm)["id"]
    firm.take(*firm.won(contract=money("410000.00")))
    firm.run()
    assert proposed(firm)["id"] != first
    assert firm.rows("SELECT state FROM proposal ORDER BY id") == [{"state": "void"}, {"state": "open"}]
    firm.take(*firm.won())
    firm.run()
    assert told(firm, list_proposals) == []
    assert firm.handoff()["state"] == "in_step"
    assert len(firm.psa.ledger) == 1


def test_a_proposal_is_void_when_the_deal_is_lost(firm: Firm) -> None:
    firm.take(*firm.won(opportunity={"stage": "closed_lost"}))
    firm.run()
    assert told(firm, list_proposals) == []
    assert {c["kind"] for c in firm.rows("SELECT kind FROM \"case\" WHERE state = 'open'")} == {"withdrawn"}


def test_the_author_of_a_change_does_not_approve_it(firm: Firm) -> None:
    firm.rows("UPDATE proposal SET author = 'Ada' RETURNING id")
    with pytest.raises(Invalid, match="made this change"):
        told(firm, lambda conn: approve(conn, proposed(firm)["id"], person=ADA))
    told(firm, lambda conn: approve(conn, proposed(firm)["id"], person="bo"))


def test_the_fields_that_need_nobody_are_written_at_once(make_firm: MakeFirm) -> None:
    firm = make_firm(CONTRACT.replace(LATE, FIELD))
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(opportunity={"name": "Renamed"}, contract=money("400000.00")))
    firm.run()
    assert (project(firm)["name"], project(firm)["contract_value"]["amount"]) == ("Renamed", "350000.00")
    firm.take(*firm.won(opportunity={"name": "Again"}, contract=money("400000.00")))
    firm.run()
    assert (project(firm)["name"], project(firm)["contract_value"]["amount"]) == ("Again", "350000.00")
    told(firm, lambda conn: approve(conn, proposed(firm)["id"], person=ADA))
    firm.run()
    assert (project(firm)["name"], project(firm)["contract_value"]["amount"]) == ("Again", "400000.00")
    assert firm.handoff()["state"] == "in_step"


def test_a_skipped_step_stays_skipped_for_its_document_and_the_next_one_asks(make_firm: MakeFirm) -> None:
    firm = make_firm()
    firm.erp.fail("write", Rejected("no such country"))
    firm.take(*firm.won())
    firm.run()
    (handoff,) = firm.rows("SELECT id FROM handoff")
    assert firm.states()["client_in_erp"] == "held"
    told(firm, lambda conn: skip(conn, handoff["id"], step="client_in_erp", person=ADA, reason="made by hand"))
    firm.run()
    assert firm.states()["client_in_erp"] == "skipped"
    assert firm.states()["project_in_erp"] == "verified", "what waited for it goes on"
    firm.take(*firm.won(opportunity={"name": "Renamed"}))
    firm.run()
    assert firm.states()["client_in_erp"] == "skipped"
    firm.take(*firm.won(client={"name": "Client X"}, opportunity={"name": "Renamed"}))
    firm.run()
    assert firm.states()["client_in_erp"] == "held"
    told(firm, lambda conn: decline(conn, proposed(firm)["id"], person=ADA, reason="still by hand"))
    firm.run()
    assert firm.states()["client_in_erp"] == "skipped"
    with pytest.raises(Invalid, match="reason"):
        told(firm, lambda conn: skip(conn, handoff["id"], step="client_in_erp", person=ADA, reason=" "))


def test_a_cancelled_handoff_does_nothing_more_until_it_is_replayed(make_firm: MakeFirm) -> None:
    firm = make_firm()
    firm.hr.down = Rejected("no")
    firm.take(*firm.won())
    firm.run(rounds=1)
    id_ = firm.handoff()["id"]
    told(firm, lambda conn: cancel(conn, id_, person=ADA, reason="wrong deal"))
    firm.hr.down = None
    firm.run()
    written = len(firm.psa.ledger) + len(firm.erp.ledger)
    firm.take(*firm.won(opportunity={"name": "Renamed"}))
    firm.run()
    assert firm.handoff()["state"] == "cancelled"
    assert "wrong deal" in firm.handoff()["waits_for"]
    assert len(firm.psa.ledger) + len(firm.erp.ledger) == written
    told(firm, lambda conn: replay(conn, id_, person=ADA))
    firm.run()
    assert firm.handoff()["state"] == "in_step"


def test_a_decision_about_what_was_withdrawn_closes_the_handoff(make_firm: MakeFirm) -> None:
    firm = make_firm()
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(opportunity={"stage": "closed_lost"}))
    firm.run()
    (case,) = firm.rows('SELECT id FROM "case"')
    told(firm, lambda conn: decide_case(conn, case["id"], person=ADA, reason="kept for the archive"))
    firm.run()
    assert firm.handoff()["state"] == "withdrawn"
    assert [c["state"] for c in firm.rows('SELECT state FROM "case"')] == ["resolved"]
