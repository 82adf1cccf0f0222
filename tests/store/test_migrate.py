"""Migrations: in order, once, reversible, frozen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from concordat.errors import UserError
from concordat.store.database import Database
from concordat.store.migrate import down, migrate, read, status

MakeDatabase = Callable[[bool], Database]

# An access list that was granted and revoked is written out, and means the same as none: hence `acldefault`.
SCHEMA = {
    "columns": """
        SELECT c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
               (SELECT string_agg(item::text, ' ' ORDER BY item::text) FROM unnest(coalesce(
                  c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)
                )) item) AS may,
               pg_get_userbyid(c.relowner) AS owner, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
               a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid) AS standard
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.relname, a.attname""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    "policies": "SELECT * FROM pg_policies WHERE schemaname = 'public' ORDER BY tablename, policyname",
    "functions": """
        SELECT oid::regprocedure::text, pg_get_functiondef(oid) AS definition,
               (SELECT string_agg(item::text, ' ' ORDER BY item::text)
                FROM unnest(coalesce(proacl, acldefault('f', proowner))) item) AS may
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a' ORDER BY 1""",
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) AS definition FROM pg_trigger
        WHERE NOT tgisinternal ORDER BY 1, 2""",
    "types": "SELECT typname, typtype FROM pg_type WHERE typnamespace = 'public'::regnamespace ORDER BY 1",
}


def schema(db: Database) -> dict[str, list[dict[str, object]]]:
    with db.session("concordat_owner") as conn:
        return {name: conn.execute(query).fetchall() for name, query in SCHEMA.items()}


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        number, rest = name.split("__")
        title, phase, way = rest.rsplit("_", 2)
        (folder / f"{number.removeprefix('n')}_{title}.{phase}.{way}.sql").write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        n0001__first_pre_up="CREATE TABLE a (x int); INSERT INTO a VALUES (1)",
        n0001__first_pre_down="DROP TABLE a",
        n0002__second_pre_up="ALTER TABLE a ADD y int",
        n0002__second_pre_down="ALTER TABLE a DROP y",
        n0002__third_post_up="UPDATE a SET y = x % 2",
        n0002__third_post_down="UPDATE a SET y = NULL",
    )


@pytest.fixture
def empty(make_database: MakeDatabase) -> Database:
    return make_database(False)


@pytest.mark.slow
def test_the_shipped_migrations_go_up_down_and_up_to_the_same_schema(empty: Database):
    status(empty)
    bare = schema(empty)
    first = migrate(empty)
    up = schema(empty)
    assert list(reversed(down(empty, 0))) == first
    assert schema(empty) == bare
    assert migrate(empty) == first
    assert schema(empty) == up
    assert first == [step.title for step in read()]


@pytest.mark.slow
def test_each_shipped_migration_goes_back_one_by_one(empty: Database):
    migrate(empty)
    for number in sorted({step.number for step in read()}, reverse=True):
        before = schema(empty)
        down(empty, number - 1)
        migrate(empty, number)
        assert schema(empty) == before
        down(empty, number - 1)


def test_pre_comes_before_post_and_a_second_run_does_nothing(empty: Database, folder: Path):
    told = []
    titles = ["0001_first.pre", "0002_second.pre", "0002_third.post"]
    assert migrate(empty, folder=folder, progress=lambda *step: told.append(step)) == titles
    assert told == [(title, place, 3) for place, title in enumerate(titles, 1)]
    assert migrate(empty, folder=folder) == []
    with empty.owner() as conn:
        assert conn.execute("SELECT * FROM a").fetchall() == [{"x": 1, "y": 1}]


def test_one_phase_and_one_number_can_be_asked_for(empty: Database, folder: Path):
    assert migrate(empty, 1, folder=folder) == ["0001_first.pre"]
    assert migrate(empty, phase="pre", folder=folder) == ["0002_second.pre"]
    waiting = [step.title for step in status(empty, folder=folder) if step.applied_at is None]
    assert waiting == ["0002_third.post"]


def test_a_failing_file_leaves_nothing_behind(empty: Database, folder: Path):
    write(folder, n0003__bad_pre_up="CREATE TABLE b (); SELECT 1/0", n0003__bad_pre_down="DROP TABLE b")
    with pytest.raises(Exception, match="division by zero"):
        migrate(empty, folder=folder)
    assert [step.title for step in status(empty, folder=folder) if not step.applied_at] == ["0003_bad.pre"]
    with empty.owner() as conn:
        assert conn.execute("SELECT to_regclass('b') AS b").fetchall() == [{"b": None}]


def test_a_published_file_is_frozen(empty: Database, folder: Path):
    migrate(empty, folder=folder)
    write(folder, n0001__first_pre_up="CREATE TABLE a (x bigint)")
    with pytest.raises(UserError, match=r"changed after they were applied: 0001_first\.pre"):
        migrate(empty, folder=folder)


def test_a_database_that_is_ahead_is_left_alone(
    empty: Database, folder: Path, tmp_path_factory: pytest.TempPathFactory
):
    migrate(empty, folder=folder)
    older = tmp_path_factory.mktemp("older")
    for path in folder.glob("0001_*"):
        (older / path.name).write_text(path.read_text())
    assert migrate(empty, folder=older) == []
    with pytest.raises(UserError, match="this release does not know"):
        down(empty, 0, folder=older)


def test_many_at_once_apply_each_file_once(empty: Database, folder: Path):
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: list(migrate(empty, folder=folder)), range(4)))
    assert sorted(map(len, done)) == [0, 0, 0, 3]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"n0001__first_pre_up": "SELECT 1"}, "has no .down.sql"),
        (
            {
                "n0001__a_pre_up": "SELECT 1",
                "n0001__a_pre_down": "SELECT 1",
                "n0001__b_pre_up": "SELECT 1",
                "n0001__b_pre_down": "SELECT 1",
            },
            "have the same number",
        ),
    ],
)
def test_a_folder_that_is_not_in_order_is_refused(tmp_path: Path, files: dict[str, str], says: str):
    with pytest.raises(UserError, match=says):
        read(write(tmp_path, **files))


def test_a_stray_file_is_refused(tmp_path: Path):
    (tmp_path / "1_x.sql").touch()
    with pytest.raises(UserError, match="is not named like"):
        read(tmp_path)
