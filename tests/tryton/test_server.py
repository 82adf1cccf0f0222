"""The real ERP as a separate program: it starts, dies, heals, and says why it cannot start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from concordat.connectors.tryton import TrytonConnector
from concordat.errors import NotReachable, Rejected, Unavailable
from concordat.sdk.rpc import Rpc
from concordat.store.embedded import Embedded
from concordat.tryton_server import Tryton
from concordat.tryton_server.firm import ENTITIES
from tests.tryton.running import TODAY, call

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tryton: Tryton) -> Iterator[Path]:
    """Give a folder of the test's own; `tryton` makes sure that everything slow is prepared."""
    made = Path(tempfile.mkdtemp(prefix="concordat-tryton-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def session(tryton: Tryton) -> Rpc:
    access = tryton.access
    return Rpc(
        access.url,
        database=access.database,
        user=access.user,
        password=access.password,
        connection="erp",
    )


def test_the_firm_is_set_up(tryton: Tryton) -> None:
    rpc = session(tryton)
    companies = rpc.read(call(), "company.company", [], ["party.code", "currency.code"])
    years = rpc.read(call(), "account.fiscalyear", [], ["start_date", "company", "state"])
    rpc.close()
    assert {row["party."]["code"]: row["id"] for row in companies} == tryton.access.companies
    assert [row["currency."]["code"] for row in companies] == [entity.currency for entity in ENTITIES]
    opened = {(row["company"], row["start_date"].year) for row in years if row["state"] == "open"}
    assert opened == {(row["id"], year) for row in companies for year in (TODAY.year, TODAY.year + 1)}


def test_books_refuse_a_move_that_does_not_balance(tryton: Tryton) -> None:
    """SQLite would post it without a word: the reason why the tests stand on PostgreSQL."""
    rpc = session(tryton)
    books = {"company": tryton.access.companies["NB-US"]}
    ours = ["company", "=", books["company"]]

    def first(model: str, *domain: list[object]) -> int:
        return int(rpc.read(call(), model, domain, ["id"], limit=1)[0]["id"])

    account = first("account.account", ours, ["type.revenue", "=", True], ["closed", "=", False])
    move = {
        **books,
        "period": first("account.period", ours, ["start_date", "=", TODAY.replace(day=1)]),
        "journal": first("account.journal"),
        "date": TODAY,
        "lines": [["create", [{"account": account, "debit": Decimal("100.00"), "credit": Decimal(0)}]]],
    }
    number = rpc.call(call(), "account.move", "create", [move], write=True, context=books)
    with pytest.raises(Rejected, match="balance"):
        rpc.call(call(), "account.move", "post", number, write=True, context=books)
    rpc.close()


def test_a_crash_keeps_what_was_committed(tryton: Tryton, erp: TrytonConnector) -> None:
    erp.ping(call())
    tryton.crash()
    with pytest.raises(Unavailable):
        erp.ping(call())
    tryton.resume()
    erp.ping(call())


def test_one_folder_has_one_owner(tryton: Tryton, folder: Path) -> None:
    with Tryton.start(folder, today=TODAY), pytest.raises(NotReachable, match="running already"):
        Tryton.start(folder, today=TODAY)


def test_a_taken_port_is_one_sentence(tryton: Tryton, folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NotReachable, match=f"port {port}.*in use"):
            Tryton.start(folder, today=TODAY, port=port)


def test_a_server_given_by_its_address_is_used_and_left_running(tryton: Tryton, folder: Path, server: Embedded) -> None:
    with Tryton.start(folder, today=TODAY, postgres=server.dsn_superuser, database="erp_given") as other:
        rpc = session(other)
        assert rpc.call(call(), "company.company", "search_count", [], write=False) == 3
        rpc.close()
        assert not (folder / "postgres").exists()
    with psycopg.connect(server.dsn_superuser, autocommit=True) as conn:
        conn.execute("DROP DATABASE erp_given")


def test_what_a_killed_owner_leaves_behind_heals(tryton: Tryton, folder: Path) -> None:
    first, said = up(folder)
    first.kill()
    first.wait()
    second, again = up(folder)
    assert {**said, "url": ""} == {**again, "url": ""}
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    assert not (folder / "postgres" / "postmaster.pid").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "trytond.lock").read_text()), 0)


def up(folder: Path) -> tuple[subprocess.Popen[str], dict[str, object]]:
    command = [sys.executable, "-m", "concordat.tryton_server", "up", "--folder", str(folder)]
    process = subprocess.Popen(
        [*command, "--date", TODAY.isoformat()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    said = json.loads(process.stdout.readline())
    process.stdout.close()
    return process, said
