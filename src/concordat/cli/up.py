"""`concordat up`, `web` from their first moment: the database starts while the rest is still being imported."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from concordat.cli.screen import FirmOption, LogOption, PortOption
from concordat.errors import ConcordatError
from concordat.settings import find_firm, load_firm, read_environment
from concordat.store.embedded import Embedded

__all__ = ["ahead", "up", "web"]


def up(firm: FirmOption = None, port: PortOption = None, log_level: LogOption = "warning") -> None:
    """Run everything in one process: hooks, API and console on loopback, and a worker. Ends on Ctrl-C or SIGTERM."""
    _serve("up", firm, port, log_level)


def web(firm: FirmOption = None, port: PortOption = None, log_level: LogOption = "warning") -> None:
    """Run hooks, API and console without a worker; workers run elsewhere."""
    _serve("web", firm, port, log_level)


def _serve(name: str, firm: Path | None, port: int | None, log_level: str) -> None:
    signal.signal(signal.SIGTERM, _ended)
    environment = read_environment()
    state = load_firm(find_firm(firm, environment)).state
    if environment.database_url:
        getattr(import_module("concordat.cli.serve"), name)(firm, port, log_level)
        return
    with ahead(state / "postgres"):
        getattr(import_module("concordat.cli.serve"), name)(firm, port, log_level)


def _ended(*_: object) -> None:
    """End in order from the first moment on: the default handler of SIGTERM would skip every clean-up.

    Uvicorn has a handler of its own while it serves, and raises the signal that ended it once more.
    """
    raise SystemExit(0)


@contextmanager
def ahead(place: Path) -> Iterator[None]:
    """Start the embedded server beside what the block does, and hold it until the block ends.

    What goes wrong here is said by whoever opens the database in the block: it meets the same fault.
    """
    held: list[Embedded] = []

    def start() -> None:
        try:
            held.append(Embedded.start(place))
        except (ConcordatError, OSError):
            return

    thread = threading.Thread(target=start, name="database")
    thread.start()
    try:
        yield
    finally:
        thread.join()
        for one in held:
            one.stop()
