"""The PostgreSQL of one harness process: a cluster in memory, a template with the contracts, a database per seed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from concordat.core.contract import Contract
from concordat.core.language import load_contract
from concordat.errors import Bug
from concordat.operations.contracts import publish
from concordat.prove.stage import Stage
from concordat.store.database import ENGINE, OWNER, Connection, Database, Limits, bootstrap, passwords_from, translated
from concordat.store.database.connection import Bounded, open_connection
from concordat.store.database.roles import grant_connect
from concordat.store.embedded import Embedded
from concordat.store.migrate import migrate

__all__ = ["CONTRACTS", "Machine", "Simulated"]

CONTRACTS = ("client-onboarding", "opportunity-to-project", "opportunity-extension")
SHIPPED = Path(__file__).parent.parent / "handoffs"
TEMPLATE = "concordat_prove"
ROOM = 2 * 1024**3
MONTHS = "SELECT open_month(d::date) FROM generate_series('2026-05-01'::date, '2027-03-01'::date, interval '1 month') d"
LIMITS = Limits(lock=timedelta(milliseconds=1))
"""Simulated transactions run whole: nobody ever waits for a lock."""


class Simulated(Database):
    """The database as the engine sees it, by the run's clock; a worker may die, and it may fail, at each commit."""

    def __init__(self, dsn: str, passwords: Mapping[str, str], stage: Stage) -> None:
        super().__init__(dsn, passwords, limits=LIMITS)
        self._stage = stage
        self._told = ""
        self.commits = 0

    @cached_property
    def connection(self) -> Bounded:
        """The one connection: exactly one transaction at a time."""
        conn = open_connection(self._info(ENGINE, self.limits), limits=self.limits, autocommit=True)
        conn.prepare_threshold = 0
        return conn

    @contextmanager
    def engine(self) -> Iterator[Connection]:
        """As the product's, with a seam at its beginning and at its commit."""
        self._stage.place("begin")
        with self.quiet() as conn:
            yield conn
            self._stage.place("commit")
        self.commits += 1
        self._stage.place("committed")

    @contextmanager
    def quiet(self) -> Iterator[Connection]:
        """A transaction in which nothing happens: the harness's own."""
        conn = self.connection
        if conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            raise Bug("A transaction inside a transaction would wait for itself.")
        self._tell_time(conn)
        with translated(), conn.transaction():
            yield conn

    def look(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """One statement of the harness's own, by itself; `now` is the run's clock."""
        return self.connection.execute(sql, {"now": self._stage.clock.now, **parameters}).fetchall()

    def close(self) -> None:
        """Give the connection back."""
        if "connection" in self.__dict__:
            self.connection.close()
        super().close()

    def _tell_time(self, conn: Bounded) -> None:
        now = self._stage.clock.now.isoformat()
        if now != self._told:
            conn.execute("SELECT set_config('concordat.now', %s, false)", [now])
            self._told = now


@dataclass(kw_only=True)
class Machine:
    """One cluster and its template."""

    folder: Path
    embedded: Embedded
    passwords: Mapping[str, str]
    contracts: Mapping[str, Contract]
    admin: psycopg.Connection[Any] = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Machine]:
        """Start it, fast and fragile: a power cut is not what these runs are about. Everything goes at the end."""
        memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
        roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
        folder = Path(tempfile.mkdtemp(prefix="concordat-prove-", dir=memory if roomy else None))
        try:
            embedded = Embedded.start(folder, durable=False)
            try:
                with psycopg.connect(embedded.dsn_superuser, autocommit=True) as admin:
                    admin.execute("ALTER SYSTEM SET autovacuum = off")
                    admin.execute("SELECT pg_reload_conf()")
                    passwords = passwords_from(str(conninfo_to_dict(embedded.dsn_superuser)["password"]))
                    contracts = _prepare(embedded.dsn_superuser, passwords)
                    yield cls(folder=folder, embedded=embedded, passwords=passwords, contracts=contracts, admin=admin)
            finally:
                embedded.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def database(self, stage: Stage) -> Iterator[Simulated]:
        """A fresh copy of the template, gone at the end."""
        name = f"seed_{next(self._numbers)}"
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy OWNER {}")
        self.admin.execute(make.format(*map(sql.Identifier, (name, TEMPLATE, OWNER))))
        grant_connect(self.admin, name)
        address = conninfo_to_dict(self.embedded.dsn_superuser)
        db = Simulated(
            make_conninfo("", host=address["host"], port=address["port"], dbname=name), self.passwords, stage
        )
        try:
            yield db
        finally:
            db.close()
            self.admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _prepare(dsn: str, passwords: Mapping[str, str]) -> Mapping[str, Contract]:
    """Migrate and publish once; every seed is a copy."""
    contracts: dict[str, Contract] = {}
    with Database(bootstrap(dsn, TEMPLATE, passwords), passwords) as db:
        migrate(db)
        with db.owner() as conn:
            conn.execute(MONTHS)
        for name in CONTRACTS:
            text = (SHIPPED / name / "v1.yaml").read_text()
            loaded = load_contract(text, file=name, systems=None)
            if loaded.contract is None:
                raise Bug(f"The shipped contract {name} does not hold.")
            with db.engine() as conn:
                publish(conn, loaded.contract, text)
            contracts[name] = loaded.contract
    return contracts
