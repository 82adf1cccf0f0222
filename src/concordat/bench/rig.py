"""What every benchmark stands on: an embedded PostgreSQL as shipped, the lean system, worker processes."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from concordat.bench.lean import BULK, SHIPPED_WAYS, SINGLE, Way, systems
from concordat.core.contract import Contract
from concordat.core.language import load_contract
from concordat.core.sla import BusinessCalendar, public_calendar
from concordat.engine.world import World
from concordat.errors import Bug, NotReachable
from concordat.operations.contracts import publish
from concordat.store.database import Database, bootstrap, passwords_from
from concordat.store.embedded import Embedded
from concordat.store.migrate import migrate

__all__ = ["CONTRACT", "WAYS", "Child", "Rig", "world_of"]

CONTRACT = "opportunity-to-project"
SHIPPED = Path(__file__).parent.parent / "handoffs" / CONTRACT / "v1.yaml"
SECRET = "bench"  # noqa: S105 - guards a database that lives as long as the benchmark
WAYS: Mapping[str, Way | Mapping[str, Way]] = {
    "bulk": BULK,
    "single": SINGLE,
    "single-read": Way(write_batch=1, read_batch=1, parallel=16),
    "slow": Way(write_batch=2, read_batch=0, parallel=1),
    "shipped": SHIPPED_WAYS,
}


def lifted() -> tuple[Contract, str]:
    """The shipped contract, its brake lifted: a benchmark wins more deals in an hour than any firm."""
    text = re.sub(r"(?m)^brake:.*$", "brake: {subjects: 100000000, per: 1 hour}", SHIPPED.read_text())
    contract = load_contract(text, file=str(SHIPPED), systems=None).contract
    if contract is None:
        raise Bug(f"{SHIPPED} does not load.")
    return contract, text


def world_of(db: Database, url: str, way: str, *, sweep: bool) -> World:
    """The engine's world: the lean system under every connection's name."""
    contract, _ = lifted()
    return World(
        db=db,
        unit="NB-US",
        connectors=systems(url, WAYS[way]),
        contracts={contract.contract: contract},
        calendars={"": calendar()},
        sweeps={("crm", "opportunity"): timedelta(hours=1)} if sweep else {},
    )


def calendar() -> BusinessCalendar:
    """Business hours of a firm in New York, public holidays included."""
    return public_calendar("America/New_York", "US", range(2025, 2030))


@dataclass
class Child:
    """A process of the benchmark: told what to do in one line, ends when its standard input does."""

    module: str
    process: subprocess.Popen[bytes]
    said: Any = None
    """Its first line: that it is ready, or its port."""

    @classmethod
    def start(cls, module: str, told: Mapping[str, Any] | None = None) -> Child:
        """Start `python -m module` and wait for its first line."""
        command = [sys.executable, "-m", module]
        child = cls(module, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        if told is not None:
            child.tell(told)
        try:
            child.said = child.hear()
        except BaseException:
            child.end()
            raise
        return child

    def tell(self, what: Mapping[str, Any]) -> None:
        """Write one line."""
        if self.process.stdin is not None:
            self.process.stdin.write(orjson.dumps(what) + b"\n")
            self.process.stdin.flush()

    def hear(self) -> Any:
        """Read one line of JSON; `NotReachable` when the process ended without one."""
        line = self.process.stdout.readline() if self.process.stdout else b""
        if not line:
            raise NotReachable(f"{self.module} ended early; its words are above.")
        return orjson.loads(line)

    def check(self) -> None:
        """Raise `NotReachable` when the process has ended already."""
        if self.process.poll() is not None:
            raise NotReachable(f"{self.module} ended early; its words are above.")

    def last(self) -> Any:
        """Close its input and read its last line."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        return self.hear()

    def end(self) -> None:
        """Close its input and wait; who does not end in 20 s is killed."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass(kw_only=True)
class Rig:
    """One benchmark's machinery, in a folder that goes with it."""

    folder: Path
    embedded: Embedded
    target: Child
    url: str
    http: httpx.Client
    databases: dict[str, Database] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Rig]:
        """Start server and lean system; everything is stopped and removed at the end."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="concordat-bench-")))
            embedded = Embedded.start(folder)
            stack.callback(embedded.stop)
            target = Child.start("concordat.bench.target")
            stack.callback(target.end)
            url = f"http://127.0.0.1:{target.said}"
            http = stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=30))
            rig = cls(folder=folder, embedded=embedded, target=target, url=url, http=http)
            stack.callback(rig.close)
            yield rig

    def close(self) -> None:
        """Give the databases' connections back."""
        for db in self.databases.values():
            db.close()

    def ask(self, path: str, body: Any = None) -> Any:
        """Ask the lean system."""
        answer = self.http.post(path, content=orjson.dumps(body or {}))
        return orjson.loads(answer.raise_for_status().content)

    def database(self, name: str) -> Database:
        """A fresh database with the contract active."""
        passwords = passwords_from(SECRET)
        db = Database(bootstrap(self.embedded.dsn_superuser, name, passwords), passwords)
        self.databases[name] = db
        migrate(db)
        contract, text = lifted()
        with db.engine() as conn:
            publish(conn, contract, text)
        return db

    def work(self, db: Database, way: str, *, serve: bool = False, **more: Any) -> Child:
        """A worker process on that database, sweeping the source; or, with `serve`, hearing of it by hooks alone.

        `more`: `wait` for another line before it begins, `claims` says at the end how long they took in ms,
        `parallel` is the budget of calls side by side of each connection, over all processes.
        """
        folder = str(self.folder) if serve else ""
        told = {"dsn": db.dsn, "url": self.url, "way": way, "sweep": not serve, "folder": folder, **more}
        return Child.start("concordat.bench.work", told)

    def plain_database(self, name: str) -> str:
        """An empty database for a yardstick; its address as SQLAlchemy writes it."""
        with psycopg.connect(self.embedded.dsn_superuser, autocommit=True) as conn:
            conn.execute(f'CREATE DATABASE "{name}"'.encode())
        known = conninfo_to_dict(self.embedded.dsn_superuser)
        login = f"{known['user']}:{known['password']}"
        return f"postgresql://{login}@/{name}?host={known['host']}&port={known['port']}"

    def superuser(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection for the benchmark's own looking."""
        info = make_conninfo(self.embedded.dsn_superuser, dbname=database)
        return psycopg.connect(info, autocommit=True)

    @property
    def postmaster(self) -> int:
        """The server's process."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    @property
    def postgresql(self) -> str:
        """The server's release."""
        with self.superuser("postgres") as conn:
            row = conn.execute("SHOW server_version").fetchone()
        return str(row[0]) if row else ""


def until(done: Any, *, seconds: float, every: float) -> bool:
    """Look every so often until it is done; False when time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(every)
    return False
