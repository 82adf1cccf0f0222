"""Named queries: SQL lives in `queries/<aggregate>.sql`, one sentence about each, and is read by name.

    -- name: claim
    -- Take the oldest ready effects of a lane, for one worker.
    SELECT … WHERE lane_id = %(lane)s

`QUERIES.effect.claim` and `load("effect")["claim"]` are the same text. The folder shares this module's path,
so it holds no Python.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from concordat.errors import Bug

__all__ = ["FOLDER", "QUERIES", "Aggregate", "Query", "aggregates", "load", "parse"]

FOLDER = Path(__file__).parent / "queries"
NAME = re.compile(r"^-- name: *(.*)$", re.MULTILINE)
WORD = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One named statement and the sentence that says what it does."""

    name: str
    says: str
    sql: str


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """All queries of one file, by attribute or by key; each is the text to execute."""

    name: str
    queries: Mapping[str, Query] = field(repr=False)

    def __getattr__(self, name: str) -> str:
        """Give the SQL of a query; an unknown name is an `AttributeError` that lists the known ones."""
        try:
            return self.queries[name].sql
        except KeyError:
            known = ", ".join(sorted(self.queries))
            raise AttributeError(f"{self.name}.sql has no query {name}; it has {known}.") from None

    def __getitem__(self, name: str) -> str:
        return self.queries[name].sql

    def __iter__(self) -> Iterator[Query]:
        return iter(self.queries.values())


def load(aggregate: str) -> Aggregate:
    """Read one file of queries, once per process."""
    return _load(aggregate, FOLDER)


@functools.cache
def _load(aggregate: str, folder: Path) -> Aggregate:
    path = folder / f"{aggregate}.sql"
    if not path.exists():
        raise Bug(f"There is no file of queries {path.name}.")
    return parse(aggregate, path.read_text())


def parse(aggregate: str, text: str) -> Aggregate:
    """Split a file into its queries. A double, nameless, empty or undocumented one is a `Bug`."""
    head, *parts = NAME.split(text)
    if any(line.strip() and not line.startswith("--") for line in head.splitlines()):
        raise Bug(f"{aggregate}.sql: SQL before the first `-- name:`.")
    queries: dict[str, Query] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        query = _query(aggregate, name.strip(), body)
        if query.name in queries:
            raise Bug(f"{aggregate}.sql: two queries are named {query.name}.")
        queries[query.name] = query
    return Aggregate(name=aggregate, queries=queries)


def _query(aggregate: str, name: str, body: str) -> Query:
    lines = body.strip().splitlines()
    comments = 0
    while comments < len(lines) and lines[comments].startswith("--"):
        comments += 1
    says = " ".join(line.removeprefix("--").strip() for line in lines[:comments])
    sql = "\n".join(lines[comments:]).strip().rstrip(";")
    if not WORD.fullmatch(name):
        raise Bug(f"{aggregate}.sql: `{name}` is no name for a query.")
    if not says or not sql:
        raise Bug(f"{aggregate}.sql: {name} has no {'SQL' if says else 'sentence that says what it does'}.")
    return Query(name=name, says=says, sql=sql)


def aggregates() -> list[str]:
    """List the files of queries."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


class _Queries:
    """Every file of queries as an attribute."""

    def __getattr__(self, aggregate: str) -> Aggregate:
        """Load a file of queries at its first use."""
        if aggregate.startswith("_") or not (FOLDER / f"{aggregate}.sql").exists():
            raise AttributeError(f"There is no file of queries {aggregate}.sql.")
        return load(aggregate)


QUERIES = _Queries()
