"""Several workers beside the web: one is killed in mid-work, and everything still lands once."""

from __future__ import annotations

import random

from tests.outside.books import Before, await_in_step, written_once
from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm
from tests.outside.story import Story, crm_records
from tests.outside.wait import until

DEALS = 12


def test_one_of_two_workers_is_killed(make_firm: MakeFirm, story: Story, chance: random.Random) -> None:
    firm = make_firm().play()
    firm.twins["hr"].seed(story.people())
    web = firm.another("web", "--port", firm.ports["web"])
    until("the web to answer", lambda: alive(firm), within=60)
    workers = [firm.another("worker", "--log-level", "warning") for _ in range(2)]
    until("the workers to be at work", firm.api.ready, within=60)
    until("both to be counted", lambda: firm.api.metric("concordat_workers").get("") == 2, within=30)
    deals = story.deals(DEALS)
    before = Before(firm)
    firm.twins["crm"].seed(crm_records(deals))
    psa, erp = firm.twins["psa"], firm.twins["erp"]
    slow = psa.fault("latency", seconds=0.5, operation="create")
    erp.fault("latency", seconds=0.3)
    firm.crm("win_deal", ids=[deal.id for deal in deals])
    until("the work to be under way", lambda: psa.fired(slow) >= chance.randrange(1, 4), within=30, every=0.02)
    chance.choice(workers).kill()
    psa.heal(slow)
    await_in_step(firm, deals, within=60)
    written_once(firm, before, deals)
    assert web.runs
    assert sum(worker.runs for worker in workers) == 1


def alive(firm: Firm) -> bool:
    return (firm.folder / ".concordat" / "api.token").exists() and firm.api.read("/healthz") is not None
