"""A mistake at the command line is one sentence with the way out and the right exit code, never a stack trace."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from concordat.northbeam.folder import PORTS, write_firm

pytestmark = pytest.mark.slow  # each starts a process or more


def run(*words: str | Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    command = ["env", "-u", "CONCORDAT_FIRM", "-u", "CONCORDAT_DATABASE_URL", sys.executable, "-m", "concordat"]
    return subprocess.run([*command, *map(str, words)], capture_output=True, text=True, timeout=seconds, check=False)


def refused(done: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    told = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in told
    assert done.returncode == code, told
    for words in says:
        assert words in told


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cli") / "firm"
    socks = {name: socket.create_server(("127.0.0.1", 0)) for name in PORTS}
    ports = {name: int(sock.getsockname()[1]) for name, sock in socks.items()}
    for sock in socks.values():
        sock.close()
    write_firm(folder, ports=ports)
    return folder


@pytest.mark.parametrize(
    "words", [("up",), ("twin", "up"), ("handoff", "list"), ("db", "status"), ("case", "list")], ids=" ".join
)
def test_a_firm_that_is_not_there(words: tuple[str, ...], tmp_path: Path):
    refused(run(*words, "--firm", tmp_path / "none"), 1, "There is no folder", "concordat init")


def test_init_wants_an_empty_folder(tmp_path: Path):
    (tmp_path / "x").touch()
    refused(run("init", tmp_path), 1, "is not empty", "new or empty")


def test_init_then_check_holds(tmp_path: Path):
    assert run("init", tmp_path / "firm").returncode == 0
    done = run("check", tmp_path / "firm", "--json")
    assert (done.returncode, json.loads(done.stdout)["holds"]) == (0, True)


def test_an_unknown_erp_and_an_unknown_option(tmp_path: Path):
    refused(run("init", tmp_path / "firm", "--erp", "sap"), 2, "no ERP sap", "netsuite or tryton")
    refused(run("demo", "--erp", "sap"), 2, "no ERP sap")
    refused(run("demo", "--seed", "minus"), 2, "seed")


def test_a_contract_with_faults_shows_all_of_them(tmp_path: Path):
    text = "contract: x\nversion: 1\ntitle: X\nownr: a\nsubject: oportunity\nsince: yesterday\n"
    (tmp_path / "v1.yaml").write_text(text)
    done = run("check", tmp_path, "--json")
    faults = json.loads(done.stdout)["faults"]
    assert done.returncode == 1
    assert len(faults) >= 3
    assert all(fault["line"] and fault["remedy"] for fault in faults)


def test_a_twin_whose_port_is_in_use(firm: Path):
    port = int(firm.joinpath("concordat.toml").read_text().partition("http://127.0.0.1:")[2].partition('"')[0])
    with socket.create_server(("127.0.0.1", port)):
        refused(run("twin", "up", "--firm", firm), 3, f"Port {port}", "salesforce", "another port")


def test_a_faults_file_that_is_none(firm: Path, tmp_path: Path):
    refused(run("twin", "up", "--firm", firm, "--faults", tmp_path / "none.yaml"), 2, "no list of faults")
    (tmp_path / "bad.yaml").write_text("kantata:\n- {kind: earthquake}\n")
    refused(run("twin", "up", "--firm", firm, "--faults", tmp_path / "bad.yaml"), 2, "earthquake")


def test_a_console_port_in_use(firm: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(run("up", "--firm", firm, "--port", str(port)), 3, f"Port {port}", "--port")
        refused(run("demo", "--headless", "--port", str(port)), 3, f"Port {port}", "--port")


def test_twins_stay_until_they_are_ended(firm: Path):
    command = [sys.executable, "-m", "concordat", "twin", "up", "--firm", str(firm), "--seed-data", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [json.loads(process.stdout.readline()) for _ in range(6)]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert [line["system"] for line in lines][:2] == ["salesforce", "kantata"]
    assert all(line["url"].startswith("http://127.0.0.1:") for line in lines)


def test_ids_and_steps_that_are_unknown(firm: Path):
    assert run("db", "migrate", "--firm", firm).returncode == 0
    refused(run("handoff", "show", "4711", "--firm", firm), 1, "There is no handoff 4711")
    refused(run("handoff", "show", "D-404", "--firm", firm), 1, "No handoff has to do with D-404", "handoff list")
    refused(run("handoff", "replay", "H4711", "--firm", firm), 1, "There is no handoff 4711")
    refused(run("handoff", "list", "--state", "wating", "--firm", firm), 1, "There is no state wating", "waiting")
    refused(run("case", "show", "4711", "--firm", firm), 1, "There is no case 4711")
    refused(run("contract", "show", "nothing", "--firm", firm), 1, "nothing")
    empty = run("handoff", "list", "--firm", firm, "--json")
    assert (empty.returncode, json.loads(empty.stdout)) == (0, [])


def test_a_database_without_tables_says_how_to_get_them(tmp_path: Path):
    write_firm(tmp_path / "firm")
    refused(run("handoff", "list", "--firm", tmp_path / "firm"), 3, "no tables yet", "db migrate")


def test_sigterm_ends_up_in_order_and_the_database_with_it(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    write_firm(tmp_path / "firm")
    command = [sys.executable, "-u", "-m", "concordat", "up", "--firm", str(tmp_path / "firm"), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        assert any("Ctrl-C ends it" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not (tmp_path / "firm" / ".concordat" / "postgres" / "data" / "postmaster.pid").exists()


def test_a_log_level_that_there_is_not(firm: Path):
    refused(run("up", "--firm", firm, "--log-level", "foo"), 2, "foo is none of debug, info, warning, error")


@pytest.mark.parametrize("make", [Path.mkdir, lambda file: file.symlink_to("nowhere")], ids=["folder", "dead link"])
def test_a_contract_that_cannot_be_read(make: Callable[[Path], None], tmp_path: Path):
    write_firm(tmp_path / "firm")
    make(tmp_path / "firm" / "contracts" / "x.yaml")
    for words in (("check", tmp_path / "firm"), ("up", "--port", "0", "--firm", tmp_path / "firm")):
        refused(run(*words), 1, "x.yaml cannot be read", "remove it")


def test_a_secret_that_is_missing_is_named_once(tmp_path: Path):
    write_firm(tmp_path / "firm")
    (tmp_path / "firm" / "secrets" / "hr.password").unlink()
    done = run("up", "--port", "0", "--firm", tmp_path / "firm")
    refused(done, 1, "connections.hr.password", "No such file or directory", "Write the file")
    assert (done.stdout + done.stderr).count("Errno") == 0


def test_a_demo_refused_says_nothing_of_logs(tmp_path: Path):
    (tmp_path / "x").touch()
    done = run("demo", "--headless", "--firm", tmp_path)
    refused(done, 1, "is not empty")
    assert "its logs" not in done.stderr
