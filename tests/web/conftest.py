"""A firm on fakes behind a real server on a loopback port, and clients that are signed in or not."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from concordat.errors import AuthRevoked, Rejected
from concordat.operations.sessions import one_time_link
from concordat.sdk.spec import Hint, Push
from concordat.settings import Entity, Firm, Identity
from concordat.store.database import Database
from concordat.web.app import create_app
from concordat.web.server import Server, listen_on
from concordat.wiring import Running
from tests.engine.conftest import Firm as Deals
from tests.engine.conftest import MakeFirm
from tests.engine.conftest import make_firm as make_firm  # noqa: PLC0414 - a fixture of this folder, too

UNIT = "northbeam"
TITLES = {"psa": "Kantata", "erp": "NetSuite", "hr": "Workday", "documents": "SharePoint"}


@dataclass(kw_only=True)
class Site:
    """The served application, and hands to fill it."""

    url: str
    deals: Deals
    running: Running
    app: FastAPI
    woken: list[str] = field(default_factory=list)

    @property
    def db(self) -> Database:
        return self.running.db

    @property
    def token(self) -> str:
        return (self.running.firm.state / "api.token").read_text().strip()

    def client(self, *, token: str | None = None) -> httpx.Client:
        """A client with the API's token, or with another one."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return httpx.Client(base_url=self.url, headers=headers)

    def stranger(self) -> httpx.Client:
        return httpx.Client(base_url=self.url)

    def browser(self, *, role: str = "operator", units: tuple[str, ...] = (UNIT,)) -> httpx.Client:
        """A client that came through a login link."""
        client = httpx.Client(base_url=self.url, follow_redirects=True)
        client.get("/login", params={"token": one_time_link(self.db, person="ada", role=role, units=units)})
        return client

    def run(self) -> None:
        self.deals.run()

    def routes(self) -> Sequence[tuple[str, str]]:
        """Method and path of every address there is."""
        return [(method, path) for path, route in _walk(self.app.routes) for method in sorted(route.methods or ())]

    @contextmanager
    def without_database(self) -> Iterator[str]:
        """The same application, its database gone."""
        db = Database("host=127.0.0.1 port=1", self.db._passwords)
        world = dataclasses.replace(self.running.world, db=db)
        running = dataclasses.replace(self.running, db=db, world=world)
        with serving(create_app(running, worker=None, base_url="http://127.0.0.1")) as url:
            yield url


def _walk(routes: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, APIRoute]]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield prefix + route.path, route
        elif hasattr(route, "original_router"):
            yield from _walk(route.original_router.routes, prefix + route.include_context.prefix)


def decode(headers: Any, body: bytes, now: datetime) -> Push:
    """A vendor of the tests: `x-signature: good`, and lines of `object:ref`."""
    if headers.get("x-signature") != "good":
        raise AuthRevoked("the signature does not hold", code="signature")
    if body == b"hello":
        return Push(reply=b"hello yourself")
    hints = [line.partition(":") for line in body.decode(errors="replace").split()]
    if not hints or not all(object_ and ref for object_, _, ref in hints):
        raise Rejected("it is not lines of object:ref")
    return Push(hints=[Hint(object=object_, ref=ref) for object_, _, ref in hints])


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve on a free port until the block ends."""
    with listen_on(0) as sock:
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            # The socket listens already: this request waits until the server takes it up.
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            httpx.get(f"{url}/healthz", timeout=20)
            yield url
        finally:
            server.should_exit = True
            thread.join(20)


MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(make_firm: MakeFirm, tmp_path: Path) -> Iterator[MakeSite]:
    with ExitStack() as stack:

        def make(*args: Any, **kwargs: Any) -> Site:
            deals = make_firm(*args, **kwargs)
            deals.crm.facts = dataclasses.replace(deals.crm.facts, pushes=True, title="Salesforce")
            deals.crm.decode_push = decode  # type: ignore[method-assign]
            for system, title in TITLES.items():
                fake = getattr(deals, system)
                fake.facts = dataclasses.replace(fake.facts, title=title)
            entity = Entity(currency="USD", zone="UTC", country="US")
            firm = Firm(folder=tmp_path, firm=Identity(name="Northbeam", unit=UNIT), entities={"NB-US": entity})
            running = Running(firm=firm, db=deals.world.db, world=deals.world, closing=ExitStack())
            app = create_app(running, worker=None, base_url="http://127.0.0.1")
            url = stack.enter_context(serving(app))
            return Site(url=url, deals=deals, running=running, app=app)

        yield make


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()
