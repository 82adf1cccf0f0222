"""Staffing is down while ten deals close: projects and jobs come, staffing waits in the open, and completes unaided."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.outside.books import Before, await_in_step, step, written_once
from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import until

DEALS = 10
SPINE = "opportunity-to-project"


def staffing(firm: Firm, deals: Sequence[Deal]) -> list[Mapping[str, Any]]:
    """Give the staffing steps of these deals that wait in the open."""
    steps = [step(firm.api.of(deal.id), "staffing") for deal in deals]
    return [one for one in steps if one["state"] == "pending" and "unavailable" in one["waits_for"]]


def money_of(deals: Sequence[Deal]) -> Mapping[str, str]:
    """Add up by currency, never across."""
    cents: Counter[str] = Counter()
    for deal in deals:
        cents[deal.currency] += deal.cents
    return {currency: f"{amount // 100}.{amount % 100:02d}" for currency, amount in cents.items()}


def win_one_by_one(firm: Firm, deals: Sequence[Deal], chance: random.Random) -> None:
    """Win them as people do: not in one moment."""
    for deal in deals:
        firm.crm("win_deal", id=deal.id)
        at = time.monotonic() + chance.uniform(0, 0.5)
        until("the next deal", lambda at=at: time.monotonic() >= at)  # type: ignore[misc]


def all_made(firm: Firm, before: Before) -> bool:
    new = before.new()
    return new.get("project") == DEALS and new.get("job") == DEALS


def hr_is(firm: Firm, state: str) -> bool:
    return any(one["name"] == "hr" and one["state"] == state for one in firm.api.read("/api/v1/connections") or ())


def waits_in_the_open(firm: Firm, deals: Sequence[Deal], before: Before) -> list[Mapping[str, Any]]:
    """Ten projects and jobs are there; each staffing waits with its reason, age, owner and due time."""
    until("ten projects and ten jobs", lambda: all_made(firm, before), within=90)
    until("ten staffing steps to wait", lambda: len(staffing(firm, deals)) == DEALS, within=60)
    waiting = staffing(firm, deals)
    assert {one["owner"] for one in waiting} == {"resourcing"}
    assert all(one["due_at"] and one["ready_at"] for one in waiting), "due time, and since when"
    wholes = [firm.api.of(deal.id) for deal in deals]
    until("ten handoffs to wait", lambda: all((firm.api.of(d.id) or {}).get("state") == "waiting" for d in deals))
    assert not [one for whole in wholes for one in (whole or {})["steps"] if one["state"] == "held"]
    return waiting


def one_alert(firm: Firm, deals: Sequence[Deal]) -> None:
    """At the due time one grouped alert tells its owner of all, with the sum per currency."""

    def told() -> int:
        return sum(alert["items"] for alert in firm.api.alerts())

    until("an alert for ten", lambda: told() >= DEALS, within=40)
    alerts = firm.api.alerts()
    assert [(a["owner"], a["items"]) for a in alerts] == [("resourcing", DEALS)], alerts
    assert alerts[0]["money"] == money_of(deals)
    assert "unavailable" in alerts[0]["cause"]


def test_staffing_answers_503(make_firm: MakeFirm, story: Story, chance: random.Random) -> None:
    firm = make_firm()
    firm.contract(SPINE, due="due: 10 s")
    firm.play().begin()
    firm.twins["hr"].seed(story.people())
    deals = story.deals(DEALS)
    before = Before(firm)
    firm.twins["crm"].seed(crm_records(deals))
    down = firm.twins["hr"].fault("status", status=503)
    win_one_by_one(firm, deals, chance)
    waits_in_the_open(firm, deals, before)
    until("the breaker to open", lambda: hr_is(firm, "down"), within=20)
    asked, since = firm.twins["hr"].fired(down), time.monotonic()
    one_alert(firm, deals)
    probes = firm.twins["hr"].fired(down) - asked
    assert probes <= 1 + (time.monotonic() - since) // 60, f"{probes} calls to a system that is down"
    firm.twins["hr"].heal()
    await_in_step(firm, deals, within=90)
    written_once(firm, before, deals)
    assert len(firm.api.alerts()) == 1


@pytest.mark.long
def test_staffing_refuses_connections(make_firm: MakeFirm, story: Story, chance: random.Random) -> None:
    firm = make_firm().play().begin()
    firm.twins["hr"].seed(story.people())
    deals = story.deals(DEALS)
    before = Before(firm)
    firm.twins["crm"].seed(crm_records(deals))
    firm.twins["hr"].fault("refuse", seconds=75)
    win_one_by_one(firm, deals, chance)
    waiting = waits_in_the_open(firm, deals, before)
    for one in waiting:
        due = datetime.fromisoformat(one["due_at"]).astimezone(ZoneInfo("Europe/Berlin"))
        assert due.weekday() < 5, due
        assert (9, 0) <= (due.hour, due.minute) <= (17, 30), f"{due} is no office hour in Berlin"
    until("the breaker to open", lambda: hr_is(firm, "down"), within=20)
    await_in_step(firm, deals, within=180)
    written_once(firm, before, deals)
    asked = {a["at"] for deal in deals for a in step(firm.api.of(deal.id), "staffing")["attempts"]}
    assert len(asked) <= DEALS + 5, f"asked at {len(asked)} moments"
    assert not firm.api.alerts()
