"""One server in one folder: made, tuned, started, healed and stopped with PostgreSQL's own programs."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.conninfo import make_conninfo

from concordat.errors import NotReachable, UserError
from concordat.store.embedded.machine import PATIENCE, account_for_root, free_port, is_server, let_through

__all__ = ["OR_YOURS", "Cluster"]

SUPERUSER = "postgres"
LONGEST_SOCKET = 100
"""Bytes of a socket's path that every Unix takes (Linux 107, macOS 103)."""
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
    "deadlock_timeout": "100ms",
}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The server's folder: `data`, `log` inside it, the password, the locks and the socket."""

    folder: Path
    binaries: Path

    @property
    def data(self) -> Path:
        """Name the data folder; it exists only whole."""
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        """Name the socket, where the path is short enough for one."""
        return self.folder / ".s.PGSQL.5432"

    def prepare(self) -> None:
        """Make the folder and let the server's user reach it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise NotReachable(f"The database folder {self.folder} cannot be made: {error.strerror}.") from error
        account = account_for_root()
        if account:
            os.chown(self.folder, account.uid, account.gid)
            let_through(self.folder)
            let_through(self.binaries)

    def start(self, *, durable: bool) -> str:
        """Make the server run and give the superuser's address. The caller holds the start lock."""
        if not (self.data / "PG_VERSION").exists():
            self._create(durable=durable)
        self._check_version()
        self._drop_stale_pid()
        if not self._runs():
            self._configure(durable=durable)
            self._launch()
        return self._dsn()

    def stop(self) -> None:
        """Shut the server down, open connections and all. The caller holds the start lock."""
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
        account = account_for_root()
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
        return ["-c", "listen_addresses=127.0.0.1", "-k", "", "-p", str(free_port())]

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
                raise NotReachable(f"The embedded PostgreSQL in {self.folder} is not ready. {self._last_words()}")
            time.sleep(0.02)
        return False

    def _pid_file(self) -> list[str]:
        """Give pid, folder, start, port, socket folder, address, memory, state; no pid without a file."""
        path = self.data / "postmaster.pid"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.strip() for line in lines] or [""]

    def _drop_stale_pid(self) -> None:
        """Heal after a reboot: the pid in the file may be anybody's, and PostgreSQL would refuse to start."""
        if not is_server(self._pid_file()[0], self.data):
            for path in (self.data / "postmaster.pid", self.socket, self.folder / f"{self.socket.name}.lock"):
                path.unlink(missing_ok=True)

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
        account = account_for_root()
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
