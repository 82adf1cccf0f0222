"""Calls spent like money: over all processes, never overdrawn, the urgent first, what a vendor says learnt by all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from concordat.engine.breakers import gate
from concordat.engine.budgets import Budgets, Limits, Metered
from concordat.errors import Busy, QuotaExhausted, RateLimited, Unavailable
from concordat.sdk.auth import Anonymous
from concordat.sdk.rest import Http
from concordat.sdk.spec import CallContext
from concordat.store.database import Database
from tests.engine.conftest import Firm

pytestmark = pytest.mark.slow

CTX = CallContext(correlation_id="c", timeout=1)
MakeBudgets = Callable[..., list[Budgets]]


@pytest.fixture
def make(database: Database) -> Iterator[MakeBudgets]:
    """Several processes, each with its own meters; only the seam to the door is left out."""
    made: list[Budgets] = []

    def processes(many: int = 1, **limits: Any) -> list[Budgets]:
        new = [
            Budgets(db=database, holder=f"p{len(made) + n}", limits={"psa": Limits(**limits)}).open()
            for n in range(many)
        ]
        made.extend(new)
        return new

    yield processes
    for each in made:
        each.close()


def meters(processes: list[Budgets]) -> list[Metered]:
    return [each.meters["psa"] for each in processes]


def spend(meter: Metered, *, most: int = 10_000, priority: int = 0) -> int:
    """Call until the budget says no; says how many calls went."""
    ctx = CallContext(correlation_id="c", timeout=1, priority=priority)
    for n in range(most):
        try:
            meter.begin(ctx)
        except (QuotaExhausted, RateLimited):
            return n
        meter.end(200, {}, None)
    return most


def row(database: Database) -> dict[str, Any]:
    with database.engine() as conn:
        return dict(conn.execute("SELECT * FROM budget WHERE connection = 'psa'").fetchone() or {})


def figures(database: Database) -> dict[str, Any]:
    from concordat.store.queries import QUERIES

    with database.engine() as conn:
        return dict(conn.execute(QUERIES.budget.figures).fetchone() or {})


# ── the quota ─────────────────────────────────────────────────────────────────────────────────────


def test_four_workers_never_spend_more_than_the_quota(make: MakeBudgets, database: Database) -> None:
    four = meters(make(4, quota=300))
    with ThreadPoolExecutor(12) as pool:
        spent = sum(pool.map(spend, four * 3))
    assert spent == 300
    assert row(database)["used"] == 300


def test_a_lease_is_a_batch_of_calls_and_not_a_statement_each(make: MakeBudgets, database: Database) -> None:
    (meter,) = meters(make(quota=100_000))
    asked = []
    plain = meter._leased
    meter._leased = lambda *a: (asked.append(a), plain(*a))[1]  # type: ignore[method-assign]
    assert spend(meter, most=2000) == 2000
    assert len(asked) < 60


def test_what_was_leased_and_not_used_comes_back(make: MakeBudgets, database: Database) -> None:
    (process,) = make(quota=1000)
    assert spend(process.meters["psa"], most=37) == 37
    process.close()
    assert row(database)["used"] == 37


def test_a_new_window_begins_with_a_whole_quota(make: MakeBudgets, database: Database) -> None:
    (meter,) = meters(make(quota=20, period=timedelta(hours=1)))
    assert spend(meter) == 20
    with database.engine() as conn:
        conn.execute("UPDATE budget SET resets_at = now() - interval '1 second'")
    meter._lease.clear()
    assert spend(meter) == 20
    assert row(database)["resets_at"] > datetime.now(UTC)  # noqa: TID251 - the database's clock is this machine's


def test_the_last_of_a_quota_is_kept_for_the_urgent(make: MakeBudgets) -> None:
    (meter,) = meters(make(quota=100))
    assert spend(meter, priority=2) == 80
    assert spend(meter, priority=1) == 10
    assert spend(meter, priority=0) == 10


def test_it_is_foretold_when_a_quota_runs_out(make: MakeBudgets, database: Database) -> None:
    (process,) = make(quota=1000)
    spend(process.meters["psa"], most=100)
    with database.engine() as conn:
        conn.execute(
            "UPDATE budget SET paced_at = paced_at - interval '10 seconds', resets_at = now() + interval '20 hours'"
        )
    process.beat()
    told = figures(database)
    assert told["pace"] > 0
    assert told["at"] < told["runs_out_at"] < told["resets_at"]
    left = (told["quota"] - told["used"]) / told["pace"]
    assert abs((told["runs_out_at"] - told["at"]).total_seconds() - left) < 1


def test_nothing_is_foretold_of_a_quota_that_lasts(make: MakeBudgets, database: Database) -> None:
    make(quota=1000)
    assert figures(database)["runs_out_at"] is None


# ── rate and calls side by side ───────────────────────────────────────────────────────────────────


def test_four_workers_keep_the_rate_together(make: MakeBudgets) -> None:
    four = meters(make(4, rate=40.0))
    began, calls, lock = time.monotonic(), [], threading.Lock()

    def work(meter: Metered) -> None:
        while time.monotonic() - began < 1.5:
            try:
                meter.begin(CTX)
            except RateLimited:
                continue
            with lock:
                calls.append(time.monotonic() - began)
            meter.end(200, {}, None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, four * 2))
    span = max(calls)
    assert len(calls) <= 20 + 40 * span + 1
    assert len(calls) >= 30 * 1.5


def test_four_workers_never_call_more_than_allowed_side_by_side(make: MakeBudgets) -> None:
    four = meters(make(4, parallel=5))
    flying, most, lock, done = 0, 0, threading.Lock(), []

    def work(meter: Metered) -> None:
        nonlocal flying, most
        for _ in range(40):
            try:
                meter.begin(CTX)
            except Busy:
                continue
            with lock:
                flying += 1
                most = max(most, flying)
            threading.Event().wait(0.002)
            with lock:
                flying -= 1
            done.append(1)
            meter.end(200, {}, None)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, four * 4))
    assert 0 < most <= 5
    assert len(done) > 200


def test_a_share_of_a_dead_process_is_free_again(make: MakeBudgets, database: Database) -> None:
    dead, alive = meters(make(2, parallel=2))
    dead.begin(CTX)
    dead.begin(CTX)
    with pytest.raises(Busy):
        alive.begin(CTX)
    with database.engine() as conn:
        conn.execute("UPDATE budget_share SET until = now() - interval '1 second' WHERE holder = 'p0'")
    alive._shared_at = float("-inf")
    alive.begin(CTX)
    alive.end(200, {}, None)


# ── learning ──────────────────────────────────────────────────────────────────────────────────────


def test_what_a_vendor_asks_for_holds_for_every_worker(make: MakeBudgets) -> None:
    one, other = make(2)
    meter = one.meters["psa"]
    meter.begin(CTX)
    meter.end(429, {}, RateLimited("slow down", retry_after=timedelta(seconds=30)))
    other.beat()
    for each in (one, other):
        with pytest.raises(RateLimited) as told:
            each.meters["psa"].begin(CTX)
        assert told.value.retry_after is not None
        assert 20 < told.value.retry_after.total_seconds() <= 30


def test_a_429_without_a_word_is_met_with_fewer_calls_and_growing_patience(
    make: MakeBudgets, database: Database
) -> None:
    (process,) = make()
    meter = process.meters["psa"]
    for _ in range(8):
        meter.begin(CTX)
    meter.end(429, {}, RateLimited("slow down"))
    first = row(database)
    assert first["parallel"] == 4
    assert first["blocked_until"] > first["paced_at"]
    meter.end(429, {}, RateLimited("slow down"))
    assert row(database)["blocked_until"] > first["blocked_until"]
    for _ in range(6):
        meter.end(200, {}, None)


def test_the_vendors_own_count_is_believed(make: MakeBudgets, database: Database) -> None:
    (process,) = make()
    meter = process.meters["psa"]
    meter.begin(CTX)
    meter.end(200, {"sforce-limit-info": "api-usage=90/100"}, None)
    assert (row(database)["quota"], row(database)["used"]) == (100, 90)
    assert spend(meter) == 10


def test_a_spent_quota_is_nobodys_to_try(make: MakeBudgets, database: Database) -> None:
    one, other = make(2)
    meter = one.meters["psa"]
    meter.begin(CTX)
    soon = datetime.now(UTC) + timedelta(hours=3)  # noqa: TID251 - as a vendor says it
    meter.end(429, {}, QuotaExhausted("no more today", resets_at=soon))
    other.beat()
    with pytest.raises(QuotaExhausted) as told:
        other.meters["psa"].begin(CTX)
    assert told.value.resets_at == soon
    with database.engine() as conn:
        conn.execute("UPDATE budget SET resets_at = now() - interval '1 second'")
    assert spend(meter, most=50) == 50, "what a refusal taught of a window ends with it"


# ── at the door ───────────────────────────────────────────────────────────────────────────────────


def test_every_exchange_goes_by_the_meter(make: MakeBudgets) -> None:
    make(quota=3)
    answers = httpx.MockTransport(lambda _request: httpx.Response(200, json={}))
    http = Http("https://psa.example", Anonymous(), connection="psa", transport=answers)
    for _ in range(3):
        http.send(CTX, "GET", "/x", write=False)
    with pytest.raises(QuotaExhausted):
        http.send(CTX, "POST", "/x", write=True, json={})
    http.close()


def test_retry_after_at_the_door_is_honoured(make: MakeBudgets) -> None:
    make()
    said = [429]
    answers = httpx.MockTransport(lambda _r: httpx.Response(said[0], headers={"retry-after": "60"}, json={}))
    http = Http("https://psa.example", Anonymous(), connection="psa", transport=answers)
    with pytest.raises(RateLimited):
        http.send(CTX, "GET", "/x", write=False)
    said[0] = 200
    with pytest.raises(RateLimited, match="patience"):
        http.send(CTX, "GET", "/x", write=False)
    http.close()


# ── the breaker ───────────────────────────────────────────────────────────────────────────────────


@contextmanager
def down(firm: Firm) -> Iterator[None]:
    with firm.world.db.engine() as conn:
        conn.execute(
            "INSERT INTO breaker (connection, state, failures, opened_at, probe_at, reason)"
            " VALUES ('psa', 'open', 3, now(), now() - interval '1 second', 'psa is unavailable')"
        )
    yield


def test_of_many_workers_exactly_one_probes(firm: Firm) -> None:
    with down(firm):
        start = threading.Barrier(8)

        def ask(_n: int) -> bool:
            start.wait()
            with firm.world.db.engine() as conn:
                return gate(conn, "psa").probe

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(ask, range(8))) == 1


def test_an_unreachable_budget_makes_no_call(make: MakeBudgets, database: Database) -> None:
    (process,) = make(quota=5)
    meter = process.meters["psa"]
    meter._leased = _away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        meter.begin(CTX)


def _away(*_a: Any) -> Any:
    raise Unavailable("the database is away")
