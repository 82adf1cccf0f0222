"""One running trytond: its configuration, its start up to the first answer, its end."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from concordat.errors import NotReachable
from concordat.tryton_server import wire
from concordat.tryton_server.lock import taken
from concordat.tryton_server.steps import last_words, run

__all__ = ["Program", "end_orphan"]

_READY_WITHIN = 90.0
"""Seconds; 2 s on a quiet machine, far more while others use it."""

_CONFIGURATION = """\
[database]
uri = {uri}
list = False
[web]
listen = 127.0.0.1:{port}
root =
[session]
max_attempt = 1000
[email]
uri = smtp://127.0.0.1:9
"""


class Program:
    """A trytond for one database, with its files in one folder. Not safe for several threads at once."""

    def __init__(self, folder: Path, environment: Path, *, uri: str, database: str, port: int = 0) -> None:
        self.folder = folder
        self.database = database
        self.port = port or _free_port()
        self._bin = environment / "bin"
        self._uri = uri
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process, for whoever watches it; 0 when it does not run."""
        return self._process.pid if self._process else 0

    def initialise(self, modules: tuple[str, ...], admin_password: str) -> None:
        """Fill an empty database with Tryton's tables and data (10 to 90 s)."""
        secret = _private(self.folder / "admin-password", admin_password)
        admin: list[str | Path] = [self._bin / "trytond-admin", "-c", self._configure(), "-d", self.database]
        options = [
            "--email",
            "admin@northbeam.example",
            "-u",
            "ir",
            "res",
            *modules,
            "--activate-dependencies",
        ]
        run(
            ["/usr/bin/env", f"TRYTONPASSFILE={secret}", *admin, *options],
            what="Initialising Tryton's database",
        )
        secret.unlink()

    def start(self) -> None:
        """Start and wait until it answers. An orphan of a killed owner is ended first.

        `NotReachable` when it ends early (a port in use, for instance) or does not answer in time.
        """
        self._lock = self._own_lock()
        log = self.folder / "trytond.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [self._bin / "trytond", "-c", self._configure(), "-d", self.database],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self._lock.fileno(),),
                start_new_session=True,
            )
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(str(self._process.pid))
        self._lock.flush()
        self._await_answer(self._process, log)

    def stop(self, seconds: float = 10.0) -> None:
        """End it; harmless when it does not run."""
        self._end(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """End it as a crash does, in the middle of whatever it does."""
        self._end(signal.SIGKILL, 10.0)

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def _end(self, by: signal.Signals, seconds: float) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(by)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _own_lock(self) -> IO[str]:
        """Take the lock that lives as long as the process; whoever still holds it is an orphan of ours."""
        end_orphan(self.folder)
        lock = taken(self.folder / "trytond.lock", seconds=10)
        if lock is None:
            raise NotReachable(
                f"A Tryton server of {self.folder} runs and does not end.", remedy="End it, then try again."
            )
        return lock

    def _await_answer(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            if process.poll() is not None:
                words = last_words(log.read_text(errors="replace"), 2)
                self.stop()
                raise NotReachable(f"Tryton ended while starting on port {self.port}: {words}")
            if wire.version(self.url) is not None:
                return
            time.sleep(0.1)
        self.stop()
        raise NotReachable(f"Tryton did not answer within {_READY_WITHIN:.0f} s.", remedy=f"See {log}.")

    def _configure(self) -> Path:
        text = _CONFIGURATION.format(uri=self._uri, port=self.port)
        return _private(self.folder / "trytond.conf", text)


def end_orphan(folder: Path) -> None:
    """End the server that a killed owner left behind in a folder, if there is one.

    The lock is held by that server alone, and its number stands in it: held, so the number is still its own.
    """
    path = folder / "trytond.lock"
    lock = taken(path)
    if lock is not None:
        lock.close()
        return
    number = path.read_text().strip()
    if number.isdigit():
        subprocess.run(["/bin/kill", "-KILL", number], check=False, capture_output=True)


def _private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
