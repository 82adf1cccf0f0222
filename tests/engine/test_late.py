"""What the source changes after a write reaches the target, or is seen: emptied fields, items that leave."""

from __future__ import annotations

from tests.engine.conftest import Firm


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
