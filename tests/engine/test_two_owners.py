"""Two systems, one field: whose it is holds, by value and not by time, and nobody writes without end."""

from __future__ import annotations

from typing import Any

import pytest

from concordat.engine.intake import keep_records
from concordat.sdk.spec import SourceRecord
from tests.engine.conftest import CONTRACT, Firm, MakeFirm

pytestmark = pytest.mark.slow

OWNS = """
owns:
  client.payment_terms: {system: erp, others: revert}
  client.phone: {system: crm, others: accept}
  client.billing_email: {system: crm, others: raise}
steps:"""
TEXT = CONTRACT.replace("\nsteps:", OWNS).replace(
    "map: {name: client.name, country: client.country}",
    "map: {name: client.name, country: client.country, payment_terms: client.payment_terms, phone: client.phone,"
    " billing_email: client.billing_email}",
)
CLIENT = {"payment_terms": "NET30", "phone": "+49 30 1", "billing_email": "a@client.example"}


class Agreed:
    """A deal in step, whose client is in the CRM and in the ERP; what each holds is read back by hand."""

    def __init__(self, firm: Firm) -> None:
        self.firm = firm
        self.versions = 0
        self.crm = {"name": "Client 1", "country": "DE", "tax_id": "DE811907980", "tax_status": "registered", **CLIENT}
        firm.take(*firm.won(1, client=CLIENT))
        firm.run()
        link = firm.rows("SELECT ref FROM link WHERE connection = 'erp' AND object = 'client'")[0]
        self.ref = link["ref"]
        self.crm_writes = 0
        self.read_erp()

    def erp(self) -> dict[str, Any]:
        """What the ERP holds."""
        return dict(next(o.fields for many in self.firm.erp.held.values() for o in many if o.ref == self.ref))

    def edit_erp(self, **fields: Any) -> None:
        for key, many in self.firm.erp.held.items():
            for n, held in enumerate(many):
                if held.ref == self.ref:
                    self.firm.erp.held[key][n] = type(held)(
                        ref=held.ref, record_key=held.record_key, fields={**held.fields, **fields}
                    )
        self.read_erp()

    def edit_crm(self, **fields: Any) -> None:
        self.crm |= fields
        self.read_crm()

    def read_crm(self) -> None:
        self.firm.take(self.firm.source("client", "C1", **self.crm))

    def read_erp(self) -> None:
        self.versions += 1
        record = SourceRecord(object="client", ref=self.ref, version=f"{self.versions:06}", fields=self.erp())
        with self.firm.world.db.engine() as conn:
            keep_records(self.firm.world, conn, "erp", [record], correlation_id="c", traceparent="")

    def settle(self, *, automation: dict[str, Any] | None = None, rounds: int = 6) -> None:
        """Work, and read everything back; an automation in the CRM overwrites what we write there."""
        for _ in range(rounds):
            self.firm.run()
            written = self.firm.crm.ledger[self.crm_writes :]
            self.crm_writes = len(self.firm.crm.ledger)
            if written:
                self.crm |= next(iter(self.firm.crm.held.values()))[-1].fields
                self.read_crm()
                if automation:
                    self.edit_crm(**automation)
            self.read_erp()

    def cases(self) -> list[dict[str, Any]]:
        return self.firm.rows("SELECT * FROM \"case\" WHERE kind = 'ownership' AND state <> 'resolved'")

    def known(self) -> dict[str, Any]:
        """The client as the planner reads it."""
        sql = "SELECT fields || owned AS fields FROM record WHERE connection = 'crm' AND ref = 'C1'"
        return dict(self.firm.rows(sql)[0]["fields"])


@pytest.fixture
def agreed(make_firm: MakeFirm) -> Agreed:
    firm = make_firm(TEXT)
    firm.crm.writable("client")
    return Agreed(firm)


def test_the_owners_edit_reaches_every_system(agreed: Agreed) -> None:
    written = len(agreed.firm.erp.ledger)
    agreed.edit_erp(payment_terms="NET45")
    agreed.settle()
    assert agreed.crm["payment_terms"] == agreed.erp()["payment_terms"] == agreed.known()["payment_terms"] == "NET45"
    assert len(agreed.firm.erp.ledger) == written, "the owner is never written to"
    assert agreed.crm_writes == 1
    assert agreed.cases() == []


def test_a_sellers_edit_is_written_back_and_other_fields_are_left_alone(agreed: Agreed) -> None:
    agreed.edit_erp(payment_terms="NET45")
    agreed.settle()
    agreed.edit_crm(payment_terms="NET60", country="AT")
    agreed.settle()
    assert agreed.crm["payment_terms"] == agreed.erp()["payment_terms"] == "NET45"
    assert agreed.crm["country"] == agreed.erp()["country"] == "AT"
    assert [write[0] for write in agreed.firm.crm.ledger] == ["client", "client"]
    assert next(iter(agreed.firm.crm.held.values()))[-1].fields == {"payment_terms": "NET45"}
    answered = agreed.firm.rows("SELECT field, owner, connection, rounds, state FROM ownership")
    assert [tuple(r.values()) for r in answered] == [("payment_terms", "erp", "crm", 1, "agreed")]
    kinds = {r["step"]: r["state"] for r in agreed.firm.rows("SELECT step, state FROM effect WHERE kind = 'carry'")}
    assert kinds == {"owner_client_in_crm": "verified"}
    assert agreed.firm.handoff()["state"] == "in_step"


def test_our_own_write_that_comes_back_is_no_edit(agreed: Agreed) -> None:
    agreed.edit_erp(payment_terms="NET45")
    agreed.settle()
    for _ in range(3):
        agreed.read_crm()
        agreed.settle()
    assert agreed.crm_writes == 1
    assert agreed.firm.rows("SELECT * FROM ownership") == []


def test_an_automation_that_overwrites_us_is_answered_twice_and_is_then_a_case(agreed: Agreed) -> None:
    agreed.edit_crm(payment_terms="NET60")
    agreed.settle(automation={"payment_terms": "NET60"}, rounds=12)
    assert agreed.crm_writes == 2
    assert agreed.erp()["payment_terms"] == "NET30"
    assert agreed.known()["payment_terms"] == "NET30"
    cases = agreed.cases()
    assert len(cases) == 1
    assert "payment_terms belongs to erp, which holds NET30; crm changed it to NET60" in cases[0]["title"]
    assert cases[0]["owner"] == "sales-operations"
    assert cases[0]["amount"] is not None
    agreed.edit_crm(payment_terms="NET30")
    assert agreed.cases() == []


def test_an_answer_that_is_overwritten_before_it_is_seen_is_a_round_as_well(agreed: Agreed) -> None:
    agreed.edit_crm(payment_terms="NET60")
    for _ in range(6):
        agreed.firm.run()
        agreed.crm_writes = len(agreed.firm.crm.ledger)
        agreed.read_crm()  # a newer version, and the seller's terms again: ours were there for a moment that nobody saw
    assert agreed.crm_writes == 2
    assert [case["facts"]["by"] for case in agreed.cases()] == ["crm"]


def test_an_edit_of_what_is_raised_is_a_case_and_changes_nothing(agreed: Agreed) -> None:
    written = len(agreed.firm.erp.ledger)
    agreed.edit_erp(billing_email="b@elsewhere.example")
    agreed.settle()
    assert [case["facts"]["field"] for case in agreed.cases()] == ["client.billing_email"]
    assert agreed.crm["billing_email"] == agreed.known()["billing_email"] == "a@client.example"
    assert (len(agreed.firm.erp.ledger), agreed.crm_writes) == (written, 0)
    agreed.edit_erp(billing_email="a@client.example")
    assert agreed.cases() == []


def test_an_accepted_edit_holds_everywhere_until_the_next_one(agreed: Agreed) -> None:
    agreed.edit_erp(phone="+49 30 2")
    agreed.settle()
    assert agreed.crm["phone"] == agreed.erp()["phone"] == agreed.known()["phone"] == "+49 30 2"
    agreed.edit_crm(phone="+49 30 3")
    agreed.settle()
    assert agreed.crm["phone"] == agreed.erp()["phone"] == agreed.known()["phone"] == "+49 30 3"
    assert agreed.cases() == []


def test_two_automations_that_write_one_field_each_their_way_stop(agreed: Agreed) -> None:
    agreed.edit_erp(phone="0049 30 1")
    for _ in range(10):
        agreed.settle(automation={"phone": "+49 30 1"}, rounds=1)
        if agreed.erp()["phone"] != "0049 30 1":
            agreed.edit_erp(phone="0049 30 1")
    agreed.settle(rounds=2)
    assert len([w for w in agreed.firm.erp.ledger if w[0] == "client"]) <= 6
    assert [case["facts"]["field"] for case in agreed.cases()] == ["client.phone"]


def test_provenance_says_whose_each_governed_value_is(agreed: Agreed) -> None:
    agreed.edit_erp(payment_terms="NET45")
    told = agreed.firm.rows("SELECT provenance FROM record WHERE connection = 'crm' AND ref = 'C1'")[0]["provenance"]
    assert told["payment_terms"]["system"] == "erp"
    assert told["payment_terms"]["ref"] == agreed.ref
    assert told["phone"]["system"] == "crm"


def test_what_a_contract_makes_in_a_system_is_no_subject_of_it_there(agreed: Agreed) -> None:
    assert len(agreed.firm.rows("SELECT * FROM handoff")) == 1
    assert agreed.firm.rows("SELECT * FROM dirty") == []


def test_an_adopted_deal_writes_nothing(make_firm: MakeFirm) -> None:
    firm = make_firm(TEXT.replace("since: 2026-01-01", "since: 2027-01-01"))
    firm.crm.writable("client")
    deal = firm.won(1, client=CLIENT)
    firm.take(*deal)
    firm.run()
    with firm.world.db.engine() as conn:
        conn.execute("UPDATE link SET ref = 'erp-9', state = 'adopted' WHERE connection = 'erp' AND object = 'client'")
        record = SourceRecord(object="client", ref="erp-9", version="1", fields={**CLIENT, "payment_terms": "NET90"})
        keep_records(firm.world, conn, "erp", [record], correlation_id="c", traceparent="")
    firm.run()
    assert firm.crm.ledger == []
    assert firm.erp.ledger == []
