"""A worker process of a benchmark: the engine's own worker on the lean system, until standard input ends.

Told a folder, it serves the web application beside the worker, as `concordat up` does, and says its port.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import structlog

from concordat.bench.rig import SECRET, world_of
from concordat.bench.serving import serve
from concordat.engine import lanes
from concordat.engine.budgets import Budgets, Limits
from concordat.engine.worker import Worker
from concordat.engine.world import World
from concordat.settings import Entity, Firm, Identity
from concordat.store.database import Database, passwords_from
from concordat.web.app import create_app
from concordat.wiring import Running

__all__ = ["main"]


def main() -> None:
    """Read what to do from the first line, then work."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    told = orjson.loads(sys.stdin.buffer.readline())
    db = Database(told["dsn"], passwords_from(SECRET), size=24)
    world = world_of(db, told["url"], told["way"], sweep=told["sweep"])
    worker = Worker(world=world, name="bench")
    if told["folder"]:
        _serve(db, world, worker, Path(told["folder"]))
    else:
        _work(db, world, worker, told)
    for connector in world.connectors.values():
        connector.close()
    db.close()


def _work(db: Database, world: World, worker: Worker, told: Mapping[str, Any]) -> None:
    claims = _timed_claims() if told.get("claims") else []
    budgets = None
    if told.get("parallel"):
        limits = dict.fromkeys(world.connectors, Limits(parallel=told["parallel"]))
        budgets = Budgets(db=db, holder=f"bench-{os.getpid()}", limits=limits).open()
        world.beats = budgets.beat
    _say("ready")
    if told.get("wait"):
        sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_input, args=[worker], daemon=True).start()
    worker.run()
    if budgets is not None:
        budgets.close()
    if told.get("claims"):
        _say(claims)


def _timed_claims() -> list[float]:
    """Milliseconds of every claim from a lane in this process, from the lock to the marked rows; grows as it works."""
    spent: list[float] = []
    take = vars(lanes)["take"]

    def timed(*args: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return take(*args, **named)
        finally:
            spent.append((time.perf_counter() - started) * 1000)

    vars(lanes)["take"] = timed
    return spent


def _serve(db: Database, world: World, worker: Worker, folder: Path) -> None:
    entity = Entity(currency="USD", zone="America/New_York", country="US")
    firm = Firm(folder=folder, firm=Identity(name="Bench", unit=world.unit), entities={world.unit: entity})
    running = Running(firm=firm, db=db, world=world, closing=ExitStack())
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        serve(create_app(running, worker=worker, base_url="http://127.0.0.1"), _say)
    finally:
        worker.stop()
        thread.join()


def _end_with_input(worker: Worker) -> None:
    while os.read(0, 1024):
        pass
    worker.stop()


def _say(what: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
