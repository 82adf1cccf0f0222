"""The door to PostgreSQL: roles that policies hold, deadlines that hold, errors that say what to do."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from select import select
from threading import Barrier, Thread

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from concordat.errors import Contended, NotReachable, UserError
from concordat.store.database import (
    APP,
    ENGINE,
    OWNER,
    ROLES,
    Database,
    Limits,
    bootstrap,
    copy_rows,
    now,
    passwords_from,
    refuse_dangerous_role,
    temporary,
)
from concordat.store.database.opening import open_database
from concordat.store.embedded import Embedded


def quick(database: Database, passwords: Mapping[str, str], **limits: timedelta) -> Database:
    """Open the same database with short deadlines."""
    return Database(database.dsn, passwords, limits=Limits(**limits))


# ── transactions ──


def test_a_block_commits_and_an_exception_undoes(database: Database):
    with database.engine() as conn:
        conn.execute("INSERT INTO unit VALUES ('US', 'America')")
    with pytest.raises(psycopg.errors.DivisionByZero), database.engine() as conn:
        conn.execute(
            "WITH made AS (INSERT INTO unit VALUES ('DE', 'Germany') RETURNING 0 AS zero) SELECT 1 / zero FROM made"
        )
    with database.engine() as conn:
        assert conn.execute("SELECT code FROM unit").fetchall() == [{"code": "US"}]


def test_a_block_inside_that_comes_first_is_no_transaction_of_its_own(database: Database):
    """Else it would commit by itself: a record would be kept, and the mark that plans it lost with the process."""

    def die_half_way() -> None:
        with database.engine() as conn:
            with conn.transaction():
                conn.execute("INSERT INTO lane (connection, object, operation) VALUES ('a', 'b', 'c')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        die_half_way()
    with database.engine() as conn:
        assert conn.execute("SELECT * FROM lane").fetchall() == []


def test_the_clock_is_the_transactions_and_a_simulation_can_set_it(database: Database):
    with database.engine() as conn:
        first = now(conn)
        assert first == now(conn)
        assert first.tzinfo is not None
        conn.execute("SELECT set_config('concordat.now', '2026-11-30T10:00:00Z', true)")
        assert now(conn) == datetime(2026, 11, 30, 10, tzinfo=UTC)
    with database.engine() as conn:
        assert now(conn) > first


def test_json_keeps_money_and_instants(database: Database):
    sent = {"amount": Decimal("1250.00"), "at": datetime(2026, 11, 30, 10, tzinfo=UTC), "list": [1, None]}
    with database.engine() as conn:
        row = conn.execute("SELECT %s AS back, pg_typeof(%s)::text AS type", [sent, {}]).fetchone()
    assert row == {
        "back": {"amount": "1250.00", "at": "2026-11-30T10:00:00Z", "list": [1, None]},
        "type": "jsonb",
    }
    with pytest.raises(TypeError, match="not JSON serializable: object"), database.engine() as conn:
        conn.execute("SELECT %s", [{"x": object()}])


def test_rows_are_copied_into_a_temporary_table_and_inserted_under_policies(database: Database):
    for _ in range(2):
        with database.app(["US"]) as conn:
            temporary(conn, "new_audit", {"unit": "text", "before": "jsonb"})
            assert copy_rows(conn, "new_audit", ["unit", "before"], [("US", {"x": 1}), ("US", None)]) == 2
            conn.execute(
                "INSERT INTO audit (unit, person, act, object, before, at)"
                " SELECT unit, '', '', '', before, app_now() FROM new_audit"
            )
    with database.engine() as conn:
        assert conn.execute("SELECT count(*) AS n FROM audit").fetchone() == {"n": 4}


# ── roles ──


def add_audit(database: Database, *units: str) -> None:
    with database.engine() as conn:
        for unit in units:
            conn.execute("INSERT INTO audit (unit, person, act, object, at) VALUES (%s, '', '', '', app_now())", [unit])


def test_the_application_sees_its_units_alone(database: Database):
    add_audit(database, "US", "DE", "FR")
    for units in ([], ["US"], ["DE", "FR"]):
        with database.app(units) as conn:
            seen = conn.execute("SELECT unit FROM audit ORDER BY unit").fetchall()
        assert [row["unit"] for row in seen] == units
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.app(["US"]) as conn:
        conn.execute("INSERT INTO audit (unit, person, act, object, at) VALUES ('DE', '', '', '', app_now())")


def test_the_units_of_one_request_are_gone_in_the_next(database: Database, passwords: Mapping[str, str]):
    add_audit(database, "US")
    with Database(database.dsn, passwords, size=1) as single:
        with single.app(["US"]) as conn:
            assert conn.execute("SELECT 1 FROM audit").fetchall()
        with single._pool(APP).connection() as conn:
            assert not conn.execute("SELECT 1 FROM audit").fetchall()


@pytest.mark.parametrize("unit", ["US,DE", ""])
def test_a_unit_that_would_widen_the_view_is_refused(database: Database, unit: str):
    with pytest.raises(UserError, match="has no comma"), database.app([unit]):
        pass


def test_the_auditor_reads_and_never_writes(database: Database):
    add_audit(database, "US", "DE")
    with database.audit() as conn:
        assert len(conn.execute("SELECT 1 FROM audit").fetchall()) == 2
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), database.audit() as conn:
        conn.execute("DELETE FROM audit")


def test_serving_roles_hold_and_dangerous_ones_are_refused(
    database: Database, server: Embedded, administrator: psycopg.Connection
):
    for role in set(ROLES) - {OWNER}:
        with database.session(role) as conn:
            refuse_dangerous_role(conn)
    with database.session(OWNER) as conn, pytest.raises(UserError, match="concordat_owner owns tables"):
        refuse_dangerous_role(conn)
    with pytest.raises(UserError, match="is a superuser and has BYPASSRLS"):
        refuse_dangerous_role(administrator)


def test_every_table_with_a_unit_has_policies_for_the_three_roles(database: Database):
    with database.audit() as conn:
        bare = conn.execute("""
            SELECT c.relname FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'unit' AND NOT a.attisdropped
            WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
              AND NOT (c.relrowsecurity AND 3 = (SELECT count(DISTINCT r) FROM pg_policy, unnest(polroles) r
                                                 WHERE polrelid = c.oid))""").fetchall()
        exposed = conn.execute(
            """
            SELECT c.relname FROM pg_class c, unnest(ARRAY[%s, %s, %s]) AS role
            WHERE c.relispartition AND c.relkind = 'r' AND NOT c.relrowsecurity
              AND has_table_privilege(role, c.oid, 'SELECT, INSERT, UPDATE, DELETE')""",
            [ENGINE, APP, "concordat_audit_reader"],
        ).fetchall()
    assert bare == []
    assert exposed == []


def test_only_the_four_roles_may_enter(database: Database, administrator: psycopg.Connection):
    name = conninfo_to_dict(database.dsn)["dbname"]
    row = administrator.execute("SELECT datacl::text[] FROM pg_database WHERE datname = %s", [name]).fetchone()
    assert row
    assert {grant.split("=")[0] for grant in row[0]} == set(ROLES)


# ── bootstrap ──


def test_bootstrap_repeats_races_and_sets_a_changed_password(server: Embedded, passwords: Mapping[str, str]):
    done: list[str] = []
    threads = [
        Thread(target=lambda: done.append(bootstrap(server.dsn_superuser, "twice", passwords))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(done)) == 1
    assert len(done) == 4
    with Database(done[0], passwords) as db:
        assert db.healthy()


def test_an_administrator_without_rights_is_told_what_to_run(
    server: Embedded, passwords: Mapping[str, str], administrator: psycopg.Connection, blank: str
):
    administrator.execute("DROP ROLE IF EXISTS weak")
    administrator.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
    dsn = make_conninfo(server.dsn_superuser, user="weak", password="weak")
    with pytest.raises(UserError, match=r"(?s)The login weak may not create .*`ALTER ROLE weak CREATEROLE CREATEDB"):
        bootstrap(dsn, "never_made", passwords)


def test_a_server_that_is_not_there_is_one_sentence():
    with pytest.raises(NotReachable, match=r"The database is not reachable: .*refused") as refused:
        bootstrap("host=127.0.0.1 port=1 user=x password=x", "x", passwords_from("x"))
    assert refused.value.exit_code == 3


def test_an_address_opens_the_operators_server(server: Embedded, tmp_path: Path):
    url = make_conninfo(server.dsn_superuser, dbname="operators")
    with open_database(url, tmp_path) as db, db.engine() as conn:
        row = conn.execute("SELECT current_database() AS name, current_user AS who").fetchone()
    assert row == {"name": "operators", "who": ENGINE}
    with pytest.raises(UserError, match="is no PostgreSQL address"), open_database("nonsense", tmp_path):
        pass


# ── deadlines and errors ──


def test_a_slow_statement_ends(database: Database, passwords: Mapping[str, str]):
    late = pytest.raises(NotReachable, match=r"did not finish a statement in time\. \(57014\)")
    with quick(database, passwords, statement=timedelta(milliseconds=50)) as db, late, db.engine() as conn:
        conn.execute("SELECT pg_sleep(30)")


def test_a_held_lock_is_contention(database: Database, passwords: Mapping[str, str]):
    with database.engine() as holder, quick(database, passwords, lock=timedelta(milliseconds=50)) as db:
        holder.execute("LOCK TABLE unit IN ROW EXCLUSIVE MODE")
        holder.execute("SELECT pg_advisory_xact_lock(1)")
        with pytest.raises(Contended, match="55P03"), db.engine() as conn:
            conn.execute("SELECT pg_advisory_xact_lock(1)")


def test_an_idle_transaction_is_undone(database: Database, passwords: Mapping[str, str]):
    late = pytest.raises(Contended, match="25P03")
    with (
        quick(database, passwords, idle_in_transaction=timedelta(milliseconds=30)) as db,
        late,
        db.engine() as conn,
    ):
        conn.execute("SELECT 1")
        assert _readable(conn)
        conn.execute("SELECT 1")


def _readable(conn: psycopg.Connection) -> bool:
    """Wait until the server has said something unasked."""
    return bool(select([conn.fileno()], [], [], 10)[0])


def test_a_deadlock_is_run_again(database: Database):
    with database.engine() as conn:
        conn.execute("INSERT INTO unit VALUES ('A', ''), ('B', '')")
    barrier = Barrier(2)
    tries: list[str] = []

    def work(first: str, second: str) -> None:
        with database.engine() as conn:
            conn.execute("UPDATE unit SET title = title || 'x' WHERE code = %s", [first])
            tries.append(first)
            if len(tries) <= 2:
                barrier.wait(10)
            conn.execute("UPDATE unit SET title = title || 'x' WHERE code = %s", [second])

    threads = [Thread(target=database.again, args=(lambda a=a, b=b: work(a, b),)) for a, b in ("AB", "BA")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.engine() as conn:
        assert conn.execute("SELECT DISTINCT title FROM unit").fetchall() == [{"title": "xx"}]
    assert len(tries) >= 3  # the victim ran again, perhaps more than once


def test_again_gives_up_with_the_last_contention():
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise Contended("locked")

    with pytest.raises(Contended):
        Database("", {}).again(work, tries=3)
    assert len(calls) == 3


def test_a_broken_constraint_is_the_callers_business(database: Database):
    with pytest.raises(psycopg.errors.UniqueViolation), database.engine() as conn:
        conn.execute("INSERT INTO unit VALUES ('A', ''), ('A', '')")


def test_connections_that_the_server_closed_are_replaced_unseen(database: Database, administrator: psycopg.Connection):
    with database.engine() as conn:
        conn.execute("SELECT 1")
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s AND datname = %s"
    administrator.execute(ended, [ENGINE, conninfo_to_dict(database.dsn)["dbname"]])
    with database.engine() as conn:
        assert conn.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_a_connection_lost_in_the_middle_is_not_reachable(database: Database, administrator: psycopg.Connection):
    lost = pytest.raises(NotReachable, match="57P01")
    with lost, database.engine() as conn:
        administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])
        conn.execute("SELECT 1")


# ── a server that stops ──


@pytest.fixture
def own() -> Iterator[tuple[Embedded, Database]]:
    """Run a server that a test may stop and kill."""
    folder = Path(tempfile.mkdtemp(prefix="concordat-test-"))
    server = Embedded.start(folder, durable=False)
    passwords = passwords_from(str(conninfo_to_dict(server.dsn_superuser)["password"]))
    with Database(bootstrap(server.dsn_superuser, "own", passwords), passwords) as db:
        yield server, db
    server.stop()
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_frozen_server_is_unhealthy_within_five_seconds_and_hangs_nobody(own: tuple[Embedded, Database]):
    server, db = own
    assert db.healthy()
    pid = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    given_up = pytest.raises(NotReachable, match="no answer for 1 s")
    with given_up, db.session(ENGINE) as conn:
        conn.patience = 1.0
        backend = conn.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        os.kill(backend, signal.SIGSTOP)
        try:
            start = time.monotonic()
            assert not db.healthy()
            assert time.monotonic() - start < 5
            conn.execute("SELECT 1")
        finally:
            os.kill(backend, signal.SIGCONT)
            os.kill(pid, signal.SIGCONT)
    assert db.healthy()


# ── notifications ──


def test_a_listener_hears_and_is_woken_by_silence(database: Database):
    with closing(database.listen("wake", every=0.05)) as heard:
        assert next(heard) is None
        with database.engine() as conn:
            conn.execute("SELECT pg_notify('wake', 'lane 1'), pg_notify('wake', 'lane 2')")
        assert [next(heard), next(heard), next(heard)] == ["lane 1", "lane 2", None]


def test_a_role_that_owns_a_table_serves_nothing(database: Database, server: Embedded):
    with psycopg.connect(
        make_conninfo(server.dsn_superuser, dbname=database.dsn.split("dbname=")[1].split()[0])
    ) as conn:
        conn.execute("CREATE TABLE own (); ALTER TABLE own OWNER TO concordat_app")
    with pytest.raises(UserError, match=r"concordat_app owns tables: .* Serve as"), database.app(["US"]):
        pass


def test_a_database_that_is_not_there_says_so_at_once(passwords: Mapping[str, str]):
    start = time.monotonic()
    with Database("host=127.0.0.1 port=1 dbname=x", passwords) as db:
        assert not db.healthy()
        with pytest.raises(NotReachable, match="refused"), db.engine():
            pass
    assert time.monotonic() - start < 5
