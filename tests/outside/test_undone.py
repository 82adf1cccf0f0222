"""A reversed deal is undone in every system by the contract's words, and comes back when it is won again."""

from __future__ import annotations

from typing import Any

from tests.outside.books import Before, await_in_step, written_once
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import until

STANDING = {"channel": False, "workspace": False, "job": "2"}
UNDONE = {"channel": True, "workspace": True, "job": "4"}
"""A channel that is closed, a workspace that is locked, a job that is pending."""


def test_a_reversed_deal_is_undone_and_comes_back(firm: Firm, story: Story) -> None:
    deal = story.deal()
    before = Before(firm)
    firm.twins["crm"].seed(crm_records([deal]))
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    written_once(firm, before, [deal])
    refs = linked(firm, deal)
    assert shown(firm, refs) == STANDING
    firm.crm("reverse_deal", id=deal.id)
    until("the deal to be undone", lambda: shown(firm, refs) == UNDONE, within=90)
    until("the handoff to be withdrawn", lambda: (firm.api.of(deal.id) or {})["state"] == "withdrawn", within=60)
    firm.crm("win_deal", id=deal.id)
    until("the deal to be back", lambda: shown(firm, refs) == STANDING, within=90)
    await_in_step(firm, [deal])
    assert linked(firm, deal) == refs
    deleted = [line for lines in firm.ledgers().values() for line in lines if line["operation"] == "delete"]
    assert not deleted, "a withdrawal deletes nothing"
    made = [
        (word, line["ref"]) for word in before.new() for line in before.writes(word) if line["operation"] == "create"
    ]
    assert len(made) == len(set(made)), "nothing is made a second time"
    handoff = (firm.api.of(deal.id) or {})["id"]
    until("no case to be open", lambda: not [c for c in firm.api.cases() if c["handoff_id"] == handoff])


def linked(firm: Firm, deal: Deal) -> dict[str, str]:
    """Give what each step of a deal made, by the step's name."""
    steps = (firm.api.of(deal.id) or {"steps": []})["steps"]
    return {one["step"]: str(one["ref"]).rpartition(":")[2] for one in steps if one["ref"] and "." not in one["step"]}


def shown(firm: Firm, refs: dict[str, str]) -> dict[str, Any]:
    """Give how the deal's channel, workspace and job stand in the systems themselves."""
    row = {
        word: next(row for row in firm.twins[name].state(kept) if row["id"] == refs[step])
        for word, name, kept, step in (
            ("channel", "chat", "channels", "channel"),
            ("workspace", "documents", "driveItems", "workspace"),
            ("job", "erp", "job", "project_in_erp"),
        )
    }
    return {
        "channel": row["channel"]["is_archived"],
        "workspace": str(row["workspace"].get("columns", {}).get("ConcordatLock", "")).startswith("locked"),
        "job": row["job"].get("entityStatus"),
    }
