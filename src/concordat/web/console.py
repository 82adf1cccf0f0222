"""What all pages share: templates, the reader's preferences, static files, and the calm page for trouble."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from concordat.engine.world import World
from concordat.operations.sessions import Person
from concordat.web import words
from concordat.web.problems import Refused
from concordat.web.story import in_words, step_words, system_title, who

__all__ = ["NEVER", "THEMES", "Console", "answer"]

HERE = Path(__file__).parent
KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"
THEMES = ("light", "dark")
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The time on pages that show none."""
NAV = (("/", "Overview"), ("/handoffs", "Handoffs"), ("/cases", "Cases"), ("/contracts", "Contracts"))


def answer(html: str, status: int = 200) -> Response:
    """A page as an answer."""
    return Response(html, status, media_type="text/html")


def _static() -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((HERE / "static").iterdir()) if path.suffix in KINDS}


@dataclass(frozen=True, kw_only=True)
class Console:
    """Renders pages for one world. Stateless but for the files it read at its start."""

    world: World
    firm: str
    """The firm's name."""
    static: Mapping[str, bytes] = field(default_factory=_static)

    def __post_init__(self) -> None:
        environment = Environment(
            loader=FileSystemLoader(HERE / "pages"),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals.update(
            firm=self.firm,
            nav=NAV,
            looks=words.LOOKS,
            static=self.address,
            address=_address,
            money=words.money,
            decimal=Decimal,
            count=words.count,
            lasting=words.lasting,
            in_words=in_words,
            system=partial(system_title, self.world),
            outside=_outside,
            who=lambda owner: who(owner, self.world),
            step_words=lambda effect: step_words(effect, self.world),
        )
        object.__setattr__(self, "templates", environment)

    templates: Environment = field(init=False)

    @property
    def digest(self) -> str:
        """Changes when any static file does."""
        return hashlib.sha256(b"\0".join(self.static.values())).hexdigest()[:12]

    def address(self, name: str) -> str:
        """Where a static file is; another one after every change."""
        return f"/static/{self.digest}/{name}"

    def page(
        self, request: Request, template: str, *, person: Person | None, now: datetime, status: int = 200, **data: Any
    ) -> Response:
        """Render one page as this reader wants it."""
        zone = words.zone_of(request.cookies.get("concordat_zone", ""))
        theme = request.cookies.get("concordat_theme", "")
        stamp = partial(words.stamp, zone=zone, now=now)
        html = self.templates.get_template(template).render(
            person=person,
            theme=theme if theme in THEMES else "",
            zone=zone.key,
            now=now,
            stamp=stamp,
            here=request.url.path,
            query=request.url.query,
            q=str(data.pop("q", "")),
            **data,
        )
        return answer(html, status)

    def signed_out(self, request: Request) -> Response:
        """Say how to get in."""
        return self.page(request, "login.html", person=None, now=NEVER, spent=False, status=401)

    def trouble(self, request: Request, status: int, title: str, detail: str, remedy: str = "") -> Response:
        """Say calmly that there is nothing to see, and what to do."""
        told = {"title": title, "detail": detail, "remedy": remedy}
        return self.page(request, "trouble.html", person=None, now=NEVER, status=status, **told)

    def files(self) -> APIRouter:
        """Serve what pages refer to; cached for ever under an address that changes with the content."""
        routes = APIRouter(include_in_schema=False)

        @routes.get("/static/{digest}/{name}")
        async def file(digest: str, name: str) -> Response:
            content = self.static.get(name)
            if content is None:
                raise Refused(404, "There is no such file.")
            fresh = FOR_EVER if digest == self.digest else "no-cache"
            kind = KINDS["." + name.rpartition(".")[2]]
            return Response(content, headers={"Cache-Control": fresh}, media_type=kind)

        return routes


def _outside(url: str | None) -> bool:
    """Whether a vendor's address may become a link: a web page, and nothing that runs here."""
    return bool(url) and str(url).casefold().startswith(("https://", "http://"))


def _address(path: str, **query: Any) -> str:
    """An address with its query; empty values are left out."""
    said = urlencode({k: v for k, v in query.items() if v not in ("", None, False)})
    return f"{path}?{said}" if said else path
