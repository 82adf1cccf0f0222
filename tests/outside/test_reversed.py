"""A deal that is reversed after activation: its plan before it runs, decisions, the same project again; and order."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.outside.books import Before, await_in_step, step, written_once
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import never_within, until, until_equal

ON_HOLD, ACTIVE = 400, 401
"""Status keys of the PSA."""


def won(firm: Firm, story: Story) -> tuple[Deal, Before]:
    """One deal in step."""
    deal = story.deal()
    before = Before(firm)
    firm.twins["crm"].seed(crm_records([deal]))
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    written_once(firm, before, [deal])
    return deal, before


def whole(firm: Firm, deal: Deal) -> Any:
    return firm.api.of(deal.id) or {"id": 0, "state": "", "steps": (), "cases": ()}


def ref(firm: Firm, deal: Deal, name: str) -> str:
    return str(step(whole(firm, deal), name)["ref"])


def project(firm: Firm, deal: Deal) -> Any:
    return next(row for row in firm.twins["psa"].state("workspaces") if row["title"] == deal.name)


def plan(firm: Firm, deal: Deal) -> dict[str, Any]:
    found = firm.api.read(f"/api/v1/handoffs/{whole(firm, deal)['id']}/undo-plan")
    return {line["step"]: line for line in found["lines"]}


def open_cases(firm: Firm, deal: Deal) -> list[Any]:
    return [case for case in whole(firm, deal)["cases"] if case["state"] != "resolved"]


def test_the_plan_is_shown_first_and_hours_are_a_decision(firm: Firm, story: Story, chance: random.Random) -> None:
    deal, before = won(firm, story)
    minutes = 15 * chance.randrange(1, 12)
    firm.twins["psa"].do("log_time", id=ref(firm, deal, "project_in_psa"), date="2026-12-01", minutes=minutes)
    shown = plan(firm, deal)
    assert {name: line["word"] for name, line in shown.items() if line["does"] == "write"} == {
        "channel": "archive",
        "workspace": "lock",
        "project_in_erp": "hold",
    }
    assert shown["project_in_psa"]["does"] == "look", "what people have put on it is asked first"
    said = firm.say("handoff", "undo-plan", f"H{whole(firm, deal)['id']}", "--json")
    assert said.returncode == 0, said.stderr
    told = {line["step"]: line for line in json.loads(said.stdout)["lines"]}
    hours = f"{minutes / 60:g} h"
    assert hours in told["project_in_psa"]["why"]
    assert told["project_in_psa"]["owner"] == "delivery"
    assert project(firm, deal)["status"]["key"] == ACTIVE, "looking changes nothing"
    first = {one["step"]: one["ref"] for one in whole(firm, deal)["steps"]}

    firm.crm("reverse_deal", id=deal.id)
    until_equal("the project to be on hold", lambda: project(firm, deal)["status"]["key"], ON_HOLD)
    until("the hours to be a decision", lambda: open_cases(firm, deal))
    (case,) = open_cases(firm, deal)
    assert case["owner"] == "delivery"
    assert hours in case["title"]
    until("nothing to be on its way", lambda: all(line["does"] == "done" for line in undone(firm, deal)))
    assert whole(firm, deal)["state"] == "withdrawing", "somebody has to decide yet"
    assert not [line for lines in firm.ledgers().values() for line in lines if line["operation"] == "delete"]
    assert [row for row in firm.twins["psa"].state("time_entries") if row["workspace_id"] == project(firm, deal)["id"]]

    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    assert project(firm, deal)["status"]["key"] == ACTIVE
    again = {one["step"]: one["ref"] for one in whole(firm, deal)["steps"] if one["step"] in first}
    assert again == first
    assert before.new() == {"client": 1, "project": 1, "job": 1, "workspace": 1, "channel": 1}
    until("the case to be closed", lambda: not open_cases(firm, deal))


def undone(firm: Firm, deal: Deal) -> list[Any]:
    kept = {"activated", "client_in_erp"}
    return [line for name, line in plan(firm, deal).items() if name not in kept]


def test_a_decision_ends_the_withdrawal(firm: Firm, story: Story) -> None:
    deal, _ = won(firm, story)
    firm.twins["psa"].do("log_time", id=ref(firm, deal, "project_in_psa"), date="2026-12-01", minutes=30)
    firm.crm("reverse_deal", id=deal.id)
    until("the hours to be a decision", lambda: open_cases(firm, deal))
    (case,) = open_cases(firm, deal)
    said = firm.say("case", "decide", str(case["id"]), "--reason", "billed as pre-sales", "--as", "ada")
    assert said.returncode == 0, said.stderr
    until_equal("the handoff to be withdrawn", lambda: whole(firm, deal)["state"], "withdrawn")


def test_a_close_that_is_told_before_the_change_that_preceded_it(
    firm: Firm, story: Story, chance: random.Random
) -> None:
    """The change's push is sent after the close's; what holds is what the CRM says, whatever came first."""
    deal, _ = won(firm, story)
    name = f"{deal.name} {chance.randrange(1000)}"
    fault = firm.twins["crm"].fault("push_delay", seconds=2, times=1)
    firm.crm("fill", object="Opportunity", id=deal.id, fields={"Name": name})
    firm.crm("reverse_deal", id=deal.id)
    until_equal("the handoff to be withdrawn", lambda: whole(firm, deal)["state"], "withdrawn", within=60)
    until("the late push to arrive", lambda: firm.twins["crm"].fired(fault))
    never_within("moved by an old push", lambda: whole(firm, deal)["state"] != "withdrawn", seconds=3)
    firm.crm("win_deal", id=deal.id)
    until_equal("the last name to hold", lambda: titles(firm, deal), [name], within=60)
    until_equal("the handoff to be in step", lambda: whole(firm, deal)["state"], "in_step", within=60)


def titles(firm: Firm, deal: Deal) -> list[str]:
    known = ref(firm, deal, "project_in_psa")
    return [row["title"] for row in firm.twins["psa"].state("workspaces") if row["id"] == known]


def test_an_older_status_after_a_newer_one(firm: Firm, story: Story, chance: random.Random) -> None:
    """Reversed and won again within moments, the pushes in the wrong order and twice: it ends as it stands there."""
    deal, before = won(firm, story)
    firm.twins["crm"].fault(chance.choice(["push_reorder", "push_duplicate"]), times=2)
    for _ in range(chance.randrange(1, 4)):
        firm.crm("reverse_deal", id=deal.id)
        firm.crm("win_deal", id=deal.id)
    until_equal("the project to be active", lambda: project(firm, deal)["status"]["key"], ACTIVE, within=60)
    await_in_step(firm, [deal])
    never_within("on hold again", lambda: project(firm, deal)["status"]["key"] != ACTIVE, seconds=3)
    assert before.new() == {"client": 1, "project": 1, "job": 1, "workspace": 1, "channel": 1}
