"""Month end without the bills: many deals, an ERP that limits, tokens that expire, two kills, a crashed database.

The firm says what its ERP allows; the vendor's own books must show that it was never exceeded.
"""

from __future__ import annotations

import random
from functools import partial

from tests.outside.books import Before, await_in_step, written_once
from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm, Program
from tests.outside.story import Story, crm_records
from tests.outside.test_bad_days import server_of
from tests.outside.wait import until

DEALS = 40
PARALLEL = 5
QUOTA = 2_000


def at_work(firm: Firm) -> Firm:
    """The web and two workers, each a program of its own."""
    firm.play()
    firm.another("web", "--port", firm.ports["web"])
    until("the web to answer", (firm.folder / ".concordat" / "api.token").exists, within=60)
    for _ in range(2):
        firm.another("worker", "--log-level", "warning")
    until("the workers to be at work", firm.api.ready, within=60)
    return firm


def workers(firm: Firm) -> list[Program]:
    return [program for program in firm.programs if program.name.startswith("worker") and program.runs]


def has_made(before: Before, projects: int) -> bool:
    return len(before.writes("project")) >= projects


def trouble(firm: Firm, chance: random.Random) -> None:
    """429 with a time and without, and tokens that end in the middle, for all workers alike."""
    erp = firm.twins["erp"]
    erp.fault("status", status=429, headers={"Retry-After": "1"}, times=chance.randrange(2, 6), probability=0.3)
    erp.fault("status", status=429, times=chance.randrange(2, 6), probability=0.3)
    firm.twins["crm"].fault("token_expires_after", calls=chance.randrange(3, 12))
    firm.twins["psa"].fault("latency", seconds=0.2, operation="create")


def test_month_end_with_limits_and_crashes(make_firm: MakeFirm, story: Story, chance: random.Random) -> None:
    firm = make_firm()
    firm.write(
        "concordat.toml",
        "[connections.erp]\n",
        f"[connections.erp.budget]\nparallel = {PARALLEL}\nquota = {QUOTA}\n\n[connections.erp]\n",
    )
    at_work(firm)
    firm.twins["hr"].seed(story.people())
    deals, before = story.deals(DEALS), Before(firm)
    firm.twins["crm"].seed(crm_records(deals))
    firm.twins["erp"].count_anew()
    with server_of(firm) as server:
        trouble(firm, chance)
        firm.crm("win_deal", ids=[deal.id for deal in deals])
        for share in (8, 4):
            until("some of it to be done", partial(has_made, before, DEALS // share), within=60)
            chance.choice(workers(firm)).kill()
            firm.another("worker", "--log-level", "warning")
        server.crash()
        server.start()
        await_in_step(firm, deals, within=150)
        for twin in firm.twins.values():
            twin.heal()
        written_once(firm, before, deals)
        said = firm.twins["erp"].calls()
        assert 0 < said["total"] <= QUOTA
        assert said["max_parallel"] <= PARALLEL


def test_the_quota_of_a_day_is_foretold_and_never_exceeded(make_firm: MakeFirm, story: Story) -> None:
    """A quota that cannot suffice: the rest waits visibly for it, what was done stays done, and no call is too many."""
    quota = 24
    firm = make_firm()
    firm.write(
        "concordat.toml",
        "[connections.erp]\n",
        f"[connections.erp.budget]\nquota = {quota}\n\n[connections.erp]\n",
    )
    at_work(firm)
    firm.twins["hr"].seed(story.people())
    deals = story.deals(30)
    firm.twins["crm"].seed(crm_records(deals))
    firm.twins["erp"].count_anew()
    firm.crm("win_deal", ids=[deal.id for deal in deals])
    until("something to wait for the quota", lambda: "quota" in str(firm.api.read("/api/v1/connections")), within=60)
    waiting = until(
        "a step that says so",
        lambda: [
            one["waits_for"]
            for whole in firm.api.wholes()
            for one in whole["steps"]
            if one["state"] == "pending" and "quota" in one["waits_for"]
        ],
        within=60,
    )
    assert waiting
    made = firm.twins["erp"].calls()["total"]
    assert 0 < made <= quota, f"{made} calls, {quota} were allowed"
