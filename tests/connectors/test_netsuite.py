"""The NetSuite connector against its twin: what is written is read back, and every error leaves as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from concordat.connectors import netsuite
from concordat.connectors.netsuite.kinds import TYPES
from concordat.errors import (
    AuthRevoked,
    Busy,
    Missing,
    Rejected,
    ResyncRequired,
    Unavailable,
    UnknownOutcome,
    VendorError,
    VersionConflict,
)
from concordat.sdk.conformance import Bench, Check, checks
from concordat.sdk.spec import CallContext, WriteIntent, WriteResult
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", timeout=5)
KEY = RSAKey.generate_key(2048)
CLIENT = {
    "name": "Acme & Söhne", "number": "C-77", "country": "DE", "currency": "EUR", "tax_id": "DE123",
    "tax_status": "registered", "payment_terms": "NET30", "phone": "+49 30 1",
    "billing_email": "ap@acme.example", "entity": "NB-DE",
}  # fmt: skip


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    given = {"public_key": KEY.as_pem(private=False).decode()}
    with start_twins(["netsuite"], options={"netsuite": given}) as twins:
        yield twins["netsuite"]


def settings(url: str, **more: Any) -> netsuite.NetSuiteSettings:
    return netsuite.NetSuiteSettings(
        account="1234567",
        url=url,
        client_id="concordat",
        certificate_id="cert-1",
        private_key=KEY.as_pem(private=True).decode(),
        subsidiaries={"NB-US": "1", "NB-UK": "2", "NB-DE": "3"},
        subsidiary="NB-US",
        terms={"NET30": "2"},
        **more,
    )


@pytest.fixture
def erp(twin: TwinHandle) -> Iterator[netsuite.NetSuiteConnector]:
    made = netsuite.SPEC.connect(settings(twin.url), connection="erp")
    yield made
    made.close()


def intent(object_: str, key: str, fields: Mapping[str, Any], **more: Any) -> WriteIntent:
    return WriteIntent(object=object_, record_key=key, write_key=f"{key}-1", fields=fields, **more)


def write(erp: netsuite.NetSuiteConnector, *args: Any, **more: Any) -> WriteResult:
    return erp.write([intent(*args, **more)], CTX)[0]


def client(erp: netsuite.NetSuiteConnector, key: str = "CC-CLIENT", **more: Any) -> str:
    result = write(erp, "client", key, {**CLIENT, **more})
    assert result.error is None
    assert result.ref
    return result.ref


def project(ref: str | None, **more: Any) -> dict[str, Any]:
    return {
        "name": "Migration", "client": {"ref": ref, "name": "Acme", "number": "C-77"},
        "contract_value": {"amount": "350000.00", "currency": "EUR"}, "budget_hours": "1200.0",
        "budget_cost": {"amount": "210000.10", "currency": "EUR"}, "start_date": "2026-11-30",
        "end_date": "2027-06-30", "status": "active", "entity": "NB-DE", **more,
    }  # fmt: skip


def test_a_client_is_written_and_read_back(erp: netsuite.NetSuiteConnector):
    ref = client(erp)
    seen = erp.fetch("client", [ref], CTX)[0]
    assert {**seen.fields} == CLIENT
    assert (seen.ref, seen.record_key, seen.archived) == (ref, "CC-CLIENT", False)
    assert seen.version.endswith("Z")


def test_a_project_and_its_line_are_written_and_read_back_to_the_cent(erp: netsuite.NetSuiteConnector):
    wrote = project(client(erp))
    result = write(erp, "project", "CC-PROJECT", wrote)
    seen = erp.find("project", ["CC-PROJECT", "CC-NONE"], CTX)
    assert list(seen) == ["CC-PROJECT"]
    fields = seen["CC-PROJECT"][0].fields
    assert fields["contract_value"] == {"amount": "350000.00", "currency": "EUR"}
    assert fields["budget_cost"] == {"amount": "210000.10", "currency": "EUR"}
    assert fields["client"] == {"ref": wrote["client"]["ref"]}
    assert (fields["start_date"], fields["end_date"], fields["status"]) == (
        "2026-11-30",
        "2027-06-30",
        "active",
    )
    line = {
        "name": "Extension", "project": {"ref": result.ref, "name": "", "number": ""}, "budget_hours": "40.5",
        "amount": {"amount": "9000.01", "currency": "USD"}, "start_date": "2027-07-01",
        "end_date": "2027-08-31",
    }  # fmt: skip
    made = write(erp, "contract_line", "CC-LINE", line)
    assert made.error is None
    assert dict(erp.fetch("contract_line", [str(made.ref)], CTX)[0].fields) == {
        **line,
        "project": {"ref": result.ref},
        "status": "active",
    }


def test_the_same_key_makes_one_record_and_an_id_updates_it(twin: TwinHandle, erp: netsuite.NetSuiteConnector):
    ref = client(erp)
    assert client(erp) == ref
    assert write(erp, "client", "CC-CLIENT", {"phone": None}, ref=ref).ref == ref
    assert erp.fetch("client", [ref], CTX)[0].fields["phone"] is None
    assert [line["operation"] for line in twin.ledger()] == ["create", "update", "update"]


def test_a_lost_answer_is_doubt_and_the_record_is_found(twin: TwinHandle, erp: netsuite.NetSuiteConnector):
    twin.fault(kind="commit_then_drop", object="customer", operation="upsert", nth=1)
    assert isinstance(write(erp, "client", "CC-CLIENT", CLIENT).error, UnknownOutcome)
    assert len(erp.find("client", ["CC-CLIENT"], CTX)["CC-CLIENT"]) == 1
    client(erp)
    assert len(twin.state("customer")) == 1


def test_unknown_fields_are_never_dropped_in_silence(twin: TwinHandle):
    made = netsuite.SPEC.connect(
        settings(twin.url, custom_fields={"client.country": "custentity_elsewhere"}), connection="erp"
    )
    error = write(made, "client", "CC-1", CLIENT).error
    made.close()
    assert isinstance(error, Rejected)
    assert error.field == "country"
    assert twin.ledger() == []


@pytest.mark.parametrize(
    ("object_", "fields", "field"),
    [
        ("client", {**CLIENT, "entity": "NB-FR"}, "entity"),
        ("client", {**CLIENT, "shoe_size": 45}, "shoe_size"),
        ("client", {**CLIENT, "name": None}, "name"),
        ("project", project(None), "client"),
        ("project", project("424242"), "client"),
        ("project", project(None, client={}, budget_hours="many"), "client"),
        ("project", {"name": "P", "budget_hours": "many"}, "budget_hours"),
        ("project", {"name": "P", "budget_cost": {"amount": "x", "currency": "EUR"}}, "budget_cost"),
        (
            "project",
            {"name": "P", "currency": "USD", "budget_cost": {"amount": "1", "currency": "EUR"}},
            "budget_cost",
        ),
        ("contract_line", {"name": "L"}, "project"),
    ],
)
def test_a_wrong_document_is_rejected_with_its_field(
    twin: TwinHandle, erp: netsuite.NetSuiteConnector, object_: str, fields: dict[str, Any], field: str
):
    error = write(erp, object_, "CC-1", fields).error
    assert isinstance(error, Rejected)
    assert error.field == field
    assert twin.ledger() == []


def test_hold_reactivate_archive(erp: netsuite.NetSuiteConnector):
    ref = write(erp, "project", "CC-P", project(client(erp))).ref

    def after(operation: str) -> tuple[Any, bool]:
        assert write(erp, "project", "CC-P", {}, operation=operation, ref=ref).error is None
        seen = erp.fetch("project", [str(ref)], CTX)[0]
        return seen.fields["status"], seen.archived

    assert after("hold") == ("on_hold", False)
    assert after("archive") == ("on_hold", True)
    assert after("reactivate") == ("active", False)
    assert isinstance(write(erp, "project", "CC-P", {}, operation="hold").error, Rejected)
    assert isinstance(write(erp, "client", "CC-C", {}, operation="hold", ref=ref).error, Rejected)


@pytest.mark.parametrize("status", ["on_hold", "active", None])
def test_a_document_of_one_field_changes_nothing_else(erp: netsuite.NetSuiteConnector, status: str | None):
    ref = str(write(erp, "project", "CC-P", project(client(erp), number="P-1")).ref)
    before = dict(erp.fetch("project", [ref], CTX)[0].fields)
    assert before["entity"] == "NB-DE"
    assert write(erp, "project", "CC-P", {"status": status}, ref=ref).error is None
    assert dict(erp.fetch("project", [ref], CTX)[0].fields) == {**before, "status": status}


EMPTY = {
    "client": {"number", "country", "currency", "tax_id", "tax_status", "payment_terms", "phone", "billing_email"},
    "project": {
        "number", "client", "contract_value", "budget_hours", "budget_cost", "start_date", "end_date", "status",
    },
    "contract_line": {"amount", "start_date", "end_date", "budget_hours", "status"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("object_", "field"),
    [(name, field) for name in EMPTY for field in sorted(netsuite.SPEC.facts.targets[name].fields)],
)
def test_a_field_that_is_emptied_is_empty_there_or_refused_by_its_name(bench: Bench, object_: str, field: str):
    whole = {**CLIENT, "number": "C-1"} if object_ == "client" else dict(bench.examples[object_](1))
    ref = bench.written(bench.intent(object_, 1, fields=whole))
    (result,) = bench.write(bench.intent(object_, 1, fields={**whole, field: None}, ref=ref))
    seen = bench.connector.fetch(object_, [ref], CTX)[0].fields
    if field in EMPTY[object_]:
        assert (result.error, seen[field]) == (None, None)
    else:
        assert isinstance(result.error, Rejected)
        assert result.error.field == field
        assert seen[field] is not None


@pytest.mark.parametrize("header", ["Warning", "Ignore"])
def test_a_value_that_netsuite_would_drop_in_silence_is_refused(
    twin: TwinHandle, erp: netsuite.NetSuiteConnector, header: str
):
    twin.twin.options["value_validation"] = header
    error = write(erp, "project", "CC-P", project("424242")).error
    assert isinstance(error, Rejected)
    assert (error.field, twin.ledger()) == ("client", [])


def test_a_record_that_changed_meanwhile_is_a_conflict_and_nothing_is_written(
    twin: TwinHandle, erp: netsuite.NetSuiteConnector
):
    ref = client(erp)
    twin.fault(kind="lock_storm", object="customer", nth=1)
    assert isinstance(write(erp, "client", "CC-CLIENT", {"phone": "1"}, ref=ref).error, VersionConflict)
    assert write(erp, "client", "CC-CLIENT", {"phone": "1"}, ref=ref).error is None
    assert len(twin.ledger()) == 2


def test_a_name_that_is_too_long_is_refused_by_its_field(twin: TwinHandle, erp: netsuite.NetSuiteConnector):
    error = write(erp, "client", "CC-1", {**CLIENT, "name": "n" * 84}).error
    assert isinstance(error, Rejected)
    assert (error.field, twin.ledger()) == ("name", [])


def test_a_page_that_is_short_is_not_the_last_while_there_is_more(twin: TwinHandle, erp: netsuite.NetSuiteConnector):
    twin.twin.options["page_most"] = 2
    twin.seed({"customer": [{"id": str(n), "companyName": f"C{n}", "subsidiary": "1"} for n in range(1, 8)]})
    cursor, refs, more = None, [], True
    while more:
        page = erp.changes("client", cursor, CTX)
        refs += [record.ref for record in page.records]
        cursor, more = page.cursor, page.more
    assert refs == [f"erp:{n}" for n in range(1, 8)]
    assert len(erp.fetch("client", [str(n) for n in range(1, 8)], CTX)) == 7
    assert len(erp.fetch_source("client", [f"erp:{n}" for n in range(1, 8)], CTX)) == 7


def test_a_line_is_held_and_taken_up_again_by_its_status(twin: TwinHandle, erp: netsuite.NetSuiteConnector):
    job = write(erp, "project", "CC-P", project(client(erp))).ref
    line = {"name": "Extension", "project": {"ref": job, "name": "", "number": ""}}
    ref = str(write(erp, "contract_line", "CC-LINE", line).ref)
    before = dict(erp.fetch("contract_line", [ref], CTX)[0].fields)
    for word, inactive in (("on_hold", True), ("active", False)):
        assert write(erp, "contract_line", "CC-LINE", {"status": word}, ref=ref).error is None
        assert dict(erp.fetch("contract_line", [ref], CTX)[0].fields) == {**before, "status": word}
        assert twin.state("projectTask")[0]["isInactive"] is inactive
    error = write(erp, "contract_line", "CC-LINE", {"status": "delivery_complete"}, ref=ref).error
    assert isinstance(error, Rejected)
    assert error.field == "status"


def test_hours_stay_what_was_sold_when_people_are_assigned(twin: TwinHandle, erp: netsuite.NetSuiteConnector):
    job = write(erp, "project", "CC-P", project(client(erp))).ref
    line = {"name": "Extension", "project": {"ref": job, "name": "", "number": ""}, "budget_hours": "40.5"}
    ref = str(write(erp, "contract_line", "CC-LINE", line).ref)
    assert str(twin.state("projectTask")[0]["estimatedWork"]) == "40.5"
    twin.do("assign", id=ref, hours=["10", "12.5"])
    assert write(erp, "contract_line", "CC-LINE", {**line, "budget_hours": "60"}, ref=ref).error is None
    assert erp.fetch("contract_line", [ref], CTX)[0].fields["budget_hours"] == "60"
    assert str(twin.state("projectTask")[0]["estimatedWork"]) == "22.5"


def test_look_alikes_are_found_by_number_or_name(erp: netsuite.NetSuiteConnector):
    ref = client(erp)
    made = write(erp, "project", "CC-P", project(ref)).ref
    assert [seen.ref for seen in erp.match("client", {"number": "C-77"}, CTX)] == [ref]
    assert [seen.ref for seen in erp.match("client", {"name": "ACME & söhne"}, CTX)] == [ref]
    assert [seen.ref for seen in erp.match("project", {"name": "migration", "client": {"ref": ref}}, CTX)] == [made]
    assert erp.match("project", {"name": "it's another"}, CTX) == []
    assert [seen.ref for seen in erp.match("client", {"number": "C-88", "name": "Acme & Söhne"}, CTX)] == [ref]
    assert erp.match("client", {"number": "C-88"}, CTX) == []
    assert erp.match("client", {}, CTX) == []
    street = client(erp, "CC-STREET", name="Straße GmbH", number="C-99")
    assert [seen.ref for seen in erp.match("client", {"name": "STRAßE gmbh"}, CTX)] == [street]


def test_changes_sweep_by_id_and_begin_again_with_an_overlap(
    twin: TwinHandle, erp: netsuite.NetSuiteConnector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("concordat.connectors.netsuite.feed.PAGE", 2)
    twin.seed({"customer": [{"id": str(n), "companyName": f"C{n}", "subsidiary": "1"} for n in range(8, 13)]})
    cursor, refs, more = None, [], True
    while more:
        page = erp.changes("client", cursor, CTX)
        refs += [record.ref for record in page.records]
        cursor, more = page.cursor, page.more
    assert refs == [f"erp:{n}" for n in range(8, 13)]
    twin.twin.clock.move(netsuite.SPEC.facts.sources["client"] * 3)
    twin.do("edit", object="customer", id="9", fields={"companyName": "New"})
    first = erp.changes("client", cursor, CTX)
    last = erp.changes("client", erp.changes("client", first.cursor, CTX).cursor, CTX)
    assert "erp:9" in [record.ref for record in (*first.records, *last.records)]
    assert erp.fetch_source("client", ["erp:9", "erp:404"], CTX)[0].fields["name"] == "New"
    with pytest.raises(ResyncRequired):
        erp.changes("client", "nonsense", CTX)


def test_an_expired_token_is_won_back(twin: TwinHandle, erp: netsuite.NetSuiteConnector):
    erp.ping(CTX)
    twin.do("expire_tokens")
    erp.ping(CTX)


def test_a_refused_certificate_needs_a_person(twin: TwinHandle):
    other = settings(twin.url).model_copy(update={"certificate_id": "lost in a sandbox refresh"})
    made = netsuite.SPEC.connect(other, connection="erp")
    with pytest.raises(AuthRevoked):
        made.ping(CTX)
    made.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "quota_exhausted"}, Busy),
        ({"kind": "status", "status": 503}, Unavailable),
        ({"kind": "commit_then_504"}, UnknownOutcome),
        ({"kind": "drop_before_commit"}, UnknownOutcome),
        ({"kind": "html_error_page", "status": 502}, UnknownOutcome),
    ],
)
def test_what_goes_wrong_on_the_way(
    twin: TwinHandle, erp: netsuite.NetSuiteConnector, fault: dict[str, Any], kind: type[VendorError]
):
    twin.fault(object="customer", operation="upsert", **fault)
    assert type(write(erp, "client", "CC-1", CLIENT).error) is kind


def test_a_changed_record_that_is_gone_is_missing(erp: netsuite.NetSuiteConnector):
    assert isinstance(write(erp, "client", "CC-1", {"phone": "1"}, ref="424242").error, Missing)
    assert erp.fetch("client", ["424242", "not a number"], CTX) == []


@pytest.mark.parametrize(
    "refuse", [lambda erp: erp.ask("availability", [], CTX), lambda erp: erp.find("workspace", [], CTX)]
)
def test_what_netsuite_does_not_serve(
    erp: netsuite.NetSuiteConnector, refuse: Callable[[netsuite.NetSuiteConnector], object]
):
    with pytest.raises(Rejected):
        refuse(erp)


@pytest.fixture
def bench(twin: TwinHandle, erp: netsuite.NetSuiteConnector) -> Bench:
    twin.seed({"customer": [{"id": "7", "companyName": "Seeded", "subsidiary": "1"}]})
    twin.seed({"job": [{"id": "17", "companyName": "Seeded project", "parent": "7", "subsidiary": "1"}]})
    return Bench(
        connector=erp,
        examples={
            "client": lambda n: {**CLIENT, "name": f"Client {n}", "number": f"C-{n}"},
            "project": lambda n: project("7", name=f"Project {n}", number=f"P-{n}", budget_hours=f"{n}00.5"),
            "contract_line": lambda n: {
                "name": f"Line {n}",
                "project": {"ref": "17", "name": "", "number": ""},
                "amount": {"amount": f"{n}000.10", "currency": "EUR"},
                "start_date": "2026-12-01",
                "end_date": None,
                "budget_hours": "12.5",
            },
        },
        held=lambda object_: len(twin.state(TYPES[object_])),
        sources={"client": ["erp:7"], "project": ["erp:17"]},
    )


@pytest.mark.parametrize("check", checks(netsuite.SPEC.facts), ids=str)
def test_conforms(check: Check, bench: Bench):
    check(bench)
