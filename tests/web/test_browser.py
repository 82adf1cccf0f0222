"""One walk through the console in real Chromium, as a person would go, at two widths."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from concordat.errors import Rejected
from concordat.operations.sessions import one_time_link
from tests.conftest import Need
from tests.web.conftest import UNIT, Site

pytestmark = pytest.mark.slow

ARGS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
]
WIDTHS = {"wide": 1400, "phone": 390, "smallest": 320}
LOOK = (Path(__file__).parent / "look.js").read_text()
"""Finds text with too little contrast and targets that are too small; see there."""


@pytest.fixture(scope="module")
def chromium(need: Need) -> Iterator[Browser]:
    found = shutil.which("chromium") or need("Chromium", how="apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGS)
        yield browser
        browser.close()


def enter(chromium: Browser, site: Site, **look: Any) -> Page:
    """A fresh browser that came through a login link; any fault on a page fails the test."""
    page = chromium.new_context(timezone_id="UTC", **look).new_page()
    page.on("pageerror", lambda error: pytest.fail(f"script: {error}"))
    page.on("console", lambda said: pytest.fail(said.text) if said.type == "error" else None)
    token = one_time_link(site.db, person="Ada Lovelace", role="operator", units=[UNIT])
    page.goto(f"{site.url}/login?token={token}")
    return page


def broken(site: Site, n: int = 1) -> None:
    site.deals.psa.fail("write", Rejected("the name is refused", code="BAD_NAME", field="name"))
    site.deals.take(*site.deals.won(n))
    site.run()


def test_a_person_finds_a_broken_handoff_and_replays_it(site: Site, chromium: Browser):
    broken(site)
    page = enter(chromium, site, viewport={"width": WIDTHS["wide"], "height": 900})
    expect(page.get_by_role("heading", level=1)).to_have_text("1 case waits for a person")
    page.keyboard.press("/")
    page.keyboard.type("O1")
    page.keyboard.press("Enter")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    page.locator("#rows tbody a").first.click()
    expect(page.locator(".lead")).to_contain_text("is stopped at “Project in Kantata”")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".done")).to_contain_text("1 step is ready again")
    site.run()
    page.reload()
    expect(page.locator("h1")).to_contain_text("In step")
    page.go_back()
    page.context.close()


def test_what_is_new_waits_behind_a_button(site: Site, chromium: Browser):
    site.deals.take(*site.deals.won(1))
    site.run()
    page = enter(chromium, site, viewport={"width": WIDTHS["wide"], "height": 900})
    page.goto(f"{site.url}/handoffs?sort=oldest")
    expect(page.locator("#live")).to_contain_text("live")
    site.deals.take(*site.deals.won(2))
    site.run()
    expect(page.locator("#notice")).to_contain_text("1 new", timeout=15_000)
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    page.locator("#notice button").click()
    expect(page.locator("#rows tbody tr")).to_have_count(2)
    expect(page.locator("#notice")).to_be_empty()
    page.locator("#rows tbody a").first.focus()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == "Deal 2"
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_can_be_read(site: Site, chromium: Browser, theme: Any, width: str):
    site.deals.take(*site.deals.won(1, opportunity={"name": "A" * 120}, client={"name": "Ñ" * 90}))
    site.deals.take(*site.deals.won(2, client={"tax_id": ""}))
    site.run()
    broken(site, 3)
    page = enter(chromium, site, viewport={"width": WIDTHS[width], "height": 900}, color_scheme=theme)
    for path in ("/", "/handoffs", "/handoffs/1", "/handoffs/2", "/handoffs/3", "/cases", "/contracts",
                 "/contracts/opportunity-to-project/1", "/handoffs?state=cancelled&q=O1"):  # fmt: skip
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width], path
        assert page.evaluate(LOOK) == [], path
    page.context.close()


def test_it_works_without_javascript(site: Site, chromium: Browser):
    broken(site)
    page = enter(chromium, site, java_script_enabled=False)
    page.goto(f"{site.url}/handoffs?state=broken")
    page.locator("#rows tbody a").first.click()
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".done")).to_contain_text("1 step is ready again")
    page.locator("summary", has_text="Ada").click()
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.context.close()
