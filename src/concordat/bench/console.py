"""`console`: how long the server takes for each page when a million effects lie behind it."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ParamSpec

import httpx

from concordat.bench.crowd import UNIT, fill
from concordat.bench.machine import machine, versions
from concordat.bench.report import Bar, Report, Say, percentile
from concordat.bench.rig import CONTRACT, SECRET, lifted, world_of
from concordat.operations.contracts import publish
from concordat.operations.sessions import one_time_link
from concordat.settings import Entity, Firm, Identity
from concordat.store.database import Database, bootstrap, passwords_from
from concordat.store.embedded import Embedded
from concordat.store.migrate import migrate
from concordat.web.app import create_app
from concordat.web.server import Server, listen_on
from concordat.wiring import Running

__all__ = ["PAGES", "console"]

P = ParamSpec("P")
MOST, MANY = 100.0, 200.0
"""Milliseconds that 95 of 100 answers of any page may take; and how many times `select 1` that may be."""
TIMES = 100
PAGES: Mapping[str, str] = {
    "overview": "/",
    "handoffs": "/handoffs",
    "handoffs, oldest": "/handoffs?sort=oldest",
    "handoffs, waiting": "/handoffs?state=waiting",
    "handoffs, not at rest": "/handoffs?state=open&sort=oldest",
    "handoffs, none such": "/handoffs?state=cancelled",
    "handoffs, one contract": f"/handoffs?contract={CONTRACT}",
    "handoffs, by number": "/handoffs?q=D-4711",
    "handoffs, unknown number": "/handoffs?q=nothing&state=waiting",
    "a handoff in step": "/handoffs/{in_step}",
    "a broken handoff": "/handoffs/{partial}",
    "cases": "/cases",
    "cases, one owner": "/cases?owner=finance&kind=held",
    "cases, none such": "/cases?owner=nobody",
    "contracts": "/contracts",
    "a contract": f"/contracts/{CONTRACT}/1",
    "api, handoffs": "/api/v1/handoffs?limit=200",
    "api, cases": "/api/v1/cases?limit=200",
    "api, connections": "/api/v1/connections",
    "api, deliveries": "/api/v1/deliveries?limit=200",
    "metrics": "/metrics",
}


def console(say: Say, scale: float = 1.0) -> Report:
    """95th percentile of every page, asked in turn by one reader. Bar: 100 ms each, whatever the tables hold."""
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as name, ExitStack() as stack:
        embedded = Embedded.start(Path(name))
        stack.callback(embedded.stop)
        passwords = passwords_from(SECRET)
        db = stack.enter_context(Database(bootstrap(embedded.dsn_superuser, "console", passwords), passwords))
        migrate(db)
        contract, text = lifted()
        with db.engine() as conn:
            publish(conn, contract, text)
        fill(db, say, scale=scale)
        asked = stack.enter_context(_reader(db, Path(name)))
        yardstick, pages = _measure(db, asked, say)
        return _report(db, yardstick, pages, say)


def _measure(db: Database, reader: httpx.Client, say: Say) -> tuple[list[float], Mapping[str, list[float]]]:
    """Every page in turn, many times over, and `select 1` between them: all see the same machine."""
    pages = {name: _known(db, path) for name, path in PAGES.items()}
    spent: dict[str, list[float]] = {name: [] for name in pages}
    yardstick: list[float] = []
    for turn in range(-2, TIMES):
        if turn % 20 == 0:
            say(f"asking for {len(pages)} pages, {turn} of {TIMES} times")
        for name, path in pages.items():
            asked, one = _timed(_ask, reader, path), _timed(_one, db)
            if turn >= 0:  # the first two rounds fill caches
                spent[name].append(asked)
                yardstick.append(one)
    return yardstick, spent


def _timed(work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> float:
    started = time.perf_counter()
    work(*args, **kwargs)
    return (time.perf_counter() - started) * 1000


def _ask(reader: httpx.Client, path: str) -> None:
    reader.get(path).raise_for_status()


def _one(db: Database) -> None:
    with db.app([UNIT]) as conn:
        conn.execute("SELECT 1").fetchone()


def _known(db: Database, path: str) -> str:
    """The path, with the id of a handoff that is there."""
    with db.app([UNIT]) as conn:
        rows = conn.execute("SELECT state, max(id) AS id FROM handoff GROUP BY state").fetchall()
    return path.format(**{row["state"]: row["id"] for row in rows})


@contextmanager
def _reader(db: Database, folder: Path) -> Iterator[httpx.Client]:
    """Serve the console, and give a browser that is signed in."""
    world = world_of(db, "http://127.0.0.1:9", "bulk", sweep=False)
    entity = Entity(currency="USD", zone="America/New_York", country="US")
    firm = Firm(folder=folder, firm=Identity(name="Bench", unit=UNIT), entities={UNIT: entity})
    app = create_app(
        Running(firm=firm, db=db, world=world, closing=ExitStack()), worker=None, base_url="http://127.0.0.1"
    )
    with listen_on(0) as sock:
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            with httpx.Client(base_url=url, trust_env=False, timeout=30, headers={"Accept": "text/html"}) as client:
                client.get("/login", params={"token": one_time_link(db, person="bench", role="viewer", units=[UNIT])})
                yield client
        finally:
            server.should_exit = True
            thread.join(20)


def _report(db: Database, yardstick: list[float], pages: Mapping[str, list[float]], say: Say) -> Report:
    p95 = {name: round(percentile(spent, 0.95), 1) for name, spent in pages.items()}
    worst, one = max(p95.values()), round(percentile(yardstick, 0.95), 2)
    with db.app([UNIT]) as conn:
        release = (conn.execute("SHOW server_version").fetchone() or {})["server_version"]
    with db.audit() as conn:
        rows = conn.execute('SELECT (SELECT count(*) FROM effect) AS effects, (SELECT count(*) FROM "case") AS cases')
        held = rows.fetchone() or {}
    say("done")
    return Report(
        name="console",
        holds=worst <= MOST and worst / one <= MANY,
        ratio=round(worst / one, 1),
        value=worst,
        unit="ms for the slowest page, 95th percentile",
        yardstick={"what": "`select 1` by the same login, 95th percentile in ms", "value": one},
        bar=Bar(ratio=MANY, value=MOST, better="lower"),
        machine=machine(),
        versions=versions(release),
        details={**held, "p95": p95, "p50": {n: round(percentile(s, 0.5), 1) for n, s in pages.items()}},
    )
