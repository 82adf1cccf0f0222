"""`concordat worker`: the process that does the work, or one more of it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from concordat.cli.open import the_firm
from concordat.cli.screen import FirmOption, LogOption, err, waiting
from concordat.engine.recovery import bury
from concordat.engine.worker import Worker
from concordat.settings import read_environment
from concordat.telemetry import configure
from concordat.wiring import Running, open_firm

__all__ = ["notes", "own_name", "running", "telemetry", "worker", "working"]


def worker(firm: FirmOption = None, log_level: LogOption = "info") -> None:
    """Run one more worker, on this host or another, against the same database. Ends on Ctrl-C or SIGTERM."""
    telemetry(log_level)
    with running(firm) as opened:
        one = Worker(world=opened.world, name=own_name())
        notes(opened)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: one.stop())
        err.print(f"worker {one.name} is at work; Ctrl-C ends it")
        bury(opened.world, _is_dead)
        one.run()


@contextmanager
def running(folder: Path | None, *, quiet: bool = False) -> Iterator[Running]:
    """The firm at work, closed at the end."""
    with waiting("opening the firm", quiet=quiet) as say:
        opened = open_firm(the_firm(folder), read_environment(), progress=say)
    with opened:
        yield opened


@contextmanager
def working(one: Worker) -> Iterator[None]:
    """A worker in a thread of its own, stopped in order at the end."""
    bury(one.world, _is_dead)
    thread = threading.Thread(target=one.run, name="worker")
    thread.start()
    try:
        yield
    finally:
        one.stop()
        thread.join(timeout=60)


def notes(opened: Running) -> None:
    """Say what the firm found while it opened."""
    for note in opened.notes:
        err.print(f"! {note}")


def own_name() -> str:
    """The name of a worker: its host and its process."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _is_dead(name: str) -> bool:
    """Whether a worker of this host, named by host and process, has no process any more."""
    host, _, pid = name.rpartition("-")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid()


def telemetry(level: str) -> None:
    """Log from `level` on, and send traces where the environment says."""
    environment = read_environment()
    configure(log_level=level, otlp_endpoint=environment.telemetry.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""))
