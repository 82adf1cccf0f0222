"""What tests stand on: a PostgreSQL of the run's own, and a fresh migrated database for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import NoReturn, Protocol

import httpx
import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from concordat.settings import read_environment
from concordat.store.database import OWNER, Database, bootstrap, grant_connect, passwords_from
from concordat.store.embedded import Embedded
from concordat.store.migrate import migrate

BLANK, TEMPLATE = "concordat_blank", "concordat_template"
ROOM = 4 * 1024**3
"""Bytes: two servers with their write-ahead logs at their longest."""
MakeDatabase = Callable[[bool], Database]

# How long an example takes says nothing on a busy machine. A few examples find what breaks while one works.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=200)
settings.load_profile("thorough" if read_environment().test_all else "quick")

# Each client reads every authority there is, 25 ms each time, and a thousand are made: the first reading serves all.
httpx._transports.default.create_ssl_context = cache(httpx.create_ssl_context)


class Need(Protocol):
    """`need("a browser", how="…")`: this test cannot go on without it."""

    def __call__(self, what: str, *, how: str) -> NoReturn: ...


def machine_postgres(release: str) -> Path | None:
    """Find the programs of a PostgreSQL that Debian installed."""
    found = Path(f"/usr/lib/postgresql/{release}/bin")
    return found if (found / "initdb").exists() else None


def memory() -> Path | None:
    """Find a folder in memory with room enough: a test's database is copied there in a tenth of the time."""
    folder = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private one in it
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > ROOM else None


def ease(conn: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    """Let a login cost next to nothing: a thousand are made, and the hashing of each is what it costs."""
    if conn.info.server_version >= 160000:
        conn.execute("SET scram_iterations = 1")
        for role, password in passwords.items():
            conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))


@pytest.fixture(scope="session")
def need() -> Need:
    """Skip a test for want of something, or fail it where everything is promised to be there."""

    def refuse(what: str, *, how: str) -> NoReturn:
        message = f"{what} is not on this machine; {how}"
        if read_environment().test_all:
            pytest.fail(message)
        pytest.skip(message)

    return refuse


@pytest.fixture(scope="session")
def postgres15(need: Need) -> Path:
    """Find the machine's PostgreSQL 15, the oldest that is promised."""
    return machine_postgres("15") or need("PostgreSQL 15", how="apt-get install postgresql-15")


@pytest.fixture(scope="session")
def server() -> Iterator[Embedded]:
    """Run one server per test process, fast and fragile; CONCORDAT_TEST_POSTGRES=15: the machine's."""
    release = read_environment().test_postgres
    binaries = machine_postgres(release) if release else None
    if release and not binaries:
        pytest.exit(f"PostgreSQL {release} is not on this machine: apt-get install postgresql-{release}")
    # Not below pytest's own folder: its 0700 would keep the server's system user out.
    folder = Path(tempfile.mkdtemp(prefix="concordat-test-", dir=memory()))
    running = Embedded.start(folder, durable=False, binaries=binaries)
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def passwords(server: Embedded) -> Mapping[str, str]:
    return passwords_from(str(conninfo_to_dict(server.dsn_superuser)["password"]))


@pytest.fixture(scope="session")
def administrator(server: Embedded) -> Iterator[psycopg.Connection]:
    """Make and drop databases; never what the application's behaviour is tested with."""
    with psycopg.connect(server.dsn_superuser, autocommit=True) as conn:
        yield conn


@pytest.fixture(scope="session")
def blank(server: Embedded, passwords: Mapping[str, str], administrator: psycopg.Connection) -> str:
    """Make the roles, and a database with nothing in it."""
    bootstrap(server.dsn_superuser, BLANK, passwords)
    ease(administrator, passwords)
    return BLANK


@pytest.fixture(scope="session")
def template(server: Embedded, passwords: Mapping[str, str], administrator: psycopg.Connection) -> str:
    """Migrate once; each test's database is a copy."""
    dsn = bootstrap(server.dsn_superuser, TEMPLATE, passwords)
    ease(administrator, passwords)
    with Database(dsn, passwords) as db:
        migrate(db)
    return TEMPLATE


@pytest.fixture
def make_database(
    server: Embedded,
    passwords: Mapping[str, str],
    administrator: psycopg.Connection,
    request: pytest.FixtureRequest,
) -> Iterator[MakeDatabase]:
    """Make databases that vanish after the test: `make_database(True)` migrated, `(False)` empty."""
    made: list[Database] = []

    def make(migrated: bool) -> Database:  # noqa: FBT001
        source = request.getfixturevalue("template" if migrated else "blank")
        name = f"test_{next(NUMBERS)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy OWNER {}")
        administrator.execute(statement.format(*map(sql.Identifier, (name, source, OWNER))))
        grant_connect(administrator, name)
        address = conninfo_to_dict(server.dsn_superuser)
        dsn = make_conninfo("", host=address["host"], port=address["port"], dbname=name)
        made.append(Database(dsn, passwords))
        return made[-1]

    yield make
    for db in made:
        db.close()
        name = conninfo_to_dict(db.dsn)["dbname"]
        administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))


NUMBERS = count(1)


@pytest.fixture
def database(make_database: MakeDatabase) -> Database:
    """Give a migrated database of the test's own, reached through the four roles."""
    return make_database(True)
