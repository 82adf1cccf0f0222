"""The door to PostgreSQL: four roles, pooled connections with deadlines, and a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Self, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from concordat.errors import ConcordatError, Contended, UserError
from concordat.store.database.connection import (
    MIGRATING,
    Bounded,
    Limits,
    check,
    conninfo,
    dumps,
    json_text,
    open_connection,
    prepare,
)
from concordat.store.database.faults import meaning, translated
from concordat.store.database.roles import (
    APP,
    AUDIT_READER,
    ENGINE,
    OWNER,
    ROLES,
    bootstrap,
    grant_connect,
    passwords_from,
    refuse_dangerous_role,
)

__all__ = [
    "APP",
    "AUDIT_READER",
    "ENGINE",
    "OWNER",
    "ROLES",
    "Connection",
    "Database",
    "Limits",
    "bootstrap",
    "copy_rows",
    "dumps",
    "grant_connect",
    "json_text",
    "meaning",
    "now",
    "passwords_from",
    "refuse_dangerous_role",
    "temporary",
    "translated",
]

Connection = psycopg.Connection[DictRow]
"""A connection as the rest of Concordat sees it; a row is a dict."""
T = TypeVar("T")
TRIES = 8
PLANS = ("plan_cache_mode=force_generic_plan", "enable_seqscan=off")
"""The engine looks rows up by keys, whatever the keys: one plan a statement. Planning anew for every deal was a quarter
of all processor time at five deals a second (`concordat bench latency`). A plan that is made while the tables are young
must not read them whole when they have grown: it goes by an index wherever one leads. Pages plan each time."""


class Database:
    """One database and its roles. Opens nothing until asked; safe for many threads; `close` it at the end.

    `engine()`, `app(units)`, `audit()` and `owner()` each give a connection inside a transaction that commits
    at the end of the block and is undone by an exception. They refuse a role that policies cannot hold, raise
    `NotReachable` and `Contended` for what the database did to them, and leave every other error as it is.
    """

    def __init__(self, dsn: str, passwords: Mapping[str, str], *, size: int = 8, limits: Limits | None = None) -> None:
        self.dsn = dsn
        self.limits = limits or Limits()
        self._passwords = passwords
        self._size = size
        self._pools: dict[str, ConnectionPool[Bounded]] = {}
        self._lock = Lock()

    @contextmanager
    def engine(self) -> Iterator[Connection]:
        """Work on all units; never for a request."""
        with self._transaction(ENGINE) as conn:
            yield conn

    @contextmanager
    def app(self, units: Sequence[str]) -> Iterator[Connection]:
        """Serve one person: only these units exist."""
        if any("," in unit or not unit for unit in units):
            raise UserError(f"A unit's code is not empty and has no comma: {list(units)}.")
        with self._transaction(APP) as conn:
            conn.execute("SELECT set_config('concordat.units', %s, true)", [",".join(units)])
            yield conn

    @contextmanager
    def audit(self) -> Iterator[Connection]:
        """Read everything, write nothing."""
        with self._transaction(AUDIT_READER) as conn:
            conn.execute("SET TRANSACTION READ ONLY")
            yield conn

    @contextmanager
    def owner(self) -> Iterator[Connection]:
        """Own the tables, for migrations alone: a connection of its own with generous deadlines."""
        with self.session(OWNER, limits=MIGRATING) as conn, conn.transaction():
            yield conn

    @contextmanager
    def session(self, role: str, *, limits: Limits | None = None) -> Iterator[Connection]:
        """Open a connection outside the pools, without a transaction (autocommit); closed after the block."""
        deadlines = limits or self.limits
        with (
            translated(),
            open_connection(self._info(role, deadlines), limits=deadlines, autocommit=True) as conn,
        ):
            yield conn

    def again(self, work: Callable[[], T], *, tries: int = TRIES) -> T:
        """Run a whole transaction, again when another one got in its way; the last `Contended` is raised."""
        for _ in range(tries - 1):
            try:
                return work()
            except Contended:
                continue
        return work()

    def healthy(self) -> bool:
        """Say within 5 s whether the database answers the engine's login."""
        limits = Limits(connect=timedelta(seconds=2), statement=timedelta(seconds=1))
        try:
            with translated(), open_connection(self._info(ENGINE, limits), limits=limits) as conn:
                conn.patience = 2.0
                conn.execute("SELECT 1")
        except ConcordatError:
            return False
        return True

    def listen(self, *channels: str, every: float, role: str = ENGINE) -> Iterator[str | None]:
        """Yield the payload of each NOTIFY, and None whenever `every` seconds pass without one.

        Holds a connection of its own until the generator is closed. Notifications sent while nobody listens
        are lost by design: look at the rows when None comes. The first item is None, once it listens.
        """
        with translated(), psycopg.connect(self._info(role, self.limits), autocommit=True) as conn:
            for channel in channels:
                conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            yield None
            while True:
                heard = [notify.payload for notify in conn.notifies(timeout=every, stop_after=1)]
                yield from heard
                if not heard:
                    yield None

    def close(self) -> None:
        """Give all pooled connections back. The database object can be used again afterwards."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, role: str) -> Iterator[Connection]:
        """Begin at once: a block inside that came first would else be the transaction, and commit by itself."""
        with translated(), self._pool(role).connection() as conn, conn.transaction():
            yield conn

    def _pool(self, role: str) -> ConnectionPool[Bounded]:
        with self._lock:
            if role not in self._pools:
                self._pools[role] = self._open_pool(role)
            return self._pools[role]

    def _open_pool(self, role: str) -> ConnectionPool[Bounded]:
        """Prove the role before the first use; a server that is not there says so at once."""
        with self.session(role) as conn:
            refuse_dangerous_role(conn)
        return ConnectionPool(
            self._info(role, self.limits),
            connection_class=Bounded,
            kwargs={"row_factory": dict_row},
            min_size=1,
            max_size=self._size,
            timeout=self.limits.connect.total_seconds(),
            configure=self._configure,
            check=check,
            name=role,
            open=True,
        )

    def _configure(self, conn: Bounded) -> None:
        prepare(conn)
        conn.prepare_threshold = 0  # our statements are few and named; parsing them again costs more than they do
        conn.patience = self.limits.statement.total_seconds() + 10

    def _info(self, role: str, limits: Limits) -> str:
        more = PLANS if role == ENGINE else ()
        return conninfo(self.dsn, limits=limits, user=role, password=self._passwords[role], name=role, more=more)


def now(conn: Connection) -> datetime:
    """Read the transaction's clock, in UTC: the database's, or the one that a simulation set."""
    row = conn.execute("SELECT app_now() AS now").fetchone() or {}
    instant: datetime = row["now"]
    return instant


def temporary(conn: Connection, table: str, columns: Mapping[str, str]) -> None:
    """Make the session's temporary table unless it is there; it is empty again after each transaction.

    `columns` is name to SQL type; both are written by programmers, never by users.
    """
    shape = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns.items()
    )
    statement = sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} ({}) ON COMMIT DELETE ROWS")
    conn.execute(statement.format(sql.Identifier(table), shape))


def copy_rows(conn: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """COPY rows into a temporary table and say how many; then `INSERT … SELECT` from it.

    Straight COPY into a table with policies is refused by PostgreSQL.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier("pg_temp", table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with conn.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount
