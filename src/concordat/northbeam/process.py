"""`concordat up` of the demo: a process of its own, so that killing it is honest."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from concordat.errors import NotReachable
from concordat.northbeam.outside import Api, Away
from concordat.settings import Firm
from concordat.store.embedded import Embedded

__all__ = ["Up", "poll"]

STARTS_WITHIN = 60.0
ENDS_WITHIN = 30.0


def poll(awaited: str, met: Callable[[], bool], *, within: float, every: float = 0.05) -> None:
    """Look until it is so. `NotReachable` says what was awaited when the deadline passes."""
    end = time.monotonic() + within
    while not met():
        if time.monotonic() > end:
            raise NotReachable(f"Waited {within:.0f} s in vain for {awaited}.")
        time.sleep(every)


class Up:
    """Starts, kills and ends the firm's process. Only the process that was started here is ever touched."""

    def __init__(self, firm: Firm, *, logs: Path) -> None:
        self.firm = firm
        self.log = logs / "up.log"
        self.kills = 0
        self._api: Api | None = None
        self._process: subprocess.Popen[bytes] | None = None
        logs.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Where the console is."""
        return f"http://127.0.0.1:{self.firm.web.port}"

    @property
    def pid(self) -> int | None:
        """The running process."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def api(self) -> Api:
        """The firm's API. Raises `Away` before it ever answered."""
        if self._api is None:
            raise Away("The firm has not answered yet.")
        return self._api

    def start(self) -> Self:
        """Run the command, with the database in the firm's own folder whatever the environment says."""
        command = ["env", "-u", "CONCORDAT_DATABASE_URL", sys.executable, "-m", "concordat", "up"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--firm", str(self.firm.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def wait(self) -> None:
        """Wait until it answers. `NotReachable` with its last words when it ends, or takes too long."""
        poll(f"`concordat up` to answer at {self.url} (log: {self.log})", self._answers, within=STARTS_WITHIN)

    def _answers(self) -> bool:
        if self.pid is None:
            raise NotReachable(f"`concordat up` ended by itself: {self._last_words()}", remedy=f"See {self.log}.")
        token = self.firm.state / "api.token"
        if not token.exists():
            return False
        if self._api is None:
            self._api = Api(self.url, token)
        try:
            self._api.ask("GET", "/healthz")
        except Away:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process and self.pid:
            self._process.kill()
            self._process.wait()
            self.kills += 1

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not heard. Harmless when it has ended."""
        if self._api:
            self._api.close()
            self._api = None
        if self._process and self.pid:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._end_database()

    def _end_database(self) -> None:
        """End the embedded server that a killed process left behind; an orderly one has ended it already."""
        place = self.firm.state / "postgres"
        if (place / "data" / "postmaster.pid").exists():
            Embedded.start(place).stop()

    def link(self) -> str:
        """The newest login link that it printed."""
        found = re.findall(r"http://\S+/login\?token=\S+", self.log.read_text())
        return found[-1] if found else self.url

    def _last_words(self) -> str:
        lines = self.log.read_text().strip().splitlines()
        return " / ".join(line.strip() for line in lines[-3:]) or "it said nothing"
