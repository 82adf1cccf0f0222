"""A firm on the stage: its folder, the programs that run for it, and their ends, each by its own process id."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from tests.outside.api import Api
from tests.outside.chance import VARIABLES
from tests.outside.twin import Twin
from tests.outside.wait import until

__all__ = ["OBJECTS", "Firm", "Program", "concordat"]

CONNECTIONS = ("crm", "psa", "hr", "erp", "documents", "chat")
OBJECTS: Mapping[str, tuple[str, str]] = {
    "client": ("erp", "customer"),
    "project": ("psa", "workspaces"),
    "job": ("erp", "job"),
    "workspace": ("documents", "driveItems"),
    "channel": ("chat", "channels"),
    "line in the PSA": ("psa", "stories"),
    "line in the ERP": ("erp", "projectTask"),
}
"""What a handoff makes, and under which name a twin keeps it."""


def _command(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "concordat", *map(str, arguments)]


def concordat(*arguments: object, within: float = 90, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, as a person would type it."""
    done = subprocess.run(
        _command(arguments),
        env={**VARIABLES, "COLUMNS": "200", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, f"a stack trace for a user:\n{done.stdout}{done.stderr}"
    return done


class Program:
    """One process, from its start to its end. Only what was started here is ever touched."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[object],
        *,
        log: Path,
        host: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`host` goes before the command (`ip netns exec NAME`), `env` beside the machine's variables."""
        self.name = name
        self.log = log
        self._arguments = [*host, *_command(arguments)]
        self._env = {**VARIABLES, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it; its words go to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        """The process id; it must have been started."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it is alive."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM; what does not hear it in time is killed. Harmless when it has ended."""
        if self._process is None or not self.runs:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def said(self) -> str:
        """Everything it wrote."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Firm:
    """A copy of the firm that `concordat init` writes, on free ports."""

    def __init__(self, template: Path, folder: Path, **env: str) -> None:
        """`env`: variables of all its programs."""
        shutil.copytree(template, folder)
        self.folder = folder
        self.env = env
        self.ports = _free_ports((*CONNECTIONS, "web"))
        _put_ports(folder / "concordat.toml", self.ports)
        self.url = f"http://127.0.0.1:{self.ports['web']}"
        self.api = Api(self.url, folder)
        self.twins = {name: Twin(f"http://127.0.0.1:{self.ports[name]}") for name in CONNECTIONS}
        self.programs: list[Program] = []
        self.up = self._program("up", "--port", self.ports["web"])

    # ── what is changed before it runs ────────────────────────────────────────────────────────────

    def write(self, file: str, old: str, new: str) -> None:
        """Change a text in a file of the firm; it must be there once."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
        path.write_text(text.replace(old, new))

    def contract(self, name: str, **lines: str) -> None:
        """Change words of a contract by their key: `contract("x", since="since: 2026-02-01")`."""
        path = next((self.folder / "contracts" / name).glob("v1.yaml"))
        text = path.read_text()
        for key, line in lines.items():
            text, times = re.subn(rf"(?m)^(\s*){key}: [^#\n]*", rf"\g<1>{line} ", text)
            assert times == 1, f"{name} has {times} lines {key}"
        path.write_text(text)

    def vendors_pace(self) -> None:
        """Wait as long for a lost write as the real vendors need: `concordat init` shortens it for twins."""
        path = self.folder / "concordat.toml"
        kept = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith("settle")]
        path.write_text("".join(kept))

    # ── running ───────────────────────────────────────────────────────────────────────────────────

    def play(self, host: Sequence[str] = ()) -> Self:
        """Start the twins, perhaps on another host, and wait for their doors."""
        played = self.another("twin", "up", "--json", host=host)
        until("the twins to open", lambda: self._open(played, self._twins_answer), within=60)
        return self

    def begin(self) -> Self:
        """Start `concordat up`, and wait until it says that it can work."""
        self.up.start()
        return self.wait()

    def wait(self) -> Self:
        """Wait until it says that it can work."""
        until("`concordat up` to be ready", lambda: self._open(self.up, self.api.ready), within=90)
        return self

    def kill_and_begin(self) -> None:
        """SIGKILL in mid-work, and start again."""
        self.up.kill()
        self.begin()

    def another(self, *arguments: object, host: Sequence[str] = ()) -> Program:
        """Start one more program of this firm, perhaps on another host."""
        return self._program(*arguments, host=host).start()

    def say(self, *arguments: object, within: float = 90) -> subprocess.CompletedProcess[str]:
        """Run one command about this firm."""
        return concordat(*arguments, "--firm", self.folder, within=within, **self.env)

    def close(self) -> None:
        """End everything that was started for it, and its database server."""
        for program in self.programs:
            program.stop()
        for file in self.databases():
            _end_server(file)
        self.api.close()
        for twin in self.twins.values():
            twin.close()

    def databases(self) -> list[Path]:
        """The `postmaster.pid` of every server in the firm's folder."""
        return sorted((self.folder / ".concordat").rglob("postmaster.pid"))

    def _program(self, *arguments: object, host: Sequence[str] = ()) -> Program:
        name = f"{arguments[0]}-{len(self.programs)}"
        log = self.folder / "logs" / f"{name}.log"
        self.programs.append(Program(name, [*arguments, "--firm", self.folder], log=log, host=host, env=self.env))
        return self.programs[-1]

    def _open(self, program: Program, answers: Any) -> bool:
        assert program.runs, f"{program.name} ended by itself:\n{program.said()[-3000:]}"
        return bool(answers())

    def _twins_answer(self) -> bool:
        try:
            return all(twin.ask("GET", "clock") for twin in self.twins.values())
        except httpx.HTTPError:
            return False

    # ── books ─────────────────────────────────────────────────────────────────────────────────────

    def crm(self, action: str, **said: Any) -> Any:
        """Do what a person does in the CRM."""
        return self.twins["crm"].do(action, **said)

    def there(self) -> Mapping[str, set[str]]:
        """Give the ids of everything that the targets hold, by word."""
        return {word: {row["id"] for row in self.twins[name].state(kept)} for word, (name, kept) in OBJECTS.items()}

    def ledgers(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Give every committed write, by word."""
        return {word: self.twins[name].ledger(kept) for word, (name, kept) in OBJECTS.items()}


def _free_ports(names: Sequence[str]) -> dict[str, int]:
    """Find ports; they are held together until all are found, so none is found twice."""
    socks = {name: socket.socket(socket.AF_INET, socket.SOCK_STREAM) for name in names}
    for sock in socks.values():
        sock.bind(("127.0.0.1", 0))
    ports = {name: int(sock.getsockname()[1]) for name, sock in socks.items()}
    for sock in socks.values():
        sock.close()
    return ports


def _put_ports(file: Path, ports: Mapping[str, int]) -> None:
    """Write the ports over those that `concordat init` chose."""
    out, at = [], ""
    for line in file.read_text().splitlines():
        heading = re.fullmatch(r"\[(?:connections\.)?(\w+)\]", line)
        at = heading[1] if heading else at
        line = re.sub(r"(http://127\.0\.0\.1:)\d+", rf"\g<1>{ports.get(at, 0)}", line)  # noqa: PLW2901
        out.append(f"port = {ports['web']}" if at == "web" and line.startswith("port") else line)
    file.write_text("\n".join(out) + "\n")


def _end_server(file: Path) -> None:
    """Stop a database server by the id in its own file (SIGQUIT: at once), and wait for its end."""
    try:
        pid = int(file.read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
    except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
        return
    end = time.monotonic() + 20
    while file.exists() and time.monotonic() < end:
        time.sleep(0.05)
