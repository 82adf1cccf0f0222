# noqa: INP001 (a program, not a package)
"""Make the documentation's pictures of the console again, from a firm that runs.

Start one (`concordat demo` or `concordat up`), make a login link (`concordat login`), then:
`.venv/bin/python scripts/pictures.py LINK [--folder docs/images] [--handoff ID]`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, sync_playwright

SIZES: dict[str, Any] = {"": {"width": 1440, "height": 900}, "-phone": {"width": 360, "height": 780}}
THEMES: tuple[Any, ...] = ("light", "dark")


def main() -> None:
    """Take every picture; needs Chromium."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("link", help="a login link, from `concordat login`")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent.parent / "docs" / "images")
    parser.add_argument("--handoff", default="", help="id of the handoff to show; default: a broken one, else any")
    given = parser.parse_args()
    shoot(given.link, given.folder, given.handoff)


def shoot(link: str, folder: Path, handoff: str = "") -> None:
    """Sign in once and walk through every page, look and size."""
    parts = urlsplit(link)
    url = f"{parts.scheme}://{parts.netloc}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        door = browser.new_context()
        door.new_page().goto(link)
        kept: Any = door.storage_state()
        pages = {"overview": "/", "list": "/handoffs", "handoff": _handoff(door, url, handoff)}
        for theme in THEMES:
            for size, viewport in SIZES.items():
                context = browser.new_context(
                    storage_state=kept, color_scheme=theme, viewport=viewport, timezone_id="UTC"
                )
                for name, path in pages.items():
                    _picture(context.new_page(), url + path, folder / f"console-{name}-{theme}{size}.png")
                context.close()
        browser.close()
    shutil.copyfile(folder / "console-handoff-light.png", folder / "handoff.png")


def _handoff(door: BrowserContext, url: str, wanted: str) -> str:
    if wanted:
        return f"/handoffs/{wanted}"
    page = door.new_page()
    for query in ("?state=broken", "?state=waiting", ""):
        page.goto(f"{url}/handoffs{query}")
        found = page.locator("#rows tbody a[href^='/handoffs/']")
        if found.count():
            return str(found.first.get_attribute("href"))
    raise SystemExit("There is no handoff to show.")


def _picture(page: Page, address: str, file: Path) -> None:
    page.goto(address)
    page.screenshot(path=file, full_page=True)
    page.close()


if __name__ == "__main__":
    main()
