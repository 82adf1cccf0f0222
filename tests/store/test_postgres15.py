"""The oldest PostgreSQL that we promise: the machine's 15."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from concordat.store.database import (
    APP,
    ENGINE,
    Database,
    bootstrap,
    now,
    passwords_from,
    refuse_dangerous_role,
)
from concordat.store.embedded import Embedded
from concordat.store.migrate import down, migrate, read


@pytest.mark.slow
def test_migrations_roles_and_policies_hold_on_15(postgres15: Path):
    folder = Path(tempfile.mkdtemp(prefix="concordat-test-"))
    server = Embedded.start(folder, durable=False, binaries=postgres15)
    try:
        passwords = passwords_from(str(conninfo_to_dict(server.dsn_superuser)["password"]))
        with Database(bootstrap(server.dsn_superuser, "concordat", passwords), passwords) as db:
            assert len(migrate(db)) == len(read())
            down(db, 0)
            migrate(db)
            for role in (ENGINE, APP):
                with db.session(role) as conn:
                    refuse_dangerous_role(conn)
            with db.engine() as conn:
                assert conn.info.server_version // 10000 == 15
                conn.execute(
                    "INSERT INTO audit (unit, person, act, object, at) VALUES ('US', '', '', '', %s)",
                    [now(conn)],
                )
            seen = []
            for units in (["US"], ["DE"]):
                with db.app(units) as conn:
                    seen.append(len(conn.execute("SELECT 1 FROM audit").fetchall()))
            assert seen == [1, 0]
    finally:
        server.stop()
        shutil.rmtree(folder)
