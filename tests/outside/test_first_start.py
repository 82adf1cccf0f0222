"""The first start: deals from before `since:` are found, linked and compared, never written; a brake stops a flood."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from tests.outside.books import Before, await_in_step, step, written_once
from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import never_within, until, until_equal

OLD, KNOWN, NEW = 60, 12, 3
SPINE = "opportunity-to-project"
CURRENCY = {"USD": "1", "GBP": "2", "EUR": "4"}
OFFICE = {"NB-US": "1", "NB-UK": "2", "NB-DE": "3"}


def old_deal(story: Story) -> Deal:
    """A deal that was won and settled years ago."""
    at = f"20{story.chance.randrange(16, 26)}-0{story.chance.randrange(1, 10)}-15T10:00:00.000+0000"
    stamps = {"CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at}
    won = {"LastStageChangeDate": at, "CloseDate": at[:10]}
    return story.deal(stage="Closed Won", account=stamps, contract=stamps, opportunity={**stamps, **won})


def made_by_hand(firm: Firm, deals: Sequence[Deal]) -> None:
    """Put what people made long ago into the PSA and the ERP; the last one's price is another."""
    projects, customers, jobs = [], [], []
    for number, deal in enumerate(deals, 5_000):
        entity = deal.contract["Legal_Entity__c"]
        cents = deal.cents + (100 if deal is deals[-1] else 0)
        home = {"subsidiary": OFFICE[entity], "currency": CURRENCY[deal.currency]}
        projects.append({"title": deal.name, "currency": deal.currency, "price_in_cents": cents})
        customers.append({"id": f"{number}", "companyName": deal.client, **home})
        jobs.append({"id": f"{number + 1000}", "companyName": deal.name, "parent": f"{number}", **home})
    firm.twins["psa"].seed({"workspaces": projects})
    firm.twins["erp"].seed({"customer": customers, "job": jobs})


def held(firm: Firm) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Everything that PSA and ERP hold of these, whole."""
    return {
        "project": firm.twins["psa"].state("workspaces"),
        "customer": firm.twins["erp"].state("customer"),
        "job": firm.twins["erp"].state("job"),
    }


def states(firm: Firm, deals: Sequence[Deal]) -> list[str]:
    known = {h["subject"]["ref"]: h["state"] for h in firm.api.handoffs(SPINE)}
    return [known.get(deal.id, "") for deal in deals]


def test_what_was_won_before_is_adopted(make_firm: MakeFirm, story: Story) -> None:
    firm = make_firm().play()
    firm.twins["hr"].seed(story.people())
    old, new = [old_deal(story) for _ in range(OLD)], story.deals(NEW)
    known = story.chance.sample(old, KNOWN)
    made_by_hand(firm, known)
    firm.twins["crm"].seed(crm_records([*old, *new]))
    by_hand, before = held(firm), Before(firm)
    firm.begin()
    for deal in new:
        firm.crm("win_deal", id=deal.id)
    until("the old deals to be adopted", lambda: states(firm, old) == ["adopted"] * OLD, within=90, every=0.5)
    await_in_step(firm, new)
    written_once(firm, before, new)
    for word, rows in by_hand.items():
        now = {row["id"]: row for row in held(firm)[word]}
        assert [now[row["id"]] for row in rows] == list(rows), f"a {word} made by hand was changed"
    found_and_linked(firm, known, by_hand)
    firm.kill_and_begin()
    never_within("a write after another start", lambda: len(before.writes("project")) > NEW, seconds=3)


LINKED = {"project_in_psa": "project", "project_in_erp": "job", "client_in_erp": "customer"}


def found_and_linked(firm: Firm, known: Sequence[Deal], by_hand: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """What people made is linked; another price is told, not mended."""
    ids = {word: {row.get("title") or row["companyName"]: row["id"] for row in rows} for word, rows in by_hand.items()}
    for deal in known:
        names = {"project": deal.name, "job": deal.name, "customer": deal.client}
        expected: Mapping[str, str] = {name: ids[word][names[word]] for name, word in LINKED.items()}
        until_equal(f"{deal.name} to be linked", lambda deal=deal: links(firm, deal), expected)  # type: ignore[misc]
        whole = firm.api.of(deal.id)
        assert not [a for one in (whole or {})["steps"] for a in one["attempts"] if a["act"] == "write"]
    odd = json.dumps(step(firm.api.of(known[-1].id), "project_in_psa"))
    assert "contract_value" in odd, f"the other price is not told: {odd}"


def links(firm: Firm, deal: Deal) -> Mapping[str, str]:
    """What each step of a deal links; why not, where it links nothing."""
    found = {name: step(firm.api.of(deal.id), name) for name in LINKED}
    return {name: one.get("ref") or f"{one['state']}: {one.get('error')}" for name, one in found.items()}


def test_a_brake_stops_a_flood(make_firm: MakeFirm, story: Story, chance: random.Random) -> None:
    most, flood = chance.randrange(3, 7), 12
    firm = make_firm()
    firm.contract(SPINE, brake=f"brake: {{subjects: {most}, per: 1 hour}}")
    firm.play().begin()
    firm.twins["hr"].seed(story.people())
    deals = story.deals(flood)
    before = Before(firm)
    firm.twins["crm"].seed(crm_records(deals))
    firm.crm("win_deal", ids=[deal.id for deal in deals])
    until("the brake to hold", lambda: firm.api.cases(kind="brake"), within=30)
    until("the first to go through", lambda: before.new().get("job") == most, within=60)
    never_within("more than the brake lets through", lambda: before.new().get("project", 0) > most, seconds=4)
    (case,) = firm.api.cases(kind="brake")
    shown = firm.say("case", "show", case["id"], "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["facts"]["waiting"] == flood - most
    released = firm.say("contract", "release", SPINE)
    assert released.returncode == 0, released.stderr
    await_in_step(firm, deals, within=90)
    written_once(firm, before, deals)
    until("the case to be closed", lambda: not firm.api.cases(kind="brake"))
