"""The measure of the console runs from end to end; what it measures means nothing at this size."""

from __future__ import annotations

import pytest

from concordat.bench import console as measured

pytestmark = pytest.mark.slow


def test_every_page_is_asked_for_and_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measured, "TIMES", 2)
    report = measured.console(lambda _: None, scale=0.002)
    assert set(report.details["p95"]) == set(measured.PAGES)
    assert all(spent > 0 for spent in report.details["p95"].values())
    assert report.details["effects"] > 1000
