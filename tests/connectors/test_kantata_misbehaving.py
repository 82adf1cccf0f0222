"""Kantata at its worst, over sockets: pages that shift, fields of the same name, currencies it keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from concordat.connectors.kantata import SPEC, KantataConnector, KantataSettings
from concordat.connectors.kantata.values import exact_price
from concordat.core.agree import disagreements
from concordat.errors import (
    AuthRevoked,
    Missing,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
)
from concordat.sdk.spec import CallContext, Observed, WriteIntent, WriteResult
from concordat.twins.server import TwinHandle, start_twins

pytestmark = pytest.mark.slow

CTX = CallContext(correlation_id="c-1", timeout=10)
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


def write(
    psa: KantataConnector, fields: Mapping[str, Any], object_: str = "project", key: str = KEY, **more: Any
) -> WriteResult:
    intent = WriteIntent(object=object_, record_key=key, write_key=f"{key}-1", fields=fields, **more)
    [result] = psa.write([intent], CTX)
    return result


def made(psa: KantataConnector, fields: Mapping[str, Any] = PROJECT, object_: str = "project", **more: Any) -> str:
    result = write(psa, fields, object_, **more)
    assert result.error is None, result.error
    return str(result.ref)


def refused(psa: KantataConnector, fields: Mapping[str, Any], object_: str = "project", **more: Any) -> VendorError:
    error = write(psa, fields, object_, **more).error
    assert error is not None
    return error


def held(psa: KantataConnector, ref: str, object_: str = "project") -> Observed:
    [seen] = psa.fetch(object_, [ref], CTX)
    return seen


def line(ref: str, **more: Any) -> dict[str, Any]:
    days = {"start_date": "2027-01-01", "end_date": "2027-01-31", "budget_hours": "1.25", "amount": eur("1000.25")}
    return {"name": "Phase 1", "project": {"ref": ref, "name": "Apollo", "number": None}, **days, **more}


def clock(twin: TwinHandle, at: str) -> None:
    httpx.post(f"{twin.url}/__twin/clock", json={"at": at, "frozen": True}, trust_env=False)


# -- what is emptied


def test_every_field_of_a_project_is_emptied_and_read_back_empty(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    kept = {name: PROJECT[name] for name in ("name", "status", "currency")}
    emptied = {**dict.fromkeys(PROJECT), **kept}
    assert write(psa, emptied, ref=ref).disposition == "updated"
    assert disagreements(emptied, held(psa, ref).fields) == {}
    assert held(psa, ref).record_key == KEY
    assert write(psa, emptied, ref=ref).disposition == "unchanged"
    made(psa, ref=ref)
    assert disagreements(PROJECT, held(psa, ref).fields) == {}


def test_an_emptied_client_leaves_the_groups_that_people_added(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    twin.seed({"workspace_groups": [{"id": "77", "name": "Key accounts", "company": False}]})
    [row] = twin.state("workspaces")
    twin.seed({"workspaces": [{**row, "workspace_group_ids": [*row["workspace_group_ids"], "77"]}]})
    made(psa, {**PROJECT, "client": None}, ref=ref)
    [row] = twin.state("workspaces")
    assert (row["workspace_group_ids"], row["primary_workspace_group_id"]) == (["77"], None)


def test_every_field_of_a_line_is_emptied_and_read_back_empty(psa: KantataConnector):
    project = made(psa)
    ref = made(psa, line(project), "contract_line", key="CC-L1")
    emptied = {**line(project), **dict.fromkeys(("start_date", "end_date", "budget_hours", "amount"))}
    made(psa, emptied, "contract_line", key="CC-L1", ref=ref)
    assert disagreements(emptied, held(psa, ref, "contract_line").fields) == {}


@pytest.mark.parametrize("name", ["name", "status", "currency"])
def test_what_a_project_always_has_is_not_emptied(psa: KantataConnector, twin: TwinHandle, name: str):
    ref = made(psa)
    error = refused(psa, {**PROJECT, name: None}, ref=ref)
    assert (type(error), error.field) == (Rejected, name)
    assert len(twin.ledger("workspaces")) == 1


def test_a_line_always_has_its_project(psa: KantataConnector):
    project = made(psa)
    ref = made(psa, line(project), "contract_line", key="CC-L1")
    error = refused(psa, line(project, project=None), "contract_line", key="CC-L1", ref=ref)
    assert (type(error), error.field) == (Rejected, "project")


# -- money


def test_a_project_without_a_value_has_a_price_of_nothing_and_no_value(psa: KantataConnector, twin: TwinHandle):
    """Kantata makes no budgeted project without a price."""
    ref = made(psa, {"name": "Apollo", "currency": "EUR"})
    assert twin.state("workspaces")[0]["price_in_cents"] == 0
    assert held(psa, ref).fields["contract_value"] is None
    made(psa, {"name": "Apollo", "currency": "EUR", "contract_value": eur("0.00")}, ref=ref)
    assert held(psa, ref).fields["contract_value"] == eur("0.00")
    bare = connector(twin.url, custom_fields={})
    assert refused(bare, {"name": "x", "contract_value": eur("0.00")}, key="CC-2").field == "contract_value"
    bare.close()


def test_a_price_is_kept_where_projects_are_not_budgeted_by_themselves():
    with start_twins(["kantata"], options={"kantata": {"budgeted": False}}) as twins:
        psa = connector(twins["kantata"].url)
        ref = made(psa)
        assert disagreements(PROJECT, held(psa, ref).fields) == {}
        made(psa, line(ref), "contract_line", key="CC-L1")
        psa.close()


def test_a_rate_cards_currency_is_not_written_over(psa: KantataConnector, twin: TwinHandle):
    """Kantata ignores the currency, and would take the amount as one of its own."""
    ref = made(psa, {**PROJECT, "currency": "USD", "contract_value": {"amount": "5.00", "currency": "USD"}})
    twin.twin.store.put("workspaces", ref, {"rate_card_id": 7})
    error = refused(psa, PROJECT, ref=ref)
    assert (type(error), error.field) == (Rejected, "currency")
    assert twin.state("workspaces")[0]["price_in_cents"] == 500


@pytest.mark.parametrize(("currency", "base", "amount"), [("JPY", 100, "0.05"), ("XXX", 1, "5"), ("EUR", 100, "0.05")])
def test_money_that_is_none_of_ours_is_shown_as_it_is(currency: str, base: int, amount: str):
    row = {"price_in_cents": 5, "currency": currency, "currency_base_unit": base}
    assert exact_price(row, None) == {"amount": amount, "currency": currency}


def test_a_value_without_a_place_is_not_rounded(psa: KantataConnector, twin: TwinHandle):
    bare = connector(twin.url, custom_fields={})
    assert refused(bare, {"name": "x", "contract_value": eur("1.50")}).field == "contract_value"
    assert refused(bare, {"name": "x", "budget_hours": "1"}).field == "budget_hours"
    bare.close()
    assert refused(psa, {**PROJECT, "number": {"n": 1}}).field == "number"
    assert twin.ledger("workspaces") == []


@pytest.mark.parametrize("hours", ["Infinity", "NaN", "x", "", {"h": 1}, True])
def test_hours_that_are_none_are_refused(psa: KantataConnector, hours: Any):
    project = made(psa)
    error = refused(psa, line(project, budget_hours=hours), "contract_line", key="CC-L1")
    assert (type(error), error.field) == (Rejected, "budget_hours")


@pytest.mark.parametrize("client", [{"ref": "psa:x"}, {"ref": "Acme"}, "Acme", 7, {"ref": {"id": 1}}])
def test_a_reference_that_is_no_id_is_refused(psa: KantataConnector, client: Any):
    error = refused(psa, {**PROJECT, "client": client})
    assert (type(error), error.field) == (Rejected, "client")
    assert isinstance(refused(psa, line("psa:x"), "contract_line", key="CC-L1"), Rejected | Missing)


# -- fields of the same name, things that people took away


def test_a_field_of_the_same_name_elsewhere_is_not_taken(psa: KantataConnector):
    ref = made(psa)
    assert disagreements(PROJECT, held(psa, ref).fields) == {}


def test_a_group_that_a_person_deleted_is_made_again(psa: KantataConnector, twin: TwinHandle):
    made(psa)
    [group] = twin.state("workspace_groups")
    twin.twin.store.remove("workspace_groups", group["id"])
    ref = made(psa, key="CC-2")
    assert (held(psa, ref).fields["client"] or {})["name"] == "Acme Corp"


def test_a_field_that_an_administrator_made_anew_is_found(psa: KantataConnector, twin: TwinHandle):
    made(psa)
    [old] = [row for row in twin.state("custom_fields") if row["name"] == "Project number"]
    twin.twin.store.remove("custom_fields", old["id"])
    twin.seed({"custom_fields": [{name: value for name, value in old.items() if name != "id"}]})
    ref = made(psa, {**PROJECT, "number": "P-2"}, key="CC-2")
    assert held(psa, ref).fields["number"] == "P-2"


def test_a_group_that_matching_does_not_find_is_found(psa: KantataConnector, twin: TwinHandle):
    """Its name is made of words that Kantata's search ignores."""
    twin.seed({"workspace_groups": [{"name": "It Is"}]})
    ref = made(psa, {**PROJECT, "client": {"ref": None, "name": "IT is"}})
    assert (held(psa, ref).fields["client"] or {})["name"] == "It Is"


def test_a_number_that_another_project_has_is_no_sign_of_our_own_write(psa: KantataConnector, twin: TwinHandle):
    made(psa)
    [field] = [row for row in twin.state("custom_fields") if row["name"] == "Project number"]
    twin.twin.store.put("custom_fields", field["id"], {"unique_constraint": True})
    error = refused(psa, PROJECT, key="CC-2")
    assert type(error) is Rejected
    assert error.field == "number"


def test_one_project_that_may_not_be_changed_does_not_stop_the_connection(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    twin.fault(
        kind="status", status=403, path=f"/workspaces/{ref}", method="PUT", body='{"errors": [{"message": "no"}]}'
    )
    error = refused(psa, {**PROJECT, "name": "New"}, ref=ref)
    assert type(error) is Rejected
    twin.fault(kind="status", status=403, path="/stories.json", method="POST")
    assert type(refused(psa, line(ref), "contract_line", key="CC-L1")) is Rejected
    twin.heal()
    twin.fault(kind="status", status=403, path="/workspaces.json", method="POST")
    assert isinstance(refused(psa, PROJECT, key="CC-2"), AuthRevoked)


def test_a_line_whose_key_and_answer_were_lost_is_not_made_twice(psa: KantataConnector, twin: TwinHandle):
    project = made(psa)
    twin.fault(kind="silent_field_drop", object="stories", fields=["external_reference"])
    twin.fault(kind="commit_then_drop", object="stories", operation="create", nth=1)
    assert isinstance(refused(psa, line(project), "contract_line", key="CC-L1"), UnknownOutcome)
    twin.heal()
    assert psa.find("contract_line", ["CC-L1"], CTX) == {}
    ref = made(psa, line(project), "contract_line", key="CC-L1")
    assert [row["id"] for row in twin.state("stories")] == [ref]
    assert held(psa, ref, "contract_line").record_key == "CC-L1"
    other = made(psa, line(project), "contract_line", key="CC-L2")
    assert other != ref
    made(psa, line(project, name="Phase 2"), "contract_line", key="CC-L3")
    assert len(twin.state("stories")) == 3


@pytest.mark.parametrize("operation", ["create", "update"])
def test_a_client_that_is_dropped_without_a_word_is_told(psa: KantataConnector, twin: TwinHandle, operation: str):
    ref = made(psa) if operation == "update" else None
    twin.fault(kind="silent_field_drop", fields=["workspace_group_ids", "primary_workspace_group_id"])
    fields = {**PROJECT, "client": {"ref": None, "name": "Other Ltd", "number": None}}
    result = write(psa, fields, ref=ref)
    assert isinstance(result.error, Rejected)
    assert (result.error.field, result.ref) == ("client", twin.state("workspaces")[0]["id"])
    twin.heal()
    made(psa, fields)
    assert (held(psa, str(result.ref)).fields["client"] or {})["name"] == "Other Ltd"


# -- pages


def test_a_page_that_shifts_inside_one_second_loses_no_project(psa: KantataConnector, twin: TwinHandle):
    clock(twin, "2026-11-23T10:00:00Z")
    twin.seed({"workspaces": [{"title": f"P{n}"} for n in range(450)]})
    twin.advance(timedelta(hours=1))
    twin.seed({"workspaces": [{"title": "late"}]})
    twin.fault(kind="page_shift", object="workspaces", every=2, times=2)
    seen, cursor, more = set(), None, True
    while more:
        page = psa.changes("project", cursor, CTX)
        seen |= {record.fields["name"] for record in page.records}
        cursor, more = page.cursor, page.more
    assert {f"P{n}" for n in range(450)} <= seen


@pytest.mark.parametrize("remove", [False, True])
def test_a_list_that_shifts_is_read_again(psa: KantataConnector, twin: TwinHandle, remove: bool):  # noqa: FBT001
    project = made(psa)
    stories = [{"title": f"T{n}", "workspace_id": project, "archived": False} for n in range(410)]
    twin.seed({"stories": stories})
    for n in (200, 399):
        twin.fault(kind="page_shift", object="stories", remove=remove, times=1)
        wanted = {"name": f"T{n}", "project": {"ref": project}}
        assert len(psa.match("contract_line", wanted, CTX)) == 1


def test_more_references_than_a_page_holds_are_all_read(psa: KantataConnector, twin: TwinHandle):
    twin.seed({"workspaces": [{"title": f"P{n}"} for n in range(230)]})
    refs = [row["id"] for row in twin.state("workspaces")]
    assert len(psa.fetch_source("project", refs, CTX)) == 230
    assert len(psa.fetch_source("project", [f"psa:{ref}" for ref in refs[:3]], CTX)) == 3
    assert psa.fetch_source("project", ["²", "x", "psa:"], CTX) == []


def test_an_attribute_that_is_gone_empties_nothing(psa: KantataConnector, twin: TwinHandle):
    ref = made(psa)
    for name in ("title", "due_date", "price_in_cents", "currency", "status", "updated_at"):
        twin.fault(kind="schema_drift", fields=[name])
        with pytest.raises(Unavailable, match=name):
            psa.fetch("project", [ref], CTX)
        with pytest.raises(Unavailable, match=name):
            psa.changes("project", None, CTX)
        twin.heal()
    project = ref
    ref = made(psa, line(project), "contract_line", key="CC-L1")
    twin.fault(kind="schema_drift", fields=["workspace_id"])
    with pytest.raises(Unavailable, match="workspace_id"):
        psa.fetch("contract_line", [ref], CTX)


@pytest.mark.parametrize(
    "body",
    [
        '{"results": [{"key": "workspaces", "id": "5"}], "workspaces": {}}',
        '{"results": [{"id": "5"}]}',
        '{"results": [5]}',
        '{"results": {}}',
        "[]",
        "null",
    ],
)
def test_an_answer_of_another_shape_is_no_answer(psa: KantataConnector, twin: TwinHandle, body: str):
    psa.ping(CTX)
    twin.fault(kind="status", status=200, body=body, headers={"content-type": "application/json"})
    with pytest.raises(Unavailable):
        psa.find("project", [KEY], CTX)
    with pytest.raises(Unavailable):
        psa.changes("project", None, CTX)


def test_a_created_row_that_the_answer_does_not_show_is_still_known(psa: KantataConnector, twin: TwinHandle):
    made(psa, key="CC-BEFORE")
    said = '{"results": [{"key": "workspaces", "id": "5"}], "workspaces": {}}'
    head = {"content-type": "application/json"}
    twin.fault(kind="status", status=200, body=said, headers=head, path="/workspaces.json", method="POST")
    assert made(psa) == "5"
    twin.heal()
    twin.fault(kind="status", status=200, body='{"results": []}', headers=head, path="/workspaces.json", method="POST")
    assert isinstance(refused(psa, PROJECT), UnknownOutcome)
