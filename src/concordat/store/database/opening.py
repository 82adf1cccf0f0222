"""The firm's database, wherever it is: on the operator's server, or embedded in the firm's folder."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from concordat.errors import UserError
from concordat.store.database import Database
from concordat.store.database.connection import Limits
from concordat.store.database.roles import bootstrap, passwords_from
from concordat.store.embedded import Embedded

__all__ = ["open_database"]

DATABASE = "concordat"


@contextmanager
def open_database(url: str, state: Path, *, size: int = 8, limits: Limits | None = None) -> Iterator[Database]:
    """Open the database at `url`, or with an empty `url` the embedded one in `state`/postgres.

    Makes roles and database where they are missing; migrates nothing. Raises `NotReachable` or `UserError`.
    """
    if url:
        with _opened(url, _secret(url, state), size=size, limits=limits) as database:
            yield database
        return
    server = Embedded.start(state / "postgres")
    try:
        with _opened(server.dsn_superuser, "", size=size, limits=limits) as database:
            yield database
    finally:
        server.stop()


@contextmanager
def _opened(dsn: str, secret: str, *, size: int, limits: Limits | None) -> Iterator[Database]:
    known = _parsed(dsn)
    name = str(known.get("dbname") or DATABASE) if secret else DATABASE
    passwords = passwords_from(secret or str(known["password"]))
    address = bootstrap(dsn, name, passwords)
    with Database(address, passwords, size=size, limits=limits) as database:
        yield database


def _secret(url: str, state: Path) -> str:
    """Find what the roles' passwords derive from: the address's password, which all machines share.

    An address without one (a certificate, a password file) leaves a secret of our own, in `state`/secret.
    """
    password = _parsed(url).get("password")
    if password:
        return str(password)
    path = state / "secret"
    if not path.exists():
        state.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()


def _parsed(url: str) -> dict[str, object]:
    try:
        return dict(conninfo_to_dict(make_conninfo(url)))
    except ProgrammingError as error:
        raise UserError(
            f"CONCORDAT_DATABASE_URL is no PostgreSQL address: {str(error).strip()}.",
            remedy="Write it like postgresql://user:password@host:5432/concordat.",
        ) from error
