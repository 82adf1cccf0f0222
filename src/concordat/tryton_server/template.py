"""The firm as it is on its first day, built once and kept as a dump in the cache.

Two stages, each with a dump of its own: an empty database of Tryton, slow to make and the same for everybody;
and the firm set up in it for one year of books, which costs seconds more.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from concordat.errors import NotReachable
from concordat.tryton_server import firm
from concordat.tryton_server.cluster import Cluster
from concordat.tryton_server.install import LOCK
from concordat.tryton_server.lock import held, taken
from concordat.tryton_server.program import Program, end_orphan
from concordat.tryton_server.steps import Progress, within
from concordat.tryton_server.wire import Session

__all__ = ["Template", "base_folder", "template", "template_folder"]

_DATABASE = "erp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A dump, and what one must know to use what it restores to."""

    dump: Path
    facts: dict[str, Any]
    """`admin_password`, and for the firm `password` of the service user and `companies`."""

    @classmethod
    def read(cls, folder: Path) -> Template:
        """Read the complete template in this folder."""
        return cls(dump=folder / "dump.sql", facts=json.loads((folder / "facts.json").read_text()))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Workshop:
    """A folder of its own with a PostgreSQL in it, for as long as one stage is built."""

    folder: Path
    cluster: Cluster
    environment: Path

    def program(self) -> Program:
        return Program(self.folder, self.environment, uri=self.cluster.uri(), database=_DATABASE)


def base_folder(cache: Path) -> Path:
    """Where Tryton's empty database belongs; its name changes with the locked versions and the modules."""
    return _home(cache, "empty", " ".join(firm.MODULES).encode())


def template_folder(cache: Path, year: int) -> Path:
    """Where the template belongs; its name changes with the locked versions, the set-up and the year."""
    return _home(cache, "firm", Path(firm.__file__).read_bytes(), str(year).encode())


def template(cache: Path, environment: Path, *, year: int, progress: Progress) -> Template:
    """Give the template, built on first use (a minute). Concurrent first users wait for one build.

    A build that dies leaves only a folder of its own, which is never mistaken for a template.
    """

    def empty(workshop: _Workshop) -> dict[str, Any]:
        progress("initialising Tryton's database, 14 modules (once)", 0.05)
        return _initialise(workshop)

    def set_up(workshop: _Workshop) -> dict[str, Any]:
        base = _stage(cache, environment, base_folder(cache), empty)
        progress("setting the firm up (once)", 0.7)
        return _set_up(workshop, base, year, within(progress, 0.75, 0.95))

    made = _stage(cache, environment, template_folder(cache, year), set_up)
    progress("the firm's template is ready", 1.0)
    return made


def _home(cache: Path, name: str, *parts: bytes) -> Path:
    digest = hashlib.sha256(b"|".join((LOCK.read_bytes(), *parts))).hexdigest()[:16]
    return cache / f"tryton-{name}-{digest}"


def _stage(cache: Path, environment: Path, home: Path, build: Callable[[_Workshop], dict[str, Any]]) -> Template:
    """Give what stands in `home`, or build it in a workshop and move it there when it is complete."""
    with held(cache / f"{home.name}.lock"):
        if not (home / "facts.json").exists():
            with _folder(cache) as work:
                _build(work, environment, build).rename(home)
    return Template.read(home)


@contextmanager
def _folder(cache: Path) -> Iterator[Path]:
    """Give a folder to build in; what killed builders left behind is cleared away first."""
    with held(cache / "tryton-build.lock"):
        for left in cache.glob("tryton-build-*"):
            _clear(left)
        work = Path(tempfile.mkdtemp(dir=cache, prefix="tryton-build-"))
        owner = taken(work / "owner.lock")
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if owner:
            owner.close()


def _clear(left: Path) -> None:
    """Stop what runs in a build folder and remove it, unless its builder lives."""
    owner = taken(left / "owner.lock")
    if owner is None:
        return
    with owner, suppress(NotReachable):
        end_orphan(left)
        Cluster.embedded(left / "postgres").stop()
    shutil.rmtree(left, ignore_errors=True)


def _build(work: Path, environment: Path, build: Callable[[_Workshop], dict[str, Any]]) -> Path:
    cluster = Cluster.embedded(work / "postgres")
    try:
        cluster.create(_DATABASE)
        facts = build(_Workshop(folder=work, cluster=cluster, environment=environment))
        made = work / "template"
        made.mkdir(mode=0o700)
        (made / "dump.sql").write_bytes(cluster.dump(_DATABASE))
        (made / "facts.json").write_text(json.dumps(facts))
    finally:
        cluster.stop()
    return made


def _initialise(workshop: _Workshop) -> dict[str, Any]:
    password = secrets.token_urlsafe(18)
    workshop.program().initialise(firm.MODULES, password)
    return {"admin_password": password}


def _set_up(workshop: _Workshop, base: Template, year: int, progress: Progress) -> dict[str, Any]:
    workshop.cluster.load(_DATABASE, base.dump.read_bytes())
    service = secrets.token_urlsafe(18)
    program = workshop.program()
    program.start()
    try:
        session = Session(program.url, _DATABASE, "admin", base.facts["admin_password"])
        companies = firm.build(session, year=year, password=service, progress=progress)
        session.close()
    finally:
        program.stop()
    return {**base.facts, "password": service, "companies": companies}
