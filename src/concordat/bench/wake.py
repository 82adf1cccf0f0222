"""`wake`: from the commit that makes work to the code that looks for it, by NOTIFY and by a queue of jobs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import psycopg

from concordat.bench.machine import machine, versions
from concordat.bench.report import Bar, Report, Say, percentile
from concordat.bench.rig import Rig
from concordat.engine.worker import WAKE
from concordat.errors import UserError

if TYPE_CHECKING:
    import procrastinate

__all__ = ["wake"]

TIMES = 200


def wake(say: Say, scale: float = 1.0) -> Report:
    """Median and 99th percentile of both ways, one after the other on the same server. Bar: not slower."""
    if find_spec("procrastinate") is None:
        raise UserError("The yardstick, Procrastinate, is not installed.", remedy="Install concordat-hub[bench].")
    times = max(int(TIMES * scale), 10)
    with Rig.open() as rig:
        say("waking by NOTIFY")
        with _notified(rig.embedded.dsn_superuser) as send:
            ours = _measure(send, times)
        say("waking by a job of Procrastinate")
        with _queued(rig.embedded.dsn_superuser) as send:
            theirs = _measure(send, times)
        median, other = percentile(ours, 0.5), percentile(theirs, 0.5)
        return Report(
            name="wake",
            holds=median <= other,
            ratio=round(median / other, 2),
            value=round(median, 2),
            unit="ms from the commit to the look, median",
            yardstick={
                "what": "a Procrastinate job",
                "value": round(other, 2),
                "p99": round(percentile(theirs, 0.99), 2),
            },
            bar=Bar(ratio=1, better="lower"),
            machine=machine(),
            versions=versions(rig.postgresql),
            details={"times": times, "p99": round(percentile(ours, 0.99), 2)},
        )


Send = Callable[[threading.Event], None]
"""Send one wake-up; the event is set by whoever is woken."""


def _measure(send: Send, times: int) -> list[float]:
    spent = []
    for _ in range(times):
        woken = threading.Event()
        started = time.perf_counter()
        send(woken)
        woken.wait(5)
        spent.append((time.perf_counter() - started) * 1000)
    return spent


@contextmanager
def _notified(dsn: str) -> Iterator[Send]:
    waiting: list[threading.Event] = []
    with psycopg.connect(dsn, autocommit=True) as hears, psycopg.connect(dsn, autocommit=True) as tells:
        hears.execute(f'LISTEN "{WAKE}"')

        def listen() -> None:
            for _ in hears.notifies(timeout=60):
                if not waiting:
                    return
                waiting.pop().set()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()

        def send(woken: threading.Event) -> None:
            waiting.append(woken)
            tells.execute("SELECT pg_notify(%s, '')", [WAKE])

        yield send
        tells.execute("SELECT pg_notify(%s, '')", [WAKE])
        thread.join(5)


@contextmanager
def _queued(dsn: str) -> Iterator[Send]:
    from procrastinate import App, PsycopgConnector, SyncPsycopgConnector, exceptions  # noqa: PLC0415 - an extra

    waiting: list[threading.Event] = []
    app = App(connector=PsycopgConnector(conninfo=dsn))
    deferring = App(connector=SyncPsycopgConnector(conninfo=dsn))

    @app.task(name="drain", queueing_lock="lane")
    def drain() -> None:
        waiting.pop().set()

    deferring.open()
    deferring.schema_manager.apply_schema()
    loop = asyncio.new_event_loop()
    work = loop.create_task(_work(app))
    running = threading.Thread(target=loop.run_until_complete, args=(work,), daemon=True)
    running.start()

    def send(woken: threading.Event) -> None:
        waiting.append(woken)
        while True:
            try:
                deferring.configure_task("drain", queueing_lock="lane").defer()
            except exceptions.AlreadyEnqueued:
                continue
            return

    warm = threading.Event()
    send(warm)
    warm.wait(10)
    yield send
    loop.call_soon_threadsafe(work.cancel)
    running.join(10)
    deferring.close()


async def _work(app: procrastinate.App) -> None:
    async with app.open_async():
        with contextlib.suppress(asyncio.CancelledError):
            await app.run_worker_async(install_signal_handlers=False, delete_jobs="always")
