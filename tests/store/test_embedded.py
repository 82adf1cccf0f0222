"""The embedded server: shared, healed after crashes, never without a password."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from select import select

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from concordat.errors import NotReachable, UserError
from concordat.store.embedded import Embedded

pytestmark = pytest.mark.slow

HOLDER = """
import sys
from pathlib import Path
from select import select
from concordat.store.embedded import Embedded
server = Embedded.start(Path(sys.argv[1]), durable=False)
print("up", flush=True)
sys.stdin.read()
print(server.stop(), flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that the server's system user can reach, and leave no server behind."""
    made = Path(tempfile.mkdtemp(prefix="concordat-test-"))
    yield made
    if (made / "data" / "postmaster.pid").exists():
        Embedded.start(made, durable=False).stop()
    shutil.rmtree(made)


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds the same server."""
    asked = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def ask(dsn: str, query: str = "SELECT 1") -> object:
    with psycopg.connect(dsn) as conn:
        row = conn.execute(query).fetchone()
        return row and row[0]


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def kill_and_reap(pid: int) -> None:
    """Kill a server that is no child of ours and see it gone."""
    watch = os.pidfd_open(pid)
    signal.pidfd_send_signal(watch, signal.SIGKILL)
    select([watch], [], [], 30)
    os.close(watch)


def test_it_is_durable_by_default_and_keeps_what_it_was_told(folder: Path):
    server = Embedded.start(folder)
    with psycopg.connect(server.dsn_superuser) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS x")
    assert [ask(server.dsn_superuser, f"SHOW {name}") for name in ("fsync", "synchronous_commit")] == [
        "on",
        "on",
    ]
    assert server.stop()
    again = Embedded.start(folder)
    assert ask(again.dsn_superuser, "SELECT x FROM kept") == 7
    assert again.stop()


def test_nobody_logs_in_without_the_password(folder: Path):
    server = Embedded.start(folder, durable=False)
    known = conninfo_to_dict(server.dsn_superuser)
    for wrong in ("", "guess"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(make_conninfo(server.dsn_superuser, password=wrong))
    hba = (folder / "data" / "pg_hba.conf").read_text()
    rules = [line.split() for line in hba.splitlines() if line.strip() and not line.startswith("#")]
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}
    assert (folder / "password").stat().st_mode & 0o777 == 0o600
    assert known["password"] == (folder / "password").read_text()
    server.stop()


def test_the_last_of_many_stops_it(folder: Path, holder: subprocess.Popen[str]):
    server = Embedded.start(folder, durable=False)
    assert not server.stop()
    assert holder.communicate()[0] == "True\n"
    assert not (folder / "data" / "postmaster.pid").exists()


def test_it_outlives_a_killed_process_and_is_used_again(folder: Path, holder: subprocess.Popen[str]):
    pid = postmaster(folder)
    holder.kill()
    holder.wait()
    server = Embedded.start(folder, durable=False)
    assert ask(server.dsn_superuser) == 1
    assert postmaster(folder) == pid
    assert server.stop(), "the dead process holds nothing"


def test_a_killed_server_is_started_again_with_everything_committed(folder: Path):
    server = Embedded.start(folder)
    with psycopg.connect(server.dsn_superuser) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS x")
    kill_and_reap(postmaster(folder))
    again = Embedded.start(folder)
    assert ask(again.dsn_superuser, "SELECT x FROM kept") == 7
    assert not server.stop()
    assert again.stop()


@pytest.mark.parametrize("pid", [str(os.getpid()), "4194305", ""], ids=["another's", "nobody's", "empty"])
def test_a_stale_pid_file_heals(folder: Path, pid: str):
    """After a reboot the pid is another program's, nobody's, or the file was never written."""
    Embedded.start(folder, durable=False).stop()
    lines = [pid, str(folder / "data"), "1", "5432", str(folder), "", "1 1", "ready", ""]
    (folder / "data" / "postmaster.pid").write_text("\n".join(lines) if pid else "")
    server = Embedded.start(folder, durable=False)
    assert ask(server.dsn_superuser) == 1
    assert server.stop()


def test_a_half_made_folder_is_made_again(folder: Path):
    (folder / "data.new").mkdir()
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERS").touch()
    server = Embedded.start(folder, durable=False)
    assert ask(server.dsn_superuser) == 1
    server.stop()


def test_a_long_path_speaks_tcp_on_loopback(folder: Path):
    deep = folder / ("x" * 120)
    server = Embedded.start(deep, durable=False)
    try:
        assert conninfo_to_dict(server.dsn_superuser)["host"] == "127.0.0.1"
        assert ask(server.dsn_superuser) == 1
    finally:
        server.stop()


def test_another_release_is_refused_with_the_way_out(folder: Path):
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(UserError, match=r"made by PostgreSQL 14, and this is 18\. Dump it"):
        Embedded.start(folder)
    shutil.rmtree(folder / "data")


def test_a_server_that_cannot_start_says_why(folder: Path):
    Embedded.start(folder, durable=False).stop()
    with (folder / "data" / "postgresql.auto.conf").open("a") as conf:
        conf.write("shared_buffers = 'nonsense'\n")
    with pytest.raises(NotReachable, match=r'invalid value for parameter "shared_buffers"') as refused:
        Embedded.start(folder, durable=False)
    assert refused.value.exit_code == 3
    (folder / "data" / "postgresql.auto.conf").write_text("")


def test_a_folder_that_cannot_be_made_is_named(folder: Path):
    (folder / "file").touch()
    with pytest.raises(NotReachable, match="cannot be made"):
        Embedded.start(folder / "file" / "postgres")
