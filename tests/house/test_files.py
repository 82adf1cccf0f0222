"""What every tracked file keeps to: length, names, and nothing of the machine it was written on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.fast

LIMIT = 400
CODE = {".py", ".sql", ".js", ".css", ".html", ".sh", ".toml", ".yaml", ".yml", ""}
LONG: Mapping[str, str] = {
    # path: why it may pass the limit
    "src/concordat/store/migrations/0001_spine.pre.up.sql": "the first schema: one table after another",
}

VAGUE = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "stuff"}

INDEXES = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "crates" + ".io")
HOMES = re.compile(r"(?<![\w.])/(?:home|Users)/[a-z]\w*/|[A-Z]:\\Users\\")

LIVE: Mapping[str, str] = {
    # path: why it may ask the machine's clock
    "src/concordat/store/queries/intake.sql": "two hints of one instant are told apart",
}
CLOCKS = re.compile(
    r"(?<!\w)(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\(\)"
    r"|\b(?:current_timestamp|current_date|current_time|localtimestamp|localtime)\b",
    re.IGNORECASE,
)
THE_CLOCK = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION app_now\(\).*?\$\$.*?\$\$", re.DOTALL)


def test_a_file_passes_the_limit_only_with_a_reason(texts: Mapping[str, str]):
    code = {name: text for name, text in texts.items() if PurePosixPath(name).suffix in CODE and name != "LICENSE"}
    long = {name for name, text in code.items() if len(text.splitlines()) > LIMIT}
    assert sorted(long - LONG.keys()) == [], f"over {LIMIT} lines without a reason in LONG"
    assert sorted(LONG.keys() - long) == [], "in LONG and not long, or gone"


def test_no_module_has_a_vague_name(texts: Mapping[str, str]):
    parts = {name: {PurePosixPath(part).stem for part in PurePosixPath(name).parts} for name in texts}
    assert [name for name, said in parts.items() if said & VAGUE] == []


def test_no_file_names_a_package_index(texts: Mapping[str, str]):
    hosts = {*INDEXES, *_configured_hosts()}
    assert [(name, host) for name, text in texts.items() for host in hosts if host in text] == []


def _configured_hosts() -> set[str]:
    """The hosts that this machine installs from: a company's mirror is nobody else's business."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    urls = re.findall(r"https?://[^\s']+", told.stdout)
    return {host for url in urls if (host := urlsplit(url).hostname) and "." in host}


def test_no_file_names_a_path_of_a_machine(texts: Mapping[str, str], root: Path):
    here = str(root) if len(root.parts) > 2 else None
    found = [name for name, text in texts.items() if HOMES.search(text) or (here and here in text)]
    assert found == []


def test_sql_asks_one_clock(texts: Mapping[str, str]):
    sql = {name: text for name, text in texts.items() if name.startswith("src/") and name.endswith(".sql")}
    asked = {name for name, text in sql.items() if CLOCKS.search(_spoken(text))}
    assert sorted(asked - LIVE.keys()) == [], "take the time from app_now()"
    assert sorted(LIVE.keys() - asked) == [], "in LIVE and not asking, or gone"


def _spoken(sql: str) -> str:
    return re.sub(r"--.*|'[^']*'", "", THE_CLOCK.sub("", sql))
