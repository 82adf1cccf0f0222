"""The front door says what it can do, and what it lacks; a skip cannot hide in a whole run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.fast

TARGETS = {"help", "demo", "test", "check", "format", "prove", "bench", "docs", "lock", "clean"}
BARE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # noqa: TID251  settings of the test run
KINDS = {"feature", "bugfix", "doc", "removal", "misc"}


def test_help_lists_every_target_with_a_sentence(root: Path):
    told = subprocess.run(["make"], cwd=root, capture_output=True, text=True, check=True).stdout
    listed = dict(re.findall(r"^  make (\w+) +(.+)$", told, re.MULTILINE))
    assert listed.keys() >= TARGETS
    assert all(len(said.split()) > 2 for said in listed.values())


def test_a_missing_python_is_said_in_a_sentence(root: Path):
    run = subprocess.run(
        [root / "scripts" / "bootstrap.sh", "no-such-python"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 3
    assert "Concordat needs Python 3.11 or later; this machine offers no no-such-python." in run.stderr
    assert "make PYTHON=" in run.stderr


def test_an_old_python_is_said_with_its_version(root: Path, tmp_path: Path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" || exit 1\n')
    old.chmod(0o755)
    run = subprocess.run(
        [root / "scripts" / "bootstrap.sh", old], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 3
    assert "offers Python 3.9.2." in run.stderr


SKIPS = """
import pytest

def test_skips():
    pytest.skip("no browser: apt-get install chromium")

@pytest.mark.xfail(strict=True)
def test_is_known():
    assert False
"""


@pytest.mark.slow
@pytest.mark.parametrize(("all_", "code", "told"), [("", 0, "1 skipped, 1 xfailed"), ("1", 1, "1 failed, 1 xfailed")])
def test_a_skip_fails_a_whole_run(all_: str, code: int, told: str, root: Path, tmp_path: Path):
    shutil.copy(root / "conftest.py", tmp_path)
    (tmp_path / "test_some.py").write_text(SKIPS)
    env = {**BARE, "CONCORDAT_TEST_ALL": all_}
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, tmp_path], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stdout
    assert told in run.stdout
    assert "no browser: apt-get install chromium" in run.stdout


@pytest.mark.slow
def test_a_module_that_skips_itself_fails_a_whole_run(root: Path, tmp_path: Path):
    shutil.copy(root / "conftest.py", tmp_path)
    (tmp_path / "test_some.py").write_text("import pytest\npytest.skip('no broker', allow_module_level=True)\n")
    env = {**BARE, "CONCORDAT_TEST_ALL": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, tmp_path], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stdout
    assert "allows no skip" in run.stdout


def test_changelog_fragments_have_a_kind_and_say_something(texts: Mapping[str, str]):
    fragments = {name: text for name, text in texts.items() if name.startswith("changelog.d/")}
    del fragments["changelog.d/README.md"]
    faulty = [name for name in fragments if not re.fullmatch(rf"changelog\.d/\+?[\w-]+\.({'|'.join(KINDS)})\.md", name)]
    assert faulty == []
    assert [name for name, text in fragments.items() if not text.strip().endswith(".")] == []


def test_the_run_for_a_clean_machine_is_a_program_that_reads_nothing(root: Path):
    run = root / ".ci" / "run"
    assert os.access(run, os.X_OK)
    subprocess.run(["bash", "-n", run], check=True)
