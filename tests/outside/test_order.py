"""Events arrive late, twisted and doubled; the state is read back, so only the last word counts, nothing goes back."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from tests.outside.books import Before, await_in_step, step, written_once
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import never_within, until


def project(firm: Firm, deal: Deal) -> Mapping[str, Any]:
    """The deal's project as the PSA holds it."""
    ref = str(step(firm.api.of(deal.id), "project_in_psa")["ref"])
    return next(row for row in firm.twins["psa"].state("workspaces") if row["id"] == ref)


def writes(before: Before, ref: str) -> Sequence[Mapping[str, Any]]:
    return [line for line in before.writes("project") if str(line["ref"]) == ref]


def rename(firm: Firm, deal: Deal, name: str) -> None:
    firm.crm("fill", object="Opportunity", id=deal.id, fields={"Name": name})


def test_the_close_arrives_before_the_change_that_preceded_it(firm: Firm, story: Story, chance: random.Random) -> None:
    deal, before = story.deal(), Before(firm)
    late = chance.uniform(3, 5)
    firm.twins["crm"].seed(crm_records([deal]))
    delayed = firm.twins["crm"].fault("push_delay", seconds=late, times=1)
    name = f"{deal.name} agreed"
    rename(firm, deal, name)
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    assert firm.twins["crm"].fired(delayed) == 1
    assert project(firm, deal)["title"] == name
    until("the late push", lambda: sum(before.received().values()) >= 2, within=late + 15)
    never_within(
        "a late push wrote again",
        lambda: len(writes(before, project(firm, deal)["id"])) > 1,
        seconds=3,
    )
    assert firm.api.of(deal.id)["state"] == "in_step"  # type: ignore[index]


def test_two_changes_whose_pushes_are_twisted(firm: Firm, story: Story, chance: random.Random) -> None:
    """Two changes whose pushes are twisted, one of them doubled: the last one stands for good."""
    deal, before = story.deal(), Before(firm)
    firm.twins["crm"].seed(crm_records([deal]))
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    written_once(firm, before, [deal])
    firm.twins["crm"].fault("push_reorder", times=1)
    firm.twins["crm"].fault("push_duplicate", times=1)
    first, last = f"{deal.name} first", f"{deal.name} last {chance.randrange(1000)}"
    rename(firm, deal, first)
    rename(firm, deal, last)
    seen: list[str] = []

    def shows_the_last() -> bool:
        seen.append(project(firm, deal)["title"])
        return seen[-1] == last

    until("the last name", shows_the_last, within=40, every=0.05)
    never_within("a step back", lambda: project(firm, deal)["title"] != last, seconds=3)
    assert firm.api.of(deal.id)["state"] == "in_step"  # type: ignore[index]
    assert set(seen) <= {deal.name, first, last}


def test_a_lost_push_only_costs_time(firm: Firm, story: Story) -> None:
    deal, before = story.deal(), Before(firm)
    firm.twins["crm"].seed(crm_records([deal]))
    lost = firm.twins["crm"].fault("push_lose", times=2)
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    assert firm.twins["crm"].fired(lost) >= 1
    written_once(firm, before, [deal])
