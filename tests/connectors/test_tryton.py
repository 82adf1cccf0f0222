"""Tryton's connector: what it promises, shown on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.tryton.bench import bench_of
from tests.tryton.documents import CLIENT, intent, made, project, put
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
from concordat.tryton_server import Tryton


@pytest.fixture
def tryton(pytestconfig: pytest.Config) -> Tryton:
    return shared(pytestconfig)


@pytest.fixture
def erp(tryton: Tryton) -> Iterator[TrytonConnector]:
    made = connector(tryton)
    yield made
    made.close()


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
        (["could not extend file: No space left on device", ""], True, Unavailable),
        (["FATAL: sorry, too many clients already", ""], True, Unavailable),
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
    assert erp.fetch("contract_line", [number], call())[0].fields == {**line, "status": "active"}
    assert {*line, "status"} == erp.facts.targets["contract_line"].fields
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
