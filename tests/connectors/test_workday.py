"""The Workday connector against its twin: workers with dated rows, and free time weighed from one report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from concordat.connectors.workday import SPEC, WorkdayConnector, WorkdaySettings
from concordat.connectors.workday.availability import Week, answer, by_role, needs, slices
from concordat.connectors.workday.errors import STATUS, translate
from concordat.connectors.workday.workers import managers_first
from concordat.core.objects.people import Worker
from concordat.errors import AuthRevoked, RateLimited, Rejected, ResyncRequired, Unavailable
from concordat.sdk.conformance import Bench, Check, checks
from concordat.sdk.rest import Answer
from concordat.sdk.spec import CallContext, SourceRecord, WriteIntent
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", timeout=5)


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["workday"]) as twins:
        handle = twins["workday"]
        body = {"at": "2026-11-23T10:00:00Z", "frozen": True}
        httpx.post(f"{handle.url}/__twin/clock", json=body, trust_env=False)
        handle.do("hire", id="E1", name="Ada", role="Architect", company="NB-DE", location="Berlin", grade="G7")
        handle.do("hire", id="E2", name="Bo", role="Architect", location="London", manager="E1")
        handle.do("hire", id="E3", name="Cy", role="Consultant", type="Contingent Worker", weekly_hours="38.5")
        yield handle


def connector(url: str, **more: Any) -> WorkdayConnector:
    basic = {} if "client_id" in more else {"user": "ISU_Concordat", "password": "concordat-password"}
    said = {"url": url, "tenant": "northbeam", "owner": "ISU_Concordat", **basic, **more}
    made: WorkdayConnector = SPEC.connect(WorkdaySettings(**said), connection="hr")
    return made


@pytest.fixture
def hr(twin: TwinHandle) -> Iterator[WorkdayConnector]:
    made = connector(twin.url)
    yield made
    made.close()


def role(
    name: str = "Architect", hours: str = "80", start: str = "2026-11-30", end: str = "2026-12-13", place: str = ""
):
    return {"role": name, "hours": hours, "from": start, "to": end, "location": place}


def ask(hr: WorkdayConnector, *roles: dict[str, Any]):
    [said] = hr.ask("availability", [{"roles": list(roles)}], CTX)
    assert said.error is None
    return said


@pytest.fixture
def bench(hr: WorkdayConnector, twin: TwinHandle) -> Bench:
    return Bench(connector=hr, advance=twin.advance, sources={"worker": ["E1", "E2", "E3"]})


@pytest.mark.parametrize("check", checks(SPEC.facts), ids=str)
def test_conforms(check: Check, bench: Bench):
    check(bench)


# -- workers


def test_a_worker_is_canonical_and_managers_come_first(hr: WorkdayConnector, twin: TwinHandle):
    twin.do("change", worker="E1", effective="2026-11-23", manager="E3")
    records = {r.ref: r for r in hr.changes("worker", None, CTX).records}
    assert list(records) == ["E3", "E1", "E2"]
    ada = records["E1"].fields
    assert (ada["number"], ada["entity"], ada["role"], ada["active"]) == ("E1", "NB-DE", "Architect", True)
    assert (records["E2"].fields["manager"], records["E3"].fields["kind"]) == ("hr:E1", "contractor")
    assert records["E3"].fields["available_minutes_per_week"] == 2310
    assert records["E1"].extra["Universal_ID"] == "E1"


@pytest.mark.parametrize("number", ["E1", "E2", "E3"])
def test_the_canonical_object_takes_every_field(hr: WorkdayConnector, number: str):
    [record] = hr.fetch_source("worker", [number], CTX)
    names = {field.alias or name for name, field in Worker.model_fields.items()}
    assert set(record.fields) <= names


def test_a_change_of_the_future_is_dated_and_not_yet_true(hr: WorkdayConnector, twin: TwinHandle):
    page = hr.changes("worker", None, CTX)
    twin.advance(timedelta(hours=1))
    twin.do("change", worker="E1", effective="2026-12-01", company="NB-UK", role="Principal")
    page = hr.changes("worker", page.cursor, CTX)
    [before] = [r for r in page.records if r.ref == "E1"]
    assert before.fields["entity"] == "NB-DE"
    assert before.fields["employments"] == [
        {"entity": "NB-DE", "grade": "G7", "from": "2020-01-01", "to": "2026-11-30"},
        {"entity": "NB-UK", "grade": "G7", "from": "2026-12-01"},
    ]
    twin.advance(timedelta(days=9))
    [after] = [r for r in hr.changes("worker", page.cursor, CTX).records if r.ref == "E1"]
    assert (after.fields["entity"], after.fields["role"]) == ("NB-UK", "Principal")
    assert after.version > before.version
    twin.do("rescind", worker="E1", effective="2026-12-01")
    [rescinded] = hr.fetch_source("worker", ["E1"], CTX)
    assert rescinded.fields["entity"] == "NB-DE"
    assert rescinded.version > after.version


def test_a_worker_who_left_is_not_deleted(hr: WorkdayConnector, twin: TwinHandle):
    twin.do("terminate", worker="E1", date="2026-11-20")
    again = twin.do("rehire", worker="E1", hire_date="2026-11-23")
    records = {r.ref: r for r in hr.changes("worker", None, CTX).records}
    assert (records["E1"].deleted, records["E1"].fields["active"]) == (False, False)
    assert records["E1"].fields["employments"][0]["to"] == "2026-11-20"
    assert records[again["id"]].extra["Universal_ID"] == "E1"


def test_a_last_day_that_was_entered_long_before_takes_effect_by_itself(hr: WorkdayConnector, twin: TwinHandle):
    twin.do("terminate", worker="E1", date="2026-11-30")
    page = hr.changes("worker", None, CTX)
    [before] = [r for r in page.records if r.ref == "E1"]
    assert before.fields["active"] is True
    twin.advance(timedelta(days=7))
    assert "E1" not in {r.ref for r in hr.changes("worker", "2026-11-30T10:00:00Z", CTX).records}
    twin.advance(timedelta(days=1))
    [after] = [r for r in hr.changes("worker", page.cursor, CTX).records if r.ref == "E1"]
    assert (after.fields["active"], after.version > before.version) == (False, True)
    assert hr.fetch_source("worker", ["hr:E1"], CTX)[0].version == after.version


@pytest.mark.parametrize("column", ["Active", "Employee_ID", "Worker", "Last_Functionally_Updated"])
def test_a_column_that_is_gone_is_told_and_nobody_is_taken_for_gone(
    hr: WorkdayConnector, twin: TwinHandle, column: str
):
    twin.fault(kind="schema_drift", fields=[column])
    with pytest.raises(Rejected, match=column):
        hr.changes("worker", None, CTX)


@pytest.mark.parametrize("cut", [{"more": True}, {"more": False}])
def test_a_report_that_was_cut_off_is_no_report(hr: WorkdayConnector, twin: TwinHandle, cut: dict[str, bool]):
    twin.fault(kind="partial_batch", members=[2], **cut)
    with pytest.raises(Unavailable, match="2 of 3"):
        hr.changes("worker", None, CTX)
    with pytest.raises(Unavailable, match="slice_weeks"):
        hr.ask("availability", [{"roles": [role()]}], CTX)


def test_the_cursor_moves_and_nothing_is_lost_at_its_edge(hr: WorkdayConnector, twin: TwinHandle):
    first = hr.changes("worker", None, CTX)
    assert first.cursor == "2026-11-23T10:00:00.000Z"
    twin.advance(timedelta(hours=1))
    assert hr.changes("worker", first.cursor, CTX).cursor == first.cursor
    twin.do("hire", id="E9", name="Zoe")
    second = hr.changes("worker", first.cursor, CTX)
    assert {"E9"} <= {r.ref for r in second.records}
    assert {r.ref for r in hr.changes("worker", second.cursor, CTX).records} == {"E9"}
    with pytest.raises(ResyncRequired):
        hr.changes("worker", "nonsense", CTX)


def test_no_workers_is_no_fault_and_no_cursor():
    with start_twins(["workday"]) as twins:
        hr = connector(twins["workday"].url)
        page = hr.changes("worker", None, CTX)
        assert (list(page.records), page.cursor) == ([], "")
        hr.close()


def test_words_of_the_tenant_are_translated(twin: TwinHandle):
    twin.do("hire", id="E8", name="Yan", company="Northbeam GmbH", type="Intern")
    hr = connector(twin.url, entities={"Northbeam GmbH": "NB-DE"}, kinds={"Intern": "employee"})
    [record] = hr.fetch_source("worker", ["E8"], CTX)
    assert (record.fields["entity"], record.fields["kind"]) == ("NB-DE", "employee")
    hr.close()


def test_circles_of_managers_end():
    rows = [
        SourceRecord(object="worker", ref=ref, version="1", fields={"manager": f"hr:{boss}"})
        for ref, boss in [("A", "B"), ("B", "A"), ("C", "nobody")]
    ]
    assert sorted(r.ref for r in managers_first(rows)) == ["A", "B", "C"]


# -- availability


def test_enough_is_free(hr: WorkdayConnector):
    said = ask(hr, role(hours="160"))
    assert said.met
    [line] = said.detail["roles"]
    assert (line["needed"], line["free"]) == ("160", "160")
    assert line["workers"] == [{"number": "E1", "name": "Ada"}, {"number": "E2", "name": "Bo"}]


def test_too_little_is_free_and_says_how_much(hr: WorkdayConnector, twin: TwinHandle):
    twin.do("book", worker="E1", **{"from": "2026-11-30", "to": "2026-12-13"}, hours="60")
    said = ask(hr, role(hours="120"))
    assert (said.met, said.says) == (False, "Architect: 120 h needed, 100 h free")
    assert not ask(hr, role("Wizard")).met
    twin.do("free", worker="E1")
    assert ask(hr, role(hours="120")).met


def test_place_counts_when_it_is_asked_for(hr: WorkdayConnector):
    assert not ask(hr, role(hours="81", place="berlin")).met
    assert ask(hr, role(hours="80", place="berlin")).met


def test_roles_of_one_question_share_the_people(hr: WorkdayConnector):
    assert ask(hr, role(hours="100"), role(hours="60")).met
    said = ask(hr, role(hours="100"), role(hours="61"))
    assert not said.met
    assert [line["free"] for line in said.detail["roles"]] == ["160", "60"]


def test_a_part_of_a_week_counts_by_its_working_days(hr: WorkdayConnector):
    said = ask(hr, role(hours="48", start="2026-12-02", end="2026-12-06"))
    assert said.met
    assert said.detail["roles"][0]["free"] == "48"
    assert not ask(hr, role(hours="1", start="2026-12-05", end="2026-12-06")).met


def test_many_questions_are_one_report(hr: WorkdayConnector, twin: TwinHandle):
    asked = [{"roles": [role(hours=str(n))]} for n in range(1, 200)]
    answers = hr.ask("availability", [*asked, {"roles": []}, {"roles": [{"role": "Architect"}]}], CTX)
    assert [a.met for a in answers[:199]] == [n <= 160 for n in range(1, 200)]
    assert answers[199].met
    assert isinstance(answers[200].error, Rejected)
    assert "hours" in str(answers[200].error)
    calls = httpx.get(f"{twin.url}/__twin/calls", trust_env=False).json()
    assert calls["total"] == 1


def test_nobody_asked_for_is_no_call(hr: WorkdayConnector, twin: TwinHandle):
    [said] = hr.ask("availability", [{"roles": []}], CTX)
    assert said.met
    assert httpx.get(f"{twin.url}/__twin/calls", trust_env=False).json()["total"] == 0
    with pytest.raises(Rejected):
        hr.ask("weather", [], CTX)


def test_a_far_window_is_cut_and_no_week_counts_twice(twin: TwinHandle):
    hr = connector(twin.url, slice_weeks=2)
    said = ask(hr, role(hours="1", start="2026-12-02", end="2027-01-03", place="London"))
    assert said.detail["roles"][0]["free"] == "184"
    hr.close()
    cuts = slices(date(2026, 12, 2), date(2027, 1, 3), 2)
    assert [cut[0].isoformat() for cut in cuts] == ["2026-12-02", "2026-12-14", "2026-12-28"]


@pytest.mark.parametrize(
    "bad",
    [
        {"roles": "Architect"},
        {"roles": [None]},
        {"roles": [role(hours="many")]},
        {"roles": [role(start="2027-01-01")]},
        {"roles": [role(end="soon")]},
        {"roles": [role(hours="-1")]},
    ],
)
def test_an_unreadable_question_is_refused(bad: Any):
    with pytest.raises(Rejected):
        needs(bad)


def test_what_is_free_is_never_promised_twice_over():
    week = Week(
        worker="E1", name="Ada", role="Architect", location="",
        start=date(2026, 11, 30), end=date(2026, 12, 6), free=601,
    )  # fmt: skip
    asked = needs({"roles": [role(hours="2", start="2026-12-01", end="2026-12-01")] * 2})
    said = answer(asked, by_role([week]))
    assert [line["free"] for line in said.detail["roles"]] == ["2", "2"]


# -- refusals


def test_oauth_fetches_a_token_and_a_new_one_when_it_ends(twin: TwinHandle):
    more = {"client_id": "concordat", "client_secret": "concordat-secret"}
    hr = connector(twin.url, **more, refresh_token="concordat-refresh")
    hr.ping(CTX)
    twin.advance(timedelta(hours=2))
    hr.ping(CTX)
    hr.close()
    stolen = connector(twin.url, **more, refresh_token="stolen")
    with pytest.raises(AuthRevoked):
        stolen.ping(CTX)
    stolen.close()


def test_one_way_in_must_be_given():
    base = {"url": "http://x", "tenant": "t", "owner": "o"}
    for said in ({}, {"user": "u", "password": "p", "client_id": "c", "refresh_token": "r"}):
        with pytest.raises(ValidationError):
            WorkdaySettings(**base, **said)
    assert WorkdaySettings(**base, user="u", password=SecretStr("p")).slice_weeks == 26


def test_a_wrong_password_or_an_unshared_report_needs_a_person(twin: TwinHandle):
    for more in ({"password": "wrong"}, {"workers_report": "Secret"}):
        hr = connector(twin.url, **more)
        with pytest.raises(AuthRevoked):
            hr.ping(CTX)
        hr.close()


def test_slower_is_said_with_429_and_with_500(hr: WorkdayConnector, twin: TwinHandle):
    for soap in (False, True):
        twin.fault(kind="quota_exhausted", times=1, soap=soap)
        with pytest.raises(RateLimited):
            hr.ping(CTX)
    hr.ping(CTX)


def test_a_worker_whom_workday_does_not_know_hides_no_other(hr: WorkdayConnector, twin: TwinHandle):
    assert [one.ref for one in hr.fetch_source("worker", ["E1", "E404", "E3", "E405"], CTX)] == ["E1", "E3"]
    assert hr.fetch_source("worker", ["E404"], CTX) == []
    twin.fault(kind="status", status=400, body={"error": "Invalid prompt value: Workers"})
    with pytest.raises(Rejected, match="Workers"):
        hr.fetch_source("worker", ["E1"], CTX)


def test_half_a_report_is_no_report(hr: WorkdayConnector, twin: TwinHandle):
    twin.fault(kind="truncate_body", times=1)
    with pytest.raises(Unavailable):
        hr.changes("worker", None, CTX)
    twin.fault(kind="html_error_page", status=200, times=1)
    with pytest.raises(Unavailable):
        hr.ask("availability", [{"roles": [role()]}], CTX)
    twin.refuse()
    with pytest.raises(Unavailable):
        hr.ping(CTX)
    twin.admit()
    hr.ping(CTX)


def test_a_column_that_vanished_is_not_nothing(hr: WorkdayConnector, twin: TwinHandle):
    twin.fault(kind="schema_drift", fields=["Free_Minutes", "Employee_ID"])
    for call in (lambda: hr.ask("availability", [{"roles": [role()]}], CTX), lambda: hr.changes("worker", None, CTX)):
        with pytest.raises(Rejected, match="compare its columns"):
            call()


def test_the_table_reads_every_status():
    for status, kind in STATUS.items():
        error = translate(Answer(status=status, headers={}, json={"error": "No"}), False)
        assert type(error) is kind
        assert "No" in str(error)
    assert translate(Answer(status=418, headers={}), False) is None


def test_workday_is_read_only(hr: WorkdayConnector):
    intent = WriteIntent(object="worker", record_key="CC-1", write_key="CC-1-1", fields={})
    [result] = hr.write([intent], CTX)
    assert isinstance(result.error, Rejected)
    assert (hr.find("worker", ["x"], CTX), hr.match("worker", {}, CTX), hr.fetch("worker", [], CTX)) == ({}, [], [])
    with pytest.raises(Rejected):
        hr.decode_push({}, b"", datetime(2026, 11, 23, tzinfo=UTC))
    with pytest.raises(Rejected):
        hr.changes("client", None, CTX)
