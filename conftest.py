"""With CONCORDAT_TEST_ALL=1 a skip is a failure: the run was promised to be the whole one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from concordat.settings import read_environment

ALL = read_environment().test_all


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one."""
    report = yield
    if ALL and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself into a failed one."""
    report = yield
    if ALL and report.skipped:
        _fail(report)
    return report


def _fail(report: Any) -> None:
    said = report.longrepr
    reason = said[2] if isinstance(said, tuple) else said
    report.outcome = "failed"
    report.longrepr = f"CONCORDAT_TEST_ALL=1 allows no skip. {reason}"
