"""Kantata's refusals over sockets: waits, statuses it does not name, and no token in any of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from concordat.connectors.kantata import SPEC, KantataConnector, KantataSettings
from concordat.connectors.kantata.errors import translate
from concordat.errors import AuthRevoked, Duplicate, Locked, RateLimited, Unavailable, VendorError, VersionConflict
from concordat.sdk.rest import Answer
from concordat.sdk.spec import CallContext, WriteIntent
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", timeout=10)
PROJECT = {"name": "Apollo", "number": "P-1"}


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["kantata"]) as twins:
        yield twins["kantata"]


def connector(url: str, token: str) -> KantataConnector:
    made: KantataConnector = SPEC.connect(KantataSettings(url=url, token=token), connection="psa")
    return made


@pytest.fixture
def psa(twin: TwinHandle) -> Iterator[KantataConnector]:
    made = connector(twin.url, "kantata-token")
    yield made
    made.close()


def refused(psa: KantataConnector, fields: dict[str, Any], key: str = "CC-1") -> VendorError | None:
    intent = WriteIntent(object="project", record_key=key, write_key=f"{key}-1", fields=fields)
    [result] = psa.write([intent], CTX)
    return result.error


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, Unavailable)])
def test_a_wait_that_a_gateway_asks_for_is_kept(status: int, kind: type):
    error = translate(Answer(status=status, headers={"retry-after": "7"}), True)
    assert type(error) is kind
    assert error.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(("status", "kind"), [(409, VersionConflict), (423, Locked)])
def test_statuses_that_kantata_does_not_name(psa: KantataConnector, twin: TwinHandle, status: int, kind: type):
    psa.ping(CTX)
    assert refused(psa, PROJECT, key="CC-BEFORE") is None
    twin.fault(kind="status", status=status, method="POST")
    assert type(refused(psa, PROJECT)) is kind


def test_our_key_taken_is_a_duplicate_whatever_else_is_taken():
    with start_twins(["kantata"], options={"kantata": {"unique_key": True}}) as twins:
        psa = connector(twins["kantata"].url, "kantata-token")
        assert refused(psa, PROJECT) is None
        twins["kantata"].fault(kind="stale_read", seconds=40)
        assert type(refused(psa, PROJECT)) is Duplicate
        psa.close()


def test_no_error_shows_the_token(twin: TwinHandle):
    psa = connector(twin.url, token="canary-token")
    with pytest.raises(AuthRevoked) as stopped:
        psa.ping(CTX)
    psa.close()
    assert "canary" not in f"{stopped.value!r} {stopped.value} {psa._settings!r} {psa._desk!r}"
