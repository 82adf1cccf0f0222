"""The door for JSON-RPC against the real server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from concordat.errors import AuthRevoked, Rejected, Unavailable, VersionConflict
from concordat.sdk.rpc import Rpc
from concordat.tryton_server import Tryton
from tests.tryton.running import call, key

pytestmark = pytest.mark.slow


def opened(tryton: Tryton, **changed: str) -> Rpc:
    access = tryton.access
    login = {"database": access.database, "user": access.user, "password": access.password, **changed}
    return Rpc(access.url, connection="erp", **login)


@pytest.fixture
def rpc(tryton: Tryton) -> Iterator[Rpc]:
    made = opened(tryton)
    yield made
    made.close()


def test_values_come_back_as_they_were_sent(rpc: Rpc, tryton: Tryton) -> None:
    sent = {
        "list_price": Decimal("12345678901234.5678"),
        "effort_duration": timedelta(hours=33, microseconds=1),
        "timesheet_available": True,
        "timesheet_start_date": date(2026, 12, 1),
    }
    work = {"name": "Ünïcode ✓", "number": key(), "type": "project", "company": 1, **sent}
    number = rpc.call(call(), "project.work", "create", [work], write=True)
    row = rpc.read(call(), "project.work", [["id", "in", number]], [*work, "last_modified_at"])[0]
    assert {name: row[name] for name in work} == work
    assert isinstance(row["last_modified_at"], datetime)


def test_the_server_tells_its_time(rpc: Rpc) -> None:
    said = rpc.ask(call(), "party.party", "search_count", [], write=False)
    assert said.at is not None
    assert said.at.tzinfo is UTC


def test_a_lost_session_is_won_back_once(rpc: Rpc, tryton: Tryton) -> None:
    before = rpc._session.headers(call())
    body = {"id": 1, "method": "common.db.logout", "params": []}
    httpx.post(f"{tryton.access.url}/{tryton.access.database}/rpc/", json=body, headers=dict(before))
    assert rpc.call(call(), "company.company", "search_count", [], write=False) == 3
    assert rpc._session.headers(call()) != before


def test_a_forged_session_is_refused(tryton: Tryton) -> None:
    secret = base64.b64encode(b"concordat:2:0000").decode()
    body = {"id": 1, "method": "model.party.party.search_count", "params": [[], {}]}
    answer = httpx.post(
        f"{tryton.access.url}/{tryton.access.database}/rpc/",
        json=body,
        headers={"authorization": f"Session {secret}"},
    )
    assert answer.status_code == 401


def test_a_wrong_password_stops_the_connection(tryton: Tryton) -> None:
    rpc = opened(tryton, password="wrong")
    with pytest.raises(AuthRevoked):
        rpc.read(call(), "party.party", [], ["name"])
    rpc.close()


def test_an_unknown_field_model_and_method_are_refused(rpc: Rpc) -> None:
    with pytest.raises(Rejected):
        rpc.read(call(), "party.party", [], ["nme"])
    with pytest.raises(Rejected):
        rpc.read(call(), "party.prty", [], ["name"])
    with pytest.raises(AuthRevoked):
        rpc.call(call(), "party.party", "purge", write=True)


def test_a_stale_stamp_is_refused(rpc: Rpc) -> None:
    number = rpc.call(call(), "party.party", "create", [{"name": "One", "code": key()}], write=True)
    stamp = rpc.read(call(), "party.party", [["id", "in", number]], ["_timestamp"])[0]["_timestamp"]
    rpc.call(call(), "party.party", "write", number, {"name": "Two"}, write=True)
    lock = {"_timestamp": {f"party.party,{number[0]}": stamp}}
    with pytest.raises(VersionConflict):
        rpc.call(call(), "party.party", "write", number, {"name": "Three"}, write=True, context=lock)


def test_nobody_there_is_unavailable(tryton: Tryton) -> None:
    access = tryton.access
    rpc = Rpc("http://127.0.0.1:9", database="erp", user=access.user, password="x", connection="erp")
    with pytest.raises(Unavailable):
        rpc.read(call(), "party.party", [], ["name"])
    rpc.close()
