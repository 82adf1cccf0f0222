"""An extension is won: the same project, one new line of its own amount and dates, and nothing a second time."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.outside.books import Before, await_in_step, step, written_once
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records

CONTRACT = "opportunity-extension"


def extension_of(story: Story, deal: Deal) -> Deal:
    """A further deal of the same client, with a contract of its own, that extends one."""
    said = {"Type": story.chance.choice(("Extension", "Renewal")), "Extends__c": deal.id}
    return story.deal(entity=deal.contract["Legal_Entity__c"], account=deal.account, opportunity=said)


def the_line_is_right(firm: Firm, before: Before, deal: Deal, more: Deal) -> None:
    """One line in the PSA and one in the ERP, under the deal's own project and job."""
    original = firm.api.of(deal.id)
    project, job = (step(original, name)["ref"] for name in ("project_in_psa", "project_in_erp"))
    (story,) = (row for row in firm.twins["psa"].state("stories") if row["id"] not in before.there["line in the PSA"])
    (task,) = (
        row for row in firm.twins["erp"].state("projectTask") if row["id"] not in before.there["line in the ERP"]
    )
    start, end = more.contract["StartDate"], more.contract["EndDate"]
    assert (story["title"], str(story["workspace_id"])) == (more.name, project)
    assert (story["budget_estimate_in_cents"], story["start_date"], story["due_date"]) == (more.cents, start, end)
    assert (task["title"], task["project"]) == (more.name, job)
    assert Decimal(str(task["custevent_concordat_amount"])) * 100 == more.cents
    assert task["custevent_concordat_currency"] == more.currency
    assert (task["custevent_concordat_start"], task["custevent_concordat_end"]) == (start, end)


def lines(before: Before) -> Mapping[str, Any]:
    """What is new, the projects aside."""
    return {word: times for word, times in before.new().items() if word.startswith("line")}


def test_an_extension_of_a_running_project(firm: Firm, story: Story) -> None:
    deal = story.deal()
    more = extension_of(story, deal)
    start = Before(firm)
    firm.twins["crm"].seed(crm_records([deal, more]))
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    written_once(firm, start, [deal])
    before = Before(firm)
    firm.twins["crm"].fault("push_duplicate", times=1)
    firm.crm("win_deal", id=more.id)
    await_in_step(firm, [more], contract=CONTRACT)
    assert dict(before.new()) == {"line in the PSA": 1, "line in the ERP": 1}
    assert not [line for word in ("project", "job", "workspace", "channel") for line in before.writes(word)]
    the_line_is_right(firm, before, deal, more)
    assert firm.api.of(more.id) is None, "an extension is no project of its own"


def test_an_extension_that_is_won_in_the_same_moment(firm: Firm, story: Story) -> None:
    deal = story.deal()
    more = extension_of(story, deal)
    before = Before(firm)
    firm.twins["psa"].fault("latency", seconds=1, operation="create", times=1)
    firm.twins["crm"].seed(crm_records([deal, more]))
    firm.crm("win_deal", ids=[more.id, deal.id])
    await_in_step(firm, [deal])
    await_in_step(firm, [more], contract=CONTRACT)
    assert lines(before) == {"line in the PSA": 1, "line in the ERP": 1}
    the_line_is_right(firm, before, deal, more)
    assert {
        word: times for word, times in before.new().items() if word in {"project", "job", "workspace", "channel"}
    } == {
        "project": 1,
        "job": 1,
        "workspace": 1,
        "channel": 1,
    }
