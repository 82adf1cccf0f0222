"""Nobody is told a word of another unit: every endpoint of the application, every role, both ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing

import httpx
import pytest

from concordat.errors import Rejected
from tests.web.conftest import Site

pytestmark = pytest.mark.slow

MARK = "Zanzibar"
"""A word that stands in the rows of one unit alone."""
OTHER = "south"
ROLES = ("viewer", "operator", "approver")
ENDING = {"/login", "/logout"}
"""What would end the session that asks."""
MACHINE = {"/healthz", "/readyz", "/metrics"}
"""For the supervisor and the scraper of this machine; whoever comes through a proxy gets 404 (test_health.py)."""


@pytest.fixture
def marked(site: Site) -> Site:
    """A firm whose every row that can hold a text holds the mark: names, errors, cases, systems."""
    for n in (1, 2):
        site.deals.take(*site.deals.won(n, opportunity={"name": f"{MARK} {n}"}, client={"name": MARK, "tax_id": ""}))
    site.deals.psa.fail("write", Rejected(f"{MARK} is refused", code="BAD_NAME", field="name"))
    site.deals.take(*site.deals.won(3, opportunity={"name": f"{MARK} 3"}, client={"name": MARK}))
    site.run()
    httpx.post(f"{site.url}/hooks/crm", content=MARK.encode(), headers={"x-signature": "good"})
    system_says(site, f"{MARK} is not known here")
    return site


def system_says(site: Site, text: str) -> None:
    """What a system said last, which no unit owns."""
    site.deals.rows("DELETE FROM breaker RETURNING connection")
    site.deals.rows(
        "INSERT INTO breaker (connection, state, failures, opened_at, probe_at, reason)"
        f" VALUES ('psa', 'open', 5, now(), now(), '{text}') RETURNING connection"
    )
    site.deals.rows(
        "INSERT INTO cursor (connection, object, next_at, error)"
        f" VALUES ('crm', 'opportunity', now(), '{text}')"
        " ON CONFLICT (connection, object) DO UPDATE SET error = excluded.error RETURNING connection"
    )
    site.deals.rows("DELETE FROM refusal RETURNING connection")
    site.deals.rows(
        "INSERT INTO refusal (connection, reason, times, last_at)"
        f" VALUES ('crm', '{text[:20]}', 717171, now()) RETURNING connection"
    )


def answers(site: Site, client: httpx.Client, *, methods: str) -> Iterator[tuple[str, httpx.Response]]:
    """What every address says, for the ids and numbers that are there."""
    said = re.search(r'name="csrf" value="([^"]+)"', client.get("/").text)
    csrf = said[1] if said else ""
    for method, path in site.routes():
        if path in ENDING | MACHINE or path.startswith("/hooks") or method not in methods.split():
            continue
        for id_ in (1, 2, 3):
            address = path.format(
                id=id_, name="opportunity-to-project", version=1, digest="-", connection="crm", step="project_in_psa"
            )
            for query in ("", "?q=O1", "?state=waiting", "?state=broken", "?owner=finance"):
                if query and (method != "GET" or id_ > 1):
                    continue
                yield f"{method} {address}{query}", asked(client, method, address + query, csrf)


def asked(client: httpx.Client, method: str, address: str, csrf: str) -> httpx.Response:
    """One answer, or the beginning of one that does not end."""
    form = {"csrf": csrf, "do": "approve", "reason": "because", "theme": "dark", "back": "/"}
    body: Mapping[str, object] = {"json": {"reason": "because"}} if address.startswith("/api") else {"data": form}
    given = {} if method in {"GET", "HEAD"} else body
    with client.stream(method, address, headers={"X-CSRF-Token": csrf}, **given) as answer:  # type: ignore[arg-type]
        if "event-stream" in answer.headers.get("content-type", ""):
            return httpx.Response(answer.status_code, text=next(answer.iter_text()))
        answer.read()
        return answer


def told(answer: httpx.Response) -> str:
    return answer.text + json.dumps(dict(answer.headers))


@pytest.mark.parametrize("role", ROLES)
def test_a_person_of_another_unit_is_told_nothing(marked: Site, role: str):
    many = 0
    with closing(marked.browser(role=role, units=(OTHER,))) as browser:
        for address, answer in answers(marked, browser, methods="GET POST PUT PATCH DELETE"):
            assert MARK not in told(answer), address
            assert "717171" not in told(answer), address
            assert answer.status_code < 500, (address, answer.text)
            many += 1
    assert many > 60
    assert {row["state"] for row in marked.deals.rows("SELECT state FROM handoff")} != {"cancelled"}


def test_the_firms_own_people_are_not_told_of_a_unit_that_they_may_not_see(marked: Site):
    system_says(marked, "it does not answer")
    columns = "SELECT table_name FROM information_schema.columns JOIN pg_class ON relname = table_name"
    for row in marked.deals.rows(
        f"{columns} WHERE column_name = 'unit' AND NOT relispartition AND relkind IN ('r', 'p')"
    ):
        marked.deals.rows(f"UPDATE \"{row['table_name']}\" SET unit = '{OTHER}' RETURNING unit")
    with closing(marked.browser()) as browser, closing(marked.client()) as program:
        for client in (browser, program):
            for address, answer in answers(marked, client, methods="GET"):
                assert MARK not in told(answer), address


def test_whoever_sees_the_unit_is_told(marked: Site):
    """Else the tests above would hold of an application that says nothing at all."""
    with closing(marked.browser()) as browser:
        saying = [address for address, answer in answers(marked, browser, methods="GET") if MARK in told(answer)]
    for address in ("GET /", "GET /handoffs", "GET /handoffs/1", "GET /cases", "GET /api/v1/connections",
                    "GET /api/v1/handoffs", "GET /api/v1/handoffs/1", "GET /api/v1/cases"):  # fmt: skip
        assert address in saying, address
