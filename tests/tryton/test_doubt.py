"""Exactly one record, whatever happens to the call, the connection or the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from concordat.connectors.tryton import TrytonConnector
from concordat.errors import Duplicate, UnknownOutcome, VersionConflict
from concordat.sdk.spec import WriteResult
from concordat.tryton_server import Tryton
from tests.tryton.documents import CLIENT, intent, made, put
from tests.tryton.locks import held, until
from tests.tryton.running import call

pytestmark = pytest.mark.slow


def test_four_racing_writers_make_one_party(erp: TrytonConnector) -> None:
    wanted = intent("client", CLIENT)
    erp.ping(call())
    start = Barrier(4)

    def race(_: int) -> WriteResult:
        start.wait()
        return put(erp, wanted)[0]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(race, range(4)))
    refs = [result.ref for result in results if result.error is None]
    assert len(refs) == 1
    assert sum(isinstance(result.error, Duplicate) for result in results) == 3
    assert [each.ref for each in erp.find("client", [wanted.record_key], call())[wanted.record_key]] == refs


def test_killed_in_mid_call_the_outcome_is_unknown_and_find_tells_the_truth(
    tryton: Tryton, erp: TrytonConnector
) -> None:
    wanted = intent("client", CLIENT)
    erp.ping(call())
    with ThreadPoolExecutor(1) as pool:
        with held(tryton, "party_party") as waiting:
            writing = pool.submit(put, erp, wanted)
            until(waiting)
            tryton.crash()
        assert isinstance(writing.exception(), UnknownOutcome)
    tryton.resume()
    assert erp.find("client", [wanted.record_key], call()) == {}
    assert put(erp, wanted)[0].disposition == "created"


def test_an_answer_that_comes_too_late_is_unknown_and_found_later(tryton: Tryton, erp: TrytonConnector) -> None:
    wanted = intent("client", CLIENT)
    erp.ping(call())
    with held(tryton, "party_party"), pytest.raises(UnknownOutcome):
        erp.write([wanted], call(timeout=1.0))
    until(lambda: erp.find("client", [wanted.record_key], call()))
    assert isinstance(put(erp, wanted)[0].error, Duplicate)


def test_a_record_that_moved_under_us_is_a_conflict(tryton: Tryton, erp: TrytonConnector) -> None:
    wanted = intent("client", CLIENT)
    ref = made(erp, wanted)
    later = intent("client", {**CLIENT, "name": "Ours"}, wanted.record_key, ref=ref)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(tryton.dsn) as other:
        other.execute("SELECT 1 FROM party_party WHERE id = %s FOR UPDATE", [int(ref)])
        writing = pool.submit(put, erp, later)
        with psycopg.connect(tryton.dsn, autocommit=True) as watcher:
            until(lambda: watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
        other.execute("UPDATE party_party SET name = 'Theirs', write_date = now() WHERE id = %s", [int(ref)])
        other.commit()
        assert isinstance(writing.result()[0].error, VersionConflict)
    assert erp.fetch("client", [ref], call())[0].fields["name"] == "Theirs"
    assert put(erp, later)[0].disposition == "updated"
