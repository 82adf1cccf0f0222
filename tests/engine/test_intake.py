"""What comes in always ends: applied, superseded, duplicate or case; one that is poison ends alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from concordat.engine.intake import Received, read_hints, receive, sweep
from concordat.errors import Contended, Missing, Rejected, Unavailable, VendorError
from concordat.sdk.spec import CallContext, ChangePage, Hint, Push, SourceRecord
from concordat.store.database import now
from tests.engine.conftest import Firm, MakeFirm

pytestmark = pytest.mark.slow


def push(firm: Firm, *hints: tuple[str, str], key: str = "") -> Received:
    """One push of the CRM that tells of these records."""
    said = Push(hints=tuple(Hint(object=o, ref=r) for o, r in hints), key=key)
    firm.crm.decode_push = lambda *_a: said  # type: ignore[method-assign]
    with firm.world.db.engine() as conn:
        body = repr((hints, key)).encode()
        return receive(firm.world, conn, "crm", headers={}, body=body, at=now(conn), correlation_id="c", traceparent="")


def ends(firm: Firm) -> list[str]:
    return [row["state"] for row in firm.rows("SELECT state FROM delivery ORDER BY id")]


def read(firm: Firm, *, times: int = 1, **later: float) -> None:
    for _ in range(times):
        if later:
            firm.later(**later)
        while read_hints(firm.world, "crm"):
            pass


def cases(firm: Firm) -> list[dict[str, Any]]:
    return firm.rows('SELECT * FROM "case" ORDER BY id')


def poison(firm: Firm, refs: set[str], error: Exception) -> list[int]:
    """Reading any of these fails its whole call; says how many references each call asked for."""
    plain, asked = firm.crm.fetch_source, []

    def fetch(object_: str, some: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        asked.append(len(some))
        if refs & set(some):
            raise error
        return plain(object_, some, ctx)

    firm.crm.fetch_source = fetch  # type: ignore[method-assign]
    return asked


# ── every delivery ends ───────────────────────────────────────────────────────────────────────────


def test_a_push_whose_record_changed_is_applied(firm: Firm) -> None:
    firm.won()
    push(firm, ("opportunity", "O1"), ("client", "C1"))
    assert ends(firm) == ["received"]
    read(firm)
    assert ends(firm) == ["applied"]


def test_of_pushes_about_one_record_the_last_is_applied_and_supersedes_the_others(firm: Firm) -> None:
    firm.won()
    for n in range(3):
        push(firm, ("client", "C1"), key=f"k{n}")
    read(firm)
    assert ends(firm) == ["superseded", "superseded", "applied"]


def test_a_push_that_tells_what_is_known_is_superseded(firm: Firm) -> None:
    firm.take(*firm.won())
    push(firm, ("client", "C1"))
    read(firm)
    assert ends(firm) == ["superseded"]


def test_the_same_push_again_is_a_duplicate_and_one_about_nothing_is_superseded(firm: Firm) -> None:
    firm.won()
    push(firm, ("client", "C1"), key="k")
    push(firm, ("client", "C1"), key="k")
    push(firm)
    assert ends(firm) == ["received", "duplicate", "superseded"]
    read(firm)
    assert ends(firm) == ["applied", "duplicate", "superseded"]


def test_a_push_that_cannot_be_decoded_is_a_case(firm: Firm) -> None:
    def broken(*_a: object) -> Push:
        raise Rejected("no JSON")

    firm.crm.decode_push = broken  # type: ignore[method-assign, assignment]
    with firm.world.db.engine() as conn:
        receive(firm.world, conn, "crm", headers={}, body=b"?", at=now(conn), correlation_id="c", traceparent="")
    assert ends(firm) == ["case"]
    assert [case["kind"] for case in cases(firm)] == ["unreadable"]


def test_a_push_that_names_one_record_twice_is_taken(firm: Firm) -> None:
    firm.won()
    push(firm, ("client", "C1"), ("client", "C1"))
    read(firm)
    assert ends(firm) == ["applied"]


def test_a_push_that_comes_while_its_record_is_read_waits_for_the_next_read(firm: Firm) -> None:
    firm.won()
    push(firm, ("client", "C1"), key="first")
    plain = firm.crm.fetch_source

    def fetch(*asked: Any) -> Sequence[SourceRecord]:
        firm.crm.fetch_source = plain  # type: ignore[method-assign]
        found = plain(*asked)
        firm.source("client", "C1", name="Renamed")
        push(firm, ("client", "C1"), key="second")
        return found

    firm.crm.fetch_source = fetch  # type: ignore[method-assign]
    with firm.world.db.engine():
        read_hints(firm.world, "crm")
    assert "received" in ends(firm)
    read(firm, seconds=40)
    assert "received" not in ends(firm)
    assert ends(firm)[1] == "applied"


def test_a_push_about_a_record_that_nobody_shows_is_a_case_within_three_tries(firm: Firm) -> None:
    push(firm, ("client", "GHOST"))
    read(firm)
    assert ends(firm) == ["received"]
    read(firm, times=2, seconds=30)
    assert ends(firm) == ["case"]
    assert [(c["kind"], c["owner"], c["facts"]["class"]) for c in cases(firm)] == [
        ("unreadable", "integration", "Missing")
    ]
    firm.source("client", "GHOST", name="Ghost", country="DE")
    push(firm, ("client", "GHOST"), key="again")
    read(firm)
    assert ends(firm) == ["case", "applied"]
    assert [c["state"] for c in cases(firm)] == ["resolved"]


def test_all_ends_add_up_to_what_was_accepted(firm: Firm) -> None:
    chance = random.Random(7)  # noqa: S311 - a story, no secret
    for n in range(8):
        firm.won(n)
    poison(firm, {"C3"}, ValueError("a row that nobody foresaw"))
    for k in range(60):
        told = [("client", f"C{chance.randrange(10)}") for _ in range(chance.randrange(3))]
        push(firm, *told, key=f"k{chance.randrange(40)}" if chance.random() < 0.7 else f"u{k}")
        if chance.random() < 0.2:
            read(firm, seconds=5)
    read(firm, times=4, minutes=2)
    with firm.world.db.audit() as conn:
        from concordat.store.queries import QUERIES

        row = conn.execute(QUERIES.page.delivery_ends).fetchone() or {}
    assert row["accepted"] == 60
    assert row["received"] == 0
    assert row["applied"] + row["superseded"] + row["duplicate"] + row["case"] == 60
    assert all(row[end] for end in ("applied", "superseded", "duplicate", "case"))
    assert firm.rows("SELECT * FROM delivery_hint") == []


# ── one that cannot be read ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [Rejected("bad id"), Unavailable("500"), KeyError("Id"), Missing("hidden")])
def test_one_unreadable_reference_ends_as_a_case_and_the_others_go_on(firm: Firm, error: Exception) -> None:
    for n in range(40):
        firm.won(n)
    asked = poison(firm, {"C7", "C31"}, error)
    push(firm, *(("client", f"C{n}") for n in range(40)))
    read(firm)
    assert len(firm.rows("SELECT FROM record WHERE object = 'client'")) == 38
    assert len(asked) < 25
    assert firm.rows("SELECT FROM breaker WHERE state = 'open'") == []
    read(firm, times=2, seconds=30)
    found = cases(firm)
    assert {c["subject"] for c in found} == {"crm:client:C7", "crm:client:C31"}
    assert all(c["owner"] and c["facts"]["tries"] == 3 and c["facts"]["cause"] for c in found)
    assert ends(firm) == ["case"]
    del firm.crm.fetch_source  # type: ignore[attr-defined]
    read(firm, hours=1)
    assert [c["state"] for c in cases(firm)] == ["resolved"] * 2
    assert len(firm.rows("SELECT FROM record WHERE object = 'client'")) == 40


def test_an_outage_is_nobodys_poison(firm: Firm) -> None:
    for n in range(10):
        firm.won(n)
    push(firm, *(("client", f"C{n}") for n in range(10)))
    firm.crm.down = Unavailable("503")
    firm.crm.ping = lambda _ctx: (_ for _ in ()).throw(Unavailable("503"))  # type: ignore[method-assign]
    read(firm, times=8, minutes=2)
    assert cases(firm) == []
    assert {row["failures"] for row in firm.rows("SELECT failures FROM hint")} == {0}
    firm.crm.down = None
    read(firm, minutes=2)
    assert ends(firm) == ["applied"]


def test_a_case_about_a_record_carries_the_money_that_hangs_on_it(firm: Firm) -> None:
    firm.take(*firm.won())
    firm.run()
    poison(firm, {"C1"}, Rejected("gone wrong"))
    push(firm, ("client", "C1"))
    read(firm, times=3, seconds=30)
    assert [(str(c["amount"]), c["currency"]) for c in cases(firm)] == [("350000.00", "USD")]


# ── sweeps ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def swept(make_firm: MakeFirm) -> Firm:
    firm = make_firm()
    firm.world.sweeps = {("crm", "client"): timedelta(seconds=5)}
    with firm.world.db.engine() as conn:
        conn.execute("INSERT INTO cursor (connection, object, next_at) VALUES ('crm', 'client', now())")
    return firm


def due_in(firm: Firm) -> float:
    row = firm.rows("SELECT extract(epoch FROM next_at - now())::float8 AS due, error FROM cursor")[0]
    return float(row["due"])


@pytest.mark.parametrize("error", [ValueError("no JSON"), VendorError("odd"), RecursionError()])
def test_a_sweep_that_breaks_gives_its_cursor_free(swept: Firm, error: Exception) -> None:
    def changes(*_a: object) -> ChangePage:
        raise error

    swept.crm.changes = changes  # type: ignore[method-assign, assignment]
    assert sweep(swept.world, "crm", "client", correlation_id="c", traceparent="") == 0
    assert due_in(swept) < 10
    assert swept.rows("SELECT error FROM cursor")[0]["error"]
    del swept.crm.changes  # type: ignore[attr-defined]
    swept.won()
    with swept.world.db.engine() as conn:
        conn.execute("UPDATE cursor SET next_at = now()")
    assert sweep(swept.world, "crm", "client", correlation_id="c", traceparent="") == 1


def test_what_the_database_does_to_a_sweep_is_raised(swept: Firm) -> None:
    def changes(*_a: object) -> ChangePage:
        raise Contended("undone")

    swept.crm.changes = changes  # type: ignore[method-assign, assignment]
    with pytest.raises(Contended):
        sweep(swept.world, "crm", "client", correlation_id="c", traceparent="")


# ── poison records ────────────────────────────────────────────────────────────────────────────────

DEEP: dict[str, Any] = {}
for _ in range(3000):
    DEEP = {"name": DEEP}

POISON: dict[str, dict[str, Any]] = {
    "too large": {"client": {"name": "x" * 2_000_000}},
    "wrong types": {"client": {"name": ["a", "list"], "country": 12}},
    "an impossible date": {"contract": {"start_date": "2026-02-30"}},
    "an unknown currency": {"opportunity": {"amount": {"amount": "1.00", "currency": "XXQ"}}},
    "money that is no number": {"opportunity": {"amount": {"amount": "NaN", "currency": "USD"}}},
    "no character at all": {"client": {"name": "a\x00b"}},
    "half a character": {"client": {"name": "a\ud800b"}},
    "without end": {"client": {"name": DEEP}},
    "a reference to itself": {"client": {"parent": "crm:C1"}, "opportunity": {"extends": "crm:O1"}},
    "a circle of references": {"opportunity": {"extends": "crm:O2", "client": "crm:O1"}},
    "an endless number": {"opportunity": {"amount": {"amount": "9" * 5000, "currency": "USD"}}},
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poison_record_stops_itself_alone(firm: Firm, kind: str) -> None:
    firm.take(*firm.won(1, **POISON[kind]), *firm.won(2))
    firm.run()
    good = firm.rows("SELECT h.state FROM handoff h JOIN record r ON r.id = h.subject_id WHERE r.ref = 'O2'")
    assert [row["state"] for row in good] == ["in_step"]
    poisoned = firm.rows("SELECT h.state FROM handoff h JOIN record r ON r.id = h.subject_id WHERE r.ref = 'O1'")
    assert [row["state"] for row in poisoned] == ["in_step"] or cases(firm)
    firm.take(*firm.won(1))
    firm.run()
    firm.later(minutes=5)
    firm.run()
    assert {row["state"] for row in firm.rows("SELECT state FROM handoff")} == {"in_step"}
    assert {c["state"] for c in cases(firm)} <= {"resolved"}


def test_a_record_that_its_connector_cannot_translate_is_a_case_alone(firm: Firm) -> None:
    spoiled = SourceRecord(object="client", ref="C1", version="", fault="KeyError: 'LastModified'")
    firm.take(spoiled, *firm.won(2))
    assert [c["subject"] for c in cases(firm)] == ["crm:client:C1"]
    firm.take(*firm.won(1))
    firm.run()
    assert {c["state"] for c in cases(firm)} == {"resolved"}
    assert {row["state"] for row in firm.rows("SELECT state FROM handoff")} == {"in_step"}
