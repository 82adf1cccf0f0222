"""Lists travel as arrays: what goes in comes back, whatever is written in it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concordat.store.database import Database

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the database keeps nothing of it
@given(TEXTS)
def test_texts_come_back_as_they_went(database: Database, texts: list[str | None]) -> None:
    with database.engine() as conn:
        row = conn.execute("SELECT %(a)s::text[] AS a", {"a": texts}).fetchone()
    assert row is not None
    assert row["a"] == texts


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bigint", [1, -5, 2**62, None]),
        ("numeric", [Decimal("1250.00"), Decimal("-0.5"), None]),
        ("boolean", [True, False, None]),
        ("float8", [0.5, 2.0]),
        ("timestamptz", [datetime(2026, 11, 30, 10, 0, 0, 5, tzinfo=UTC), None]),
        ("text", ["NULL", "", "{}", 'a"b', "c\\d", " x "]),
    ],
)
def test_every_kind_comes_back(database: Database, kind: str, values: list[object]) -> None:
    with database.engine() as conn:
        row = conn.execute(f"SELECT %(a)s::{kind}[] AS a", {"a": values}).fetchone()
    assert row is not None
    assert row["a"] == values


def test_what_has_no_place_in_an_array_is_refused(database: Database) -> None:
    with pytest.raises((TypeError, psycopg.Error)), database.engine() as conn:
        conn.execute("SELECT %(a)s::text[]", {"a": [object()]})
