"""Starts and stops the firm's real ERP: environment, database, trytond, in that order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

from psycopg import sql

from concordat.errors import NotReachable
from concordat.tryton_server.cluster import Cluster
from concordat.tryton_server.firm import SERVICE_USER
from concordat.tryton_server.install import default_cache, environment, environment_folder
from concordat.tryton_server.lock import taken
from concordat.tryton_server.program import Program
from concordat.tryton_server.steps import Progress, silent, within
from concordat.tryton_server.template import Template, base_folder, template

__all__ = ["DATABASE", "Access", "Tryton"]

DATABASE = "erp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """All that a client needs: the service user of Concordat, and the company of each legal entity."""

    url: str
    database: str
    user: str
    password: str
    companies: dict[str, int]


class Tryton:
    """A real Tryton with the firm Northbeam in it, on loopback, owned by one folder.

    Not safe for several threads at once. `with Tryton.start(...) as tryton:` stops it at the end.
    """

    def __init__(self, program: Program, facts: Mapping[str, Any], dsn: str, held: ExitStack) -> None:
        self.access = Access(
            url=program.url,
            database=program.database,
            user=SERVICE_USER,
            password=facts["password"],
            companies=facts["companies"],
        )
        self.admin_password: str = facts["admin_password"]
        self.dsn = dsn
        """Tryton's own database, for tests that hold a lock or look behind the server."""
        self._program = program
        self._held = held

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        port: int = 0,
        postgres: str | None = None,
        database: str = DATABASE,
        today: date | None = None,
        cache: Path | None = None,
        fresh: bool = False,
        progress: Progress = silent,
    ) -> Self:
        """Start the ERP of a folder and return when it answers.

        The first start on a machine installs Tryton and builds the template (one to two minutes, told to
        `progress`); later ones restore it (some seconds); a folder that was used before keeps its data unless
        `fresh`. `postgres` is the address of a server whose role may create databases; without it an embedded
        one runs in the folder. `today` fixes the year whose books are open; without it the database is asked.
        A server left over by a killed owner is ended first. `NotReachable` says why it cannot start.
        """
        cache = cache or default_cache()
        folder = folder.expanduser().resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            _own(folder, stack)
            installed = environment(cache, within(progress, 0.0, 0.15))
            cluster = Cluster.at(postgres) if postgres else Cluster.embedded(folder / "postgres")
            stack.callback(cluster.stop)
            home = _Home(folder=folder, cluster=cluster, database=database)
            facts = None if fresh else home.facts()
            if facts is None:
                year = today.year if today else _year(cluster)
                made = template(cache, installed, year=year, progress=within(progress, 0.15, 0.85))
                facts = home.restore(made, progress)
            program = Program(folder, installed, uri=cluster.uri(), database=database, port=port)
            progress("starting Tryton", 0.9)
            program.start()
            stack.callback(program.stop)
            progress("Tryton answers", 1.0)
            return cls(program, facts, cluster.conninfo(database), stack.pop_all())

    @staticmethod
    def prepared(cache: Path | None = None) -> bool:
        """Say whether the slow part of the first start is done: installed, and a database initialised."""
        cache = cache or default_cache()
        return environment_folder(cache).joinpath("complete").exists() and base_folder(cache).exists()

    @property
    def pid(self) -> int:
        """The server's process; 0 after a crash."""
        return self._program.pid

    def crash(self) -> None:
        """Kill the server in the middle of whatever it does; its database lives on."""
        self._program.kill()

    def resume(self) -> None:
        """Start the server again on the same port, with the same data."""
        self._program.start()

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._program.alive()

    def stop(self) -> None:
        """End the server and its embedded PostgreSQL, nothing else. Harmless the second time."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _own(folder: Path, stack: ExitStack) -> None:
    lock = taken(folder / "owner.lock")
    if lock is None:
        raise NotReachable(
            f"A Tryton of {folder} is running already.", remedy="Stop the other run, or name another folder."
        )
    stack.enter_context(lock)


def _year(cluster: Cluster) -> int:
    return int(cluster.execute(sql.SQL("SELECT extract(year FROM current_date)::int"))[0][0])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Home:
    """A folder's database, and the file beside it that says how to use it."""

    folder: Path
    cluster: Cluster
    database: str

    @property
    def _notes(self) -> Path:
        return self.folder / f"{self.database}.json"

    def facts(self) -> dict[str, Any] | None:
        """Give what opens the database that is there already, or None."""
        if not (self._notes.exists() and self.cluster.exists(self.database)):
            return None
        facts: dict[str, Any] = json.loads(self._notes.read_text())
        return facts

    def restore(self, made: Template, progress: Progress) -> dict[str, Any]:
        """Fill the database from a template; its name appears last, so a half-restored one is never used."""
        progress("restoring the firm", 0.86)
        restoring = f"{self.database}_restoring"
        for name in (restoring, self.database):
            self.cluster.drop(name)
        self.cluster.create(restoring)
        self.cluster.load(restoring, made.dump.read_bytes())
        self._notes.touch(mode=0o600)
        self._notes.write_text(json.dumps(made.facts))
        self.cluster.rename(restoring, self.database)
        return made.facts
