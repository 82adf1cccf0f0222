"""The benches of load, at the smallest scale: the work is right; whether a bar is reached is not a test."""

from __future__ import annotations

import pytest

from concordat.bench.calls import RUNS, calls
from concordat.bench.growth import growth
from concordat.bench.idle import idle
from concordat.bench.rig import Rig
from concordat.bench.stored import store
from concordat.bench.workers import BUDGET, workers

pytestmark = pytest.mark.slow


def faults(details: dict[str, object]) -> list[object]:
    return [fault for each in details.values() if isinstance(each, dict) for fault in each.get("faults", ())]


def test_calls_are_counted_by_object_and_never_fewer_than_the_limit_allows():
    report = calls([].append, 0.01)
    found = [report.details[f"{way}, {n} worker(s)"] for way, n in RUNS]
    assert not faults(dict(report.details))
    assert all(each["writes"] >= each["fewest"] > 0 for each in found)
    assert report.details["bulk, 1 worker(s)"]["fewest"] == 5


def test_idle_watches_a_full_and_an_empty_database():
    report = idle([].append, 0.001)
    assert report.details["pending"] == 996
    assert report.details["full"]["percent"] > 0


def test_growth_activates_every_deal_whatever_is_stored():
    report = growth([].append, 0.005)
    assert not faults(dict(report.details))
    assert report.details["large"]["claims"] > 0


def test_workers_never_call_more_side_by_side_than_the_budget_allows():
    report = workers([].append, 0.02)
    assert not faults(dict(report.details))
    assert report.details["4 workers, 2 calls side by side"]["most_side_by_side"] <= BUDGET


@pytest.mark.parametrize("pending", [True, False])
def test_what_is_stored_is_at_rest(*, pending: bool):
    with Rig.open() as rig:
        db = rig.database("stored")
        assert store(rig, db, 60, [].append, pending=pending) == 60
        with db.engine() as conn:
            open_ = conn.execute(
                "SELECT count(*) AS n, count(*) FILTER (WHERE due_at < now()) AS due FROM work"
            ).fetchone()
    assert open_ == {"n": 60 if pending else 0, "due": 0}
