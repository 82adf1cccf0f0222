"""Mistakes at the command line: one sentence with the way out, the exit code as documented, no stack trace."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm, concordat

TEN_FAULTS = """\
contract: ten-faults
version: 1.5
title: Ten faults
owner: sales-operations
channel: sometimes
subject: opportunity
since: yesterday
when: opportunity.stagee == "won"
with:
  client: opportunity.cliant
require:
  - {field: client.nosuch, owner: crm}
steps:
  a: {put: projekt, in: psa}
  b: {put: project, in: psa, after: [c]}
  d: {emit: x.y, after: [d]}
colour: blue
"""


def test_no_firm(tmp_path: Path, chance: random.Random) -> None:
    every = [["up"], ["worker"], ["web"], ["contract", "list"], ["handoff", "list"], ["twin", "up"], ["db", "status"]]
    for command in chance.sample(every, 3):
        done = concordat(*command, "--firm", tmp_path / "nowhere")
        assert done.returncode == 1, f"{command}: {done.returncode} {done.stderr}"
        assert "concordat init" in done.stderr, f"{command}: the way out"
        assert not done.stdout


def test_a_port_in_use(make_firm: MakeFirm) -> None:
    firm = make_firm()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = firm.say("up", "--port", port)
        assert done.returncode == 3, done.stderr
        assert str(port) in done.stderr
        assert "--port" in done.stderr


def test_a_port_of_the_twins_in_use(firm: Firm) -> None:
    done = firm.say("twin", "up")
    assert done.returncode == 3, done.stderr
    assert "in use" in done.stderr


def test_a_database_that_is_not_there(firm: Firm) -> None:
    done = concordat(
        "handoff", "list", "--firm", firm.folder, CONCORDAT_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none"
    )
    assert done.returncode == 3, f"{done.returncode} {done.stdout}{done.stderr}"
    assert done.stderr.strip()


def test_unknown_ids(firm: Firm, chance: random.Random) -> None:
    id_ = str(chance.randrange(10**6, 10**9))
    every = [
        ["handoff", "show", id_],
        ["handoff", "replay", f"H{id_}"],
        ["case", "show", id_],
        ["contract", "show", f"no-{id_}"],
    ]
    for command in chance.sample(every, 3):
        done = firm.say(*command)
        assert done.returncode == 1, f"{command}: {done.returncode} {done.stderr}"
        assert id_ in done.stderr, f"{command}: {done.stderr}"


def test_a_contract_with_ten_faults_shows_ten(tmp_path: Path) -> None:
    file = tmp_path / "ten.yaml"
    file.write_text(TEN_FAULTS)
    report = tmp_path / "report.json"
    done = concordat("check", file, "--json", "--report", report)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert json.loads(report.read_text()) == said
    assert said["holds"] is False
    serious = [fault for fault in said["faults"] if fault["severity"] == "error"]
    lines = [2, 5, 7, 8, 10, 12, 14, 15, 16, 17]
    assert [fault["line"] for fault in serious] == lines, json.dumps(serious, indent=1)
    assert len({(fault["line"], fault["column"], fault["code"], fault["message"]) for fault in serious}) == len(serious)
    for fault in serious:
        assert {"file", "line", "column", "code", "message", "remedy"} <= fault.keys()
    assert any("opportunity" in fault["remedy"] + fault["message"] for fault in serious), "the nearest name"
    told = concordat("check", file)
    assert told.returncode == 1
    assert told.stderr.count("ten.yaml:") >= 10


def test_the_shipped_contracts_hold(template: Path) -> None:
    done = concordat("check", template, "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["holds"] is True


def test_wrong_usage(chance: random.Random) -> None:
    every = [["nonsense"], ["up", "--port", "many"], ["check", "--nonsense"], ["handoff", "show"], ["twin", "sideways"]]
    for command in chance.sample(every, 3):
        done = concordat(*command)
        assert done.returncode == 2, f"{command}: {done.returncode} {done.stderr}"


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = concordat("init", tmp_path)
    assert done.returncode == 1, done.stderr
    assert "not empty" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_wrong_settings_are_all_named(make_firm: MakeFirm) -> None:
    firm = make_firm()
    firm.write("concordat.toml", 'unit = "NB"', 'unit = "NB"\nnonsense = 1')
    firm.write("concordat.toml", 'zone = "Europe/London"', 'zone = "Europe/Londn"')
    done = firm.say("up")
    assert done.returncode == 1, done.stderr
    assert "nonsense" in done.stderr
    assert "Londn" in done.stderr


def test_listings_speak_json(firm: Firm, chance: random.Random) -> None:
    every = [["contract", "list"], ["handoff", "list"], ["case", "list"], ["db", "status"]]
    for command in chance.sample(every, 2):
        done = firm.say(*command, "--json")
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert isinstance(json.loads(done.stdout), list), command
