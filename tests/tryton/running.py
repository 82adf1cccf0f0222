"""The one real Tryton of a test process, shared by all tests that need it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import date
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from concordat.connectors.tryton import TrytonConnector, TrytonSettings
from concordat.sdk.spec import CallContext
from concordat.settings import read_environment
from concordat.tryton_server import Tryton

TODAY = date(2026, 11, 23)
HOW = (
    "run `python -m concordat.tryton_server prepare` once (1 to 2 minutes), "
    "or set CONCORDAT_TEST_ALL=1 and the tests do it"
)
_numbers = count(1)


@cache
def running() -> tuple[Tryton, Path]:
    # Not below pytest's own folder: its 0700 would keep PostgreSQL's system user out.
    folder = Path(tempfile.mkdtemp(prefix="concordat-tryton-"))
    return Tryton.start(folder, today=TODAY, progress=_tell), folder


def shared(config: pytest.Config) -> Tryton:
    """Give the server, started when first asked for and stopped when pytest ends."""
    if not (Tryton.prepared() or read_environment().test_all):
        pytest.skip(f"Tryton is not prepared on this machine; {HOW}")
    first = running.cache_info().currsize == 0
    tryton, folder = running()
    if first:
        config.add_cleanup(lambda: (tryton.stop(), shutil.rmtree(folder, ignore_errors=True)))
    return tryton


def connector(tryton: Tryton, **changed: object) -> TrytonConnector:
    access = tryton.access
    settings = {
        "url": access.url,
        "database": access.database,
        "user": access.user,
        "password": access.password,
    }
    return TrytonConnector(TrytonSettings.model_validate({**settings, **changed}), connection="erp")


def call(timeout: float = 60.0) -> CallContext:
    return CallContext(correlation_id="test", timeout=timeout)


def key() -> str:
    """Name a record as no other test does; the database is new with every run."""
    return f"CC-TEST{next(_numbers):06d}"


def _tell(text: str, fraction: float) -> None:
    sys.stderr.write(f"{fraction:4.0%} {text}\n")
