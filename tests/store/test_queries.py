"""Named queries: well formed, documented, and understood by the database as the roles that run them."""

from __future__ import annotations

import re

import psycopg
import pytest

from concordat.errors import Bug
from concordat.store.database import APP, AUDIT_READER, ENGINE, Connection, Database
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
    roles = (ENGINE, APP, AUDIT_READER)
    refusals = [refused(database, role) for role in roles]
    everywhere = set.intersection(*(set(by_query) for by_query in refusals))
    assert not everywhere, "\n".join(f"{name}: {refusals[0][name]}" for name in sorted(everywhere))


def refused(database: Database, role: str) -> dict[str, str]:
    """Say for each query that a role cannot run why not."""
    with database.session(role) as conn:
        if role != AUDIT_READER:
            for _, query in every_query():
                if makes_temporary(query.sql):
                    conn.execute(query.sql)
        tried = {f"{name}.{query.name}": refusal(conn, positional(query.sql)) for name, query in every_query()}
    return {name: why for name, why in tried.items() if why}


def refusal(conn: Connection, text: str) -> str:
    """Prepare one query, and plan it where the server can plan without values (since 16)."""
    prepared = conn.pgconn.prepare(b"", text.encode())
    if prepared.status != psycopg.pq.ExecStatus.COMMAND_OK:
        return prepared.get_error_message()
    if conn.info.server_version < 160000 or not text.lstrip("( \n").upper().startswith(EXPLAINABLE):
        return ""
    try:
        conn.execute(f"EXPLAIN (GENERIC_PLAN) {text}")
    except psycopg.Error as error:
        return str(error)
    return ""


@pytest.mark.parametrize("text", ["SELECT x FROM nowhere", "SELECT 1; SELECT 2", "DELETE FROM migration"])
def test_the_walk_finds_a_query_that_cannot_run(database: Database, text: str):
    with database.session(APP) as conn:
        assert refusal(conn, text)
