"""A deal that lacks mandatory fields: one case names all with their owners, and it proceeds when they are filled in."""

from __future__ import annotations

import random

from tests.outside.books import Before, await_in_step, step, written_once
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import never_within, until

NEEDED = {
    "contract.billing_terms": ("Contract", "Billing_Terms__c", "crm"),
    "contract.entity": ("Contract", "Legal_Entity__c", "sales-operations"),
    "client.country": ("Account", "BillingCountryCode", "crm"),
    "client.tax_id": ("Account", "Tax_Id__c", "crm"),
}
"""Mandatory field to object and field in the CRM, and to who owns it."""


def lacking(firm: Firm, deal: Deal) -> dict[str, str]:
    """Give the fields that a deal's handoff lacks, with their owners."""
    whole = firm.api.of(deal.id)
    return {missing["field"]: missing["owner"] for missing in whole["missing"]} if whole else {}


def records(deal: Deal) -> dict[str, dict[str, object]]:
    return {"Account": deal.account, "Contract": deal.contract, "Opportunity": deal.opportunity}


def test_all_missing_fields_are_one_case(firm: Firm, story: Story, chance: random.Random) -> None:
    fields = chance.sample(sorted(NEEDED), chance.randrange(2, len(NEEDED) + 1))
    deal = story.deal()
    whole = {(object_, api): records(deal)[object_][api] for object_, api, _ in map(NEEDED.get, fields) if object_}  # type: ignore[misc]
    for object_, api in whole:
        records(deal)[object_][api] = None
    before = Before(firm)
    firm.twins["crm"].seed(crm_records([deal]))
    firm.crm("win_deal", id=deal.id)
    expected = {field: NEEDED[field][2] for field in fields}
    until("all that is missing to be named", lambda: lacking(firm, deal) == expected)
    handoff = firm.api.of(deal.id)
    assert handoff is not None
    assert handoff["state"] == "waiting"
    assert [case["kind"] for case in handoff["cases"]] == ["missing"], "one case, not one per field"
    assert handoff["cases"][0]["value"] == {"amount": deal.opportunity["Amount"], "currency": deal.currency}
    assert not {"project", "job", "workspace", "channel"} & before.new().keys(), "nothing is begun"
    fill(firm, deal, fields, whole)
    await_in_step(firm, [deal])
    written_once(firm, before, [deal])
    until("the case to be closed", lambda: not [c for c in firm.api.cases() if c["handoff_id"] == handoff["id"]])


def fill(firm: Firm, deal: Deal, fields: list[str], whole: dict[tuple[str, str], object]) -> None:
    """Fill in one after the other; the case names what is left."""
    for number, field in enumerate(fields, 1):
        object_, api, _ = NEEDED[field]
        id_ = records(deal)[object_]["Id"]
        firm.crm("fill", object=object_, id=id_, fields={api: whole[object_, api]})
        left = {name: NEEDED[name][2] for name in fields[number:]}
        until(f"{field} not to be missing any more", lambda left=left: lacking(firm, deal) == left)  # type: ignore[misc]


def state(firm: Firm, deal: Deal) -> str:
    return str((firm.api.of(deal.id) or {"state": ""})["state"])


def test_a_deal_that_is_reversed_before_it_could_start_makes_nothing(firm: Firm, story: Story) -> None:
    deal = story.deal(contract={"Billing_Terms__c": None})
    before = Before(firm)
    firm.twins["crm"].seed(crm_records([deal]))
    firm.crm("win_deal", id=deal.id)
    until("the missing field to be named", lambda: lacking(firm, deal) == {"contract.billing_terms": "crm"})
    firm.crm("reverse_deal", id=deal.id)
    until("the handoff to be withdrawn", lambda: state(firm, deal) == "withdrawn")
    firm.crm("fill", object="Contract", id=deal.contract["Id"], fields={"Billing_Terms__c": "NET30"})
    never_within("something of a reversed deal", lambda: {"project", "job"} & before.new().keys(), seconds=2)
    assert not [one for one in (firm.api.of(deal.id) or {})["cases"] if one["state"] != "resolved"]
    assert step(firm.api.of(deal.id), "project_in_psa")["state"] in {"", "superseded", "blocked"}
