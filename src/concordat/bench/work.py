"""A worker process of a benchmark: the engine's own worker on the lean system, until standard input ends."""

from __future__ import annotations

import logging
import os
import sys
import threading

import orjson
import structlog

from concordat.bench.rig import SECRET, world_of
from concordat.engine.worker import Worker
from concordat.store.database import Database, passwords_from

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
    sys.stdout.write('"ready"\n')
    sys.stdout.flush()
    threading.Thread(target=_end_with_input, args=[worker], daemon=True).start()
    worker.run()
    for connector in world.connectors.values():
        connector.close()
    db.close()


def _end_with_input(worker: Worker) -> None:
    while os.read(0, 1024):
        pass
    worker.stop()


if __name__ == "__main__":
    main()
