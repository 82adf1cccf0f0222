"""What one seed is: a small Northbeam, what happens in it, who serves it, and which faults may strike.

A scene is data. The same scene always gives the same run; a smaller scene is what a failing seed is shrunk to.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from concordat.prove.faults import PROFILES, rates_for

__all__ = ["MIXES", "Client", "Deal", "Event", "Scene", "dice", "draw"]

MIXES: Mapping[str, Mapping[str, str]] = {
    "A": {"psa": "A", "erp": "A", "documents": "A", "chat": "A"},
    "B": {"psa": "B", "erp": "B", "documents": "B", "chat": "B"},
    "D": {"psa": "D", "erp": "D", "documents": "D", "chat": "D"},
    "mixed": {"psa": "B", "erp": "A", "documents": "B", "chat": "D"},
}
"""Vendor class of each target."""
STARTS = (
    datetime(2026, 6, 15, 9, 0, tzinfo=UTC),
    datetime(2026, 10, 24, 23, 30, tzinfo=UTC),  # clocks change in Europe
    datetime(2026, 10, 31, 22, 45, tzinfo=UTC),  # a month ends, and clocks change in America
    datetime(2026, 12, 31, 23, 20, tzinfo=UTC),  # a year ends
)
ENTITIES = (("NB-US", "USD", "US"), ("NB-UK", "GBP", "GB"), ("NB-DE", "EUR", "DE"))


def dice(*words: object) -> random.Random:
    """Chance that is the same for the same words."""
    return random.Random(":".join(map(str, words)))  # noqa: S311 - repeatable on purpose


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """A client of the CRM."""

    id: int
    entity: int
    accepted: bool
    """Credit control gave it a number, so it is onboarded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deal:
    """A deal of the CRM, with a contract of its own."""

    id: int
    client: int
    extends: int = 0
    """The deal that it extends; 0: new work."""
    old: bool = False
    """Won before the contracts began: adopted, never written."""
    roles: bool = True
    """Asks for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that people do in the CRM: `what` it is, with which deal or client."""

    what: str
    deal: int = 0
    client: int = 0

    def __str__(self) -> str:
        whom = f"deal {self.deal}" if self.deal else f"client {self.client}"
        return f"{whom}: {WORDS[self.what]}"


WORDS: Mapping[str, str] = {
    "win": "won",
    "lose": "lost",
    "negotiate": "back in negotiation",
    "rename": "renamed",
    "price": "new price",
    "budget": "new budget",
    "dates": "new dates",
    "rename_client": "renamed",
    "terms": "new payment terms",
    "drop_tax": "tax number deleted",
    "fill_tax": "tax number filled in",
    "drop_terms": "billing terms deleted",
    "fill_terms": "billing terms filled in",
    "poison": "its contract gets an impossible date",
    "cure": "its contract's dates are mended",
    "refused": "renamed to what targets refuse",
    "accepted": "renamed to what targets take",
    "junk": "the CRM sends a push that nobody can read",
    "forged": "somebody sends a push with a wrong signature",
    "accept": "accepted by credit control",
}
"""What happens, in words for a story."""
WEIGHTS: Mapping[str, int] = {
    "rename": 6, "price": 8, "budget": 4, "dates": 3, "lose": 2, "negotiate": 1, "win": 4, "rename_client": 5,
    "terms": 3, "drop_tax": 1, "drop_terms": 1, "poison": 1, "refused": 1, "junk": 1, "forged": 1, "accept": 2,
}  # fmt: skip
CURES: Mapping[str, str] = {
    "drop_tax": "fill_tax", "drop_terms": "fill_terms", "poison": "cure", "refused": "accepted",
}  # fmt: skip
OF_CLIENT = frozenset({"rename_client", "terms", "drop_tax", "fill_tax", "accept"})


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that a run depends on."""

    seed: int
    profile: str
    mix: str
    workers: int
    start: datetime
    clients: Sequence[Client]
    deals: Sequence[Deal]
    events: Sequence[Event]
    rates: Mapping[str, float]
    """Fault to how often it strikes where it can; one that is absent is off."""
    batch: int = 1
    """Records of one write call."""
    disorder: Mapping[str, float] = field(default_factory=dict)
    """How often a push is lost, doubled, late, or out of order."""

    @property
    def classes(self) -> Mapping[str, str]:
        """Vendor class of each target."""
        return MIXES[self.mix]

    def without(self, *, event: int | None = None, fault: str = "", deal: int = 0) -> Scene:
        """The same scene with something left out."""
        if fault:
            return replace(self, rates={k: v for k, v in self.rates.items() if k != fault})
        if deal:
            gone = {deal, *(d.id for d in self.deals if d.extends == deal)}
            events = [e for e in self.events if e.deal not in gone]
            return replace(self, deals=[d for d in self.deals if d.id not in gone], events=events)
        return replace(self, events=[e for i, e in enumerate(self.events) if i != event])


def draw(seed: int, profile: str, *, scale: float = 1.0, mix: str = "") -> Scene:
    """The scene of a seed. `scale` is how much happens; `mix` overrides the vendor class that the seed would choose."""
    chance = dice("scene", seed, profile)
    mixes = ("A", "B", "D", "mixed")
    clients = [
        Client(id=n, entity=chance.randrange(3), accepted=chance.random() < 0.6)
        for n in range(1, chance.randint(1, 3) + 1)
    ]
    deals = _deals(chance, clients, max(1, round(chance.randint(1, 4) * scale)))
    return Scene(
        seed=seed,
        profile=profile,
        mix=mix or mixes[seed % 4],
        workers=chance.choice((1, 2, 2, 3, 4)),
        start=chance.choice(STARTS),
        clients=clients,
        deals=deals,
        events=_events(chance, clients, deals, max(2, round(chance.randint(3, 9) * scale))),
        rates=rates_for(profile, chance),
        batch=chance.choice((1, 2, 200)),
        disorder=_disorder(profile, chance),
    )


def _disorder(profile: str, chance: random.Random) -> Mapping[str, float]:
    kinds = ("lost", "doubled", "late", "reordered")
    return {kind: chance.choice((0.0, 0.1, 0.4)) for kind in kinds} if PROFILES[profile] or profile == "calm" else {}


def _deals(chance: random.Random, clients: Sequence[Client], many: int) -> list[Deal]:
    deals: list[Deal] = []
    for n in range(1, many + 1):
        first = [d for d in deals if not d.extends and not d.old]
        extends = chance.choice(first).id if first and chance.random() < 0.3 else 0
        client = next(d.client for d in first if d.id == extends) if extends else chance.choice(clients).id
        old = not extends and chance.random() < 0.08
        deals.append(Deal(id=n, client=client, extends=extends, old=old, roles=chance.random() < 0.5))
    return deals


def _events(chance: random.Random, clients: Sequence[Client], deals: Sequence[Deal], many: int) -> list[Event]:
    """Every deal is won once, and then people change their minds; most of what breaks is mended in the end."""
    events = [Event(what="win", deal=deal.id) for deal in deals]
    names = list(WEIGHTS)
    for _ in range(many):
        what = chance.choices(names, [WEIGHTS[name] for name in names])[0]
        event = _event(chance, what, clients, deals)
        events.insert(chance.randrange(len(events) + 1), event)
        if what in CURES and chance.random() < 0.8:
            after = chance.randrange(events.index(event) + 1, len(events) + 1)
            events.insert(after, replace(event, what=CURES[what]))
    return events


def _event(chance: random.Random, what: str, clients: Sequence[Client], deals: Sequence[Deal]) -> Event:
    if what in OF_CLIENT:
        return Event(what=what, client=chance.choice(clients).id)
    return Event(what=what, deal=chance.choice(deals).id)
