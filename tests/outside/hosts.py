"""Several hosts on one machine: network namespaces on two bridges, whose links can be cut and slowed.

    database ── wires ─┬─ one ─┬─ lines ── vendors
                       └─ two ─┘

`wires` leads to the database, `lines` to the vendors; the tests stand on both. A cut is silent, as on a real network:
packets vanish, nobody is told.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.outside.wait import until

__all__ = ["Hosts", "lacking", "refused"]

POSTGRES = Path("/usr/lib/postgresql/15/bin")
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
LOCK = Path(tempfile.gettempdir()) / "concordat-hosts.lock"
FORWARD = Path(__file__).with_name("forward.py")
WIRES, LINES = "10.77.1", "10.77.2"
ADDRESSES: Mapping[str, Mapping[str, str]] = {
    "database": {"wires": f"{WIRES}.1"},
    "vendors": {"lines": f"{LINES}.2"},
    "one": {"wires": f"{WIRES}.11", "lines": f"{LINES}.11"},
    "two": {"wires": f"{WIRES}.12", "lines": f"{LINES}.12"},
}
PASSWORD = "lab"


def lacking() -> str:
    """What must be installed first; empty when all is there."""
    if shutil.which("ip") is None:
        return "apt-get install iproute2"
    return "" if (POSTGRES / "initdb").exists() else "apt-get install postgresql"


def refused() -> str:
    """Why this machine allows no hosts inside it; empty when it does."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"cc{os.getpid() % 100_000}t"
    tried = [_run("ip", "netns", "add", name), _run("ip", "link", "add", f"{name}b", "type", "bridge")]
    _run("ip", "link", "del", f"{name}b")
    _run("ip", "netns", "del", name)
    return "; ".join(done.stderr.strip() for done in tried if done.returncode)


def _run(*command: str, within: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=within, check=False)


def _ip(*arguments: str) -> None:
    done = _run("ip", *arguments)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class Hosts:
    """Four hosts and their network, gone at the end."""

    def __init__(self) -> None:
        self._mark = f"cc{os.getpid() % 100_000}"
        self._folder = Path(tempfile.mkdtemp(prefix="concordat-hosts-"))
        self._folder.chmod(0o755)
        self._delays = {name: self._folder / f"{name}.delay" for name in (*ADDRESSES, "tests")}
        self._programs: list[subprocess.Popen[str]] = []
        self._server: subprocess.Popen[bytes] | None = None
        self._alone = LOCK.open("w")

    def __enter__(self) -> Self:
        fcntl.flock(self._alone, fcntl.LOCK_EX)  # the addresses are the machine's: one lab at a time
        try:
            self._lay()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was started here, then take the network down."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)  # at once: sessions are not waited for
            self._server.wait(30)
        for program in self._programs:
            program.kill()
            program.communicate()
        for name in ADDRESSES:
            _run("ip", "netns", "del", self._mark + name)
        for net in ("wires", "lines"):
            _run("ip", "link", "del", self._bridge(net))
        shutil.rmtree(self._folder, ignore_errors=True)
        self._alone.close()

    def on(self, host: str) -> Sequence[str]:
        """What goes before a command that shall run on this host."""
        return ("ip", "netns", "exec", self._mark + host)

    @property
    def database_url(self) -> str:
        """The database, as every host reaches it."""
        return f"postgresql://postgres:{PASSWORD}@{WIRES}.1:5432/postgres"

    # ── trouble ───────────────────────────────────────────────────────────────────────────────────

    def cut(self, host: str, net: str) -> None:
        """From now on no packet of this host comes through on this net; nobody is told."""
        _ip("link", "set", self._plug(host, net), "nomaster")

    def mend(self, host: str, net: str) -> None:
        """Put the link back."""
        _ip("link", "set", self._plug(host, net), "master", self._bridge(net))

    def slow(self, host: str, seconds: float) -> None:
        """Each chunk between this host and the vendors takes so much longer; 0 ends it."""
        self._delays[host].write_text(str(seconds))

    def crash_database(self) -> None:
        """SIGKILL the server, with everything it was doing."""
        assert self._server is not None
        _run("pkill", "-KILL", "-P", str(self._server.pid))
        self._server.kill()
        self._server.wait()

    def start_database(self) -> None:
        """Start the server, the first time on an empty folder."""
        data = self._folder / "data"
        if not data.exists():
            self._make_cluster(data)
        (data / "postmaster.pid").unlink(missing_ok=True)
        options = [
            "-D",
            data,
            "-k",
            self._folder / "run",
            "-c",
            f"listen_addresses={WIRES}.1",
            "-c",
            "max_connections=100",
        ]
        command = [*self.on("database"), *AS_POSTGRES, POSTGRES / "postgres", *options]
        with (self._folder / "postgres.log").open("ab") as log:
            self._server = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until("the database to answer", self._answers, within=30)

    # ── the network ───────────────────────────────────────────────────────────────────────────────

    def _lay(self) -> None:
        for delay in self._delays.values():
            delay.write_text("")
        for net, prefix in (("wires", WIRES), ("lines", LINES)):
            _ip("link", "add", self._bridge(net), "type", "bridge")
            _ip("addr", "add", f"{prefix}.254/24", "dev", self._bridge(net))
            _ip("link", "set", self._bridge(net), "up")
        for host, addresses in ADDRESSES.items():
            space = self._mark + host
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            for net, address in addresses.items():
                _ip("link", "add", self._plug(host, net), "type", "veth", "peer", "name", net, "netns", space)
                _ip("link", "set", self._plug(host, net), "master", self._bridge(net), "up")
                _ip("-n", space, "addr", "add", f"{address}/24", "dev", net)
                _ip("-n", space, "link", "set", net, "up")

    def lead(self, ports: Sequence[int]) -> None:
        """Let every host, and the tests, find the vendors' ports on its own loopback."""
        vendors = ADDRESSES["vendors"]["lines"]
        self._forward("vendors", [f"{vendors}:{port}=127.0.0.1:{port}" for port in ports])
        for host in ("one", "two", "tests"):
            self._forward(host, [f"127.0.0.1:{port}={vendors}:{port}" for port in ports])

    def _forward(self, host: str, pairs: Sequence[str]) -> None:
        before = () if host == "tests" else self.on(host)
        command = [*before, sys.executable, str(FORWARD), str(self._delays[host]), *pairs]
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._programs.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"

    def _bridge(self, net: str) -> str:
        return f"{self._mark}{net[0]}"

    def _plug(self, host: str, net: str) -> str:
        return f"{self._mark}{host[0]}{net[0]}"

    # ── the database ──────────────────────────────────────────────────────────────────────────────

    def _make_cluster(self, data: Path) -> None:
        for folder in (data, self._folder / "run"):
            folder.mkdir()
            shutil.chown(folder, "postgres", "postgres")
        data.chmod(0o700)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        made = ["-D", str(data), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}"]
        done = _run(*AS_POSTGRES, str(POSTGRES / "initdb"), *made, within=60)
        assert done.returncode == 0, done.stderr
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {WIRES}.0/24 scram-sha-256\n")

    def _answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self._folder / "postgres.log").read_text()[-2000:]
        return _run(str(POSTGRES / "pg_isready"), "-h", f"{WIRES}.1", "-t", "2").returncode == 0
