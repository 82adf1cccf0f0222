"""The book of faults: which of a twin's calls go wrong, how, and in which order; the same for the same seed.

A fault is a *kind* with arguments and a *matcher*. It is written as one flat JSON object, over HTTP
(`POST /__twin/faults`, one object or a list), in a `--faults` file, or in Python (`handle.fault(...)`):

    {"kind": "commit_then_drop", "object": "project", "operation": "create", "nth": 1}
    {"kind": "latency", "seconds": 0.2, "every": 10}
    {"kind": "status", "status": 503, "headers": {"Retry-After": "5"}}            everything, until deleted
    {"kind": "stale_read", "seconds": 40, "object": "workspaces"}

A matcher's words: `object`, `operation` (the route's word, or `read`/`write`), `method`, `path` (regex),
`key` (regex, searched in path, query and body), `nth` (only the n-th matching call), `every` (each n-th),
`times` (then it is spent), `rate` (a share of matching calls, drawn from the seed). A word that is absent
matches everything.

`WIRE` faults are done by the proxy on the socket; `TWIN` faults are asked for by a twin's own code
(`twin.fault("silent_field_drop", call)`), which documents what it does with them; `PUSH` faults apply to
webhooks.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["KINDS", "PUSH", "TWIN", "WIRE", "BadFault", "Fault", "Faults", "Match", "Occasion"]

WIRE: Mapping[str, str] = {
    "commit_then_drop": "the call is carried out, then the connection is reset without an answer",
    "commit_then_504": "the call is carried out, then a gateway's 504 page is the answer",
    "drop_before_commit": "the connection is reset before the call reaches the system",
    "latency": "the call waits `seconds` (default 1) before it is carried out",
    "status": "answered with `status` (503), `headers`, `body`, without being carried out",
    "truncate_body": "carried out; the answer ends after `bytes` (default half) and the connection closes",
    "html_error_page": "an HTML page with `status` (502); `commit`: true carries the call out first",
    "slow_drip": "the answer arrives in `pieces` (8) over `seconds` (2)",
    "refuse": "connections are closed at once; with `seconds`, the port itself is shut for that long",
}
TWIN: Mapping[str, str] = {
    "stale_read": "searches do not show what was written in the last `seconds` (30)",
    "token_expires_after": "a token is good for `calls` (10) calls",
    "page_shift": "a row moves across the page border between two pages",
    "partial_batch": "some members of a batch fail (`members`: which, default the last)",
    "silent_field_drop": "the fields in `fields` are accepted and not stored",
    "lock_storm": "the record's parent is locked",
    "duplicate_rule": "a rule takes a new record for a copy of one that is there",
    "quota_exhausted": "the budget of calls is spent",
    "accepted_then_failed": "a job is accepted, and fails later",
    "schema_drift": "the fields in `fields` are renamed or gone in answers",
    "clock_skew": "the system's clock is off by `seconds`",
}
PUSH: Mapping[str, str] = {
    "push_duplicate": "sent twice",
    "push_reorder": "sent after the next one",
    "push_lose": "never sent",
    "push_delay": "sent `seconds` (5) later",
    "push_bad_signature": "sent with a wrong signature",
}
KINDS: Mapping[str, str] = {**WIRE, **TWIN, **PUSH}


class BadFault(ValueError):  # noqa: N818  named as it reads
    """A fault that cannot be understood; the sentence says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Occasion:
    """One call, search or push, as a matcher sees it."""

    object: str = ""
    operation: str = ""
    method: str = ""
    path: str = ""
    text: str = ""
    """Path, query and body: what `key` is searched in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Which occasions a fault is for; None means any."""

    object: str | None = None
    operation: str | None = None
    method: str | None = None
    path: str | None = None
    key: str | None = None
    nth: int | None = None
    every: int | None = None
    times: int | None = None
    rate: str | float | None = None

    def meets(self, occasion: Occasion) -> bool:
        """Say whether the words (not the counting) match."""
        return (
            self.object in {None, occasion.object}
            and self._operation(occasion)
            and (self.method is None or self.method.upper() == occasion.method)
            and (self.path is None or re.search(self.path, occasion.path) is not None)
            and (self.key is None or re.search(self.key, occasion.text) is not None)
        )

    def _operation(self, occasion: Occasion) -> bool:
        if self.operation == "write":
            return occasion.operation not in {"read", "search", "token", ""}
        if self.operation == "read":
            return occasion.operation in {"read", "search"}
        return self.operation in {None, occasion.operation}


@dataclass(kw_only=True, slots=True)
class Fault:
    """One entry of the book, with its counts."""

    id: int
    kind: str
    match: Match = field(default_factory=Match)
    args: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def as_json(self) -> dict[str, Any]:
        """Show it as it was written, with `id`, `seen` and `fired`."""
        words = {f.name: getattr(self.match, f.name) for f in fields(Match)}
        said = {name: word for name, word in words.items() if word is not None}
        return {"id": self.id, "kind": self.kind, **said, **self.args, "seen": self.seen, "fired": self.fired}


class Faults:
    """All faults of one twin. Safe to use from several threads."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._lock = threading.Lock()
        self._faults: dict[int, Fault] = {}
        self._next = 1

    def add(self, said: Mapping[str, Any]) -> Fault:
        """Enter one fault in its JSON form. Raises `BadFault`."""
        kind = said.get("kind") or said.get("fault")
        if kind not in KINDS:
            raise BadFault(f"no fault is called {kind!r}; there are: {', '.join(sorted(KINDS))}")
        names = {f.name for f in fields(Match)}
        match = Match(**{name: word for name, word in said.items() if name in names})
        _compile(match)
        args = {name: word for name, word in said.items() if name not in names | {"kind", "fault"}}
        with self._lock:
            fault = Fault(id=self._next, kind=str(kind), match=match, args=args)
            self._faults[fault.id] = fault
            self._next += 1
        return fault

    def load(self, said: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Fault]:
        """Enter one fault or a list of them."""
        return [self.add(one) for one in ([said] if isinstance(said, Mapping) else said)]

    def remove(self, fault_id: int | None = None) -> int:
        """Delete one fault, or all; returns how many went."""
        with self._lock:
            gone = list(self._faults) if fault_id is None else [fault_id]
            return sum(self._faults.pop(each, None) is not None for each in gone)

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._faults.values()))

    def __bool__(self) -> bool:
        return bool(self._faults)

    def active(self, kind: str, occasion: Occasion | None = None) -> Fault | None:
        """Count the occasion and give the first fault of this kind that strikes."""
        if not self._faults:
            return None
        struck = self.strike((kind,), occasion or Occasion())
        return struck[0] if struck else None

    def strike(self, kinds: Iterable[str], occasion: Occasion) -> list[Fault]:
        """Count the occasion for every matching fault of these kinds; give those that strike, in order."""
        if not self._faults:
            return []
        with self._lock:
            wanted = [f for f in self._faults.values() if f.kind in kinds and f.match.meets(occasion)]
            return [fault for fault in wanted if self._strikes(fault)]

    def _strikes(self, fault: Fault) -> bool:
        fault.seen += 1
        match = fault.match
        strikes = (
            (match.nth is None or fault.seen == match.nth)
            and (match.every is None or fault.seen % match.every == 0)
            and (match.times is None or fault.fired < match.times)
            and (match.rate is None or self._drawn(fault) < float(match.rate))
        )
        fault.fired += strikes
        return strikes

    def _drawn(self, fault: Fault) -> float:
        return random.Random(f"{self.seed}:{fault.id}:{fault.seen}").random()  # noqa: S311  repeatable on purpose


def _compile(match: Match) -> None:
    for pattern in (match.path, match.key):
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise BadFault(f"{pattern!r} is no regular expression: {error}") from error
