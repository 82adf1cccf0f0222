"""The locks say what pyproject.toml asks for, with a hash for every file and no address of an index."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

pytestmark = pytest.mark.fast

LOCKS = ("requirements.lock", "scripts/bootstrap.lock")
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def pins(texts: Mapping[str, str]) -> Mapping[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for name, version in PIN.findall(texts["requirements.lock"]):
        found.setdefault(canonicalize_name(name), []).append(Version(version))
    return found


def _asked(root: Path) -> Iterator[Requirement]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    for listed in (project["project"]["dependencies"], *extras, *groups):
        yield from map(Requirement, listed)


def test_the_lock_holds_all_that_is_asked_for(pins: Mapping[str, list[Version]], root: Path):
    missing = [str(asked) for asked in _asked(root) if not _held(asked, pins)]
    assert missing == [], "run `make lock`"


def _held(asked: Requirement, pins: Mapping[str, list[Version]]) -> bool:
    return any(version in asked.specifier for version in pins.get(canonicalize_name(asked.name), []))


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_a_hash(name: str, texts: Mapping[str, str]):
    entries = re.split(r"^(?=[A-Za-z0-9])", texts[name], flags=re.MULTILINE)
    pinned = [entry for entry in entries if PIN.match(entry)]
    assert pinned
    assert [entry.split(" ")[0] for entry in pinned if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


@pytest.mark.parametrize("name", LOCKS)
def test_no_address_is_in_a_lock(name: str, texts: Mapping[str, str]):
    assert re.findall(r"\S*(?:://|--index|--find-links| @ )\S*", texts[name]) == []


def test_the_bootstrap_and_the_lock_agree(pins: Mapping[str, list[Version]], texts: Mapping[str, str]):
    first = {canonicalize_name(name): Version(said) for name, said in PIN.findall(texts["scripts/bootstrap.lock"])}
    assert {name: said for name, said in first.items() if said not in pins.get(name, [said])} == {}
