"""The faults that may strike, by profile, and the swarm that decides when they do.

Each kind has dice of its own, so that switching one off leaves the others nearly as they were.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["FAULTS", "PROFILES", "Kind", "Swarm", "rates_for"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of fault."""

    group: str
    """The profile that it belongs to: vendor, network, crash, database."""
    where: frozenset[str]
    """Calls of the seam (`write`, `find`, `fetch`, `ask`, `changes`, `fetch_source`), or places in a worker's work."""
    says: str
    rate: tuple[float, float] = (0.03, 0.25)
    """Least and most of the chance per opportunity, when it is on."""


def _kind(group: str, where: str, says: str, rate: tuple[float, float] = (0.03, 0.25)) -> Kind:
    return Kind(group=group, where=frozenset(where.split()), says=says, rate=rate)


READS = "find fetch ask changes fetch_source"
FAULTS: Mapping[str, Kind] = {
    "commit_then_drop": _kind("network", "write", "the target writes, and the connection breaks before the answer"),
    "commit_late": _kind("network", "write", "the answer is lost, and the target writes minutes later"),
    "drop_before_commit": _kind("network", f"write {READS}", "the connection breaks before the target has the call"),
    "truncated": _kind("network", "write", "the target writes, and half of the answer arrives"),
    "latency": _kind("network", f"write {READS}", "the call takes seconds, while others work"),
    "silent_drop": _kind("vendor", "write", "the target says yes and keeps the old value of a field", (0.03, 0.15)),
    "commit_then_504": _kind("vendor", "write", "a gateway answers 504, and the target writes all the same"),
    "html_page": _kind("vendor", f"write {READS}", "a page for people comes in place of an answer"),
    "unavailable": _kind("vendor", f"write {READS}", "503: nothing is done"),
    "rate_limited": _kind("vendor", f"write {READS}", "429 without a word when to come back"),
    "rate_limited_until": _kind("vendor", f"write {READS}", "429 with Retry-After"),
    "quota_spent": _kind("vendor", "write", "the quota is spent for two minutes", (0.01, 0.08)),
    "busy": _kind("vendor", f"write {READS}", "too many calls at once"),
    "locked": _kind("vendor", "write", "somebody holds the record"),
    "conflict": _kind("vendor", "write", "the record changed since it was read"),
    "token_expired": _kind("vendor", f"write {READS}", "the token has expired"),
    "partial_batch": _kind("vendor", "write", "some members of a batch are written, the others are not"),
    "stale_read": _kind("vendor", "find fetch fetch_source", "a read shows what was before"),
    "outage": _kind("vendor", f"write {READS}", "the system is down for minutes", (0.005, 0.02)),
    "garbled": _kind("vendor", f"write {READS}", "the connector stumbles over an answer", (0.01, 0.05)),
    "crash_before_commit": _kind("crash", "commit", "SIGKILL before a commit", (0.005, 0.04)),
    "crash_after_commit": _kind("crash", "committed", "SIGKILL after a commit", (0.005, 0.04)),
    "crash_before_call": _kind("crash", "call", "SIGKILL after the claim, before the call", (0.01, 0.06)),
    "crash_after_effect": _kind("crash", "effect", "SIGKILL after the target's commit, before the answer", (0.01, 0.1)),
    "freeze": _kind("crash", "call committed effect", "SIGSTOP: presumed dead, and it comes back", (0.005, 0.04)),
    "db_refuses": _kind("database", "begin", "the database takes no connection", (0.01, 0.05)),
    "db_commit_fails": _kind("database", "commit", "the database dies before the commit", (0.01, 0.05)),
    "db_ack_lost": _kind("database", "committed", "the commit is done, its answer is lost", (0.01, 0.05)),
    "db_contended": _kind("database", "commit", "the transaction is a deadlock's victim", (0.01, 0.05)),
    "db_outage": _kind("database", "begin", "the database is away for ten seconds", (0.001, 0.005)),
}
"""Every kind there is."""
PROFILES: Mapping[str, frozenset[str]] = {
    "calm": frozenset(),
    **{
        group: frozenset(name for name, kind in FAULTS.items() if kind.group == group)
        for group in ("vendor", "crash", "network", "database")
    },
    "all": frozenset(FAULTS),
}
"""Profile to the kinds that it lets strike."""


def rates_for(profile: str, chance: random.Random) -> dict[str, float]:
    """Each kind is off with a chance of 30 to 60 %, else it has a rate of its own."""
    off = chance.uniform(0.3, 0.6)
    drawn = {name: (chance.random() >= off, chance.uniform(*kind.rate)) for name, kind in FAULTS.items()}
    return {name: round(rate, 4) for name, (on, rate) in drawn.items() if on and name in PROFILES[profile]}


@dataclass(kw_only=True)
class Swarm:
    """The faults of one run."""

    seed: int
    rates: Mapping[str, float]
    active: bool = True
    struck: Counter[str] = field(default_factory=Counter)
    """How often each kind struck."""
    reach: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """How often each kind struck an effect in a state, at a vendor of a class."""
    _dice: dict[str, random.Random] = field(default_factory=dict)
    _known: dict[str, Sequence[str]] = field(default_factory=dict)

    def strike(self, where: str) -> str:
        """The kind that strikes here now, or nothing."""
        if not self.active:
            return ""
        for kind in self._at(where):
            if self.chance(kind).random() < self.rates[kind]:
                self.struck[kind] += 1
                return kind
        return ""

    def count(self, kind: str, state: str, promise: str) -> None:
        """One more hit of a cell of the matrix."""
        if kind:
            self.reach[kind, state, promise] += 1

    def chance(self, kind: str) -> random.Random:
        """The dice of one kind."""
        if kind not in self._dice:
            self._dice[kind] = random.Random(f"fault:{self.seed}:{kind}")  # noqa: S311 - repeatable on purpose
        return self._dice[kind]

    def _at(self, where: str) -> Sequence[str]:
        if where not in self._known:
            self._known[where] = [name for name in self.rates if where in FAULTS[name].where]
        return self._known[where]
