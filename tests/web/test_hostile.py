"""Input that somebody chose to break the door: no answer is a fault of our own, and nothing is stored by accident."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import product
from typing import Any

import httpx
import pytest

from concordat.operations.sessions import one_time_link
from concordat.sdk.spec import Hint, Push
from tests.web.conftest import UNIT, Site
from tests.web.conftest import decode as well_behaved

pytestmark = pytest.mark.slow

GOOD = {"x-signature": "good"}
API = "/api/v1/handoffs"
JSON = {"content-type": "application/json"}
DEEP = b"[" * 100_000 + b"]" * 100_000


def push(site: Site, body: bytes, headers: dict[str, str] = GOOD) -> httpx.Response:
    return httpx.post(f"{site.url}/hooks/crm", content=body, headers=headers)


def decoding(site: Site, work: Callable[[bytes], Push]) -> None:
    """Put a decoder behind the signature that does what it likes with the body."""

    def decode(headers: Any, body: bytes, now: Any) -> Push:
        well_behaved(headers, b"object:ref", now)
        return work(body)

    site.deals.crm.decode_push = decode  # type: ignore[method-assign]


# ── pushes ────────────────────────────────────────────────────────────────────────────────────────


def as_json(body: bytes) -> Push:
    """A decoder that trusts its vendor: every field is there and is what it should be."""
    found = json.loads(body)
    return Push(hints=[Hint(object=h["object"], ref=h["ref"]) for h in found["hints"]], key=found.get("key", ""))


ODD = {
    "no json": b"nonsense",
    "no object": b"[1, 2]",
    "no hints": b"{}",
    "null": b'{"hints": [{"object": "opportunity", "ref": null}]}',
    "number": b'{"hints": [{"object": "opportunity", "ref": 7}]}',
    "nul": b'{"hints": [{"object": "opportunity", "ref": "a\\u0000b"}]}',
    "nul key": b'{"hints": [], "key": "a\\u0000b"}',
    "nul object": b'{"hints": [{"object": "a\\u0000", "ref": "b"}]}',
    "half character": b'{"hints": [{"object": "opportunity", "ref": "\\ud800"}]}',
    "half character in the key": b'{"hints": [], "key": "\\udfff"}',
    "endless key": b'{"hints": [], "key": "%s"}' % (b"k" * 20_000),
    "endless reference": b'{"hints": [{"object": "opportunity", "ref": "%s"}]}' % (b"r" * 20_000),
    "huge number": b'{"hints": ' + b"9" * 10_000 + b"}",
    "deep": DEEP,
    "no text": b"\xff\xfe\x00\xd8",
    "compressed": gzip.compress(b"0" * 50_000_000)[:60_000],
    "empty": b"",
}


def test_a_push_that_breaks_its_decoder_is_kept_and_becomes_a_case(site: Site):
    decoding(site, as_json)
    assert {name: push(site, body).status_code for name, body in ODD.items()} == dict.fromkeys(ODD, 202)
    assert [bytes(r["body"]) for r in site.deals.rows("SELECT body FROM delivery ORDER BY id")] == [*ODD.values()]
    assert [r["kind"] for r in site.deals.rows('SELECT kind FROM "case"')] == ["unreadable"] * len(ODD)
    assert site.deals.rows("SELECT * FROM hint") == []


def test_whatever_a_decoder_raises_is_told_in_a_case(site: Site):
    errors = [KeyError("id"), RecursionError("deep"), ValueError("\x00\ud800" * 5000), Exception(), MemoryError()]

    def fail(body: bytes) -> Push:
        raise errors[int(body)]

    decoding(site, fail)
    for n in (*range(len(errors)), 0):
        assert push(site, b"%d" % n).status_code == 202
    found = site.deals.rows('SELECT kind, title FROM "case"')
    assert [r["kind"] for r in found] == ["unreadable"] * len(errors)
    assert all("cannot be read" in r["title"] and len(r["title"]) < 3000 for r in found)


def test_a_bad_signature_is_refused_before_the_body_is_looked_at(site: Site):
    decoding(site, as_json)
    for body in ODD.values():
        assert push(site, body, {"x-signature": "bad"}).status_code == 401
    for table in ("delivery", "hint", '"case"', "delivery_key"):
        assert site.deals.rows(f"SELECT * FROM {table}") == [], table
    assert [r["times"] for r in site.deals.rows("SELECT times FROM refusal")] == [len(ODD)]


def test_a_worker_that_cannot_be_told_does_not_undo_a_push(site: Site, monkeypatch: pytest.MonkeyPatch):
    """The push is durable: its sender is told so, and a worker's own sweep finds it."""

    def fail(_world: Any) -> None:
        raise RuntimeError("nobody listens")

    monkeypatch.setattr("concordat.web.app.wake_all", fail)
    assert push(site, b"opportunity:O1").status_code == 202
    assert len(site.deals.rows("SELECT * FROM delivery")) == 1


def test_a_connection_nobody_has_is_not_found(site: Site):
    for name in ("%ff", "%00", "..%2f..%2fcrm", "crm%0d%0aX:1", "x" * 5000, "%ed%a0%80"):
        assert httpx.post(f"{site.url}/hooks/{name}", content=b"x", headers=GOOD).status_code == 404, name


# ── the API's bodies ──────────────────────────────────────────────────────────────────────────────


BODIES: list[tuple[bytes, dict[str, str]]] = [
    (b'{"step": "a\\u0000b"}', JSON),
    (b'{"step": "\\ud800"}', JSON),
    (b'{"\\ud800": 1}', JSON),
    (b'{"a\\u0000": 1}', JSON),
    (b'{"step": ' + b"9" * 10_000 + b"}", JSON),
    (b'{"step": 1e999}', JSON),
    (b'{"step": NaN}', JSON),
    (DEEP[:50_000], JSON),
    (b'{"step":' + b"[" * 20_000 + b"]" * 20_000 + b"}", JSON),
    (b"\xff\xfe", JSON),
    (b"", JSON),
    (b"null", JSON),
    (b"[]", JSON),
    (b"{", JSON),
    (b"{}", {"content-type": "text/plain"}),
    (b"{}", {"content-type": "multipart/form-data"}),
    (gzip.compress(b"{}"), {**JSON, "content-encoding": "gzip"}),
    (b"x" * 10_000_000, JSON),
    (b'{"step": "' + b"x" * 10_000_000 + b'"}', JSON),
]


def test_a_body_that_does_not_fit_is_a_problem(site: Site):
    site.deals.take(*site.deals.won())
    site.deals.plan()
    for body, headers in BODIES:
        with site.client() as client:
            answer = client.post(f"{API}/1/replay", content=body, headers=headers)
        assert answer.status_code in (400, 413, 415, 422), (body[:40], headers)
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 3000
        assert answer.json()["detail"]
    assert site.deals.rows("SELECT * FROM audit") == []


def test_a_large_body_is_refused_while_it_arrives(site: Site):
    def endless() -> Any:
        for _ in range(2000):
            yield b"x" * 65536

    with site.client() as client:
        answer = client.post(f"{API}/1/replay", content=endless(), headers=JSON)
        assert answer.status_code == 413
        assert client.get(API).status_code == 200


def test_a_key_that_is_none_is_a_problem(site: Site):
    with site.client() as client:
        for key in ("", "x" * 201, "a b", "é", "a\tb"):
            answer = client.post(f"{API}/1/replay", json={}, headers={"Idempotency-Key": key.encode()})
            assert answer.status_code == 422, key


FORMS = (b"csrf=%ff", b"csrf=%ed%a0%80", b"csrf=%00&step=%00", b"&" * 1000, b"csrf=" + b"x" * 200_000, b"\xff\x00")
KINDS = ("application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x")


def test_a_form_that_does_not_fit_is_refused(site: Site):
    for path in ("/handoffs/1/replay", "/theme", "/logout"):
        for form in FORMS:
            for kind in KINDS:
                with closing(site.browser()) as browser:
                    answer = browser.post(path, content=form, headers={"content-type": kind})
                assert answer.status_code in (400, 403, 413, 422), (path, form[:20], kind)


# ── addresses, cursors and headers ────────────────────────────────────────────────────────────────


def cursor(said: str) -> str:
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


CURSORS = [
    cursor(said)
    for said in (
        "", "|", "-1", "x|1", "2026-W52-1|1", "2026-11-30|1", "0001-01-01T00:00:00|1", "9999-12-31T23:59:59-23:59|1",
        "infinity|1", "now|1", "2026-01-01T00:00:00+00:00|-1", "1|2|3", "9" * 40, "\u0663", "NULL", "1;--",
        "2026-01-01T00:00:00+00:00|999999999999999999", "20260101T000000|1", "2026-01-01T24:00:00|1",
    )
] + ["%00", "é", "=" * 50, "A" * 200, "A"]  # fmt: skip


def test_a_cursor_that_was_not_made_here_is_400(site: Site):
    with site.client() as client:
        for path in ("/handoffs", "/cases", "/alerts", "/deliveries"):
            statuses = {c: client.get(f"/api/v1{path}", params={"cursor": c}).status_code for c in CURSORS}
            assert set(statuses.values()) <= {200, 400}, statuses
            assert all(statuses[c] == 400 for c in (cursor("x|1"), cursor("now|1"), cursor("1;--"), "é"))


WORDS = ["", "\x00", "%", "' OR 1=1 --", "é" * 50, "\u202e", "9" * 90, "H" + "9" * 18, "-1", "null", "a\x00b"]


PATHS = ("/handoffs", "/cases", "/deliveries", "/alerts", "/contracts", "/connections")


@pytest.mark.slow
def test_any_word_in_any_filter_has_an_answer(site: Site):
    site.deals.take(*site.deals.won())
    site.run()
    names = ("q", "state", "contract", "sort", "owner", "kind", "connection", "cursor", "limit", "page", "unknown")
    with site.client() as client, closing(site.browser()) as browser:
        for path, name, word in product(PATHS, names, WORDS):
            answer = client.get(f"/api/v1{path}", params={name: word})
            assert answer.status_code in (200, 400, 422), (path, name, word)
            page = browser.get(path, params={name: word}, headers={"Accept": "text/html"})
            assert page.status_code in (200, 400, 404, 422), (path, name, word)


IDS = (
    "0",
    "-1",
    "99",
    str(2**62),
    str(2**63),
    str(2**70),
    "9" * 5000,
    "x",
    "%00",
    "1.5",
    "1e3",
    "%ff",
    "٣",
    " 1",
    "+1",
)


def test_an_id_of_nothing_is_not_found(site: Site):
    with site.client() as client:
        for id_ in IDS:
            one = client.get(f"{API}/{id_}")
            moved = client.post(f"{API}/{id_}/replay", json={})
            text = client.get(f"/api/v1/contracts/{id_}")
            for answer in (one, moved, text):
                assert answer.status_code == 404, id_
                assert answer.headers["content-type"] == "application/problem+json"
                assert len(answer.content) < 1000


HEADERS = (
    ("Cookie", b"concordat_session=\xff\xb2; concordat_zone=\xb2; concordat_theme=\xff"),
    ("Cookie", b"concordat_zone=" + b"A" * 3000),
    ("Cookie", b"concordat_zone=Europe"),
    ("Cookie", b"concordat_zone=/etc/passwd"),
    ("Last-Event-ID", b"\xb2"),
    ("Last-Event-ID", b"-1"),
    ("Authorization", b"Bearer \xff"),
    ("Authorization", b"Bearer"),
    ("Authorization", b"Basic eDp5"),
    ("traceparent", b"\xb2" * 55),
    ("Accept", b"\xff"),
    ("Host", b"evil.example"),
    ("Host", b""),
)


def test_no_header_is_a_fault_of_our_own(site: Site):
    with closing(site.browser()) as browser:
        own = b"concordat_session=" + browser.cookies["concordat_session"].encode()
    for name, value in HEADERS:
        cookie = own + b"; " + value if name == "Cookie" and b"session" not in value else own
        headers = [(b"cookie", value if b"session=" in value else cookie), (b"accept", b"text/html")]
        if name != "Cookie":
            headers = [h for h in headers if h[0] != name.lower().encode()] + [(name.encode(), value)]
        for path in ("/", "/handoffs", API, "/nowhere"):
            answer = httpx.get(site.url + path, headers=headers)
            assert answer.status_code < 500, (path, name, value)
            assert "evil.example" not in answer.headers.get("location", "")
        if name == "Last-Event-ID":
            with httpx.stream("GET", f"{site.url}/live", headers=headers) as stream:
                assert stream.status_code == 200


def test_an_address_with_a_slash_too_many_leads_nowhere_else(site: Site):
    with closing(site.browser()) as browser:
        for path in ("/handoffs/", "//evil.example/handoffs/", "/cases/", "/login/"):
            answer = browser.get(path, headers={"Host": "evil.example"}, follow_redirects=False)
            assert "evil.example" not in answer.headers.get("location", ""), path


def test_figures_are_not_for_a_name_that_was_bent_to_this_machine(site: Site):
    """A web page elsewhere may point its own name at this address; its Host gives it away."""
    for path in ("/healthz", "/readyz", "/metrics"):
        assert httpx.get(site.url + path, headers={"Host": "evil.example:8484"}).status_code == 404
        assert httpx.get(site.url + path, headers={"Host": "localhost:8484"}).status_code != 404


# ── who may ───────────────────────────────────────────────────────────────────────────────────────

PUBLIC = {
    "/api/v1/openapi.json",
    "/login",
    "/healthz",
    "/readyz",
    "/metrics",
    "/static/{digest}/{name}",
    "/hooks/{connection}",
}


def test_every_address_but_the_door_itself_asks_who_is_there(site: Site):
    """Also the next one that somebody adds: the list is the application's own."""
    asked = 0
    for method, path in site.routes():
        if path in PUBLIC:
            continue
        address = path.format(id=1, name="opportunity-to-project", version=1)
        for headers in ({}, {"Cookie": "concordat_session=wrong"}, {"Authorization": "Bearer wrong"}):
            answer = httpx.request(method, site.url + address, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert "Deal" not in answer.text
            asked += 1
    assert asked > 30


def test_every_write_by_a_cookie_carries_the_forms_token(site: Site):
    for role, wanted in (("operator", {403}), ("viewer", {403})):
        with closing(site.browser(role=role)) as browser:
            for method, path in site.routes():
                if method == "GET" or path in PUBLIC:
                    continue
                for token in ("", "wrong"):
                    body = {"data": {"csrf": token}} if not path.startswith("/api") else {"json": {}}
                    answer = browser.request(method, path.format(id=1), headers={"X-CSRF-Token": token}, **body)
                    assert answer.status_code in wanted, (method, path)


def test_the_apis_token_opens_no_page(site: Site):
    with site.client() as client:
        assert {client.get(p).status_code for p in ("/", "/handoffs", "/cases", "/contracts", "/live")} == {401}


def test_a_link_is_spent_once_however_many_click(site: Site):
    token = one_time_link(site.db, person="ada", role="operator", units=[UNIT])
    start = threading.Barrier(16)

    def click(_: int) -> int:
        start.wait(10)
        return httpx.get(f"{site.url}/login", params={"token": token}).status_code

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(click, range(16)))
    assert sorted(found) == [303, *[401] * 15]
    assert len(site.deals.rows("SELECT * FROM session")) == 1


def test_a_link_that_nobody_made_opens_nothing(site: Site):
    for token in ("\x00", "x" * 201, "é", "%ff", "\ud7ff", "' OR 1=1"):
        answer = httpx.get(f"{site.url}/login", params={"token": token})
        assert answer.status_code in (401, 422), token
        assert "set-cookie" not in answer.headers


# ── a database that is away ───────────────────────────────────────────────────────────────────────


def test_without_a_database_every_door_answers_in_time(site: Site):
    with site.without_database() as url:
        headers = {"Authorization": f"Bearer {site.token}"}
        for path in ("/readyz", "/metrics", API, "/api/v1/connections"):
            answer = httpx.get(url + path, headers=headers, timeout=6)
            assert answer.status_code == 503, path
            assert answer.elapsed.total_seconds() < 5
            assert "port" not in answer.text
        page = httpx.get(url, headers={"Cookie": "concordat_session=x", "Accept": "text/html"}, timeout=6)
        assert page.status_code == 503
        assert page.headers["content-type"].startswith("text/html")
        # Alive is not ready: a supervisor must not restart what only waits for its database.
        assert httpx.get(f"{url}/healthz", timeout=6).json() == {"alive": True}
