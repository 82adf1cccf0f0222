"""What the twins' books must say at the end, whatever happened on the way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.outside.firm import Firm
from tests.outside.story import Deal
from tests.outside.wait import until

__all__ = ["DONE", "Before", "await_in_step", "in_step", "step", "written_once"]

DONE = {"verified", "applied"}
MADE = {"create", "upsert", "insert"}
STEPS = {
    "client_in_erp": "client",
    "project_in_psa": "project",
    "project_in_erp": "job",
    "workspace": "workspace",
    "channel": "channel",
}


class Before:
    """The books at one moment, to tell what is new since."""

    def __init__(self, firm: Firm) -> None:
        self.firm = firm
        self.there = firm.there()
        self.lines = {word: len(lines) for word, lines in firm.ledgers().items()}
        self.deliveries = {one["id"] for one in firm.api.deliveries()}

    def new(self) -> Mapping[str, int]:
        """How many of each have come since; words of which none came are left out."""
        now = self.firm.there()
        return {word: len(now[word] - self.there[word]) for word in now if now[word] - self.there[word]}

    def creates(self) -> Mapping[str, int]:
        """How many committed writes made something, by word."""
        lines = {word: lines[self.lines[word] :] for word, lines in self.firm.ledgers().items()}
        made = {word: [line for line in found if line["operation"] in MADE] for word, found in lines.items()}
        return {word: len(found) for word, found in made.items() if found}

    def writes(self, word: str) -> Sequence[Mapping[str, Any]]:
        """The committed writes of one word since then."""
        return self.firm.ledgers()[word][self.lines[word] :]

    def received(self) -> Counter[str]:
        """What became of the deliveries since then."""
        return Counter(one["state"] for one in self.firm.api.deliveries() if one["id"] not in self.deliveries)


def step(whole: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """Give one step of a handoff; empty while it is not there."""
    steps = whole["steps"] if whole else ()
    return next((one for one in steps if one["step"] == name), {"state": "", "attempts": (), "waits_for": ""})


def in_step(firm: Firm, deals: Sequence[Deal], contract: str = "opportunity-to-project") -> bool:
    """Whether the handoffs of all these deals are in step."""
    states = {h["subject"]["ref"]: h["state"] for h in firm.api.handoffs(contract)}
    return all(states.get(deal.id) == "in_step" for deal in deals)


def await_in_step(
    firm: Firm, deals: Sequence[Deal], *, within: float = 60, contract: str = "opportunity-to-project"
) -> None:
    """Wait until all these deals are in step; say what stands still when they are not."""
    end = time.monotonic() + within
    while not in_step(firm, deals, contract):
        if time.monotonic() > end:
            still = "\n".join(_standing(firm, deal, contract) for deal in deals)
            raise AssertionError(f"waited {within:.0f} s in vain for deals to be in step:\n{still}")
        time.sleep(0.2)


def _standing(firm: Firm, deal: Deal, contract: str) -> str:
    whole = firm.api.of(deal.id, contract)
    steps = whole["steps"] if whole else ()
    open_ = [one for one in steps if one["state"] not in DONE]
    told = "; ".join(
        f"{one['step']} {one['state']} {one['waits_for'] or one['error']} next {one['next_at']} "
        f"after {[(a['act'], a['outcome'], a['at'][11:23]) for a in one['attempts']]}"
        for one in open_
    )
    return f"{deal.name}: {whole['state'] if whole else 'no handoff'}: {told}"


def written_once(firm: Firm, before: Before, deals: Sequence[Deal]) -> None:
    """One client per client; one project, job, workspace and channel per deal; each linked, none made twice.

    A handoff may be in step before its optional steps are: those are awaited first.
    """
    until("the optional steps", lambda: all(_all_done(firm.api.of(deal.id)) for deal in deals), within=90, every=0.3)
    clients = len({deal.client for deal in deals})
    expected = {"client": clients} | {word: len(deals) for word in ("project", "job", "workspace", "channel")}
    assert dict(before.new()) == expected
    assert sorted(_names(firm, before, "project")) == sorted(deal.name for deal in deals)
    assert len(before.writes("project")) == len(deals), "the PSA's ledger holds one committed write per project"
    keys = Counter(
        (word, line["ref"]) for word in expected for line in before.writes(word) if line["operation"] == "create"
    )
    assert not {key: times for key, times in keys.items() if times > 1}
    now = firm.there()
    for deal in deals:
        whole = firm.api.of(deal.id)
        assert whole is not None
        for name, word in STEPS.items():
            done = step(whole, name)
            assert done["state"] in DONE, f"{deal.name}: {name} is {done['state']}: {done['error']}"
            assert str(done["ref"]) in now[word] - before.there[word], f"{deal.name}: {name} links {done['ref']}"


def _all_done(whole: Mapping[str, Any] | None) -> bool:
    return all(step(whole, name)["state"] in DONE for name in STEPS)


def _names(firm: Firm, before: Before, word: str) -> list[str]:
    rows = firm.twins["psa"].state("workspaces") if word == "project" else ()
    return [row["title"] for row in rows if row["id"] not in before.there[word]]
