"""One connection to PostgreSQL: its deadlines, its JSON, and a client that never waits for ever."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from select import POLLIN, poll
from typing import Any, TypeVar

import orjson
import psycopg
from psycopg.abc import PQGen
from psycopg.adapt import Dumper
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import JsonbDumper, set_json_dumps, set_json_loads

__all__ = ["Bounded", "Limits", "check", "conninfo", "dumps", "json_text", "open_connection", "prepare"]

RV = TypeVar("RV")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The deadlines of every connection. No transaction of ours takes longer than 30 s."""

    connect: timedelta = timedelta(seconds=5)
    statement: timedelta = timedelta(seconds=30)
    lock: timedelta = timedelta(seconds=5)
    idle_in_transaction: timedelta = timedelta(seconds=30)


MIGRATING = Limits(
    statement=timedelta(minutes=30), lock=timedelta(minutes=1), idle_in_transaction=timedelta(minutes=30)
)


class Bounded(psycopg.Connection[DictRow]):
    """A connection that gives up on a server which neither answers nor hangs up (stopped, disk full).

    The server's own `statement_timeout` comes first; this is for the server that cannot keep it.
    """

    patience: float = 40.0
    """Seconds without any answer; a connection that lost its patience is closed."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait as the driver does, and close the connection when patience is over."""
        within = self.patience if timeout is None else timeout
        return super().wait(self._bounded(gen, within), interval)

    def _bounded(self, gen: PQGen[RV], seconds: float) -> PQGen[RV]:
        end = time.monotonic() + seconds
        try:
            asked = next(gen)
            while True:
                ready = yield asked
                if not ready and time.monotonic() > end:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer for {seconds:.0f} s")
                asked = gen.send(ready)
        except StopIteration as done:
            value: RV = done.value
            return value


def conninfo(
    dsn: str, *, limits: Limits, user: str = "", password: str = "", name: str = "concordat", more: Sequence[str] = ()
) -> str:
    """Add to an address everything that each of our connections carries; `more` are further settings, `name=value`."""
    settings = {
        "statement_timeout": limits.statement,
        "lock_timeout": limits.lock,
        "idle_in_transaction_session_timeout": limits.idle_in_transaction,
    }
    options = [f"-c {key}={value // timedelta(milliseconds=1)}" for key, value in settings.items()]
    options += ["-c TimeZone=UTC", "-c client_min_messages=warning", *(f"-c {setting}" for setting in more)]
    login = {key: value for key, value in (("user", user), ("password", password)) if value}
    return make_conninfo(
        dsn,
        **login,
        application_name=name,
        connect_timeout=int(limits.connect.total_seconds()),
        options=" ".join(options),
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=20_000,
    )


def open_connection(info: str, *, limits: Limits, autocommit: bool = False) -> Bounded:
    """Open one connection outside the pools; the caller closes it."""
    conn = Bounded.connect(info, autocommit=autocommit, row_factory=dict_row)
    prepare(conn)
    conn.patience = limits.statement.total_seconds() + 10
    return conn


def prepare(conn: psycopg.Connection[Any]) -> None:
    """Teach a connection our JSON: `dict` travels as jsonb, Decimal inside it as text."""
    set_json_dumps(dumps, conn)
    set_json_loads(orjson.loads, conn)
    conn.adapters.register_dumper(dict, _DictDumper)
    conn.adapters.register_dumper(list, _ListDumper)


def json_text(value: Any) -> str:
    """Write JSON as the text that an array of `jsonb` takes."""
    return dumps(value).decode()


def dumps(value: Any) -> bytes:
    """Serialise to JSON; instants end in Z, Decimal becomes text, anything unknown is a TypeError."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _DictDumper(JsonbDumper):
    _dumps = staticmethod(dumps)


class _ListDumper(Dumper):
    """A list as the text of an array.

    Statements name the type (`%(ids)s::bigint[]`), so no element needs a look-up of its own; those of the driver took
    a tenth of a worker's time.
    """

    def dump(self, obj: list[Any]) -> bytes:
        """Texts, whole numbers, Decimals, booleans, instants and None."""
        return f"{{{','.join([_element(value) for value in obj])}}}".encode()


def _element(value: object) -> str:
    kind = type(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "NULL"
    if kind is int or kind is float or kind is bool or kind is Decimal:
        return str(value)
    if isinstance(value, datetime):
        return f'"{value.isoformat()}"'
    raise TypeError(f"{kind.__name__} has no place in an array parameter")


def check(conn: psycopg.Connection[Any]) -> None:
    """Refuse an idle connection that the server has closed: its socket would speak. Costs no round trip."""
    watch = poll()
    watch.register(conn.fileno(), POLLIN)
    while watch.poll(0):
        conn.pgconn.consume_input()
        if conn.pgconn.status != psycopg.pq.ConnStatus.OK:
            raise psycopg.OperationalError("the server closed an idle connection")
