"""The root command: what it shows without importing a command is what the command says of itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from concordat import __version__
from concordat.cli.main import COMMANDS, app, load

HEAVY = ("fastapi", "uvicorn", "psycopg", "holidays", "pydantic", "cel")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_help_is_the_commands_own(name: str):
    found = load(name)
    assert found.name == name
    assert (found.help or "").split("\n\n")[0].replace("\n", " ") == COMMANDS[name][1]


def test_help_names_every_command():
    said = CliRunner().invoke(app, ["--help"]).output
    assert [name for name in COMMANDS if f" {name} " not in said] == []


def test_a_group_has_its_commands():
    done = CliRunner().invoke(app, ["db", "--help"])
    assert done.exit_code == 0
    assert "migrate" in done.output
    assert "completion" not in done.output


def test_a_wrong_word_is_told_the_nearest():
    done = CliRunner().invoke(app, ["chek"])
    assert done.exit_code == 2
    assert "check" in done.output


def test_the_version_needs_nothing_heavy():
    code = (
        "import sys; from concordat.cli.main import app; app(['--version'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    version, loaded = done.stdout.splitlines()
    assert version == f"concordat {__version__}"
    assert set(HEAVY) & set(loaded.split()) == set()
