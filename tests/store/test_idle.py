"""What a worker asks every few seconds reads what is due and what is being called, however much waits."""

from __future__ import annotations

import re

import pytest

from concordat.store.database import Database
from concordat.store.queries import QUERIES

WAITING = (
    """INSERT INTO work (effect_id, lane_id, due_at)
    SELECT n, 1, now() + interval '1 year' FROM generate_series(1, 20000) n""",
    """INSERT INTO service_level (handoff_id, name, unit, until, owner, started_at, warn_at, due_at)
    SELECT n, 'activated', 'u', 'activated', 'o', now(), now() + interval '1 year', now() + interval '2 years'
    FROM generate_series(1, 20000) n""",
    "ANALYZE work, service_level",
)


@pytest.mark.parametrize(
    ("name", "table", "parameters"),
    [("take_over", "work", {"worker": 1, "silence": 10}), ("clocks", "service_level", {})],
)
def test_nothing_that_waits_is_read(database: Database, name: str, table: str, parameters: dict[str, int]):
    with database.owner() as conn, conn.transaction(force_rollback=True):
        for statement in WAITING:
            conn.execute(statement)
        rows = conn.execute(f"EXPLAIN (ANALYZE, COSTS off) {QUERIES.recovery[name]}", parameters).fetchall()
    plan = "\n".join(row["QUERY PLAN"] for row in rows)
    assert not re.search(rf"Seq Scan on {table}\b", plan), plan
    assert "Rows Removed by Filter: 2" not in plan, plan
