"""What the embedded server needs of the machine: a system user, a lock, a port, and who a process is."""

from __future__ import annotations

import fcntl
import os
import platform
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from concordat.errors import NotReachable

__all__ = ["PATIENCE", "Account", "account_for_root", "free_port", "is_server", "let_through", "locked"]

ROOT_RUNS_AS = "pgserver"
"""PostgreSQL refuses to run as root; started by root it runs as this system user."""
PATIENCE = 120.0
"""Seconds for a start, crash recovery included, and for another process that is starting the same server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The system user that the server runs as."""

    uid: int
    gid: int


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time starts or stops this server; a stuck one is named instead of waited for."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = time.monotonic() + PATIENCE
        while not _try_lock(descriptor):
            if time.monotonic() > end:
                raise NotReachable(
                    f"Another process has held {path} for {PATIENCE:.0f} s.",
                    remedy="End that process and try again.",
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_server(pid: str, data: Path) -> bool:
    """Say whether this process is the server of this folder; a zombie is not, it has no command line."""
    command = _command(pid) if pid else ""
    return "postgres" in command and str(data) in command


def _command(pid: str) -> str:
    if platform.system() == "Linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except OSError:
            return ""
    asked: Sequence[str] = ["ps", "-o", "command=", "-p", pid]
    return subprocess.run(asked, check=False, capture_output=True, text=True).stdout


def account_for_root() -> Account | None:
    """Give the account to run as when we are root, made if need be; None: whoever we are."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ROOT_RUNS_AS)
    except KeyError:
        entry = _create_account()
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def _create_account() -> pwd.struct_passwd:
    asked = ["useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", ROOT_RUNS_AS]
    try:
        subprocess.run(asked, check=True, capture_output=True)
        return pwd.getpwnam(ROOT_RUNS_AS)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise NotReachable(
            f"PostgreSQL refuses to run as root, and the system user {ROOT_RUNS_AS} could not be made.",
            remedy=f"Run `useradd --system {ROOT_RUNS_AS}`, or do not run as root.",
        ) from error


def let_through(path: Path) -> None:
    """Let the server's user pass (not list) the folders above, which may be root's own."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)


def free_port() -> int:
    """Find a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
