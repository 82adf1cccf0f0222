"""Pushes over real HTTP: durable, deduplicated, and refused without a trace."""

from __future__ import annotations

import socket

import httpx
import pytest

from concordat.store.database import Database
from tests.web.conftest import Site

GOOD = {"x-signature": "good"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def push(site: Site, body: bytes = b"opportunity:O1", **more: str) -> httpx.Response:
    return httpx.post(f"{site.url}/hooks/crm", content=body, headers={**GOOD, **more})


def test_a_push_is_durable_and_leaves_a_hint(site: Site):
    answer = push(site)
    assert answer.status_code == 202
    assert [r["state"] for r in site.deals.rows("SELECT state FROM delivery")] == ["received"]
    assert [r["ref"] for r in site.deals.rows("SELECT ref FROM hint")] == ["O1"]
    kept = site.deals.rows("SELECT correlation_id FROM delivery")[0]["correlation_id"]
    assert answer.headers["x-correlation-id"] == kept


def test_the_senders_trace_is_the_correlation_id(site: Site):
    assert push(site, traceparent=TRACE).headers["x-correlation-id"] == TRACE[3:35]


@pytest.mark.parametrize("bad", ["nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"])
def test_a_bad_trace_is_replaced(site: Site, bad: str):
    found = push(site, traceparent=bad).headers["x-correlation-id"]
    assert len(found) == 32
    assert found not in (bad, "0" * 32)


def test_the_same_push_again_is_a_duplicate(site: Site):
    push(site)
    assert push(site).status_code == 202
    assert [r["state"] for r in site.deals.rows("SELECT state FROM delivery ORDER BY id")] == ["received", "duplicate"]


def test_a_bad_signature_leaves_only_a_count(site: Site):
    answers = [push(site, **{"x-signature": bad}) for bad in ("bad", "")]
    assert {a.status_code for a in answers} == {401}
    assert {a.headers["content-type"] for a in answers} == {"application/problem+json"}
    assert answers[0].json() == answers[1].json()
    assert site.deals.rows("SELECT * FROM delivery") == []
    assert site.deals.rows("SELECT * FROM hint") == []
    assert [r["times"] for r in site.deals.rows("SELECT times FROM refusal")] == [2]


def test_a_malformed_body_is_kept_and_becomes_a_case(site: Site):
    assert push(site, b"\xff\x00 nonsense").status_code == 202
    assert len(site.deals.rows("SELECT * FROM delivery")) == 1
    assert [r["kind"] for r in site.deals.rows('SELECT kind FROM "case"')] == ["unreadable"]


def test_a_handshake_is_answered(site: Site):
    answer = push(site, b"hello")
    assert (answer.status_code, answer.text) == (200, "hello yourself")


@pytest.mark.parametrize("name", ["nobody", "psa", "crm%2Fx", "%00"])
def test_an_unknown_connection_is_not_found(site: Site, name: str):
    answer = httpx.post(f"{site.url}/hooks/{name}", content=b"x", headers=GOOD)
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


def test_too_large_is_refused_whether_it_says_so_or_not(site: Site):
    large = b"x" * (1024 * 1024 + 1)
    assert push(site, large).status_code == 413
    chunks = (large[:65536] for _ in range(20))
    assert httpx.post(f"{site.url}/hooks/crm", content=chunks, headers=GOOD).status_code == 413
    assert site.deals.rows("SELECT * FROM delivery") == []


def test_only_posts_are_taken(site: Site):
    answer = httpx.get(f"{site.url}/hooks/crm")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")


def test_no_credential_is_kept(site: Site):
    push(site, authorization="Bearer canary", cookie="a=canary")
    kept = site.deals.rows("SELECT headers::text AS said FROM delivery")[0]["said"]
    assert "canary" not in kept


def test_a_database_that_is_away_is_503_in_time_and_nothing_is_lost(site: Site):
    there = site.deals.world.db
    site.deals.world.db = Database("host=127.0.0.1 port=1", there._passwords)
    answer = push(site)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.elapsed.total_seconds() < 5
    assert "port" not in answer.text
    site.deals.world.db = there
    assert push(site).status_code == 202


@pytest.mark.slow
def test_a_database_that_says_nothing_is_503_in_time(site: Site):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        there = site.deals.world.db
        site.deals.world.db = Database(f"host=127.0.0.1 port={mute.getsockname()[1]}", there._passwords)
        answer = push(site)
        site.deals.world.db = there
    assert answer.status_code == 503
    assert answer.elapsed.total_seconds() < 5
