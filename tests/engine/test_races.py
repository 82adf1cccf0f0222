"""Two at once, with real threads: whoever comes first, nothing is lost, doubled or stuck.

A thread is paused by a lock that the other one holds; the database itself tells when it waits. No sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest

from concordat.engine.calls import Outcome, call_all
from concordat.engine.claims import Claimed, Turn, refs_of, take
from concordat.engine.intake import keep_records
from concordat.engine.lanes import drain
from concordat.engine.matching import plan_dirty
from concordat.engine.settling import settle
from concordat.engine.world import Lane
from concordat.sdk.spec import CallContext, WriteIntent, WriteResult
from concordat.store.database import now
from tests.engine.conftest import Firm, MakeFirm

WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def lane_of(firm: Firm, connection: str, object_: str, operation: str = "put") -> Lane:
    with firm.world.db.engine() as conn:
        lanes = firm.world.lanes(conn).values()
    return next(x for x in lanes if (x.connection, x.object, x.operation) == (connection, object_, operation))


def until_it_waits(firm: Firm, running: Future[Any]) -> None:
    """Go on when the database says that somebody waits for a lock, or when the other thread is done."""
    while not running.done():
        if firm.rows(WAITING)[0]["n"]:
            return


def called(firm: Firm, lane: Lane) -> list[Outcome]:
    """Claim a lane's work and make its calls; nothing is settled."""
    with firm.world.db.engine() as conn:
        rows = take(conn, lane.id, limit=100, worker=0, settle_window=timedelta(0))
        claimed = [Claimed.of(row, lane, refs_of(conn, rows), now(conn)) for row in rows]
    return call_all(firm.world, lane, claimed, firm.pool)


@contextmanager
def paused_write(firm: Firm) -> Iterator[tuple[Event, Event]]:
    """The PSA's next write says that it has begun, and waits to be let go."""
    begun, go = Event(), Event()
    plain = firm.psa.write

    def write(intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        firm.psa.__dict__.pop("write", None)
        begun.set()
        assert go.wait(30)
        return plain(intents, ctx)

    firm.psa.write = write  # type: ignore[method-assign]
    try:
        yield begun, go
    finally:
        go.set()


def finish(firm: Firm) -> None:
    for _ in range(3):
        firm.later(minutes=1)
        firm.run()
    assert {r["state"] for r in firm.rows("SELECT state FROM handoff")} == {"in_step"}
    assert not firm.rows("SELECT * FROM work")
    for system in (firm.psa, firm.erp, firm.documents):
        assert all(len(objects) == 1 for objects in system.held.values())


def at_once(threads: ThreadPoolExecutor, *works: Callable[[], Any]) -> list[Any]:
    """All works from one starting line."""
    line = Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        line.wait()
        return work()

    return [f.result(60) for f in [threads.submit(run, work) for work in works]]


def test_two_drains_of_one_lane_share_its_work(make_firm: MakeFirm, threads: ThreadPoolExecutor) -> None:
    firm = make_firm()
    for n in range(20):
        firm.take(*firm.won(n))
    firm.plan()
    lane = lane_of(firm, "psa", "project")
    at_once(threads, *[lambda: drain(firm.world, lane, pool=firm.pool, turn=Turn())] * 4)
    assert len(firm.psa.ledger) == 20
    finish(firm)
    assert len(firm.psa.ledger) == 20


def test_many_deals_of_one_client_make_one_client(firm: Firm, threads: ThreadPoolExecutor) -> None:
    for n in range(1, 9):
        firm.take(*firm.won(n, opportunity={"client": "crm:C1"}))
    firm.plan()
    lane = lane_of(firm, "erp", "client")
    for _ in range(5):
        at_once(threads, *[lambda: drain(firm.world, lane, pool=firm.pool, turn=Turn())] * 4)
    assert [(what, o) for o, _, what in firm.erp.ledger if o == "client"] == [("created", "client")]
    finish(firm)


def test_two_planners_of_the_same_subjects_open_each_handoff_once(firm: Firm, threads: ThreadPoolExecutor) -> None:
    for n in range(10):
        firm.take(*firm.won(n))

    def plan() -> None:
        def once() -> int:
            with firm.world.db.engine() as conn:
                return plan_dirty(firm.world, conn, limit=3).subjects

        while firm.world.db.again(once):
            pass

    at_once(threads, plan, plan, plan, lambda: firm.take(*firm.won(3)))
    firm.plan()
    assert firm.rows("SELECT count(*) AS n FROM handoff")[0]["n"] == 10
    finish(firm)


def test_the_last_two_steps_settle_at_once_and_the_next_is_free(firm: Firm, threads: ThreadPoolExecutor) -> None:
    firm.take(*firm.won())
    firm.plan()
    lanes = [lane_of(firm, "psa", "project"), lane_of(firm, "erp", "client")]
    outcomes = [(lane, called(firm, lane)) for lane in lanes]

    def keep(lane: Lane, done: list[Outcome]) -> None:
        with firm.world.db.engine() as conn:
            settle(firm.world, conn, lane, done, turn=Turn())

    at_once(threads, *[lambda o=o: keep(*o) for o in outcomes])
    assert firm.states()["project_in_erp"] == "ready"
    finish(firm)


def test_a_second_settler_waits_and_sees_what_the_first_has_freed(firm: Firm, threads: ThreadPoolExecutor) -> None:
    firm.take(*firm.won())
    firm.plan()
    psa, erp = lane_of(firm, "psa", "project"), lane_of(firm, "erp", "client")
    first, second = called(firm, psa), called(firm, erp)

    def later() -> None:
        with firm.world.db.engine() as conn:
            settle(firm.world, conn, erp, second, turn=Turn())

    with firm.world.db.engine() as conn:
        settle(firm.world, conn, psa, first, turn=Turn())
        running = threads.submit(later)
        until_it_waits(firm, running)
    running.result(30)
    assert firm.states()["project_in_erp"] == "ready"


def test_a_parent_that_changes_while_its_deal_is_planned_is_not_lost(firm: Firm, threads: ThreadPoolExecutor) -> None:
    firm.take(*firm.won())
    renamed = firm.source("client", "C1", name="Renamed", country="DE", tax_id="DE811907980", tax_status="registered")
    with firm.world.db.engine() as conn:
        plan_dirty(firm.world, conn)
        running = threads.submit(firm.take, renamed)
        until_it_waits(firm, running)
    running.result(30)
    finish(firm)
    assert "Renamed" in {o.fields["name"] for many in firm.erp.held.values() for o in many}


def test_a_deal_planned_while_its_parent_changes_is_planned_again(firm: Firm, threads: ThreadPoolExecutor) -> None:
    firm.take(*firm.won())
    renamed = firm.source("client", "C1", name="Renamed", country="DE", tax_id="DE811907980", tax_status="registered")
    with firm.world.db.engine() as conn:
        keep_records(firm.world, conn, "crm", [renamed], correlation_id="c", traceparent="")
        threads.submit(firm_plans_once, firm).result(30)
    finish(firm)
    assert "Renamed" in {o.fields["name"] for many in firm.erp.held.values() for o in many}


def firm_plans_once(firm: Firm) -> None:
    with firm.world.db.engine() as conn:
        plan_dirty(firm.world, conn)


def test_a_change_while_sending_waits_for_the_answer(firm: Firm, threads: ThreadPoolExecutor) -> None:
    firm.take(*firm.won())
    firm.plan()
    with paused_write(firm) as (begun, go):
        running = threads.submit(drain, firm.world, lane_of(firm, "psa", "project"), pool=firm.pool, turn=Turn())
        assert begun.wait(30)
        firm.take(*firm.won(opportunity={"name": "Renamed"}))
        firm_plans_once(firm)
        assert firm.states()["project_in_psa"] == "sending"
        go.set()
        running.result(30)
    finish(firm)
    (project,) = [o for many in firm.psa.held.values() for o in many]
    assert project.fields["name"] == "Renamed"
    assert len(firm.psa.ledger) == 2


def test_a_claim_waits_for_nobody_and_a_plan_in_progress_is_not_overtaken(
    firm: Firm, threads: ThreadPoolExecutor
) -> None:
    firm.take(*firm.won())
    firm.plan()
    firm.take(*firm.won(opportunity={"name": "Renamed"}))
    lane = lane_of(firm, "psa", "project")
    with firm.world.db.engine() as conn:
        plan_dirty(firm.world, conn)
        running = threads.submit(drain, firm.world, lane, pool=firm.pool, turn=Turn())
        assert running.result(30).taken == 0
    finish(firm)
    assert [o.fields["name"] for many in firm.psa.held.values() for o in many] == ["Renamed"]
    assert len(firm.psa.ledger) == 1


def test_the_answer_of_a_worker_presumed_dead_does_not_settle_a_newer_document(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.plan()
    lane = lane_of(firm, "psa", "project")
    zombie = called(firm, lane)
    firm.rows("UPDATE work SET due_at = now(), worker = NULL RETURNING effect_id")
    firm.run()
    firm.take(*firm.won(opportunity={"name": "Renamed"}))
    firm.plan()
    with firm.world.db.engine() as conn:
        settle(firm.world, conn, lane, zombie, turn=Turn())
    assert firm.states()["project_in_psa"] == "ready"
    finish(firm)
    assert [o.fields["name"] for many in firm.psa.held.values() for o in many] == ["Renamed"]
