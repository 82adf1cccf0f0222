"""What goes wrong between the engine and its systems: nothing is lost, nothing is done twice, one stops only itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from concordat.engine.claims import take
from concordat.engine.intake import receive
from concordat.engine.recovery import tidy
from concordat.errors import Locked, Rejected, Unavailable, UnknownOutcome, VendorError
from concordat.sdk.spec import Answer, CallContext, WriteIntent, WriteResult
from concordat.store.database import now
from tests.engine.conftest import CONTRACT, Firm, MakeFirm
from tests.engine.fakes import LOST, FakeSystem

pytestmark = pytest.mark.slow


def dead_worker(firm: Firm) -> int:
    """A worker that has not been heard of."""
    sql = "INSERT INTO worker (name, started_at, beat_at) VALUES ('dead', now(), '-infinity') RETURNING id"
    return int(firm.rows(sql)[0]["id"])


def claim(firm: Firm, connection: str, worker: int, operation: str = "put") -> list[dict[str, Any]]:
    """As a worker that dies right after its claim."""
    sql = "SELECT id FROM lane WHERE connection = %s AND operation = %s ORDER BY id"
    lanes = [row["id"] for row in firm.rows(sql, connection, operation)]
    with firm.world.db.engine() as conn:
        return [
            dict(row) for lane in lanes for row in take(conn, lane, limit=10, worker=worker, settle_window=timedelta(0))
        ]


def wait(firm: Firm, *, times: int = 4, **by: float) -> None:
    """Let time pass and work be done, again and again."""
    for _ in range(times):
        firm.later(**by)
        firm.mend()
        firm.run()


def refuse_item(system: FakeSystem, error: VendorError) -> None:
    """The next write answers with this error for its first item, and does the others."""
    plain = system.write

    def write(intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        system.write = plain  # type: ignore[method-assign]
        return [WriteResult(error=error), *plain(intents[1:], ctx)]

    system.write = write  # type: ignore[method-assign]


# ── one item of a call ────────────────────────────────────────────────────────────────────────────


def test_an_update_that_is_refused_for_now_is_tried_again_and_not_taken_for_done(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(opportunity={"name": "Renamed"}))
    refuse_item(firm.psa, Locked("the row is locked"))
    firm.run()
    wait(firm, minutes=1)
    assert next(iter(firm.psa.held.values()))[0].fields["name"] == "Renamed"
    assert firm.states()["project_in_psa"] == "verified"


def test_a_change_back_after_a_doubt_that_ended_with_a_person_is_written(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(opportunity={"name": "Renamed"}))
    firm.psa.fail("write", LOST, after_commit=True)
    firm.run()
    firm.psa.fail("find", Rejected("no such search"))
    firm.later(seconds=5)
    firm.run()
    assert firm.states()["project_in_psa"] == "held"
    firm.take(*firm.won())
    firm.run()
    assert next(iter(firm.psa.held.values()))[0].fields["name"] == "Deal 1"


# ── questions ─────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_dies_while_asking_leaves_a_question_that_is_asked_again(firm: Firm) -> None:
    firm.hr.answers = lambda _q: Answer(met=False, says="nobody is free")
    firm.take(*firm.won())
    firm.plan()
    assert claim(firm, "hr", dead_worker(firm), "ask")
    firm.mend()
    firm.run()
    assert firm.states()["staffing"] == "pending"


def test_a_question_without_a_certain_answer_is_asked_again_and_visibly_waits(firm: Firm) -> None:
    firm.hr.fail("ask", UnknownOutcome("cut off"))
    firm.take(*firm.won())
    firm.run()
    assert firm.states()["staffing"] == "pending"
    wait(firm, minutes=1)
    assert firm.states()["staffing"] == "verified"


def test_a_long_no_does_not_use_up_the_patience_for_an_outage(firm: Firm) -> None:
    firm.hr.answers = lambda _q: Answer(met=False, says="nobody is free")
    firm.take(*firm.won())
    firm.run()
    firm.later(days=4)
    firm.hr.down = Unavailable("503")
    firm.run()
    assert firm.states()["staffing"] == "pending"


def test_an_answer_too_few_is_a_fault_of_that_call_alone(firm: Firm) -> None:
    firm.hr.ask = lambda *_a: []  # type: ignore[method-assign]
    firm.take(*firm.won())
    firm.run()
    assert firm.states()["staffing"] == "pending"
    assert firm.states()["project_in_psa"] == "verified"


def test_a_result_too_few_is_doubt_that_is_looked_up(firm: Firm) -> None:
    plain = firm.psa.write

    def write(intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        firm.psa.write = plain  # type: ignore[method-assign]
        return plain(intents, ctx)[1:]

    firm.psa.write = write  # type: ignore[method-assign]
    firm.take(*firm.won(1), *firm.won(2))
    firm.run()
    wait(firm, seconds=10)
    assert {r["state"] for r in firm.rows("SELECT state FROM handoff")} == {"in_step"}
    assert len(firm.psa.ledger) == 2


# ── endless trouble ───────────────────────────────────────────────────────────────────────────────


def test_a_write_that_never_gets_a_certain_answer_backs_off_and_ends_with_a_person(firm: Firm) -> None:
    firm.psa.write = _times_out(firm.psa)  # type: ignore[method-assign]
    firm.take(*firm.won())
    firm.run()
    wait(firm, times=60, minutes=1)
    assert firm.psa.calls.count("write") < 30
    wait(firm, times=5, days=1)
    assert firm.states()["project_in_psa"] == "held"
    assert [c["kind"] for c in firm.rows('SELECT kind FROM "case"')] == ["held"]


def _times_out(system: FakeSystem) -> Any:
    def write(_intents: Sequence[WriteIntent], _ctx: CallContext) -> Sequence[WriteResult]:
        system.calls.append("write")
        raise LOST

    return write


def test_a_read_back_that_fails_does_not_say_that_the_system_answers(firm: Firm) -> None:
    firm.take(*firm.won())
    for _ in range(20):
        firm.psa.fail("fetch", Unavailable("503"))
    firm.run()
    assert firm.states()["project_in_psa"] == "applied"
    wait(firm, times=6, minutes=5)
    assert firm.rows("SELECT state FROM breaker WHERE connection = 'psa'")[0]["state"] == "open"
    firm.psa.failures.clear()
    wait(firm, times=3, minutes=20)
    assert firm.states()["project_in_psa"] == "verified"


def test_an_object_that_the_target_does_not_show_ends_with_a_person(firm: Firm) -> None:
    firm.psa.fetch = lambda *_a: []  # type: ignore[method-assign]
    firm.take(*firm.won())
    firm.run()
    assert firm.states()["project_in_psa"] == "applied"
    wait(firm, times=30, minutes=1)
    assert firm.states()["project_in_psa"] == "held"
    assert "does not show" in firm.rows('SELECT title FROM "case"')[0]["title"]


def test_what_is_the_same_already_is_still_read_back(firm: Firm) -> None:
    for _ in range(3):
        firm.erp.fail("fetch", Unavailable("503"))
    firm.take(*firm.won(1), *firm.won(2, opportunity={"client": "crm:C1"}))
    firm.run()
    wait(firm, minutes=10)
    assert {r["state"] for r in firm.rows("SELECT state FROM effect")} == {"verified"}


# ── poison ────────────────────────────────────────────────────────────────────────────────────────


POISON: dict[str, Any] = {
    "a NUL": {"name": "Deal\x00"},
    "half a character": {"name": "Deal \ud800"},
    "ten megabytes": {"name": "x" * 10_000_000},
    "a date before dates": {"won_at": "0000-00-00T99:99:99Z"},
    "a float": {"amount": {"amount": 3.5, "currency": "USD"}},
    "money without currency": {"amount": {"amount": "3.50"}},
    "text for a list": {"roles": "none"},
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poison_record_is_a_case_and_its_page_goes_on(firm: Firm, kind: str) -> None:
    firm.take(*firm.won(1), *firm.won(2, opportunity=POISON[kind]), *firm.won(3))
    firm.run()
    assert [r["title"] for r in firm.rows("SELECT title FROM handoff WHERE state = 'in_step' ORDER BY id")] == [
        "Deal 1",
        "Deal 3",
    ]
    assert firm.rows("""SELECT count(*) AS n FROM "case" WHERE state = 'open'""")[0]["n"] == 1
    firm.take(*firm.won(2))
    firm.run()
    assert firm.rows("SELECT count(*) AS n FROM handoff WHERE state = 'in_step'")[0]["n"] == 3
    assert firm.rows("""SELECT count(*) AS n FROM "case" WHERE state = 'open'""")[0]["n"] == 0


def test_a_number_too_long_to_be_searched_for_stops_only_its_record(firm: Firm) -> None:
    from dataclasses import replace

    deal = firm.won(1)
    firm.take(*deal[:2], replace(deal[2], numbers=("9" * 40_000 + "".join(map(chr, range(200, 9000))),)), *firm.won(2))
    firm.run()
    assert [r["title"] for r in firm.rows("SELECT title FROM handoff")] == ["Deal 2"]


def test_an_answer_that_cannot_be_stored_stops_only_itself(firm: Firm) -> None:
    firm.hr.answers = lambda _q: Answer(met=False, says="nobody\x00 is \ud800 free")
    refuse_item(firm.psa, Rejected("the name\x00 is refused \udfff", code="\x00", field="name\ud800"))
    firm.take(*firm.won(1), *firm.won(2))
    firm.run()
    states = {r["state"] for r in firm.rows("SELECT state FROM effect WHERE step = 'staffing'")}
    assert states == {"pending"}
    assert [r["state"] for r in firm.rows("SELECT state FROM effect WHERE step = 'project_in_psa' ORDER BY id")] == [
        "held",
        "verified",
    ]


# ── withdrawn, unknown, won again ─────────────────────────────────────────────────────────────────


def test_what_was_withdrawn_while_on_its_way_is_not_tried_again(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.plan()
    worker = dead_worker(firm)
    assert claim(firm, "psa", worker)
    firm.take(*firm.won(opportunity={"stage": "closed_lost"}))
    firm.run()
    wait(firm, minutes=1)
    assert firm.psa.ledger == []
    assert firm.states()["project_in_psa"] == "superseded"


def test_withdrawn_before_anything_stood_needs_nobody(firm: Firm) -> None:
    firm.take(*firm.won(client={"tax_id": ""}))
    firm.run()
    firm.take(*firm.won(client={"tax_id": ""}, opportunity={"stage": "closed_lost"}))
    firm.run()
    assert firm.handoff()["state"] == "withdrawn"
    assert firm.rows("""SELECT kind FROM "case" WHERE state = 'open'""") == []


def test_won_again_closes_the_case_of_the_withdrawal_and_publishes_nothing_twice(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(opportunity={"stage": "closed_lost"}))
    firm.run()
    assert firm.handoff()["state"] == "withdrawing"
    firm.take(*firm.won())
    firm.run()
    assert firm.handoff()["state"] == "in_step"
    assert firm.rows("""SELECT kind FROM "case" WHERE state = 'open'""") == []
    assert firm.rows("SELECT count(*) AS n FROM event WHERE handoff_id IS NOT NULL")[0]["n"] == 1


def test_the_clock_of_a_withdrawn_deal_stops_and_starts_anew(firm: Firm) -> None:
    firm.psa.down = Unavailable("503")
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(opportunity={"stage": "closed_lost"}))
    firm.run()
    firm.later(hours=2)
    firm.mend()
    assert firm.rows("SELECT * FROM service_level WHERE breached_at IS NOT NULL") == []
    firm.psa.down = None
    firm.take(*firm.won())
    wait(firm, minutes=2)
    assert [r["met_at"] is not None for r in firm.rows("SELECT met_at FROM service_level")] == [True]


def test_a_rule_without_an_answer_freezes_what_was_not_sent(firm: Firm) -> None:
    firm.psa.down = Unavailable("503")
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(opportunity={"stage": None}))
    firm.psa.down = None
    wait(firm, minutes=2)
    assert firm.psa.ledger == []
    assert firm.handoff()["state"] == "waiting"
    firm.take(*firm.won())
    wait(firm, minutes=2)
    assert firm.handoff()["state"] == "in_step"
    assert len(firm.psa.ledger) == 1


def test_a_second_change_does_not_decide_for_the_person_who_holds_the_first(make_firm: MakeFirm) -> None:
    firm = make_firm(CONTRACT.replace("default: converge", "default: hold"))
    firm.take(*firm.won())
    firm.run()
    for name in ("Renamed", "Renamed again"):
        firm.take(*firm.won(opportunity={"name": name}))
        firm.run()
        assert firm.states()["project_in_psa"] == "held"
    assert len(firm.psa.ledger) == 1
    firm.take(*firm.won())
    firm.run()
    assert firm.states()["project_in_psa"] == "verified"
    assert len(firm.psa.ledger) == 1
    assert firm.rows("""SELECT kind FROM "case" WHERE state = 'open'""") == []


def test_an_event_whose_records_change_is_published_again_and_never_stuck(firm: Firm) -> None:
    firm.take(*firm.won(1), *firm.won(2)[:2])
    firm.run()
    firm.take(*firm.won(1, opportunity={"client": "crm:C2"}))
    wait(firm, seconds=5)
    assert firm.handoff()["state"] == "in_step"
    assert set(firm.states().values()) == {"verified"}
    assert firm.rows("SELECT count(*) AS n FROM event WHERE handoff_id IS NOT NULL")[0]["n"] == 2


def test_what_comes_after_an_event_of_the_plan_itself_is_not_left_behind(make_firm: MakeFirm) -> None:
    steps = """steps:
  told: {emit: deal.won}
  project_in_psa: {put: project, in: psa, after: [told], map: {name: opportunity.name}}
"""
    head, tail = CONTRACT.split("steps:")[0], CONTRACT.split("late_change:")[1]
    tail = tail.replace("until: activated", "until: told").replace("name: activated", "name: told")
    firm = make_firm(head + steps + "late_change:" + tail)
    firm.take(*firm.won())
    firm.run()
    assert firm.states() == {"told": "verified", "project_in_psa": "verified"}


def test_an_item_twice_in_a_list_is_two_effects_and_no_poison(make_firm: MakeFirm) -> None:
    steps = """steps:
  booked: {put: workspace, in: documents, each: opportunity.roles, map: {name: item.role}}
"""
    head, tail = CONTRACT.split("steps:")[0], CONTRACT.split("service_levels:")[0].split("late_change:")[1]
    firm = make_firm(head + steps + "late_change:" + tail)
    role = {"role": "architect", "hours": "10", "from": "2026-07-01", "to": "2026-07-31"}
    firm.take(*firm.won(opportunity={"roles": [role, role]}))
    firm.run()
    assert len(firm.documents.held) == 2
    assert firm.handoff()["state"] == "in_step"


def test_equal_pushes_without_a_key_are_each_a_hint(firm: Firm) -> None:
    """Nothing tells a repeated push from a second change; reading once more is harmless."""
    for _ in range(2):
        firm.rows("DELETE FROM hint RETURNING ref")
        with firm.world.db.engine() as conn:
            taken = {
                "headers": {},
                "body": b"opportunity:O1",
                "at": now(conn),
                "correlation_id": "c",
                "traceparent": "",
            }
            receive(firm.world, conn, "crm", **taken)  # type: ignore[arg-type]
        assert [r["ref"] for r in firm.rows("SELECT ref FROM hint")] == ["O1"]


def test_work_that_lost_its_place_is_put_back(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.plan()
    firm.rows("DELETE FROM work RETURNING effect_id")
    tidy(firm.world)
    firm.run()
    assert firm.handoff()["state"] == "in_step"
