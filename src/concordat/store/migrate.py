"""Numbered SQL migrations: applied in order, recorded with a checksum, reversible, frozen once published.

`0001_name.pre.up.sql` runs before the new release starts, `0001_name.post.up.sql` after the old one has gone;
each has its `.down.sql`. One file is one transaction.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from concordat.errors import UserError
from concordat.store.database import OWNER, Connection, Database
from concordat.store.database.connection import MIGRATING

__all__ = ["FOLDER", "Migration", "Status", "down", "migrate", "read", "status"]

FOLDER = Path(__file__).parent / "migrations"
NAME = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.(?P<phase>pre|post)\.(?P<way>up|down)\.sql")
PHASES = ("pre", "post")

TABLE = """
CREATE TABLE IF NOT EXISTS migration (
  number     integer NOT NULL,
  phase      text NOT NULL CHECK (phase IN ('pre', 'post')),
  name       text NOT NULL,
  checksum   text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (number, phase)
)
"""

Progress = Callable[[str, int, int], None]
"""Called before each file with its name, its place and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Migration:
    """One step of the schema and its way back."""

    number: int
    place: int
    """0 for `pre`, 1 for `post`."""
    name: str
    up: str
    down: str

    @property
    def phase(self) -> str:
        """Say when it runs: `pre` before the new release starts, `post` after the old one has gone."""
        return PHASES[self.place]

    @property
    def title(self) -> str:
        """Give the name of its files, without the way."""
        return f"{self.number:04}_{self.name}.{self.phase}"

    @property
    def checksum(self) -> str:
        """Give the digest that freezes both files once applied."""
        return hashlib.sha256(f"{self.up}\0{self.down}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """One migration as the database knows it; `applied_at` is None while it waits."""

    title: str
    applied_at: datetime | None


def read(folder: Path = FOLDER) -> Sequence[Migration]:
    """Read all migrations in order. A stray file or a missing way back is an error."""
    texts: dict[tuple[int, int, str], dict[str, str]] = {}
    for path in sorted(folder.glob("*.sql")):
        match = NAME.fullmatch(path.name)
        if not match:
            raise UserError(f"{path} is not named like 0001_name.pre.up.sql.", remedy="Rename it.")
        key = (int(match["number"]), PHASES.index(match["phase"]), match["name"])
        texts.setdefault(key, {})[match["way"]] = path.read_text()
    found = [_migration(key, ways) for key, ways in sorted(texts.items())]
    _refuse_doubles(found)
    return found


def _migration(key: tuple[int, int, str], ways: dict[str, str]) -> Migration:
    number, place, name = key
    for way in ("up", "down"):
        if way not in ways:
            raise UserError(f"The migration {number:04}_{name}.{PHASES[place]} has no .{way}.sql.", remedy="Write it.")
    return Migration(number=number, place=place, name=name, up=ways["up"], down=ways["down"])


def _refuse_doubles(found: Sequence[Migration]) -> None:
    for one, next_ in pairwise(found):
        if (one.number, one.place) == (next_.number, next_.place):
            raise UserError(f"{one.title} and {next_.title} have the same number.", remedy="Give one a new number.")


def migrate(
    db: Database,
    to: int | None = None,
    *,
    phase: str | None = None,
    folder: Path = FOLDER,
    progress: Progress | None = None,
) -> Sequence[str]:
    """Apply what is missing, up to number `to`, of one phase or both; return the titles. Safe to race.

    A database that is ahead of these files (a newer release was here) is left as it is.
    """
    with _alone(db) as conn:
        known = _applied(conn)
        found = read(folder)
        _refuse_changed(found, known)
        waiting = [step for step in found if step.title not in known and (to is None or step.number <= to)]
        chosen = [step for step in waiting if phase in {None, step.phase}]
        for place, step in enumerate(chosen, 1):
            _tell(progress, step.title, place, len(chosen))
            with conn.transaction():
                conn.execute(step.up)
                _record(conn, step)
        return [step.title for step in chosen]


def down(db: Database, to: int, *, folder: Path = FOLDER, progress: Progress | None = None) -> Sequence[str]:
    """Take back everything above number `to`, newest first; return the titles."""
    with _alone(db) as conn:
        known = _applied(conn)
        found = read(folder)
        _refuse_changed(found, known)
        _refuse_unknown(found, known, to)
        chosen = [step for step in reversed(found) if step.title in known and step.number > to]
        for place, step in enumerate(chosen, 1):
            _tell(progress, step.title, place, len(chosen))
            with conn.transaction():
                conn.execute(step.down)
                conn.execute("DELETE FROM migration WHERE number = %s AND phase = %s", [step.number, step.phase])
        return [step.title for step in chosen]


def status(db: Database, *, folder: Path = FOLDER) -> Sequence[Status]:
    """List every migration of the files and of the database, in order."""
    with db.session(OWNER) as conn:
        conn.execute(TABLE)
        known = _applied(conn)
    titles = sorted({step.title for step in read(folder)} | set(known), key=_order)
    return [Status(title=title, applied_at=known[title].applied_at if title in known else None) for title in titles]


def _order(title: str) -> tuple[str, int]:
    return title[:4], PHASES.index(title.rpartition(".")[2])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Applied:
    checksum: str
    applied_at: datetime


@contextmanager
def _alone(db: Database) -> Iterator[Connection]:
    """One process migrates a database at a time; the others wait and then find nothing to do."""
    with db.session(OWNER, limits=MIGRATING) as conn:
        conn.execute("SELECT pg_advisory_lock(hashtext('concordat.migrate'))")
        conn.execute(TABLE)
        yield conn


def _applied(conn: Connection) -> dict[str, _Applied]:
    rows = conn.execute("SELECT number, phase, name, checksum, applied_at FROM migration").fetchall()
    return {
        f"{row['number']:04}_{row['name']}.{row['phase']}": _Applied(
            checksum=row["checksum"], applied_at=row["applied_at"]
        )
        for row in rows
    }


def _record(conn: Connection, step: Migration) -> None:
    conn.execute(
        "INSERT INTO migration (number, phase, name, checksum) VALUES (%s, %s, %s, %s)",
        [step.number, step.phase, step.name, step.checksum],
    )


def _tell(progress: Progress | None, title: str, place: int, of: int) -> None:
    if progress:
        progress(title, place, of)


def _refuse_changed(found: Sequence[Migration], known: dict[str, _Applied]) -> None:
    changed = [step.title for step in found if step.title in known and known[step.title].checksum != step.checksum]
    if changed:
        raise UserError(
            f"Published migrations were changed after they were applied: {', '.join(changed)}.",
            remedy="Restore the files and write a new migration instead.",
        )


def _refuse_unknown(found: Sequence[Migration], known: dict[str, _Applied], to: int) -> None:
    ours = {step.title for step in found}
    strange = [title for title in known if title not in ours and int(title[:4]) > to]
    if strange:
        raise UserError(
            f"The database has migrations that this release does not know: {', '.join(sorted(strange))}.",
            remedy="Take them back with the release that brought them.",
        )
