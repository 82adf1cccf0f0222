"""The firm: the same for the same seed, another for another, and a whole one for the Salesforce twin."""

from __future__ import annotations

import pytest

from concordat.twins.northbeam import ENTITIES, HOSTILE, northbeam
from concordat.twins.server import start_twins

pytestmark = pytest.mark.fast


def test_a_seed_gives_one_firm():
    assert northbeam(seed=5) == northbeam(seed=5)
    assert northbeam(seed=5).opportunities != northbeam(seed=6).opportunities


def test_every_deal_has_its_client_contract_and_currency():
    firm = northbeam(seed=1, deals=60)
    accounts = {row["Id"]: row for row in firm.accounts}
    contracts = {row["Id"]: row for row in firm.contracts}
    assert len(firm.opportunities) == 60
    for deal in firm.opportunities:
        client, contract = accounts[deal["AccountId"]], contracts[deal["ContractId"]]
        assert deal["CurrencyIsoCode"] == client["CurrencyIsoCode"] == ENTITIES[deal["Legal_Entity__c"]][0]
        assert contract["AccountId"] == client["Id"]
        assert contract["StartDate"] <= contract["EndDate"]
        assert len(deal["Name"]) <= 120


def test_hostile_names_and_all_entities_occur():
    firm = northbeam(seed=2, deals=200)
    assert {row["Name"] for row in firm.accounts} >= set(HOSTILE)
    assert {row["Legal_Entity__c"] for row in firm.opportunities} == set(ENTITIES)
    assert len({row["number"] for row in firm.workers}) == len(firm.workers)


def test_the_twin_takes_the_firm_whole():
    firm = northbeam(seed=4, deals=40)
    with start_twins(["salesforce"]) as twins:
        twins["salesforce"].seed(firm.salesforce())
        held = twins["salesforce"].state("Opportunity")
        assert [row["Amount"] for row in held] != []
        assert {row["Name"] for row in twins["salesforce"].state("Account")} == {row["Name"] for row in firm.accounts}
        assert twins["salesforce"].ledger() == []
