"""One fetcher per credential over all processes; a rotated token is kept before it is used, also when somebody dies."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from concordat.engine.tokens import TokenVault
from concordat.errors import AuthRevoked, Unavailable
from concordat.sdk.auth import Anonymous, CachedToken, ClientCredentials, RotatingRefresh, token_errors
from concordat.sdk.rest import Http
from concordat.sdk.spec import CallContext
from concordat.sdk.vault import Kept, use_vault
from concordat.store.database import Database

pytestmark = pytest.mark.slow

CTX = CallContext(correlation_id="c", timeout=20)
NOW = datetime(2026, 6, 15, 9, tzinfo=UTC)


class Vendor:
    """A token endpoint that rotates refresh tokens, takes the one before the last for one retry, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.live, self.before = "r0", ""
        self.lock = threading.Lock()
        vendor = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                status, body = vendor.answer(form.get("refresh_token", [""])[0])
                sent = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, refresh: str) -> tuple[int, dict[str, object]]:
        with self.lock:
            if refresh and refresh not in (self.live, self.before):
                return 400, {"error": "invalid_grant"}
            self.calls += 1
            if refresh:
                self.before, self.live = refresh, f"r{self.calls}"
            token = {"access_token": f"a{self.calls}", "expires_in": 3600}
            return 200, {**token, **({"refresh_token": self.live} if refresh else {})}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    made = Vendor()
    yield made
    made.close()


@contextmanager
def process(database: Database, vendor: Vendor, *, holder: str = "p", rotating: bool = True) -> Iterator[CachedToken]:
    """The token of one process, the way a connector makes it."""
    with one(vendor, rotating=rotating) as cached:
        remove = use_vault(TokenVault(db=database, holder=holder))
        try:
            yield cached
        finally:
            remove()


@contextmanager
def one(vendor: Vendor, *, rotating: bool = True, clock: datetime = NOW) -> Iterator[CachedToken]:
    http = Http(vendor.url, Anonymous(), connection="crm", errors=token_errors)
    kind = RotatingRefresh if rotating else ClientCredentials
    more = {"refresh_token": "r0"} if rotating else {}
    source = kind(http=http, path="/token", client_id="us", client_secret="s", clock=lambda: clock, **more)  # type: ignore[arg-type]
    try:
        yield CachedToken(source, clock=lambda: clock)
    finally:
        http.close()


@pytest.mark.parametrize("rotating", [True, False])
def test_many_workers_fetch_one_token(database: Database, vendor: Vendor, rotating: bool) -> None:  # noqa: FBT001
    with process(database, vendor, rotating=rotating) as first, one(vendor, rotating=rotating) as second:
        with ThreadPoolExecutor(8) as pool:
            got = set(pool.map(lambda n: (first, second)[n % 2].current(CTX).value, range(16)))
        assert got == {"a1"}
        assert vendor.calls == 1


def test_a_token_that_is_refused_in_all_workers_is_renewed_once(database: Database, vendor: Vendor) -> None:
    with process(database, vendor) as first, one(vendor) as second, one(vendor) as third:
        workers = (first, second, third)
        used = [dict(each.headers(CTX)) for each in workers]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda pair: pair[0].renew(pair[1], CTX), zip(workers, used, strict=True)))
        assert {each.current(CTX).value for each in workers} == {"a2"}
        assert vendor.calls == 2


def test_what_is_kept_cannot_be_read_in_the_database(database: Database, vendor: Vendor) -> None:
    with process(database, vendor) as token:
        token.current(CTX)
    with database.engine() as conn:
        rows = conn.execute("SELECT * FROM token").fetchall()
    assert len(rows) == 1
    # As whole words: two letters alone are in a cipher by chance.
    assert not any(re.search(rf"\b{word}\b", str(rows)) for word in ("a1", "r1", "r0"))


def test_a_credential_that_changed_reads_nothing_of_the_old_one(database: Database, vendor: Vendor) -> None:
    with process(database, vendor, rotating=False) as token:
        token.current(CTX)
        http = Http(vendor.url, Anonymous(), connection="crm", errors=token_errors)
        other = ClientCredentials(http=http, path="/token", client_id="us", client_secret="new", clock=lambda: NOW)
        assert CachedToken(other, clock=lambda: NOW).current(CTX).value == "a2"
        http.close()


def test_a_rotated_token_is_the_next_ones_to_use(database: Database, vendor: Vendor) -> None:
    later = NOW + timedelta(hours=2)
    with process(database, vendor) as token:
        token.current(CTX)
        for n in range(3):
            with one(vendor, clock=later + timedelta(hours=2 * n)) as again:
                assert again.current(CTX).value == f"a{n + 2}"
    assert vendor.live == "r4"


DIES = """
import os, signal, sys, json
from concordat.engine.tokens import TokenVault
from concordat.sdk.auth import Anonymous, CachedToken, RotatingRefresh, token_errors, wire_clock
from concordat.sdk.rest import Http
from concordat.sdk.spec import CallContext
from concordat.sdk.vault import use_vault
from concordat.store.database import Database
told = json.load(sys.stdin)
kill = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
plain = TokenVault.save
def save(self, *a):
    if told["at"] == "before": kill()
    plain(self, *a)
    kill()
TokenVault.save = save
use_vault(TokenVault(db=Database(told["dsn"], told["passwords"]), holder="dies"))
http = Http(told["url"], Anonymous(), connection="crm", errors=token_errors)
source = RotatingRefresh(http=http, path="/token", client_id="us", client_secret="s", refresh_token="r0")
CachedToken(source).current(CallContext(correlation_id="c", timeout=20))
"""


@pytest.mark.parametrize("at", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_a_worker_killed_while_it_fetches_leaves_a_token_to_go_on_with(
    database: Database, vendor: Vendor, at: str
) -> None:
    """Before: the vendor rotated and nobody kept it, so the old one is used once more. After: the new one is there."""
    told = {"dsn": database.dsn, "passwords": dict(database._passwords), "url": vendor.url, "at": at}
    done = subprocess.run(
        [sys.executable, "-c", DIES], input=json.dumps(told), text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -9, done.stderr
    assert vendor.calls == 1
    with database.engine() as conn:
        conn.execute("UPDATE token SET claimed_until = claimed_until - interval '12 seconds'")
    with process(database, vendor, holder="lives") as token:
        assert token.current(CTX).value == {"before": "a2", "after": "a1"}[at]
    assert vendor.calls == {"before": 2, "after": 1}[at]


def test_a_refresh_token_that_is_refused_gives_way_to_the_one_before_it_once(
    database: Database, vendor: Vendor
) -> None:
    with process(database, vendor) as token:
        token.current(CTX)
        vendor.live = "elsewhere"
        with one(vendor, clock=NOW + timedelta(hours=2)) as again:
            assert again.current(CTX).value == "a2"
        vendor.live = vendor.before = "elsewhere"
        with one(vendor, clock=NOW + timedelta(hours=4)) as again, pytest.raises(AuthRevoked):
            again.current(CTX)


def test_a_late_fetcher_does_not_overwrite_a_newer_token(database: Database) -> None:
    slow, quick = TokenVault(db=database, holder="slow"), TokenVault(db=database, holder="quick")
    assert slow.claim("n", 0)
    assert quick.claim("n", 12)
    assert not slow.claim("n", 12)
    assert quick.save("n", 0, "new")
    assert not slow.save("n", 0, "late")
    assert slow.read("n") == Kept(generation=1, sealed="new")


def test_a_rotating_token_without_a_place_to_be_kept_is_not_used(vendor: Vendor) -> None:
    with one(vendor) as token, pytest.raises(AuthRevoked, match="needs a place"):
        token.current(CTX)
    assert vendor.calls == 0


def test_a_vault_that_cannot_be_asked_is_an_outage() -> None:
    class Away:
        def read(self, _name: str, /) -> Kept:
            raise Unavailable("the database is away")

    remove = use_vault(Away())  # type: ignore[arg-type]
    try:
        http = Http("http://127.0.0.1:9", Anonymous(), connection="crm")
        source = ClientCredentials(http=http, path="/token", client_id="us", client_secret="s")
        with pytest.raises(Unavailable):
            CachedToken(source).current(CTX)
        http.close()
    finally:
        remove()
