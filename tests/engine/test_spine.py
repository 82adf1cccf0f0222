"""A won deal, step by step, on fakes and the real PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

from concordat.engine.claims import take
from concordat.errors import Unavailable
from concordat.sdk.spec import Answer
from tests.engine.conftest import Firm, MakeFirm
from tests.engine.fakes import LOST


def test_a_won_deal_reaches_every_system(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    assert set(firm.states().values()) == {"verified"}
    assert firm.handoff()["state"] == "in_step"
    assert [len(s.ledger) for s in (firm.psa, firm.erp, firm.documents)] == [1, 2, 1]
    events = [r["type"] for r in firm.rows("SELECT type FROM event WHERE handoff_id IS NOT NULL")]
    assert events == ["project.activated"]


def test_the_same_record_again_changes_nothing(firm: Firm) -> None:
    deal = firm.won()
    firm.take(*deal)
    firm.run()
    firm.take(*deal)
    firm.run()
    assert len(firm.psa.ledger) == 1


def test_missing_fields_are_one_case_with_all_of_them_and_heal_by_themselves(firm: Firm) -> None:
    firm.take(*firm.won(client={"tax_id": ""}, contract={"billing_terms": None}))
    firm.run()
    case = firm.rows('SELECT * FROM "case"')
    assert len(case) == 1
    assert {(m["field"], m["owner"]) for m in case[0]["facts"]["missing"]} == {
        ("client.tax_id", "crm"),
        ("contract.billing_terms", "crm"),
    }
    assert firm.handoff()["state"] == "waiting"
    assert firm.psa.ledger == []
    firm.take(*firm.won())
    firm.run()
    assert firm.handoff()["state"] == "in_step"
    assert [c["state"] for c in firm.rows('SELECT state FROM "case"')] == ["resolved"]


def test_an_answer_that_is_lost_is_looked_up_and_never_repeated(make_firm: MakeFirm) -> None:
    firm = make_firm()
    firm.psa.fail("write", LOST, after_commit=True)
    firm.take(*firm.won())
    firm.run()
    assert firm.states()["project_in_psa"] == "in_doubt"
    firm.later(seconds=2)
    firm.run()
    assert set(firm.states().values()) == {"verified"}
    assert len(firm.psa.ledger) == 1


def test_absence_proves_nothing_inside_the_settle_window(make_firm: MakeFirm) -> None:
    firm = make_firm(upsert=False, unique_key=False, find="eventual", settle_window=timedelta(minutes=6))
    firm.psa.fail("write", LOST, after_commit=True)
    firm.take(*firm.won())
    firm.run()
    key = firm.psa.ledger[0][1]
    firm.psa.hidden.add(key)
    for _ in range(5):
        firm.later(seconds=30)
        firm.run()
        assert firm.states()["project_in_psa"] == "in_doubt"
    firm.psa.hidden.clear()
    firm.later(seconds=30)
    firm.run()
    assert firm.states()["project_in_psa"] == "verified"
    assert len(firm.psa.ledger) == 1


def test_staffing_that_is_down_waits_visibly_and_holds_nothing_up(firm: Firm) -> None:
    firm.hr.down = Unavailable("503")
    for n in range(10):
        firm.take(*firm.won(n))
    firm.run()
    assert len(firm.psa.held) == 10
    waiting = firm.rows("SELECT waits_for, owner, due_at FROM effect WHERE step = 'staffing' AND state = 'pending'")
    assert len(waiting) == 10
    assert {w["waits_for"] for w in waiting} == {"hr is unavailable"}
    assert all(w["due_at"] and w["owner"] == "resourcing" for w in waiting)
    firm.later(days=3)
    firm.mend()
    alerts = firm.rows("SELECT items, money FROM alert")
    assert [(a["items"], a["money"]) for a in alerts] == [(10, {"USD": "3500000.00"})]
    firm.hr.down = None
    firm.later(minutes=20)
    firm.run()
    firm.run()
    assert {r["state"] for r in firm.rows("SELECT state FROM effect WHERE step = 'staffing'")} == {"verified"}


def test_an_answer_no_is_pending_with_its_reason(firm: Firm) -> None:
    firm.hr.answers = lambda _q: Answer(met=False, says="no architect is free in July")
    firm.take(*firm.won())
    firm.run()
    assert firm.handoff()["state"] == "waiting"
    assert firm.handoff()["waits_for"] == "no architect is free in July"


def test_a_poison_record_stops_itself_only(firm: Firm) -> None:
    firm.take(*firm.won(1, opportunity={"name": "poison"}), *firm.won(2))
    firm.run()
    states = {r["title"]: r["state"] for r in firm.rows("SELECT title, state FROM handoff")}
    assert states == {"poison": "partial", "Deal 2": "in_step"}
    case = firm.rows('SELECT kind, facts, amount, currency FROM "case"')
    assert [(c["kind"], c["facts"]["code"]) for c in case] == [("refused", "BAD_NAME")]
    assert [(str(c["amount"]), c["currency"]) for c in case] == [("350000.00", "USD")]


def test_a_target_that_drops_a_field_is_a_case_not_a_success(firm: Firm) -> None:
    firm.psa.drops.add("contract_value")
    firm.take(*firm.won())
    firm.run()
    assert firm.states()["project_in_psa"] == "held"
    assert "contract_value" in firm.rows('SELECT title FROM "case"')[0]["title"]


def test_two_deals_of_one_client_make_one_client(firm: Firm) -> None:
    firm.take(*firm.won(1), *firm.won(2, opportunity={"client": "crm:C1"}))
    firm.run()
    firm.later(seconds=1)
    firm.run()
    assert [o for o, _, _ in firm.erp.ledger].count("client") == 1
    assert {r["state"] for r in firm.rows("SELECT state FROM handoff")} == {"in_step"}


def test_older_deals_are_adopted_and_nothing_is_written(firm: Firm) -> None:
    firm.take(*firm.won(opportunity={"won_at": "2025-03-01T00:00:00Z"}))
    firm.run()
    assert firm.handoff()["state"] == "adopted"
    assert [s.ledger for s in (firm.psa, firm.erp, firm.documents)] == [[], [], []]


def test_a_late_change_converges_with_a_new_generation(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(contract={"value": {"amount": "400000.00", "currency": "USD"}}))
    firm.run()
    assert len(firm.psa.ledger) == 2
    assert next(iter(firm.psa.held.values()))[0].fields["contract_value"]["amount"] == "400000.00"
    assert firm.handoff()["state"] == "in_step"


def test_older_never_beats_newer(firm: Firm) -> None:
    old, new = firm.won(), firm.won(opportunity={"name": "Renamed"})
    firm.take(*new)
    firm.take(*old)
    firm.run()
    assert firm.handoff()["title"] == "Renamed"


def test_a_parent_that_comes_later_is_a_short_wait(firm: Firm) -> None:
    client, agreed, deal = firm.won()
    firm.take(deal)
    firm.run()
    assert firm.handoff()["state"] == "waiting"
    assert {r["ref"] for r in firm.rows("SELECT ref FROM hint")} == {"C1", "K1"}
    firm.take(client, agreed)
    firm.later(seconds=5)
    firm.run()
    assert firm.handoff()["state"] == "in_step"


def test_a_worker_that_dies_while_sending_leaves_doubt_that_is_resolved(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.plan()
    lane = next(x for x in firm.rows("SELECT * FROM lane WHERE connection = 'psa' AND operation = 'put'"))
    dead = firm.rows(
        "INSERT INTO worker (name, started_at, beat_at)"
        " VALUES ('dead', now(), now() - interval '1 minute') RETURNING id"
    )[0]["id"]
    with firm.world.db.engine() as conn:
        claimed = take(conn, lane["id"], limit=10, worker=dead, settle_window=timedelta(0))
    assert len(claimed) == 1
    firm.run()
    assert firm.psa.ledger == []
    firm.mend()
    firm.run()
    firm.later(seconds=30)
    firm.run()
    assert set(firm.states().values()) == {"verified"}
    assert len(firm.psa.ledger) == 1


def test_a_late_settler_changes_nothing(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.plan()
    lane = firm.rows("SELECT id FROM lane WHERE connection = 'psa' AND operation = 'put'")[0]["id"]
    with firm.world.db.engine() as conn:
        take(conn, lane, limit=10, worker=77, settle_window=timedelta(0))
    firm.mend()
    firm.run()
    firm.later(seconds=30)
    firm.run()
    before = firm.states()
    assert before["project_in_psa"] == "verified"


def test_the_brake_stops_a_flood_and_a_release_lets_it_go(make_firm: MakeFirm) -> None:
    from tests.engine.conftest import CONTRACT

    firm = make_firm(CONTRACT + "brake: {subjects: 3, per: 1 hour}\n")
    for n in range(5):
        firm.take(*firm.won(n))
    firm.run()
    assert len(firm.psa.held) == 3
    assert [c["facts"]["waiting"] for c in firm.rows("SELECT facts FROM \"case\" WHERE kind = 'brake'")] == [2]
    with firm.world.db.engine() as conn:
        from concordat.store.queries import QUERIES

        conn.execute(QUERIES.handoff.brake_release, {"contract": "opportunity-to-project", "hours": 1, "person": "ada"})
    firm.later(minutes=1)
    firm.run()
    assert len(firm.psa.held) == 5


def test_a_withdrawn_deal_freezes_what_was_not_sent_and_tells_a_person(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    firm.take(*firm.won(opportunity={"stage": "closed_lost"}))
    firm.run()
    assert firm.handoff()["state"] == "withdrawing"
    assert [c["kind"] for c in firm.rows('SELECT kind FROM "case"')] == ["withdrawn"]
    firm.take(*firm.won())
    firm.run()
    assert firm.handoff()["state"] == "in_step"
    assert len(firm.psa.ledger) == 1
