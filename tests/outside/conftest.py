"""Firms for acceptance tests: written once by `concordat init`, copied, run as processes, shown when a test fails."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.outside.chance import SEED, chance_of
from tests.outside.firm import Firm, concordat
from tests.outside.story import Story

FIRMS = pytest.StashKey[list[Firm]]()
LAST = 60
"""Lines of each log that a failure shows."""
MakeFirm = Callable[[], Firm]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of these tests."""
    config.addinivalue_line("markers", "long: an acceptance test that takes minutes; `-m 'not long'` leaves it out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each kind of firm one process: all with the shared one there, all with firms of their own elsewhere."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            own = {"make_firm", "spread"} & set(getattr(item, "fixturenames", ()))
            item.add_marker(pytest.mark.xdist_group("outside-own" if own else "outside"))
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how to repeat the run."""
    terminalreporter.write_line(f"outside: repeat with CONCORDAT_OUTSIDE_SEED={SEED}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the logs with a failure."""
    report = yield
    if report.failed:
        report.sections.append(("seed", f"CONCORDAT_OUTSIDE_SEED={SEED}"))
        for firm in item.session.stash.get(FIRMS, []):
            for program in firm.programs:
                tail = "\n".join(program.said().splitlines()[-LAST:])
                report.sections.append((f"log of {program.name}", tail))
    return report


@pytest.fixture(autouse=True)
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Draw the numbers of one test."""
    print(f"CONCORDAT_OUTSIDE_SEED={SEED}")  # noqa: T201  shown with a failure
    return chance_of(request.node.name)


@pytest.fixture
def story(chance: random.Random) -> Story:
    return Story(chance=chance)


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """Let `concordat init` write the firm that all others are copies of."""
    # Not below pytest's own folder: its 0700 would keep the database server's system user out.
    place = Path(tempfile.mkdtemp(prefix="concordat-outside-"))
    place.chmod(0o755)
    try:
        done = concordat("init", place / "firm")
        assert done.returncode == 0, done.stderr
        yield place / "firm"
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def _firms(request: pytest.FixtureRequest) -> list[Firm]:
    return request.session.stash.setdefault(FIRMS, [])


def _making(template: Path, firms: list[Firm]) -> Iterator[MakeFirm]:
    place = Path(tempfile.mkdtemp(prefix="concordat-outside-"))
    place.chmod(0o755)
    mine: list[Firm] = []

    def make() -> Firm:
        mine.append(Firm(template, place / f"firm-{len(mine)}"))
        firms.append(mine[-1])
        return mine[-1]

    try:
        yield make
    finally:
        for firm in mine:
            firm.close()
            firms.remove(firm)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def make_firm(template: Path, _firms: list[Firm]) -> Iterator[MakeFirm]:
    """Make firms of one test, which may change them before they run."""
    yield from _making(template, _firms)


@pytest.fixture(scope="session")
def shared(template: Path, _firms: list[Firm]) -> Iterator[Firm]:
    """Run one firm for all tests that leave it whole."""
    with contextmanager(_making)(template, _firms) as make:
        firm = make().play()
        firm.twins["hr"].seed(Story(chance=chance_of("people")).people())
        yield firm.begin()


@pytest.fixture
def firm(shared: Firm) -> Iterator[Firm]:
    """Give the shared firm, every fault healed before and after."""
    yield shared
    for twin in shared.twins.values():
        twin.heal()
    assert shared.up.runs, "the shared firm did not survive this test"
