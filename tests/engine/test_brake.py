"""The brake counts what is created, changed and undone, and the money, in its own window; a person lets it go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from concordat.operations.contracts import release
from tests.engine.conftest import CONTRACT, Firm, MakeFirm

pytestmark = pytest.mark.slow

NAME = "opportunity-to-project"


def deals(firm: Firm, *numbers: int, **changes: Any) -> None:
    for n in numbers:
        firm.take(*firm.won(n, **changes))
    firm.run()


def brakes(firm: Firm) -> list[dict[str, Any]]:
    return [row["facts"] for row in firm.rows("SELECT facts FROM \"case\" WHERE kind = 'brake' AND state = 'open'")]


def let_go(firm: Firm) -> None:
    with firm.world.db.app([firm.world.unit]) as conn:
        release(conn, NAME, hours=1, person="ada")
    firm.later(minutes=1)
    firm.run()


def test_changes_and_undos_count_like_new_ones(make_firm: MakeFirm) -> None:
    firm = make_firm(
        CONTRACT + "brake: {subjects: 3, per: 1 hour}\nundo: {project_in_psa: hold, project_in_erp: hold}\n"
    )
    deals(firm, 1, 2)
    deals(firm, 1, opportunity={"name": "Changed"})
    assert brakes(firm) == []
    deals(firm, 2, opportunity={"stage": "closed_lost"})
    assert [(b["waiting"], b["of_them"]) for b in brakes(firm)] == [(1, {"undo": 1})]
    assert not any(o.fields.get("status") for (o,) in firm.psa.held.values()), "nothing is undone"
    let_go(firm)
    assert [o.fields.get("status") for (o,) in firm.psa.held.values()] == [None, "on_hold"]
    assert brakes(firm) == []


def test_a_change_beyond_the_brake_is_not_written(make_firm: MakeFirm) -> None:
    firm = make_firm(CONTRACT + "brake: {subjects: 2, per: 1 hour}\n")
    deals(firm, 1, 2)
    deals(firm, 1, opportunity={"name": "Changed"})
    assert {o.fields["name"] for (o,) in firm.psa.held.values()} == {"Deal 1", "Deal 2"}
    assert [b["of_them"] for b in brakes(firm)] == [{"change": 1}]
    let_go(firm)
    assert {o.fields["name"] for (o,) in firm.psa.held.values()} == {"Changed", "Deal 2"}


def test_money_has_a_limit_of_its_own(make_firm: MakeFirm) -> None:
    firm = make_firm(CONTRACT + "brake: {money: 800000.00 USD, per: 1 hour}\n")
    deals(firm, 1, 2, 3)
    assert len(firm.psa.held) == 2
    assert brakes(firm)[0]["most"] == "800000.00 USD"
    other = {"opportunity": {"amount": {"amount": "900000.00", "currency": "EUR"}}}
    deals(firm, 4, **other)
    assert len(firm.psa.held) == 3, "another currency is not added up"


def test_the_window_is_the_contracts_and_slides(make_firm: MakeFirm) -> None:
    firm = make_firm(CONTRACT + "brake: {subjects: 2, per: 30 minutes}\n")
    deals(firm, 1, 2)
    for minutes, made in ((20, 2), (12, 2), (30, 3)):
        firm.rows("UPDATE brake SET since = since - %s RETURNING since", timedelta(minutes=minutes))
        deals(firm, 3)
        firm.later(minutes=1)
        firm.run()
        assert len(firm.psa.held) == made, minutes
