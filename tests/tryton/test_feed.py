"""The change feed skips nothing, whatever Tryton's stamps do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from concordat.connectors.tryton import TrytonConnector
from concordat.tryton_server import Tryton
from tests.tryton.documents import CLIENT, intent, made, project, put
from tests.tryton.locks import held, until
from tests.tryton.running import call

pytestmark = pytest.mark.slow


def sweep(erp: TrytonConnector, object_: str, cursor: str | None) -> tuple[dict[str, str], str]:
    """Read all pages: version per reference, and the cursor of the next sweep."""
    seen: dict[str, str] = {}
    while True:
        page = erp.changes(object_, cursor, call())
        seen |= {record.ref: record.version for record in page.records}
        assert [record.version for record in page.records] == sorted(record.version for record in page.records)
        cursor = page.cursor
        if not page.more:
            return seen, cursor


def test_a_record_that_appears_after_its_stamp_is_not_skipped(tryton: Tryton, erp: TrytonConnector) -> None:
    """A stamp is the start of its transaction: the classic silent partial sync."""
    erp.ping(call())
    slow, quick = intent("client", CLIENT), intent("client", CLIENT)
    with ThreadPoolExecutor(1) as pool:
        with held(tryton, "party_identifier") as waiting:
            writing = pool.submit(put, erp, slow)
            until(waiting)
            quick_ref = made(erp, intent("client", {"name": "Quick"}, quick.record_key))
            seen, cursor = sweep(erp, "client", None)
            assert f"erp:{quick_ref}" in seen
        slow_ref = writing.result()[0].ref
    assert f"erp:{slow_ref}" not in seen
    assert f"erp:{slow_ref}" in sweep(erp, "client", cursor)[0]


def test_a_sweep_pages_through_everything_and_sees_children(erp: TrytonConnector) -> None:
    many = [intent("client", {**CLIENT, "name": f"Many {number}"}) for number in range(230)]
    refs = [
        f"erp:{result.ref}" for result in (*put(erp, *many[:100]), *put(erp, *many[100:200]), *put(erp, *many[200:]))
    ]
    before, cursor = sweep(erp, "client", None)
    assert set(refs) <= set(before)
    ref = refs[0].partition(":")[2]
    put(erp, intent("client", {"phone": "+49 40 1"}, many[0].record_key, ref=ref))
    after, _ = sweep(erp, "client", cursor)
    assert after[refs[0]] > before[refs[0]]


def test_a_project_as_a_source_carries_references_and_numbers(erp: TrytonConnector) -> None:
    party = made(erp, intent("client", CLIENT))
    wanted = intent("project", project(party))
    ref = made(erp, wanted)
    seen, _ = sweep(erp, "project", None)
    assert f"erp:{ref}" in seen
    record = erp.fetch_source("project", [f"erp:{ref}", "erp:999999"], call())[0]
    assert record.fields == {**wanted.fields, "client": f"erp:{party}", "number": wanted.record_key}
    assert record.numbers == (wanted.record_key,)
    people = erp.changes("client", None, call()).records
    assert not {"NB-US", "NB-UK", "NB-DE", "NB-US-E1"} & {record.fields["number"] for record in people}
