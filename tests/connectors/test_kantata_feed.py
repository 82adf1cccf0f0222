"""Kantata as a source of projects, and what it is not: a sweep over stamps of whole seconds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from concordat.connectors.kantata import SPEC, KantataConnector, KantataSettings
from concordat.errors import Rejected, ResyncRequired
from concordat.sdk.spec import CallContext, WriteIntent
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", timeout=5)
PROJECT = WriteIntent(
    object="project",
    record_key="CC-1",
    write_key="CC-1-1",
    fields={
        "name": "Apollo",
        "number": "P-1",
        "client": {"ref": None, "name": "Acme Corp", "number": None},
        "contract_value": {"amount": "350000.00", "currency": "EUR"},
    },
)


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["kantata"]) as twins:
        yield twins["kantata"]


@pytest.fixture
def psa(twin: TwinHandle) -> Iterator[KantataConnector]:
    made = SPEC.connect(KantataSettings(url=twin.url, token="kantata-token"), connection="psa")
    yield made
    made.close()


def test_a_sweep_skips_nothing_when_hundreds_share_one_second(psa: KantataConnector, twin: TwinHandle):
    body = {"at": "2026-11-23T10:00:00Z", "frozen": True}
    httpx.post(f"{twin.url}/__twin/clock", json=body, trust_env=False)
    twin.seed({"workspaces": [{"title": f"P{n}"} for n in range(450)]})
    twin.advance(timedelta(hours=1))
    twin.seed({"workspaces": [{"title": "late"}]})
    cursor, seen, more = None, [], True
    while more:
        page = psa.changes("project", cursor, CTX)
        seen += page.records
        cursor, more = page.cursor, page.more
    assert len({record.ref for record in seen}) == 451
    assert [record.fields["name"] for record in psa.changes("project", cursor, CTX).records] == ["late"]
    assert cursor == "2026-11-23T11:00:00Z"
    assert seen[-1].version == "2026-11-23T11:00:00Z"
    with pytest.raises(ResyncRequired):
        psa.changes("project", "nonsense", CTX)


def test_a_source_record_has_the_client_beside_it(psa: KantataConnector):
    [written] = psa.write([PROJECT], CTX)
    ref = str(written.ref)
    [record] = psa.fetch_source("project", [ref], CTX)
    assert record.fields["contract_value"] == {"amount": "350000.00", "currency": "EUR"}
    assert record.extra["client"]["name"] == "Acme Corp"
    assert list(record.numbers) == ["P-1"]


def test_kantata_neither_answers_nor_pushes(psa: KantataConnector):
    with pytest.raises(Rejected):
        psa.ask("availability", [], CTX)
    with pytest.raises(Rejected):
        psa.decode_push({}, b"", datetime(2026, 11, 23, tzinfo=UTC))
    with pytest.raises(Rejected):
        psa.changes("client", None, CTX)
