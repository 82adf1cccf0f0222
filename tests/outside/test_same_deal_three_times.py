"""The same deal arrives three times, and the PSA's answer is lost: one of everything, in doubt, then verified."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from tests.outside.books import Before, await_in_step, step, written_once
from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import until

BAD = {"held", "skipped"}


def lose_the_answer(firm: Firm, deal: Deal, *, lag: float) -> int:
    """The PSA will commit the project and drop the connection; its searches lag behind."""
    psa = firm.twins["psa"]
    psa.fault("stale_read", seconds=lag)
    return psa.fault("commit_then_drop", object="workspaces", operation="create", key=deal.name, times=1)


def push_again(firm: Firm, deal: Deal) -> None:
    """Send once more, byte for byte, what the CRM pushed about this deal."""
    body = next(push["body"] for push in firm.twins["crm"].pushes() if deal.id in push["body"])
    answer = firm.api.push(body.encode())
    assert answer.status_code == 202, answer.text


class Watched:
    """Every state that a deal's project was seen in, in order."""

    def __init__(self, firm: Firm, deal: Deal) -> None:
        self.firm = firm
        self.deal = deal
        self.project: list[str] = []
        self.handoff: list[str] = []

    def look(self) -> Mapping[str, Any]:
        """Look once."""
        whole = self.firm.api.of(self.deal.id)
        now = step(whole, "project_in_psa")
        if whole and now["state"] != (self.project or [""])[-1]:
            self.project.append(now["state"])
        if whole and whole["state"] != (self.handoff or [""])[-1]:
            self.handoff.append(whole["state"])
        assert not BAD & {one["state"] for one in (whole or {"steps": ()})["steps"]}, self.project
        return now

    def doubt(self) -> bool:
        return bool(self.look()["state"] == "in_doubt")

    def verified(self) -> bool:
        return bool(self.look()["state"] == "verified")


def the_story_is_right(firm: Firm, before: Before, watched: Watched) -> None:
    deal = watched.deal
    await_in_step(firm, [deal])
    written_once(firm, before, [deal])
    assert watched.project.index("in_doubt") < watched.project.index("verified"), watched.project
    assert "partial" not in watched.handoff, watched.handoff
    assert not [case for case in firm.api.cases() if deal.name in json.dumps(case)]
    rows = [row for row in firm.twins["psa"].state("workspaces") if row["title"] == deal.name]
    assert [row["currency"] for row in rows] == [deal.currency]
    attempts = step(firm.api.of(deal.id), "project_in_psa")["attempts"]
    assert [a["act"] for a in attempts].count("write") == 1, "one intent, sent once"
    assert "resolve" in {a["act"] for a in attempts}, "looked up, not sent again"


def three_pushes_one_lost_answer(firm: Firm, deal: Deal, *, lag: float) -> None:
    before, watched = Before(firm), Watched(firm, deal)
    firm.twins["crm"].seed(crm_records([deal]))
    fault = lose_the_answer(firm, deal, lag=lag)
    firm.twins["crm"].fault("push_duplicate", times=1)
    firm.crm("win_deal", id=deal.id)
    until("the project to be in doubt", watched.doubt, within=30, every=0.02)
    push_again(firm, deal)
    assert firm.twins["psa"].fired(fault) == 1
    until("the project to be verified", watched.verified, within=lag * 2 + 45)
    assert sum(before.received().values()) == 3, before.received()
    assert before.received()["duplicate"] == 2, before.received()
    the_story_is_right(firm, before, watched)


def test_an_answer_is_lost_and_the_search_lags(firm: Firm, story: Story, chance: random.Random) -> None:
    three_pushes_one_lost_answer(firm, story.deal(), lag=chance.uniform(4, 10))


@pytest.mark.long
def test_the_search_lags_forty_seconds(make_firm: MakeFirm, story: Story) -> None:
    firm = make_firm()
    firm.vendors_pace()
    firm.play()
    firm.twins["hr"].seed(story.people())
    amount = {"Amount": "350000.00"}
    deal = story.deal(entity="NB-US", opportunity=amount, contract={"Value__c": amount["Amount"]})
    three_pushes_one_lost_answer(firm.begin(), deal, lag=40)
