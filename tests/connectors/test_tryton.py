"""Tryton's connector: what it promises, shown on a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import psycopg
import pytest
from tests.tryton.bench import bench_of
from tests.tryton.running import call, connector, key, shared

from concordat.connectors.tryton import SPEC, TrytonConnector
from concordat.connectors.tryton.taxes import type_of
from concordat.connectors.tryton.works import hours
from concordat.errors import (
    AuthRevoked,
    Duplicate,
    Missing,
    RateLimited,
    Rejected,
    ResyncRequired,
    Unavailable,
    UnknownOutcome,
    VendorError,
    VersionConflict,
)
from concordat.sdk.conformance import Check, checks
from concordat.sdk.rpc import decode, encode, fault_error
from concordat.sdk.spec import WriteIntent, WriteResult
from concordat.tryton_server import Tryton

CLIENT = {
    "name": "Acme 100%_Ltd",
    "country": "DE",
    "tax_id": "DE136695976",
    "payment_terms": "NET30",
    "phone": "+49 30 901820",
    "billing_email": "ap@acme.example",
}


@pytest.fixture
def tryton(pytestconfig: pytest.Config) -> Tryton:
    return shared(pytestconfig)


@pytest.fixture
def erp(tryton: Tryton) -> Iterator[TrytonConnector]:
    made = connector(tryton)
    yield made
    made.close()


def intent(object_: str, fields: Mapping[str, Any], name: str = "", **more: Any) -> WriteIntent:
    name = name or key()
    return WriteIntent(object=object_, record_key=name, write_key=f"{name}-1", fields=fields, **more)


def put(erp: TrytonConnector, *intents: WriteIntent) -> list[WriteResult]:
    return list(erp.write(intents, call()))


def made(erp: TrytonConnector, wanted: WriteIntent) -> str:
    result = put(erp, wanted)[0]
    assert result.error is None
    assert result.ref
    return result.ref


def project(client: str | None, **changed: Any) -> dict[str, Any]:
    document = {
        "name": "Payments platform",
        "client": {"ref": client, "name": "Acme", "number": None},
        "contract_value": {"amount": "350000.10", "currency": "EUR"},
        "budget_hours": "1800.25",
        "currency": "EUR",
        "start_date": "2026-12-01",
        "end_date": "2027-05-31",
        "status": "active",
        "entity": "NB-DE",
    }
    return {**document, **changed}


# ── without a server ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.fast
@pytest.mark.parametrize(
    "value",
    [
        Decimal("0.10"),
        date(2026, 2, 28),
        datetime(2026, 11, 23, 6, 29, 22, 134561),  # noqa: DTZ001  Tryton's are naive
        timedelta(hours=1800, microseconds=7),
        timedelta(days=-1, seconds=1),
        b"\x00\xff",
        {"a": [Decimal("1E+3"), None, True, "x", 7]},
    ],
)
def test_tryton_types_survive_the_wire(value: Any) -> None:
    assert decode(encode(value)) == value


@pytest.mark.fast
@pytest.mark.parametrize(
    ("fault", "write", "kind"),
    [
        (["UserError", ["text", "description", None]], True, Rejected),
        (["UserWarning", ["name", "text", ""]], True, Rejected),
        (["ConcurrencyException", "Records were modified"], True, VersionConflict),
        (["LoginException", ["password", "Password for admin", "password"]], False, AuthRevoked),
        (["RateLimitException", ""], False, RateLimited),
        (["'nme'", ""], True, Rejected),
        (["server closed the connection unexpectedly", ""], True, UnknownOutcome),
        (["server closed the connection unexpectedly", ""], False, Unavailable),
        (["could not serialize access", ""], True, UnknownOutcome),
        ([], True, Rejected),
    ],
)
def test_every_fault_says_what_to_do_next(fault: list[Any], *, write: bool, kind: type[VendorError]) -> None:
    assert type(fault_error(fault, connection="erp", write=write)) is kind


@pytest.mark.fast
@pytest.mark.parametrize(
    ("number", "country", "kind"),
    [
        ("DE136695976", "DE", "eu_vat"),
        ("GB980780684", "GB", "gb_vat"),
        ("980 7806 84", "GB", None),
        ("12-3456789", "US", "us_ein"),
        ("123456789", "US", None),
        ("no number", "US", None),
        ("no number", None, None),
    ],
)
def test_a_tax_number_gets_a_type_only_where_it_reads_back_exactly(
    number: str, country: str | None, kind: str | None
) -> None:
    assert type_of(number, country) == kind


@pytest.mark.fast
def test_hours_are_exact_or_refused() -> None:
    assert hours("0.25", field="budget_hours") == timedelta(minutes=15)
    assert hours("33.3333", field="budget_hours") == timedelta(microseconds=119_999_880_000)
    for wrong in ("0.33333333333333", "many", "NaN", "Infinity"):
        with pytest.raises(Rejected):
            hours(wrong, field="budget_hours")


@pytest.mark.fast
def test_a_cursor_of_nobody_asks_for_everything_again() -> None:
    erp = TrytonConnector(
        SPEC.settings.model_validate({"url": "http://127.0.0.1:9", "database": "d", "user": "u", "password": "p"}),
        connection="erp",
    )
    for cursor in ("", "{}", "[]", '{"since":"x","after":0,"next":null}'):
        with pytest.raises(ResyncRequired):
            erp.changes("client", cursor, call())
    erp.close()


# ── conformance ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("check", checks(SPEC.facts), ids=str)
def test_conforms(check: Check, tryton: Tryton, erp: TrytonConnector) -> None:
    check(bench_of(tryton, erp))


# ── what is written reads back ────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_client_reads_back_exactly(erp: TrytonConnector) -> None:
    wanted = intent("client", CLIENT)
    ref = made(erp, wanted)
    found = erp.find("client", [wanted.record_key, "CC-NOBODY"], call())
    assert {name: [each.ref for each in several] for name, several in found.items()} == {wanted.record_key: [ref]}
    assert found[wanted.record_key][0].fields == CLIENT
    assert set(CLIENT) == erp.facts.targets["client"].fields


@pytest.mark.slow
def test_a_client_changes_field_by_field(erp: TrytonConnector) -> None:
    wanted = intent("client", CLIENT)
    ref = made(erp, wanted)
    for changed in (
        {"tax_id": "GB980780684", "country": "GB"},
        {"tax_id": "registered soon"},
        {"payment_terms": "NET45", "phone": "+44 20 7946 0000"},
        {"payment_terms": None, "phone": None, "tax_id": None, "country": None, "billing_email": None},
        CLIENT,
    ):
        wanted = intent("client", {**wanted.fields, **changed}, wanted.record_key, ref=ref)
        assert put(erp, wanted)[0].disposition == "updated"
        assert put(erp, wanted)[0].disposition == "unchanged"
        assert erp.fetch("client", [ref], call())[0].fields == wanted.fields


@pytest.mark.slow
def test_a_project_and_its_line_read_back_exactly(erp: TrytonConnector) -> None:
    client = intent("client", CLIENT)
    party = made(erp, client)
    wanted = intent("project", project(party))
    ref = made(erp, wanted)
    observed = erp.fetch("project", [ref], call())[0]
    names = {"ref": party, "name": CLIENT["name"], "number": client.record_key}
    assert observed.fields == {**wanted.fields, "client": names}
    assert set(wanted.fields) == erp.facts.targets["project"].fields
    line = {
        "name": "Phase two",
        "project": {"ref": ref, "name": wanted.fields["name"], "number": wanted.record_key},
        "amount": {"amount": "0.01", "currency": "EUR"},
        "budget_hours": "7.5",
        "start_date": "2027-06-01",
        "end_date": None,
    }
    number = made(erp, intent("contract_line", line))
    assert erp.fetch("contract_line", [number], call())[0].fields == line
    assert set(line) == erp.facts.targets["contract_line"].fields
    assert erp.fetch("project", [ref], call())[0].fields == observed.fields


@pytest.mark.slow
def test_undo_rests_archives_and_brings_back(erp: TrytonConnector) -> None:
    party = made(erp, intent("client", CLIENT))
    work = made(erp, intent("project", project(party)))

    def do(object_: str, operation: str, ref: str) -> tuple[str, bool, Any]:
        result = put(erp, intent(object_, {}, ref=ref, operation=operation))[0]
        assert result.error is None
        seen = erp.fetch(object_, [ref], call())[0]
        return result.disposition, seen.archived, seen.fields.get("status")

    assert do("project", "hold", work) == ("updated", False, "on_hold")
    assert do("project", "hold", work) == ("unchanged", False, "on_hold")
    assert do("project", "reactivate", work) == ("updated", False, "active")
    assert do("project", "archive", work) == ("updated", True, "archived")
    assert do("client", "archive", party) == ("updated", True, None)
    assert do("client", "archive", party) == ("unchanged", True, None)
    assert do("client", "reactivate", party) == ("updated", False, None)


@pytest.mark.slow
def test_look_alikes_are_found_by_tax_number_and_by_name(erp: TrytonConnector) -> None:
    wanted = {**CLIENT, "name": f"Match 100%_{key()}", "tax_id": "GB980780684", "country": "GB"}
    party = made(erp, intent("client", wanted))
    work = made(erp, intent("project", project(party)))

    def refs(object_: str, **fields: Any) -> set[str]:
        return {each.ref for each in erp.match(object_, fields, call())}

    assert refs("client", name=wanted["name"].upper()) == {party}
    assert refs("client", name=wanted["name"].replace("_", "x")) == set()
    assert party in refs("client", tax_id="GB 980 7806 84")
    assert refs("project", name="payments PLATFORM", client={"ref": party}) == {work}
    assert refs("project", client={"ref": party}) == set()
    assert refs("client") == set()


# ── one bad record never stops the others ─────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_batch_answers_per_record(erp: TrytonConnector) -> None:
    there = intent("client", CLIENT)
    ref = made(erp, there)
    good = [intent("client", {"name": f"Good {number}"}) for number in range(6)]
    mixed = [
        good[0],
        there,
        good[1],
        intent("client", {"name": "Terms", "payment_terms": "NET31"}),
        good[2],
        intent("client", {"name": "Phone", "phone": " "}),
        good[3],
        intent("client", {"name": "Extra", "credit_limit": None}),
        intent("client", {"name": "Renamed"}, there.record_key, ref=ref),
        good[4],
        intent("client", {"name": "Gone"}, ref="999999"),
        good[5],
    ]
    results = put(erp, *mixed)
    errors = {at: type(result.error) for at, result in enumerate(results) if result.error}
    assert errors == {1: Duplicate, 3: Rejected, 5: Rejected, 7: Rejected, 10: Missing}
    assert results[8].disposition == "updated"
    found = erp.find("client", [each.record_key for each in good], call())
    assert [found[each.record_key][0].fields["name"] for each in good] == [each.fields["name"] for each in good]


@pytest.mark.slow
def test_what_tryton_cannot_hold_names_its_field(erp: TrytonConnector) -> None:
    party = made(erp, intent("client", CLIENT))
    wrong = {
        "entity": project(party, entity="NB-XX"),
        "client": project(None),
        "contract_value": project(party, contract_value={"amount": "1.00", "currency": "USD"}),
        "currency": project(party, currency="USD"),
        "status": project(party, status="pipeline"),
        "budget_hours": project(party, budget_hours="0.333333333333333"),
        "start_date": project(party, start_date="soon"),
        "budget_cost": project(party, budget_cost={"amount": "1.00", "currency": "EUR"}),
    }
    results = put(erp, *(intent("project", document) for document in wrong.values()))
    assert [result.error.field for result in results if result.error] == list(wrong)


# ── exactly one, whatever happens ─────────────────────────────────────────────────────────────────


@pytest.mark.slow
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


@contextmanager
def held(tryton: Tryton, table: str) -> Iterator[Callable[[], bool]]:
    """Hold writes to a table back; gives a question: does anybody wait for it?"""
    with psycopg.connect(tryton.dsn) as holder, psycopg.connect(tryton.dsn, autocommit=True) as watcher:
        holder.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield lambda: bool(watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())


def until(question: Callable[[], object]) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=30)  # noqa: TID251
    while not question():
        assert datetime.now(UTC) < deadline  # noqa: TID251


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_answer_that_comes_too_late_is_unknown_and_found_later(tryton: Tryton, erp: TrytonConnector) -> None:
    wanted = intent("client", CLIENT)
    erp.ping(call())
    with held(tryton, "party_party"), pytest.raises(UnknownOutcome):
        erp.write([wanted], call(timeout=1.0))
    until(lambda: erp.find("client", [wanted.record_key], call()))
    assert isinstance(put(erp, wanted)[0].error, Duplicate)


@pytest.mark.slow
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


# ── changes ───────────────────────────────────────────────────────────────────────────────────────


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
