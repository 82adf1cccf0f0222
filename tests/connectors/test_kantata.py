"""The Kantata connector against its twin: two units of money, one call for one project, doubt and lag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from concordat.connectors.kantata import SPEC, KantataConnector, KantataSettings
from concordat.errors import (
    AmbiguousKey,
    AuthRevoked,
    Duplicate,
    Locked,
    Missing,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
)
from concordat.sdk.conformance import Bench, Check, checks
from concordat.sdk.spec import CallContext, WriteIntent, WriteResult
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", timeout=5)
KEY = "CC-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ACME = {"ref": None, "name": "Acme Corp", "number": "C-1"}


def eur(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "EUR"}


PROJECT: Mapping[str, Any] = {
    "name": "Apollo", "number": "P-1", "client": ACME, "entity": "NB-DE", "status": "active",
    "contract_value": eur("350000.00"), "budget_hours": "1200.5", "budget_cost": eur("225000.75"),
    "currency": "EUR", "start_date": "2026-12-01", "end_date": "2027-06-30",
}  # fmt: skip


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["kantata"]) as twins:
        yield twins["kantata"]


def connector(url: str, **more: Any) -> KantataConnector:
    made: KantataConnector = SPEC.connect(
        KantataSettings(url=url, token=more.pop("token", "kantata-token"), **more), connection="psa"
    )
    return made


@pytest.fixture
def psa(twin: TwinHandle) -> Iterator[KantataConnector]:
    made = connector(twin.url)
    yield made
    made.close()


def intent(fields: Mapping[str, Any], object_: str = "project", key: str = KEY, **more: Any) -> WriteIntent:
    return WriteIntent(object=object_, record_key=key, write_key=f"{key}-1", fields=fields, **more)


def write(psa: KantataConnector, fields: Mapping[str, Any], **more: Any) -> WriteResult:
    [result] = psa.write([intent(fields, **more)], CTX)
    return result


def made(psa: KantataConnector, fields: Mapping[str, Any] = PROJECT, **more: Any) -> str:
    result = write(psa, fields, **more)
    assert result.error is None, result.error
    assert result.ref
    return result.ref


def refused(psa: KantataConnector, fields: Mapping[str, Any], **more: Any) -> VendorError:
    error = write(psa, fields, **more).error
    assert error is not None
    return error


# -- conformance


def line(ref: str, n: int) -> dict[str, Any]:
    return {
        "name": f"Phase {n}",
        "project": {"ref": ref, "name": "Apollo", "number": None},
        "amount": eur(f"{n}000.25"),
        "start_date": "2027-01-01",
        "end_date": f"2027-0{n}-28",
        "budget_hours": f"{n}.25",
    }


@pytest.fixture
def bench(twin: TwinHandle, psa: KantataConnector) -> Bench:
    ref = made(psa, key="CC-BENCH")
    changed = {"name": "Apollo 2", "contract_value": eur("12.34"), "status": "on_hold", "end_date": "2027-07-31"}
    twin.advance(timedelta(minutes=2))
    return Bench(
        connector=psa,
        examples={
            "project": lambda n: {**PROJECT, **({} if n == 1 else changed), "budget_hours": f"{n}.5"},
            "contract_line": lambda n: line(ref, n),
        },
        held=lambda object_: len(twin.state("workspaces" if object_ == "project" else "stories")),
        advance=twin.advance,
        sources={"project": [ref]},
    )


@pytest.mark.parametrize("check", checks(SPEC.facts), ids=str)
def test_conforms(check: Check, bench: Bench):
    check(bench)


# -- projects


def test_a_project_is_one_call_with_our_key_in_two_places(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    [row] = twin.state("workspaces")
    assert (row["price_in_cents"], row["currency"], row["title"]) == (35_000_000, "EUR", "Apollo")
    assert [entry["key"] for entry in twin.ledger("workspaces")] == [KEY]
    [reference] = twin.state("external_references")
    assert (reference["service_model"], reference["service_model_ref"]) == ("project", KEY)
    assert KEY in {row["value"] for row in twin.state("custom_field_values")}
    assert write(psa, PROJECT).url == f"https://app.mavenlink.com/workspaces/{ref}"


@pytest.mark.parametrize(
    ("amount", "currency", "cents"),
    [("350000.00", "USD", 35_000_000), ("350000", "JPY", 350_000), ("1250.50", "EUR", 125_100), ("7.125", "KWD", 7000)],
)
def test_money_is_exact_whatever_the_currency(
    psa: KantataConnector, twin: TwinHandle, amount: str, currency: str, cents: int
):
    value = {"amount": amount, "currency": currency}
    ref = made(psa, {"name": "x", "contract_value": value, "currency": currency})
    [seen] = psa.fetch("project", [ref], CTX)
    assert seen.fields["contract_value"] == value
    assert twin.state("workspaces")[0]["price_in_cents"] == cents


def test_a_price_that_a_person_changed_is_seen(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa, {**PROJECT, "contract_value": eur("1250.50")})
    twin.do("change_project", id=ref, price_in_cents=99_999)
    [seen] = psa.fetch("project", [ref], CTX)
    assert seen.fields["contract_value"] == eur("999.99")


def test_the_client_is_a_group_made_once(psa: KantataConnector, twin: TwinHandle):
    made(psa)
    made(psa, {**PROJECT, "client": {**ACME, "name": "ACME corp"}}, key="CC-2")
    [group] = twin.state("workspace_groups")
    assert (group["name"], group["company"]) == ("Acme Corp", True)
    other = connector(twin.url)
    ref = made(other, key="CC-3")
    other.close()
    assert len(twin.state("workspace_groups")) == 1
    [seen] = psa.fetch("project", [ref], CTX)
    assert seen.fields["client"] == {"ref": group["id"], "name": "Acme Corp"}


def test_a_group_that_lists_do_not_show_yet_is_waited_for(psa: KantataConnector, twin: TwinHandle):
    twin.seed({"workspace_groups": [{"name": "Acme Corp"}]})
    twin.fault(kind="stale_read", seconds=40)
    assert isinstance(refused(psa, PROJECT), Locked)
    twin.advance(timedelta(seconds=41))
    made(psa)
    assert len(twin.state("workspace_groups")) == 1


def test_a_lost_answer_to_the_groups_creation_is_no_doubt_about_the_project(psa: KantataConnector, twin: TwinHandle):
    twin.fault(kind="commit_then_drop", object="workspace_groups", operation="create", nth=1)
    assert isinstance(refused(psa, PROJECT), Unavailable)
    made(psa)
    assert (len(twin.state("workspace_groups")), len(twin.ledger("workspaces"))) == (1, 1)


def test_an_update_keeps_the_groups_that_people_added(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    twin.seed({"workspace_groups": [{"id": "77", "name": "Key accounts", "company": False}]})
    [row] = twin.state("workspaces")
    twin.seed({"workspaces": [{**row, "workspace_group_ids": [*row["workspace_group_ids"], "77"]}]})
    made(psa, {**PROJECT, "client": {**ACME, "name": "Other Ltd"}}, ref=ref)
    [row] = twin.state("workspaces")
    names = {g["id"]: g["name"] for g in twin.state("workspace_groups")}
    assert [names[i] for i in row["workspace_group_ids"]] == ["Key accounts", "Other Ltd"]


def test_the_same_document_again_writes_nothing(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    again = write(psa, PROJECT, ref=ref)
    assert (again.error, again.disposition) == (None, "unchanged")
    assert len(twin.ledger("workspaces")) == 1
    assert write(psa, {**PROJECT, "name": "Apollo 11"}, ref=ref).disposition == "updated"


def test_an_empty_value_empties_the_field(psa: KantataConnector):
    ref = made(psa)
    made(psa, {**PROJECT, "budget_hours": None, "end_date": None, "contract_value": None}, ref=ref)
    [seen] = psa.fetch("project", [ref], CTX)
    assert [seen.fields[n] for n in ("budget_hours", "end_date", "contract_value")] == [None, None, None]


def test_operations_set_states(psa: KantataConnector):
    ref = made(psa)
    for operation, status in [("hold", "on_hold"), ("archive", "archived"), ("reactivate", "active")]:
        assert write(psa, {}, operation=operation, ref=ref).error is None
        [seen] = psa.fetch("project", [ref], CTX)
        assert (seen.fields["status"], seen.archived) == (status, operation == "archive")
    assert isinstance(refused(psa, {}, operation="archive", key="CC-NOBODY"), Missing)


def test_fields_without_a_place_are_refused_before_anything_is_written(psa: KantataConnector, twin: TwinHandle):
    bad = [
        {**PROJECT, "manager": "x"},
        {**PROJECT, "status": "pending"},
        {**PROJECT, "currency": "USD"},
        {**PROJECT, "contract_value": {"amount": 1, "currency": "EUR"}},
        {**PROJECT, "client": {"ref": None, "name": ""}},
        {**PROJECT, "name": ""},
    ]
    assert {type(refused(psa, fields)) for fields in bad} == {Rejected}
    assert isinstance(refused(psa, PROJECT, operation="lock"), Rejected)
    assert isinstance(refused(psa, PROJECT, object_="invoice"), Rejected)
    assert twin.ledger("workspaces") == []


def test_a_custom_field_that_is_not_there_names_itself(twin: TwinHandle):
    psa = connector(twin.url, custom_fields={"contract_value": "Exact", "budget_hours": "Plan"}, key_field="")
    error = refused(psa, {"name": "x", "budget_hours": "1"})
    assert (type(error), "'Plan'" in error.message) == (Rejected, True)
    assert isinstance(refused(psa, {"name": "x", "contract_value": eur("1.50")}), Rejected)
    made(psa, {"name": "x", "contract_value": eur("1.00")})
    psa.close()


# -- doubt


def test_a_dropped_answer_is_doubt_and_search_shows_the_project_later(psa: KantataConnector, twin: TwinHandle):
    made(psa, {**PROJECT, "name": "before"}, key="CC-BEFORE")
    twin.fault(kind="commit_then_drop", object="workspaces", operation="create", nth=1)
    twin.fault(kind="stale_read", seconds=40)
    assert isinstance(refused(psa, PROJECT), UnknownOutcome)
    assert psa.find("project", [KEY], CTX) == {}
    twin.advance(timedelta(seconds=41))
    [seen] = psa.find("project", [KEY, "CC-NOBODY"], CTX)[KEY]
    assert seen.fields["name"] == "Apollo"
    assert [line["key"] for line in twin.ledger("workspaces")] == ["CC-BEFORE", KEY]


def test_a_504_may_be_a_commit(psa: KantataConnector, twin: TwinHandle):
    made(psa, key="CC-BEFORE")
    twin.fault(kind="commit_then_504", object="workspaces", operation="create", nth=1)
    assert isinstance(refused(psa, PROJECT), UnknownOutcome)
    assert made(psa) == psa.find("project", [KEY], CTX)[KEY][0].ref
    assert len(twin.ledger("workspaces")) == 2


@pytest.mark.parametrize("dropped", ["external_reference", "custom_fields"])
def test_either_place_of_the_key_is_enough_and_the_other_is_put_back(
    psa: KantataConnector, twin: TwinHandle, dropped: str
):
    twin.fault(kind="silent_field_drop", object="workspaces", operation="create", fields=[dropped])
    ref = made(psa)
    assert [o.ref for o in psa.find("project", [KEY], CTX)[KEY]] == [ref]
    twin.heal()
    assert made(psa) == ref
    assert len(twin.state("external_references")) == 1
    assert KEY in {row["value"] for row in twin.state("custom_field_values")}


def test_a_dropped_field_is_seen_when_read_back(psa: KantataConnector, twin: TwinHandle):
    twin.fault(kind="silent_field_drop", object="workspaces", fields=["price_in_cents"])
    [seen] = psa.fetch("project", [made(psa)], CTX)
    assert seen.fields["contract_value"] is None


def test_two_under_one_key_are_nobodys_to_choose_from(psa: KantataConnector, twin: TwinHandle):
    made(psa)
    body = {
        "title": "copy",
        "price": 0,
        "external_reference": {"service_name": "concordat", "service_model": "project"},
    }
    body["external_reference"] = {**body["external_reference"], "service_model_ref": KEY}  # type: ignore[dict-item]
    headers = {"authorization": "Bearer kantata-token"}
    httpx.post(f"{twin.url}/api/v1/workspaces", json={"workspace": body}, headers=headers, trust_env=False)
    assert len(psa.find("project", [KEY], CTX)[KEY]) == 2
    assert isinstance(refused(psa, PROJECT), AmbiguousKey)


def test_kantatas_own_unique_field_refuses_a_second_create():
    with start_twins(["kantata"], options={"kantata": {"unique_key": True}}) as twins:
        psa = connector(twins["kantata"].url)
        made(psa)
        twins["kantata"].fault(kind="stale_read", seconds=40)
        assert isinstance(refused(psa, PROJECT), Duplicate)
        assert len(twins["kantata"].state("workspaces")) == 1
        psa.close()


def test_what_a_known_id_hides_is_missing(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    twin.do("delete_project", id=ref)
    assert isinstance(refused(psa, PROJECT, ref=ref), Missing)
    assert psa.fetch("project", [ref, "not-a-number"], CTX) == []


# -- lines


def test_a_line_counts_in_its_projects_currency(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    sid = made(psa, line(ref, 1), object_="contract_line", key="CC-L1")
    [row] = twin.state("stories")
    assert (row["budget_estimate_in_cents"], row["time_estimate_in_minutes"]) == (100_025, 75)
    foreign = {**line(ref, 1), "amount": {"amount": "1.00", "currency": "USD"}}
    assert refused(psa, foreign, object_="contract_line", key="CC-L2").field == "amount"
    assert refused(psa, {**line(ref, 1), "budget_hours": "0.001"}, object_="contract_line", key="CC-L2").field
    assert isinstance(refused(psa, line("999", 1), object_="contract_line", key="CC-L2"), Missing)
    moved = {**line(ref, 1), "project": {"ref": "999"}}
    assert isinstance(refused(psa, moved, object_="contract_line", key="CC-L1", ref=sid), Rejected)
    assert write(psa, line(ref, 1), object_="contract_line", key="CC-L1", ref=sid).disposition == "unchanged"
    assert isinstance(refused(psa, {"name": "x"}, object_="contract_line", key="CC-L3"), Rejected)


# -- refusals


def test_a_call_ends_in_its_time_however_many_requests_it_makes(psa: KantataConnector, twin: TwinHandle):
    psa.ping(CTX)
    twin.fault(kind="latency", seconds=0.4, method="GET")
    short = CallContext(correlation_id="c-1", timeout=0.6)
    [result] = psa.write([intent(PROJECT)], short)
    assert isinstance(result.error, Unavailable)
    assert twin.ledger() == []


def test_a_refused_token_needs_a_person(twin: TwinHandle):
    psa = connector(twin.url, token="stolen")
    with pytest.raises(AuthRevoked):
        psa.ping(CTX)
    psa.close()


def test_quota_and_locks_can_be_tried_again(psa: KantataConnector, twin: TwinHandle):
    psa.ping(CTX)
    made(psa, key="CC-BEFORE")
    twin.fault(kind="quota_exhausted", times=1)
    error = refused(psa, PROJECT)
    assert isinstance(error, RateLimited)
    assert error.retry_after is None
    twin.fault(kind="lock_storm", times=1)
    assert isinstance(refused(psa, PROJECT), Locked)
    made(psa)


def test_an_html_page_is_no_answer(psa: KantataConnector, twin: TwinHandle):
    made(psa, key="CC-BEFORE")
    twin.fault(kind="html_error_page", status=200, object="workspaces", operation="create", nth=1)
    assert isinstance(refused(psa, PROJECT), UnknownOutcome)
    twin.fault(kind="html_error_page", status=200, object="workspaces", operation="search", nth=1)
    with pytest.raises(Unavailable):
        psa.find("project", [KEY], CTX)


def test_it_says_what_people_have_put_on_a_project(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    asked = [{"object": "project", "ref": ref}]
    assert psa.ask("usage", asked, CTX)[0].detail == {"has_time": False, "hours": "0"}
    twin.do("log_time", id=ref, date="2026-12-01", minutes=90)
    assert psa.ask("usage", asked, CTX)[0].detail == {"has_time": True, "hours": "1.5"}
    assert not psa.ask("usage", [{"object": "client", "ref": "7"}], CTX)[0].met
