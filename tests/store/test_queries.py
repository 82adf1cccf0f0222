"""Named queries: well formed, documented, and understood by the database as the roles that run them."""

from __future__ import annotations

import re

import psycopg
import pytest

from concordat.errors import Bug
from concordat.store.database import APP, AUDIT_READER, ENGINE, Database
from concordat.store.queries import QUERIES, aggregates, load, parse

GOOD = """-- About effects.
-- name: claim
-- Take the oldest.
SELECT %(lane)s::int;

-- name: settle
-- Write what became of it.
-- In one go.
UPDATE effect SET state = %(state)s
"""
EXPLAINABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES")


def positional(text: str) -> str:
    """Turn `%(name)s` into `$1`, one number for each name."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"%%|%\((\w+)\)[sbt]", number, text)


def every_query():
    return [(name, query) for name in aggregates() for query in load(name)]


def makes_temporary(text: str) -> bool:
    return re.match(r"CREATE TEMP", text, re.IGNORECASE) is not None


def test_a_file_gives_its_queries_by_name():
    effect = parse("effect", GOOD)
    assert effect.claim == effect["claim"] == "SELECT %(lane)s::int"
    assert [query.says for query in effect] == ["Take the oldest.", "Write what became of it. In one go."]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT 1", "before the first"),
        ("-- name: a\nSELECT 1", "a has no sentence"),
        ("-- name: a\n-- Says.\n", "a has no SQL"),
        ("-- name: A b\n-- Says.\nSELECT 1", "is no name"),
        ("-- name: a\n-- Says.\nSELECT 1\n-- name: a\n-- Says.\nSELECT 2", "two queries are named a"),
    ],
)
def test_a_bad_file_is_a_bug(text: str, says: str):
    with pytest.raises(Bug, match=says):
        parse("effect", text)


def test_an_unknown_query_lists_the_known_ones():
    with pytest.raises(AttributeError, match=r"no query clam; it has claim, settle\."):
        _ = parse("effect", GOOD).clam
    with pytest.raises(AttributeError, match=r"no file of queries nonsense\.sql"):
        _ = QUERIES.nonsense


def test_the_database_understands_every_query(database: Database):
    """Parsed with its parameters' types, then planned as the first role that may run it."""
    faults = []
    for aggregate, query in every_query():
        refusals = [
            refusal for role in (ENGINE, APP, AUDIT_READER) if (refusal := refused(database, role, query.sql))
        ]
        if len(refusals) == 3:
            faults.append(f"{aggregate}.{query.name}: {refusals[0]}")
    assert not faults, "\n".join(faults)


def refused(database: Database, role: str, text: str) -> str:
    """Say why a role cannot run a query; empty if it can."""
    with database.session(role) as conn:
        for _, query in every_query():
            if makes_temporary(query.sql) and role != AUDIT_READER:
                conn.execute(query.sql)
        try:
            plain = positional(text)
            prepared = conn.pgconn.prepare(b"", plain.encode())
            if prepared.status != psycopg.pq.ExecStatus.COMMAND_OK:
                return prepared.get_error_message()
            if conn.info.server_version >= 160000 and plain.lstrip("( \n").upper().startswith(EXPLAINABLE):
                conn.execute(f"EXPLAIN (GENERIC_PLAN) {plain}")
        except psycopg.Error as error:
            return str(error)
    return ""
