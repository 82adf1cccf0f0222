"""Budgets: how much a connection may be called, over all processes, spent like money and never overdrawn.

A meter stands before every exchange. Where nothing limits a connection it only counts. Where something does, calls are
leased from the database in batches: the quota of a window, calls a second, calls side by side. What a vendor says (429,
Retry-After, its own count of the quota) is learnt by all processes.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from concordat.engine.world import log
from concordat.errors import Busy, Contended, NotReachable, QuotaExhausted, RateLimited, Unavailable, VendorError
from concordat.sdk.auth import follow
from concordat.sdk.rest import install
from concordat.sdk.spec import CallContext
from concordat.store.database import Database, json_text
from concordat.store.queries import QUERIES

__all__ = ["Budgets", "Limits", "Metered"]

LEASE = 5.0
"""Seconds after which what is left of a lease is given back."""
LARGEST = 50
"""Most calls of one lease."""
PATIENCE = 5.0
"""Seconds that a call may wait for its turn; then it is tried again later."""
RENEW = 2.0
"""Seconds after which a share of calls side by side is asked for again."""
BACK_OFF = 1.0
"""Seconds of silence after a 429 that does not say how long; it doubles, up to a minute."""
USAGE = re.compile(r"api-usage=(\d+)/(\d+)")
"""Salesforce's own count: `Sforce-Limit-Info: api-usage=18/5000` (REST API developer guide, limit info header)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the firm says of one connection; None: nothing, it is learnt."""

    quota: int | None = None
    """Calls of one `period`, whose windows begin at midnight UTC."""
    period: timedelta = timedelta(days=1)
    rate: float | None = None
    """Calls a second."""
    parallel: int | None = None
    """Calls side by side."""


@dataclass(kw_only=True)
class Budgets:
    """The meters of one process. `close` gives back what it holds."""

    db: Database
    holder: str
    limits: Mapping[str, Limits]
    """Every connection of the firm, also those of which nothing is said."""
    meters: dict[str, Metered] = field(default_factory=dict)
    _removing: list[Callable[[], None]] = field(default_factory=list)

    def open(self) -> Budgets:
        """Say what the firm says, and stand before every exchange."""
        rows = [
            {
                "connection": name,
                "quota": each.quota,
                "period": each.period.total_seconds(),
                "rate": each.rate,
                "parallel": each.parallel,
            }
            for name, each in self.limits.items()
        ]
        with self.db.engine() as conn:
            conn.execute(QUERIES.budget.declare, {"rows": json_text(rows)})
        for name, each in self.limits.items():
            self.meters[name] = Metered(connection=name, db=self.db, holder=self.holder, limits=each)
            self._removing.append(install(name, self.meters[name]))
        self.beat()
        return self

    def beat(self) -> None:
        """Every few seconds: keep the pace, renew shares, hear what the others learnt. One statement for all."""
        told = [meter.told() for meter in self.meters.values()]
        with self.db.engine() as conn:
            rows = conn.execute(QUERIES.budget.beat, {"rows": json_text(told), "holder": self.holder}).fetchall()
        for row in rows:
            self.meters[row["connection"]].hear(row)
        if rows:
            follow(rows[0]["at"])

    def close(self) -> None:
        """Stand aside and give back what is left; harmless when the database is gone."""
        for remove in self._removing:
            remove()
        rows = [meter.left() for meter in self.meters.values()]
        try:
            with self.db.engine() as conn:
                conn.execute(QUERIES.budget.unshare, {"rows": json_text(rows), "holder": self.holder})
        except (NotReachable, Contended) as error:
            log.warning("budget.not_given_back", error=str(error))


@dataclass(kw_only=True)
class _Lease:
    """Calls that may be made until then, by this process's monotonic clock."""

    left: int = 0
    until: float = 0.0
    began: float = 0.0
    window: datetime | None = None
    priority: int = 0


@dataclass(kw_only=True)
class Metered:
    """The meter of one connection in one process."""

    connection: str
    db: Database
    holder: str
    limits: Limits
    _quota: int | None = None
    _rate: float | None = None
    _parallel: int | None = None
    _blocked: float = 0.0
    _lease: dict[int, _Lease] = field(default_factory=dict)
    _size: int = 1
    _slots: int = 0
    _shared_at: float = float("-inf")
    _flying: int = 0
    _waiting: int = 0
    _made: int = 0
    _unleased: int = 0
    _refusals: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _landed: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        self._landed = threading.Condition(self._lock)
        self._quota, self._rate, self._parallel = self.limits.quota, self.limits.rate, self.limits.parallel

    # ── the meter's seam ──────────────────────────────────────────────────────────────────────────

    def begin(self, ctx: CallContext, /) -> None:
        """Let one exchange go, after its turn. See `concordat.sdk.rest.meter`."""
        until = time.monotonic() + min(PATIENCE, ctx.timeout / 2)
        if self._quota is not None or self._rate is not None or self._blocked > time.monotonic():
            self._pay(ctx.priority, until)
        else:
            with self._lock:
                self._unleased += 1
        try:
            self._take_off(until)
        except VendorError:
            self._refund(ctx.priority)
            raise

    def end(self, status: int | None, headers: Mapping[str, str], error: VendorError | None, /) -> None:
        """Learn from how it went."""
        with self._lock:
            self._flying -= 1
            self._made += 1
            flying = self._flying + 1
            self._landed.notify()
        if status is not None and status < 400:
            self._refusals = 0
        lesson = self._lesson(headers, error, flying)
        if lesson:
            self._learn(lesson)

    # ── calls and their leases ────────────────────────────────────────────────────────────────────

    def _pay(self, priority: int, until: float) -> None:
        """Take one call of the lease, asking for another lease when it is used up. One thread asks for all."""
        while not self._paid(priority):
            with self._asking:
                if self._paid(priority):
                    return
                wait = self._ask(priority)
            if wait > 0:
                if time.monotonic() + wait > until:
                    after = timedelta(seconds=wait)
                    raise RateLimited(f"{self.connection}: its budget of calls asks for patience", retry_after=after)
                time.sleep(wait)

    def _paid(self, priority: int) -> bool:
        with self._lock:
            lease = self._lease.get(priority)
            if lease is None or lease.left <= 0 or time.monotonic() >= lease.until:
                return False
            lease.left -= 1
            return True

    def _ask(self, priority: int) -> float:
        """Lease more; gives the seconds to wait when there is nothing now. Raises `QuotaExhausted`."""
        old = self._lease.get(priority) or _Lease()
        now = time.monotonic()
        self._size = min(self._size * 2, LARGEST) if now - old.began < 1 else max(self._size // 2, 1)
        with self._lock:
            returned, old.left = old.left, 0
        row = self._leased(priority, returned, old.window)
        if row is None:
            return 0.0
        with self._lock:
            life = min(1.0 if row["rate"] else LEASE, row["ends_in"])
            lease = _Lease(left=row["granted"], until=now + life, began=now, window=row["resets_at"], priority=priority)
            self._lease[priority] = lease
        if row["granted"]:
            return 0.0
        if row["blocked_for"]:
            return float(row["blocked_for"])
        if row["spent_up"]:
            raise QuotaExhausted(
                f"{self.connection}: the {row['quota']} calls of this period are used", resets_at=row["resets_at"]
            )
        return 1.0 / float(row["rate"]) if row["rate"] else 0.1

    def _leased(self, priority: int, returned: int, window: datetime | None) -> Mapping[str, Any] | None:
        size = self._size if not self._rate else max(1, min(self._size, int(self._rate / 4)))
        parameters = {
            "connection": self.connection,
            "asked": size,
            "priority": priority,
            "returned": returned,
            "window": window,
        }
        try:
            with self.db.engine() as conn:
                return conn.execute(QUERIES.budget.lease, parameters).fetchone()
        except (NotReachable, Contended) as error:
            raise Unavailable(f"{self.connection}: its budget cannot be asked: {error}") from error

    def _refund(self, priority: int) -> None:
        """Nothing was sent: the call is there for another one."""
        with self._lock:
            lease = self._lease.get(priority)
            if lease is not None:
                lease.left += 1

    # ── calls side by side ────────────────────────────────────────────────────────────────────────

    def _take_off(self, until: float) -> None:
        """Wait for a place among the calls side by side."""
        while True:
            if self._parallel is not None and time.monotonic() - self._shared_at > RENEW:
                self._share()
            with self._landed:
                if self._parallel is None or self._flying < self._slots:
                    self._flying += 1
                    return
                self._waiting += 1
                left = until - time.monotonic()
                self._landed.wait(min(max(left, 0), 0.1))
                self._waiting -= 1
            if left <= 0:
                raise Busy(f"{self.connection}: {self._parallel} calls side by side are under way")

    def _share(self) -> None:
        with self._asking:
            if time.monotonic() - self._shared_at <= RENEW:
                return
            with self._lock:
                flying, most = self._flying, self._parallel or 1
                self._slots = min(self._slots, flying)  # nobody takes off while it is asked how many may
            parameters = {"connection": self.connection, "holder": self.holder, "wanted": most, "flying": flying}
            try:
                with self.db.engine() as conn:
                    conn.execute(QUERIES.budget.lock, parameters)
                    row = conn.execute(QUERIES.budget.share, parameters).fetchone()
            except (NotReachable, Contended) as error:
                raise Unavailable(f"{self.connection}: its budget cannot be asked: {error}") from error
            with self._lock:
                self._slots = row["slots"] if row else most
                self._shared_at = time.monotonic() if self._slots else time.monotonic() - RENEW + 0.2

    # ── learning ──────────────────────────────────────────────────────────────────────────────────

    def _lesson(self, headers: Mapping[str, str], error: VendorError | None, flying: int) -> dict[str, Any]:
        """What one answer teaches; most teach nothing."""
        if isinstance(error, QuotaExhausted):
            return {"spent": True, "resets_at": error.resets_at, "learnt": {"quota": "the vendor says it is spent"}}
        if isinstance(error, RateLimited):
            return self._slower(error, flying)
        if isinstance(error, Busy):
            return {"parallel": max(flying // 2, 1), "learnt": {"parallel": "the vendor was busy"}}
        usage = USAGE.search(headers.get("sforce-limit-info", ""))
        if usage and self._quota != int(usage[2]):
            return {"used": int(usage[1]), "quota": int(usage[2]), "learnt": {"quota": "sforce-limit-info"}}
        if headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining")) == "0":
            reset = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", ""))
            seconds = int(reset) if reset.isascii() and reset.isdigit() and len(reset) < 6 else 1
            return {"blocked": float(seconds), "learnt": {"blocked": "ratelimit-remaining: 0"}}
        return {}

    def _slower(self, error: RateLimited, flying: int) -> dict[str, Any]:
        """Everybody waits as long as was said; unsaid, with growing patience and fewer side by side."""
        if error.retry_after is not None:
            return {"blocked": error.retry_after.total_seconds(), "learnt": {"blocked": "Retry-After"}}
        with self._lock:
            wait = min(BACK_OFF * 2**self._refusals, 60.0)
            self._refusals += 1
        return {"blocked": wait, "parallel": max(flying // 2, 1), "learnt": {"parallel": "429"}}

    def _learn(self, lesson: Mapping[str, Any]) -> None:
        nothing = {"blocked": 0.0, "parallel": None, "spent": False, "quota": None, "used": None, "resets_at": None}
        told = {**nothing, **lesson, "connection": self.connection, "learnt": json_text(lesson["learnt"])}
        try:
            with self.db.engine() as conn:
                row = conn.execute(QUERIES.budget.learn, told).fetchone()
        except (NotReachable, Contended) as error:
            log.warning("budget.not_learnt", connection=self.connection, error=str(error))
            return
        log.info("budget.learnt", connection=self.connection, **lesson["learnt"])
        if row is not None:
            self.hear(row)

    # ── the beat ──────────────────────────────────────────────────────────────────────────────────

    def told(self) -> dict[str, Any]:
        """What was done since the last beat."""
        with self._lock:
            made, unleased = self._made, self._unleased
            self._made = self._unleased = 0
            return {"connection": self.connection, "made": made, "unleased": unleased, "flying": self._flying}

    def hear(self, row: Mapping[str, Any]) -> None:
        """Take over what holds for all processes."""
        with self._lock:
            self._quota, self._rate, self._parallel = row["quota"], row["rate"], row["parallel"]
            self._blocked = time.monotonic() + row["blocked_for"] if row["blocked_for"] else 0.0
            if row["blocked_for"]:
                self._lease.clear()
            self._landed.notify_all()

    def left(self) -> dict[str, Any]:
        """What was leased and not used."""
        with self._lock:
            live = [lease for lease in self._lease.values() if lease.window is not None]
            window = max((lease.window for lease in live if lease.window), default=None)
            returned = sum(lease.left for lease in live if lease.window == window)
            self._lease.clear()
            return {"connection": self.connection, "returned": returned, "ends": window}
