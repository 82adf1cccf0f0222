"""Bad input at the door: forged, altered, stale, garbled, too large, to nobody, and while the database is gone."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence

import httpx
import pytest

from tests.outside.books import Before, await_in_step, written_once
from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm
from tests.outside.story import Story, crm_records
from tests.outside.wait import until


def hint(chance: random.Random, **changed: object) -> dict[str, object]:
    """A push about a deal that does not exist."""
    number = chance.randrange(10**8)
    return {
        "event": f"e{number}",
        "object": "Opportunity",
        "ids": [f"006zz0000{number:09d}"],
        "at": "2026-11-30T10:00:00Z",
        **changed,
    }


def refusals(firm: Firm) -> float:
    return sum(firm.api.metric("concordat_refusals_total").values())


def problem(answer: httpx.Response) -> Mapping[str, object]:
    """Give the problem details of an answer."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    said: Mapping[str, object] = answer.json()
    assert {"type", "title", "status"} <= said.keys()
    return said


def test_a_forged_push_leaves_nothing_but_a_count(firm: Firm, chance: random.Random) -> None:
    before, counted = Before(firm), refusals(firm)
    body = hint(chance)
    answer = firm.api.push(body, secret=f"guess-{chance.randrange(10**9)}")
    assert answer.status_code == 401
    said = problem(answer)
    assert str(body["event"]) not in json.dumps(said), "no oracle"
    assert not before.received(), "nothing stored"
    assert refusals(firm) == counted + 1


def test_a_push_without_a_signature_or_altered_or_stale(firm: Firm, chance: random.Random) -> None:
    before, counted = Before(firm), refusals(firm)
    body = json.dumps(hint(chance)).encode()
    assert firm.api.plain("POST", "/hooks/crm", content=body).status_code == 401
    good = firm.api.push(hint(chance))
    signed = {name: value for name, value in good.request.headers.items() if name.lower() != "content-length"}
    altered = firm.api.plain("POST", "/hooks/crm", content=body, headers=signed)
    assert altered.status_code == 401
    headers = {**signed, "X-Concordat-Timestamp": str(int(good.request.headers["X-Concordat-Timestamp"]) - 301)}
    assert firm.api.plain("POST", "/hooks/crm", content=good.request.content, headers=headers).status_code == 401
    assert sum(before.received().values()) == 1, "the good one alone"
    assert refusals(firm) == counted + 3


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b'{"event": "x"}', b"null", b'{"ids": 7, "object": "Opportunity"}']
)
def test_a_garbled_push_is_kept_and_becomes_a_case(firm: Firm, body: bytes, chance: random.Random) -> None:
    before = Before(firm)
    garbled = body + b" " * chance.randrange(1, 500)
    answer = firm.api.push(garbled)
    assert answer.status_code == 202, answer.text
    assert sum(before.received().values()) == 1, "it is stored"
    found = [case for case in firm.api.cases(kind="unreadable") if "crm" in case["title"]]
    assert found
    assert all(case["owner"] == "integration" for case in found)


def test_unknown_connection_and_body_too_large(firm: Firm) -> None:
    before = Before(firm)
    assert problem(firm.api.push({"event": "x"}, connection="nobody"))["status"] == 404
    assert problem(firm.api.push({"event": "x"}, connection="erp"))["status"] == 404
    assert problem(firm.api.push(b"x" * (1024 * 1024 + 1)))["status"] == 413
    assert not before.received()
    assert firm.api.push(b" " * (1024 * 1024)).status_code == 202, "a mebibyte is not too large"


def test_the_api_knows_nobody_without_its_token(firm: Firm) -> None:
    for path in ("/api/v1/handoffs", "/api/v1/cases", "/api/v1/deliveries", "/api/v1/contracts", "/api/v1/handoffs/1"):
        assert problem(firm.api.plain("GET", path))["status"] == 401, path
        wrong = firm.api.plain("GET", path, headers={"Authorization": "Bearer wrong"})
        assert wrong.status_code == 401
    assert problem(firm.api.call("GET", "/api/v1/handoffs/999999"))["status"] == 404
    assert problem(firm.api.call("GET", "/api/v1/handoffs/x"))["status"] in {400, 404, 422}
    assert problem(firm.api.call("GET", "/api/v1/handoffs", params={"state": "nonsense"}))["status"] in {400, 404, 422}
    assert problem(firm.api.call("GET", "/api/v1/handoffs", params={"cursor": "nonsense"}))["status"] in {400, 404, 422}
    described = firm.api.plain("GET", "/api/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert "/hooks/{connection}" in described["paths"]


def test_a_replay_is_answered_once(firm: Firm, story: Story) -> None:
    deal = story.deal()
    before = Before(firm)
    firm.twins["crm"].seed(crm_records([deal]))
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    id_ = (firm.api.of(deal.id) or {})["id"]
    key = {"Idempotency-Key": f"outside-{story.chance.randrange(10**9)}"}
    first, second = (firm.api.call("POST", f"/api/v1/handoffs/{id_}/replay", json={}, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    other = firm.api.call("POST", f"/api/v1/handoffs/{id_}/replay", json={"step": "channel"}, headers=key)
    assert problem(other)["status"] == 422
    await_in_step(firm, [deal])
    written_once(firm, before, [deal])


def test_the_database_is_gone(make_firm: MakeFirm, story: Story, chance: random.Random) -> None:
    firm = make_firm().play().begin()
    firm.twins["hr"].seed(story.people())
    deal = story.deal()
    before = Before(firm)
    firm.twins["crm"].seed(crm_records([deal]))
    (file,) = firm.databases()
    os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
    until("the database to end", lambda: not file.exists() or not firm.api.ready(), within=20)
    asks: Sequence[Callable[[], httpx.Response]] = (
        lambda: firm.api.push(hint(chance)),
        lambda: firm.api.call("GET", "/api/v1/handoffs"),
        lambda: firm.api.plain("GET", "/readyz"),
        lambda: firm.api.plain("GET", "/metrics"),
    )
    for ask in asks:
        began = time.monotonic()
        answer = ask()
        assert answer.status_code == 503, f"{answer.request.url}: {answer.status_code}"
        assert time.monotonic() - began < 5, "an answer within five seconds"
    assert firm.api.plain("GET", "/healthz").status_code == 200, "alive all the same"
    assert firm.up.runs
    firm.up.stop()
    firm.begin()
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    written_once(firm, before, [deal])
