"""`concordat up` is killed with SIGKILL, at the worst moments and at random ones: the counts stay the same."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.outside.books import Before, await_in_step, step, written_once
from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import until

Kill = Callable[[Firm, Deal], None]
LAG = 4.0
TO_CREATE = {"object": "workspaces", "operation": "create"}


def after_the_hook(firm: Firm, deal: Deal) -> None:
    """Right after the hook answered 202."""
    crm = firm.twins["crm"]
    firm.crm("win_deal", id=deal.id)
    until(
        "the push to be taken",
        lambda: any(deal.id in p["body"] and p["status"] == 202 for p in crm.pushes()),
        every=0.005,
    )
    firm.up.kill()


def while_the_call_is_open(firm: Firm, deal: Deal) -> None:
    """The PSA has the request and has not answered; it commits later."""
    slow = firm.twins["psa"].fault("latency", seconds=1.5, key=deal.name, times=1, **TO_CREATE)
    firm.crm("win_deal", id=deal.id)
    until("the PSA to be asked", lambda: firm.twins["psa"].fired(slow), every=0.01)
    firm.up.kill()


def after_the_drop(firm: Firm, deal: Deal) -> None:
    """The PSA has committed and dropped the connection; perhaps nobody wrote it down yet."""
    lost = firm.twins["psa"].fault("commit_then_drop", key=deal.name, times=1, **TO_CREATE)
    firm.crm("win_deal", id=deal.id)
    until("the connection to be dropped", lambda: firm.twins["psa"].fired(lost), every=0.005)
    firm.up.kill()


def while_in_doubt(firm: Firm, deal: Deal) -> None:
    """The doubt is written down and not resolved."""
    firm.twins["psa"].fault("commit_then_drop", key=deal.name, times=1, **TO_CREATE)
    firm.crm("win_deal", id=deal.id)
    doubt = lambda: step(firm.api.of(deal.id), "project_in_psa")["state"] == "in_doubt"  # noqa: E731
    until("the project to be in doubt", doubt, every=0.02)
    firm.up.kill()


@pytest.mark.parametrize("kill", [after_the_hook, while_the_call_is_open, after_the_drop, while_in_doubt])
def test_killed_at_the_worst_moment(firm: Firm, story: Story, kill: Kill) -> None:
    deal = story.deal()
    before = Before(firm)
    firm.twins["psa"].fault("stale_read", seconds=LAG)
    firm.twins["crm"].seed(crm_records([deal]))
    kill(firm, deal)
    firm.begin()
    await_in_step(firm, [deal], within=60)
    written_once(firm, before, [deal])


def kill_at_random(firm: Firm, chance: random.Random, moments: int, *, within: float) -> None:
    """Kill and start again; a moment is counted from when the firm is ready, sometimes from its very start."""
    for _ in range(moments):
        at = time.monotonic() + chance.uniform(0, within)
        until("the moment", lambda at=at: time.monotonic() >= at, within=within + 1, every=0.01)  # type: ignore[misc]
        firm.up.kill()
        firm.up.start()
        if chance.random() < 0.7:
            firm.wait()


@pytest.mark.long
def test_killed_ten_times_under_load(make_firm: MakeFirm, story: Story, chance: random.Random) -> None:
    firm = make_firm().play()
    firm.twins["hr"].seed(story.people())
    deals = story.deals(20)
    before = Before(firm)
    firm.twins["crm"].seed(crm_records(deals))
    firm.begin()
    for name in ("psa", "erp", "documents"):
        firm.twins[name].fault("latency", seconds=0.2, rate=0.5)
        firm.twins[name].fault("commit_then_drop", operation="write", rate=0.1)
    firm.twins["psa"].fault("stale_read", seconds=LAG)
    firm.twins["psa"].fault("commit_then_drop", key=deals[0].name, nth=1, **TO_CREATE)
    firm.twins["crm"].fault("push_duplicate")
    for deal in deals[:10]:
        firm.crm("win_deal", id=deal.id)
    kill_at_random(firm, chance, 5, within=2.5)
    for deal in deals[10:]:
        firm.crm("win_deal", id=deal.id)
    kill_at_random(firm, chance, 5, within=2.5)
    firm.wait()
    await_in_step(firm, deals, within=180)
    written_once(firm, before, deals)
