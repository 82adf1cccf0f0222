"""Two contracts write one object: where they want different things, a case says so, by contract and field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concordat.operations.contracts import publish
from tests.engine.conftest import CONTRACT, Firm, MakeFirm, contract

pytestmark = pytest.mark.slow

OTHER = """
contract: client-onboarding
version: 1
title: A client is known in the ERP
owner: finance
channel: transactional
subject: client
since: 2026-01-01
when: client.country != ""
steps:
  client_in_erp: {put: client, in: erp, map: {name: client.name, country: COUNTRY}}
late_change: {default: converge}
"""


def with_other(make_firm: MakeFirm, country: str) -> Firm:
    firm = make_firm()
    text = OTHER.replace("COUNTRY", country)
    other, first = contract(text), contract(CONTRACT)
    with firm.world.db.engine() as conn:
        publish(conn, other, text)
    firm.world = replace(firm.world, contracts={first.contract: first, other.contract: other})
    return firm


def settle(firm: Firm) -> None:
    """Who waits for the other's write looks again shortly."""
    for _ in range(4):
        firm.run()
        firm.later(seconds=5)


def test_contracts_that_want_the_same_are_no_case(make_firm: MakeFirm) -> None:
    firm = with_other(make_firm, "client.country")
    firm.take(*firm.won())
    settle(firm)
    firm.take(*firm.won(client={"name": "Renamed"}))
    settle(firm)
    assert not firm.rows('SELECT * FROM "case"')
    assert {row["state"] for row in firm.rows("SELECT state FROM handoff")} == {"in_step"}


def test_contracts_that_disagree_are_named_with_the_field_and_nobody_writes_without_end(make_firm: MakeFirm) -> None:
    firm = with_other(make_firm, "'\"FR\"'")
    firm.take(*firm.won())
    settle(firm)
    cases = firm.rows('SELECT * FROM "case"')
    assert {case["kind"] for case in cases} == {"disagreement"}
    assert all("two contracts disagree on country of the client in erp" in case["title"] for case in cases)
    assert set(cases[0]["facts"]["contracts"]) == {"opportunity-to-project", "client-onboarding"}
    assert set(cases[0]["facts"]["fields"]["country"].values()) == {"DE", "FR"}
    writes = len(firm.erp.ledger)
    for _ in range(3):
        firm.later(minutes=16)
        firm.run()
    assert len(firm.erp.ledger) == writes
