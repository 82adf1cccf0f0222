"""Several hosts: links are cut and slowed, a host is apart, the database dies; every deal still lands once."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.outside.books import Before, await_in_step, written_once
from tests.outside.chance import chance_of
from tests.outside.conftest import FIRMS
from tests.outside.firm import Firm
from tests.outside.hosts import Hosts, lacking, refused
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import until


@pytest.fixture(scope="module")
def spread(template: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Hosts, Firm]]:
    """A firm whose database, vendors and two workers are hosts of their own; the web stands beside the tests."""
    if how := lacking():
        request.getfixturevalue("need")("What a lab of several hosts is made of", how=how)
    if why := refused():
        pytest.skip(f"this machine allows no hosts inside it: {why}")
    place = Path(tempfile.mkdtemp(prefix="concordat-outside-"))
    place.chmod(0o755)
    with Hosts() as hosts:
        hosts.start_database()
        firm = Firm(template, place / "firm", CONCORDAT_DATABASE_URL=hosts.database_url)
        request.session.stash.setdefault(FIRMS, []).append(firm)
        try:
            hosts.lead([port for name, port in firm.ports.items() if name != "web"])
            firm.play(hosts.on("vendors"))
            firm.twins["hr"].seed(Story(chance=chance_of("people")).people())
            assert firm.say("db", "migrate").returncode == 0
            firm.another("web", "--port", firm.ports["web"])
            for host in ("one", "two"):
                firm.another("worker", "--log-level", "warning", host=hosts.on(host))
            until("the firm to be at work", firm.api.ready, within=60)
            until("both workers", lambda: firm.api.metric("concordat_workers").get("") == 2, within=30)
            yield hosts, firm
        finally:
            firm.close()
            request.session.stash[FIRMS].remove(firm)
            shutil.rmtree(place, ignore_errors=True)


PATIENCE = 180.0
"""Seconds. A host that is cut off opens the breaker of a connection for all; it is probed once a minute."""


def win(firm: Firm, story: Story, many: int) -> tuple[Before, Sequence[Deal]]:
    before, deals = Before(firm), story.deals(many)
    firm.twins["crm"].seed(crm_records(deals))
    firm.crm("win_deal", ids=[deal.id for deal in deals])
    return before, deals


def test_a_worker_is_cut_off_from_the_database(spread: tuple[Hosts, Firm], story: Story, chance: random.Random) -> None:
    hosts, firm = spread
    slow = firm.twins["psa"].fault("latency", seconds=0.5, operation="create")
    before, deals = win(firm, story, 6)
    until("the work to be under way", lambda: firm.twins["psa"].fired(slow) >= 1, within=40, every=0.02)
    apart = chance.choice(["one", "two"])
    hosts.cut(apart, "wires")
    firm.twins["psa"].heal(slow)
    await_in_step(firm, deals, within=PATIENCE)
    hosts.mend(apart, "wires")
    written_once(firm, before, deals)
    until("both workers again", lambda: firm.api.metric("concordat_workers").get("") == 2, within=PATIENCE)


def test_a_host_is_apart_from_the_vendors_in_mid_call(spread: tuple[Hosts, Firm], story: Story) -> None:
    hosts, firm = spread
    slow = firm.twins["erp"].fault("latency", seconds=0.5)
    before, deals = win(firm, story, 4)
    until("the work to be under way", lambda: firm.twins["erp"].fired(slow) >= 1, within=40, every=0.02)
    hosts.cut("one", "lines")
    firm.twins["erp"].heal(slow)
    until("a moment apart", firm.api.handoffs, within=5)
    hosts.mend("one", "lines")
    await_in_step(firm, deals, within=PATIENCE)
    written_once(firm, before, deals)


def test_slow_lines_only_take_longer(spread: tuple[Hosts, Firm], story: Story) -> None:
    hosts, firm = spread
    for host, seconds in (("one", 0.3), ("two", 0.05)):
        hosts.slow(host, seconds)
    try:
        before, deals = win(firm, story, 4)
        await_in_step(firm, deals, within=PATIENCE)
        written_once(firm, before, deals)
    finally:
        for host in ("one", "two"):
            hosts.slow(host, 0)


def test_the_database_dies_under_load(spread: tuple[Hosts, Firm], story: Story) -> None:
    """SIGKILL of the server and all its sessions; both hosts go on when it is back."""
    hosts, firm = spread
    slow = firm.twins["psa"].fault("latency", seconds=0.3, operation="create")
    before, deals = win(firm, story, 6)
    until("the work to be under way", lambda: firm.twins["psa"].fired(slow) >= 1, within=40, every=0.02)
    hosts.crash_database()
    firm.twins["psa"].heal(slow)
    hosts.start_database()
    await_in_step(firm, deals, within=PATIENCE)
    written_once(firm, before, deals)
