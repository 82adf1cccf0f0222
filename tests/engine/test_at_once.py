"""What a transaction makes ready may be taken by the process that made it: the same marks, no claim of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from concordat.engine.claims import Claimed, Turn
from concordat.engine.lanes import drain, give_back
from concordat.errors import Contended
from tests.engine.conftest import Firm, MakeFirm


@pytest.fixture
def firm(make_firm: MakeFirm) -> Firm:
    return make_firm()


def all_lanes(firm: Firm, room: int = 50) -> Turn:
    """Room in every lane, for a worker that lives."""
    with firm.world.db.engine() as conn:
        firm.world.lane_ids(conn)
        sql = "INSERT INTO worker (name, started_at, beat_at) VALUES ('one', now(), now()) RETURNING id"
        worker = (conn.execute(sql).fetchone() or {})["id"]
    return Turn(worker=worker, rooms={lane.id: room for lane in firm.world.takeable})


def go_on(firm: Firm, taken: Mapping[int, Sequence[Claimed]], turn: Turn) -> None:
    """Call what was taken, and what that makes ready, to the end."""
    for lane_id, rows in taken.items():
        if rows:
            done = drain(firm.world, firm.world.lane(lane_id), pool=firm.pool, turn=turn, given=rows)
            go_on(firm, done.ready.taken, turn)


def claims(firm: Firm) -> int:
    return int(firm.rows("SELECT count(*) AS n FROM work WHERE NOT sending")[0]["n"])


def test_a_deal_reaches_every_system_without_a_claim(firm: Firm) -> None:
    turn = all_lanes(firm)
    firm.take(*firm.won())
    ready = firm.plan(turn)
    assert not ready.lanes
    assert claims(firm) == 0
    go_on(firm, ready.taken, turn)
    assert set(firm.states().values()) == {"verified"}
    assert firm.handoff()["state"] == "in_step"
    assert [what for _, _, what in firm.psa.ledger] == ["created"]
    assert not firm.rows("SELECT * FROM work")


def test_it_is_sending_under_a_lease_before_the_call(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.plan(all_lanes(firm))
    rows = firm.rows(
        "SELECT e.step, e.sent_at, e.settle_by, e.tries, w.* FROM effect e JOIN work w ON w.effect_id = e.id"
        " WHERE e.state = 'sending'"
    )
    assert rows
    assert all(row["sending"] and row["worker"] and row["fence"] and row["tries"] == 1 for row in rows)
    assert all(row["sent_at"] is not None and row["settle_by"] >= row["sent_at"] for row in rows)


def test_two_deals_of_one_client_take_its_object_once(firm: Firm) -> None:
    firm.take(*firm.won(1), *firm.won(2, opportunity={"client": "crm:C1"}))
    turn = all_lanes(firm)
    ready = firm.plan(turn)
    clients = firm.rows("SELECT state FROM effect WHERE step = 'client_in_erp' ORDER BY id")
    assert [row["state"] for row in clients] == ["sending", "ready"]
    go_on(firm, ready.taken, turn)
    firm.run()
    assert len([key for _, key, what in firm.erp.ledger if what == "created"]) == 3, firm.erp.ledger


def test_no_more_than_there_is_room_for(firm: Firm) -> None:
    for n in range(1, 6):
        firm.take(*firm.won(n))
    ready = firm.plan(all_lanes(firm, room=2))
    assert all(len(rows) <= 2 for rows in ready.taken.values())
    assert ready.lanes
    firm.run()
    taken = sum(map(len, ready.taken.values()))
    assert len(firm.rows("SELECT * FROM effect WHERE state = 'sending'")) == taken


def test_nothing_is_taken_for_a_connection_that_fails(firm: Firm) -> None:
    turn = all_lanes(firm)
    with firm.world.db.engine() as conn:
        conn.execute("INSERT INTO breaker (connection, failures, reason) VALUES ('psa', 1, 'psa is unavailable')")
    firm.take(*firm.won())
    ready = firm.plan(turn)
    assert {firm.world.lane(lane).connection for lane, rows in ready.taken.items() if rows} == {"erp", "hr"}


def test_what_is_given_back_is_anybodys(firm: Firm) -> None:
    turn = all_lanes(firm)
    firm.take(*firm.won())
    for lane_id, rows in firm.plan(turn).taken.items():
        give_back(firm.world, firm.world.lane(lane_id), rows, turn)
    assert not firm.rows("SELECT * FROM effect WHERE state = 'sending'")
    assert not firm.psa.ledger
    firm.later(minutes=1)
    firm.run()
    assert firm.handoff()["state"] == "in_step"


def test_what_a_dead_worker_took_is_looked_up_before_it_is_sent(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.plan(all_lanes(firm))
    with firm.world.db.engine() as conn:
        conn.execute("UPDATE worker SET beat_at = '-infinity'")
    firm.mend()
    firm.run()
    firm.later(minutes=16)
    firm.run()
    assert firm.handoff()["state"] == "in_step"
    acts = [r["act"] for r in firm.rows("SELECT act FROM attempt a JOIN effect e ON e.id = a.effect_id"
                                        " WHERE e.step = 'project_in_psa' ORDER BY a.at, a.fence")]  # fmt: skip
    assert acts[0] == "resolve"


def test_another_writer_of_the_same_object_is_not_overtaken(firm: Firm) -> None:
    """The reservation of the target object is a unique index; who comes second does the transaction again."""
    turn = all_lanes(firm)
    firm.take(*firm.won())
    firm.plan()
    with firm.world.db.engine() as conn:
        conn.execute(
            "UPDATE work w SET link_id = e.link_id, sending = true, worker = %s FROM effect e"
            " WHERE e.id = w.effect_id AND e.step = 'client_in_erp'",
            [turn.worker],
        )
    firm.take(*firm.won(2, opportunity={"client": "crm:C1"}))
    try:
        ready = firm.plan(turn)
    except Contended:
        ready = firm.plan(turn)
    taken = {row.step for rows in ready.taken.values() for row in rows}
    assert "client_in_erp" not in taken
