"""Every page with none, one and many rows, and with names that somebody chose to break it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from concordat.errors import Rejected, Unavailable
from concordat.operations.sessions import one_time_link
from concordat.store.database.connection import Bounded
from tests.web.conftest import UNIT, Site

pytestmark = pytest.mark.slow

PAGES = ("/", "/handoffs", "/cases", "/contracts", "/contracts/opportunity-to-project/1")
HOSTILE = (
    "<script>alert(1)</script>",
    "'; DROP TABLE handoff; --",
    "A" * 300,
    "\u202eevil",
    "{{ 7*7 }}",
    '" onload="x',
    "  ",
)


@pytest.fixture
def browser(site: Site) -> Iterator[httpx.Client]:
    with_login = site.browser()
    yield with_login
    with_login.close()


def held(site: Site, n: int = 1) -> None:
    site.deals.psa.fail("write", Rejected("the name is refused", code="BAD_NAME", field="name"))
    site.deals.take(*site.deals.won(n))
    site.run()


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


# ── signing in ────────────────────────────────────────────────────────────────────────────────────


def test_without_a_session_pages_say_how_to_get_a_link(site: Site):
    for path in (*PAGES, "/handoffs/1", "/live"):
        answer = httpx.get(site.url + path, headers={"Accept": "text/html"})
        assert answer.status_code == 401
        assert "concordat login" in answer.text


def test_a_link_works_once(site: Site):
    token = one_time_link(site.db, person="ada", role="operator", units=[UNIT])
    first = httpx.get(f"{site.url}/login", params={"token": token})
    assert (first.status_code, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert token not in cookie
    second = httpx.get(f"{site.url}/login", params={"token": token})
    assert second.status_code == 401
    assert "set-cookie" not in second.headers
    stored = site.deals.rows("SELECT digest FROM login_link UNION SELECT digest FROM session")
    assert all(token not in row["digest"] for row in stored)


@pytest.mark.parametrize("change", ["expires_at = now() - interval '1 second'", "used_at = now()"])
def test_an_old_link_does_not_work(site: Site, change: str):
    token = one_time_link(site.db, person="ada", role="operator", units=[UNIT])
    site.deals.rows(f"UPDATE login_link SET {change} RETURNING 1")
    assert httpx.get(f"{site.url}/login", params={"token": token}).status_code == 401


def test_signing_out_ends_the_session(site: Site, browser: httpx.Client):
    page = browser.get("/").text
    assert browser.post("/logout", data={"csrf": "wrong"}).status_code == 403
    assert "Sign in" in browser.post("/logout", data={"csrf": csrf(page)}).text
    assert site.deals.rows("SELECT * FROM session") == []


def test_a_session_ends_by_itself(site: Site, browser: httpx.Client):
    site.deals.rows("UPDATE session SET expires_at = now() RETURNING 1")
    assert browser.get("/").status_code == 401


# ── none, one, many ───────────────────────────────────────────────────────────────────────────────


def test_none(browser: httpx.Client):
    first = browser.get("/").text
    assert "Nothing waits for you" in first
    assert "No handoff has run yet." in browser.get("/handoffs").text
    assert "No case is open." in browser.get("/cases").text


def test_one_in_step(site: Site, browser: httpx.Client):
    site.deals.take(*site.deals.won())
    site.run()
    page = browser.get("/handoffs/1").text
    assert "Deal 1 is in step in NetSuite, Kantata and SharePoint." in page
    assert "Nothing to do." in page
    assert "350,000.00\u00a0USD" in page
    assert page.count('class="bar tone-good') == 6


def test_one_held_says_who_does_what_and_can_be_replayed(site: Site, browser: httpx.Client):
    held(site)
    page = browser.get("/handoffs/1").text
    assert "Deal 1 is stopped at “Project in Kantata”: the name is refused (BAD_NAME)." in page
    assert "Sales operations mends it at the source" in page
    assert "1 case waits for a person" in browser.get("/").text
    done = browser.post("/handoffs/1/replay", data={"csrf": csrf(page), "step": ""})
    assert "Replayed: 1 step is ready again." in done.text
    site.run()
    assert "in step" in browser.get("/handoffs/1").text


def test_one_that_waits_for_fields_names_them_and_their_owner(site: Site, browser: httpx.Client):
    site.deals.take(*site.deals.won(client={"tax_id": ""}))
    site.run()
    page = browser.get("/handoffs/1").text
    assert "Fill client.tax_id in Salesforce." in page
    assert "Nothing is planned yet." in page


def test_a_system_that_is_down_is_seen(site: Site, browser: httpx.Client):
    site.deals.hr.down = Unavailable("503")
    for n in range(4):
        site.deals.take(*site.deals.won(n))
    site.run()
    first = browser.get("/").text
    assert "Workday" in first
    assert "hr is unavailable" in first
    assert "tone-waiting" in first
    assert "It is tried again by itself. Resourcing answers for it." in browser.get("/handoffs/1").text


def test_many_are_paged_without_javascript(site: Site, browser: httpx.Client):
    for n in range(60):
        site.deals.take(*site.deals.won(n))
    site.deals.plan()
    page = browser.get("/handoffs?sort=oldest").text
    assert page.count("<tr data-row=") == 50
    assert 'aria-sort="ascending"' in page
    following = re.search(r'href="(/handoffs\?[^"]*page=[^"]+)"', page)
    assert following
    rest = browser.get(following[1].replace("&amp;", "&")).text
    assert rest.count("<tr data-row=") == 10
    assert "sort=oldest" in following[1]


def test_an_empty_list_says_which_filter_hides_rows(site: Site, browser: httpx.Client):
    site.deals.take(*site.deals.won())
    site.run()
    page = browser.get("/handoffs", params={"q": "O1", "state": "waiting"}).text
    assert "The state “Waiting” hides rows." in page
    assert "The number" not in page
    both = browser.get("/handoffs", params={"q": "nothing", "state": "waiting"}).text
    assert "leaving out one filter would not change that" in both
    held(site, 2)
    assert "hides rows" in browser.get("/cases", params={"owner": "nobody"}).text


@pytest.mark.parametrize(
    "path",
    ["/handoffs/999", "/handoffs/x", "/handoffs?state=nonsense", "/handoffs?page=x", "/nowhere", "/contracts/no/1",
     "/contracts/no", "/handoffs?sort=x", "/cases?page=x", "/contracts/%00/1", "/handoffs?contract=%00&q=%00"],
)  # fmt: skip
def test_trouble_is_a_calm_page(browser: httpx.Client, path: str):
    answer = browser.get(path, headers={"Accept": "text/html"})
    assert answer.status_code in (200, 400, 404, 422)
    assert answer.headers["content-type"].startswith("text/html")
    assert "Concordat" in answer.text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(site: Site, browser: httpx.Client, name: str):
    held(site, 1)
    site.deals.take(*site.deals.won(2, opportunity={"name": name, "number": name}, client={"name": name}))
    site.run()
    with site.db.engine() as conn:
        conn.execute("UPDATE effect SET error = %s, waits_for = %s", [name, name])
        conn.execute("UPDATE link SET ref = %s, url = %s WHERE state <> 'reserved'", [name, "javascript:alert(1)"])
        conn.execute('UPDATE "case" SET title = %s, owner = %s', [name, name])
        conn.execute("UPDATE handoff SET waits_for = %s", [name])
    for path in ("/", "/handoffs", "/handoffs/1", "/handoffs/2", "/cases", f"/handoffs?q={name[:200]}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert 'onload="x' not in page.text
        assert ">49<" not in page.text
        assert "javascript:" not in page.text


# ── rights ────────────────────────────────────────────────────────────────────────────────────────


def test_another_unit_sees_nothing_anywhere(site: Site):
    held(site)
    other = site.browser(units=("elsewhere",))
    for path in ("/", "/handoffs", "/cases", "/handoffs?q=O1", "/handoffs?state=broken"):
        assert "Deal 1" not in other.get(path).text
        assert "350,000" not in other.get(path).text
    assert "Nothing waits for you" in other.get("/").text
    assert other.get("/handoffs/1").status_code == 404
    page = other.get("/").text
    assert other.post("/handoffs/1/replay", data={"csrf": csrf(page)}).status_code == 404
    assert other.get("/api/v1/cases").json()["items"] == []
    assert other.get("/api/v1/connections").json()[0]["open_effects"] == 0
    other.close()


def test_a_form_of_another_session_is_refused(site: Site, browser: httpx.Client):
    held(site)
    for token in ("", "wrong"):
        assert browser.post("/handoffs/1/replay", data={"csrf": token}).status_code == 403
    assert browser.post("/api/v1/handoffs/1/replay", json={}).status_code == 403
    assert site.deals.rows("SELECT * FROM audit") == []


def test_a_viewer_looks_and_does_not_act(site: Site):
    held(site)
    viewer = site.browser(role="viewer")
    page = viewer.get("/handoffs/1").text
    assert "Replay</button>" not in page
    token = csrf(page)
    assert viewer.post("/handoffs/1/replay", data={"csrf": token}).status_code == 403
    assert viewer.post("/api/v1/handoffs/1/replay", json={}, headers={"X-CSRF-Token": token}).status_code == 403
    viewer.close()


# ── what every page keeps to ──────────────────────────────────────────────────────────────────────


def test_every_page_is_strict_about_scripts_and_keeps_to_itself(site: Site, browser: httpx.Client):
    held(site)
    for path in (*PAGES, "/handoffs/1", "/login", "/nowhere"):
        answer = browser.get(path, headers={"Accept": "text/html"})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert " style=" not in answer.text
        assert "<style" not in answer.text
        assert not re.search(r"<script(?![^>]* src=)", answer.text)
        assert not re.search(r" on[a-z]+=", answer.text)
        assert not re.search(r'(?:src|href)="https?:', answer.text)


def test_tables_have_heads_and_pages_one_title(site: Site, browser: httpx.Client):
    held(site)
    for path in (*PAGES, "/handoffs/1"):
        page = browser.get(path).text
        assert len(re.findall(r"<h1[ >]", page)) == 1
        assert page.count('aria-live="polite"') == 1
        assert all("<th scope=" in table for table in re.findall(r"<table.*?</table>", page, re.DOTALL))
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))


def test_the_look_is_the_readers(browser: httpx.Client):
    token = csrf(browser.get("/").text)
    page = browser.post("/theme", data={"csrf": token, "theme": "dark", "back": "/handoffs?state=open"})
    assert page.url.path == "/handoffs"
    assert 'data-theme="dark"' in page.text
    for away in ("https://example.test/", "//example.test/", "/\\example.test"):
        assert browser.post("/theme", data={"csrf": token, "back": away}).url.path == "/"
    assert browser.post("/theme", data={"csrf": token, "theme": "pink"}).status_code == 400


def test_times_are_in_the_readers_zone(site: Site, browser: httpx.Client):
    held(site)
    site.deals.rows("UPDATE handoff SET opened_at = '2026-01-15T23:30:00Z' RETURNING 1")
    browser.cookies.set("concordat_zone", "Asia/Tokyo")
    page = browser.get("/handoffs").text
    assert 'title="2026-01-15T23:30:00Z">16 Jan' in page
    browser.cookies.set("concordat_zone", "../../etc/passwd")
    assert "15 Jan" in browser.get("/handoffs").text


def test_static_files_are_kept_for_ever_and_named_by_content(browser: httpx.Client):
    page = browser.get("/").text
    for address in re.findall(r'"(/static/[^"]+)"', page):
        answer = browser.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert browser.get("/static/x/..%2Fapp.py").status_code == 404


def test_money_is_never_summed_across_currencies(site: Site, browser: httpx.Client):
    site.deals.hr.down = Unavailable("503")
    for n, currency in enumerate(("EUR", "USD", "EUR")):
        site.deals.take(*site.deals.won(n, opportunity={"amount": {"amount": "100.50", "currency": currency}}))
    site.run()
    page = browser.get("/").text
    assert "201.00\u00a0EUR" in page
    assert "100.50\u00a0USD" in page


def test_no_page_asks_once_for_each_row(site: Site, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch):
    """As many statements for thirty rows as for one."""
    sent: list[object] = []
    execute = Bounded.execute

    def counting(conn: Bounded, query: Any, *args: Any, **more: Any) -> Any:
        sent.append(query)
        return execute(conn, query, *args, **more)

    def asked(path: str) -> int:
        sent.clear()
        assert browser.get(path).status_code == 200
        return len(sent)

    monkeypatch.setattr(Bounded, "execute", counting)
    site.deals.take(*site.deals.won(0))
    site.run()
    one = {path: asked(path) for path in ("/", "/handoffs", "/cases", "/handoffs/1", "/api/v1/handoffs")}
    for n in range(1, 31):
        site.deals.take(*site.deals.won(n))
    site.run()
    assert {path: asked(path) for path in one} == one
    assert max(one.values()) < 25


def test_the_stream_tells_that_something_moved_and_nothing_else(site: Site, browser: httpx.Client):
    with browser.stream("GET", "/live", timeout=20) as stream:
        lines = stream.iter_lines()
        heard: list[Any] = [next(lines) for _ in range(4)]
        held(site)
        for line in lines:
            heard.append(line)
            if line == "event: moved":
                break
    said = "\n".join(heard)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "Deal" not in said
