"""What the source changes after a write reaches the target, or is seen: emptied fields, items that leave."""

from __future__ import annotations

import pytest

from concordat.errors import Unavailable
from concordat.operations.decisions import decide_case, take_on
from tests.engine.conftest import CONTRACT, Firm, MakeFirm

pytestmark = pytest.mark.slow


def test_a_field_that_is_emptied_is_emptied_at_the_target(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    (held,) = firm.psa.held.values()
    assert held[0].fields["contract_value"] == {"amount": "350000.00", "currency": "USD"}
    firm.take(*firm.won(contract={"value": None}))
    firm.run()
    (held,) = firm.psa.held.values()
    assert held[0].fields["contract_value"] is None
    assert firm.states()["project_in_psa"] == "verified"


def test_a_target_that_keeps_what_was_emptied_is_a_case(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    firm.psa.drops = {"contract_value"}
    firm.take(*firm.won(contract={"value": None}))
    firm.run()
    assert firm.states()["project_in_psa"] == "held"
    (case,) = firm.rows("SELECT facts FROM \"case\" WHERE kind = 'refused' OR kind = 'held'")
    assert "contract_value" in case["facts"]["differs"]


def test_what_was_never_written_is_not_emptied(firm: Firm) -> None:
    """A person filled it in at the target; the source never had a value to say."""
    firm.take(*firm.won(contract={"value": None}))
    firm.run()
    assert "contract_value" not in firm.psa.sent[0][1]
    firm.take(*firm.won(opportunity={"name": "Renamed"}, contract={"value": None}))
    firm.run()
    assert [set(fields) for _, fields in firm.psa.sent] == [{"name", "client"}] * 2


def test_a_value_that_comes_back_is_written_again(firm: Firm) -> None:
    for value in ("1.00", None, "1.00"):
        firm.take(*firm.won(contract={"value": value and {"amount": value, "currency": "USD"}}))
        firm.run()
    (held,) = firm.psa.held.values()
    assert held[0].fields["contract_value"] == {"amount": "1.00", "currency": "USD"}
    assert len(firm.psa.ledger) == 3


LINES = """  lines: {put: contract_line, in: psa, each: opportunity.roles, after: [project_in_psa],
    map: {name: item.role, project: project_in_psa}}
"""
ROLES = [{"role": "Architect", "id": "a"}, {"role": "Analyst", "id": "b"}]


def with_lines(make_firm: MakeFirm, undo: str = "") -> Firm:
    return make_firm(CONTRACT.replace("  workspace: {put", LINES + "  workspace: {put") + undo)


def items(firm: Firm) -> dict[str, str]:
    rows = firm.rows("SELECT item, state FROM effect WHERE step = 'lines'")
    return {row["item"]: row["state"] for row in rows}


def test_an_item_that_leaves_after_it_was_written_is_undone_by_the_contracts_word(make_firm: MakeFirm) -> None:
    firm = with_lines(make_firm, "undo: {lines: archive}\n")
    firm.take(*firm.won(opportunity={"roles": ROLES}))
    firm.run()
    assert items(firm) == {"a": "verified", "b": "verified"}
    firm.take(*firm.won(opportunity={"roles": ROLES[:1]}))
    firm.run()
    assert items(firm) == {"a": "verified", "b": "undone"}
    archived = {o.fields["name"]: o.fields.get("archived") for (o,) in firm.psa.held.values()}
    assert archived["Analyst"] is True
    assert not archived["Architect"]
    assert firm.handoff()["state"] == "in_step"
    firm.take(*firm.won(opportunity={"roles": ROLES}))
    firm.run()
    assert items(firm) == {"a": "verified", "b": "verified"}
    assert {o.fields["name"]: o.fields.get("archived") for (o,) in firm.psa.held.values()}["Analyst"] is False
    assert [what for _, _, what in firm.psa.ledger].count("created") == 3


def test_an_item_that_leaves_without_a_word_about_it_is_a_case(make_firm: MakeFirm) -> None:
    firm = with_lines(make_firm)
    firm.take(*firm.won(opportunity={"roles": ROLES}))
    firm.run()
    firm.take(*firm.won(opportunity={"roles": []}))
    firm.run()
    (case,) = firm.rows('SELECT * FROM "case"')
    assert case["kind"] == "withdrawn"
    assert {step["item"] for step in case["facts"]["steps"]} == {"a", "b"}
    firm.take(*firm.won(opportunity={"roles": ROLES}))
    firm.run()
    assert [c["state"] for c in firm.rows('SELECT state FROM "case"')] == ["resolved"]


def test_an_item_that_leaves_before_it_was_sent_is_simply_gone(make_firm: MakeFirm) -> None:
    firm = with_lines(make_firm)
    firm.psa.down = Unavailable("503")
    firm.take(*firm.won(opportunity={"roles": ROLES}))
    firm.run()
    firm.take(*firm.won(opportunity={"roles": ROLES[:1]}))
    firm.psa.down = None
    firm.later(minutes=16)
    firm.run()
    assert items(firm) == {"a": "verified", "b": "superseded"}
    assert not firm.rows('SELECT * FROM "case"')


OLD = {"won_at": "2025-06-15T08:00:00Z"}


def adopted(firm: Firm) -> None:
    firm.take(*firm.won(opportunity=OLD))
    firm.run()
    assert firm.handoff()["state"] == "adopted"
    firm.take(*firm.won())
    firm.run()


def test_what_was_adopted_is_not_written_when_its_date_moves_past_since_and_a_case_says_so(firm: Firm) -> None:
    adopted(firm)
    assert firm.handoff()["state"] == "adopted"
    assert firm.psa.ledger == []
    assert not firm.rows("SELECT * FROM event WHERE handoff_id IS NOT NULL"), "nobody is told that it is active"
    (case,) = firm.rows('SELECT * FROM "case"')
    assert (case["kind"], case["owner"]) == ("adopted", "sales-operations")
    with firm.world.db.app([firm.world.unit]) as conn:
        decide_case(conn, case["id"], person="ada", reason="it was made by hand")
    firm.run()
    firm.take(*firm.won(opportunity={"name": "Renamed"}))
    firm.run()
    assert [c["state"] for c in firm.rows('SELECT state FROM "case"')] == ["resolved"]
    assert firm.psa.ledger == []


def test_what_was_adopted_can_be_taken_on_when_it_is_not_older_any_more(firm: Firm) -> None:
    adopted(firm)
    with firm.world.db.app([firm.world.unit]) as conn:
        take_on(conn, firm.handoff()["id"], person="ada", reason="re-opened")
    firm.run()
    assert firm.handoff()["state"] == "in_step"
    assert [what for _, _, what in firm.psa.ledger] == ["created"]
    assert [c["state"] for c in firm.rows('SELECT state FROM "case"')] == ["resolved"]
