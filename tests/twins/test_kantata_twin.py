"""Kantata's twin on a real socket: envelope, paging, the two units of money, refusals, and what lags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from concordat.twins.server import TwinHandle, start_twins

REFERENCE = {"service_name": "concordat", "service_model": "project", "service_model_ref": "CC-AAAA"}


@pytest.fixture
def kantata() -> Iterator[TwinHandle]:
    with start_twins(["kantata"]) as twins:
        yield twins["kantata"]


@pytest.fixture
def api(kantata: TwinHandle) -> Iterator[httpx.Client]:
    headers = {"authorization": "Bearer kantata-token"}
    base = f"{kantata.url}/api/v1/"
    with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=5) as client:
        yield client


def made(api: httpx.Client, **fields: Any) -> str:
    answer = api.post("workspaces.json", json={"workspace": {"title": "Apollo", "price": 0, **fields}})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["results"][0]["id"])


def test_the_envelope_names_results_and_mixes_side_loads_into_maps(api: httpx.Client):
    group = api.post("workspace_groups", json={"workspace_group": {"name": "Acme", "company": True}}).json()
    gid = group["results"][0]["id"]
    wid = made(api, workspace_group_ids=[int(gid)], external_reference=REFERENCE)

    said = api.get("workspaces", params={"include": "workspace_groups,external_references"}).json()

    assert said["results"] == [{"key": "workspaces", "id": wid}]
    assert said["count"] == 1
    assert said["meta"] == {"count": 1, "page_count": 1, "page_number": 1, "page_size": 20}
    assert said["workspaces"][wid]["workspace_group_ids"] == [gid]
    assert said["workspace_groups"][gid]["name"] == "Acme"
    [reference] = said["external_references"].values()
    assert reference["service_model_ref"] == "CC-AAAA"
    assert "workspace_group_ids" not in api.get("workspaces").json()["workspaces"][wid]


def test_price_is_written_in_base_units_and_read_in_minor_units(api: httpx.Client):
    row = api.get(f"workspaces/{made(api, currency='EUR', price=350_000)}").json()
    [euros] = row["workspaces"].values()
    assert (euros["price_in_cents"], euros["currency_base_unit"], euros["price"]) == (
        35_000_000,
        100,
        "€350,000",
    )
    [yen] = api.get(f"workspaces/{made(api, currency='JPY', price=350_000)}.json").json()["workspaces"].values()
    assert (yen["price_in_cents"], yen["currency_base_unit"]) == (350_000, 1)


def test_pages_hold_at_most_200_and_limit_with_offset_wins(api: httpx.Client, kantata: TwinHandle):
    kantata.seed({"workspaces": [{"title": f"P{n}"} for n in range(230)]})
    first = api.get("workspaces", params={"per_page": "500"}).json()
    assert (len(first["results"]), first["meta"]["page_count"]) == (200, 2)
    assert len(api.get("workspaces", params={"page": "2", "per_page": "200"}).json()["results"]) == 30
    window = api.get("workspaces", params={"limit": "5", "offset": "228", "page": "1"}).json()
    assert len(window["results"]) == 2


def test_an_archived_project_is_hidden_until_it_is_asked_for(api: httpx.Client):
    wid = made(api)
    api.put(f"workspaces/{wid}", json={"workspace": {"archived": True}})
    assert api.get(f"workspaces/{wid}").status_code == 404
    assert api.get(f"workspaces/{wid}", params={"include_archived": "true"}).status_code == 200
    assert api.get("workspaces").json()["count"] == 0
    assert api.get("workspaces", params={"only": wid, "include_archived": "true"}).json()["count"] == 1


def test_only_leaves_out_what_it_does_not_find(api: httpx.Client):
    wid = made(api)
    said = api.get("workspaces", params={"only": f"{wid},999"}).json()
    assert [r["id"] for r in said["results"]] == [wid]


def test_search_lags_and_reading_by_id_does_not(api: httpx.Client, kantata: TwinHandle):
    kantata.fault(kind="stale_read", seconds=40)
    wid = made(api, external_reference=REFERENCE)
    key = {"external_reference_service_model_refs": "CC-AAAA,CC-BBBB"}
    assert api.get("workspaces", params=key).json()["count"] == 0
    assert api.get("workspaces", params={"search": "Apollo"}).json()["count"] == 0
    assert api.get("external_references", params={"subject_type": "Workspace"}).json()["count"] == 0
    assert api.get("workspaces", params={"only": wid}).json()["count"] == 1
    httpx.post(f"{kantata.url}/__twin/clock", json={"advance": 41}, trust_env=False)
    assert api.get("workspaces", params=key).json()["count"] == 1


def test_the_lag_can_be_an_option_of_the_twin():
    with start_twins(["kantata"], options={"kantata": {"search_lag": 40}}) as twins:
        headers = {"authorization": "Bearer kantata-token"}
        base = f"{twins['kantata'].url}/api/v1/"
        with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=5) as client:
            made(client)
            assert client.get("workspaces").json()["count"] == 0
            httpx.post(f"{twins['kantata'].url}/__twin/clock", json={"advance": 41}, trust_env=False)
            assert client.get("workspaces").json()["count"] == 1


def test_the_same_post_twice_makes_two(api: httpx.Client, kantata: TwinHandle):
    made(api, external_reference=REFERENCE)
    made(api, external_reference=REFERENCE)
    assert len(kantata.ledger("workspaces")) == 2
    assert {line["key"] for line in kantata.ledger("workspaces")} == {"CC-AAAA"}


def test_a_groups_name_is_unique_in_any_case(api: httpx.Client):
    api.post("workspace_groups", json={"workspace_group": {"name": "Acme"}})
    again = api.post("workspace_groups", json={"workspace_group": {"name": "ACME"}})
    assert again.status_code == 422
    assert again.json()["errors"][0]["field"] == "name"
    assert api.get("workspace_groups", params={"matching": "acm"}).json()["count"] == 1


def test_references_are_created_or_updated_one_per_service(api: httpx.Client):
    wid = made(api)
    body = {"external_reference": {**REFERENCE, "subject_type": "Workspace", "subject_id": int(wid)}}
    first = api.post("external_references/create_or_update", json=body).json()["results"]
    assert api.post("external_references/create_or_update.json", json=body).json()["results"] == first
    missing = api.post("external_references/create_or_update", json={"external_reference": {}})
    assert {row["field"] for row in missing.json()["errors"]} >= {"service_name", "subject_type"}
    assert api.get("external_references").status_code == 400


def test_all_validation_errors_come_at_once(api: httpx.Client):
    said = api.post("workspaces", json={"workspace": {"creator_role": "boss", "start_date": "soon"}})
    assert said.status_code == 422
    assert {row["field"] for row in said.json()["errors"]} == {"title", "creator_role", "start_date", "price"}
    assert said.json()["errors"][0]["type"] == "validation"
    assert api.post("workspaces", json={"title": "bare"}).status_code == 400
    assert api.post("workspaces", content=b"{", headers={"content-type": "application/json"}).status_code == 400


def test_refusals_have_kantatas_words(api: httpx.Client, kantata: TwinHandle):
    bare = httpx.get(f"{kantata.url}/api/v1/workspaces", trust_env=False)
    assert (bare.status_code, bare.json()) == (
        401,
        {"errors": [{"type": "oauth", "message": "Invalid OAuth 2 Request"}]},
    )
    assert bare.headers["x-request-id"]
    kantata.fault(kind="quota_exhausted", times=1)
    slow = api.get("workspaces")
    assert slow.status_code == 429
    assert "retry-after" not in slow.headers
    kantata.fault(kind="lock_storm", times=1)
    assert api.post("workspaces", json={"workspace": {"title": "x"}}).status_code == 422
    assert api.get("workspace_groups", params={"search": "x"}).status_code == 400


def test_a_dropped_reference_is_not_there(api: httpx.Client, kantata: TwinHandle):
    kantata.fault(kind="silent_field_drop", fields=["external_reference"], object="workspaces")
    wid = made(api, external_reference=REFERENCE)
    said = api.get(f"workspaces/{wid}", params={"include": "external_references"}).json()
    assert said["external_references"] == {}


def test_custom_values_go_in_inline_and_are_overridden(api: httpx.Client):
    rows = api.get("custom_fields", params={"subject_type": "Workspace"}).json()["custom_fields"]
    fields = {row["name"]: fid for fid, row in rows.items()}
    hours = int(fields["Budget hours"])
    wid = made(api, custom_fields=[{"custom_field_id": hours, "value": "120.0"}])
    body = {"subject_type": "Workspace", "subject_id": int(wid), "custom_field_id": hours, "value": "130.0"}
    assert api.post("custom_field_values", json={"custom_field_value": body}).status_code == 200
    said = api.get(f"workspaces/{wid}", params={"include": "custom_field_values"}).json()
    assert [row["value"] for row in said["custom_field_values"].values()] == ["130.0"]
    found = api.get("workspaces", params={"by_custom_text_value": f"({hours}:130.0):({hours}:1)"}).json()
    assert found["count"] == 1


def test_a_unique_custom_field_refuses_a_second_value():
    with start_twins(["kantata"], options={"kantata": {"unique_key": True}}) as twins:
        headers = {"authorization": "Bearer kantata-token"}
        base = f"{twins['kantata'].url}/api/v1/"
        with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=5) as client:
            rows = client.get("custom_fields").json()["custom_fields"]
            [key] = [int(fid) for fid, row in rows.items() if row["name"] == "Concordat key"]
            made(client, custom_fields=[{"custom_field_id": key, "value": "CC-AAAA"}])
            body = {"title": "x", "custom_fields": [{"custom_field_id": key, "value": "CC-AAAA"}]}
            assert client.post("workspaces", json={"workspace": body}).status_code == 422


def test_tasks_time_and_members_hang_on_a_project(api: httpx.Client, kantata: TwinHandle):
    wid = made(api)
    story = {"title": "Phase 2", "story_type": "deliverable", "workspace_id": int(wid)}
    sid = api.post("stories", json={"story": {**story, "budget_estimate_in_cents": 5}}).json()["results"][0]["id"]
    entry = {"workspace_id": int(wid), "date_performed": "2026-11-23", "time_in_minutes": 90, "story_id": sid}
    tid = api.post("time_entries", json={"time_entry": entry}).json()["results"][0]["id"]
    assert api.post("time_entries", json={"time_entry": {}}).status_code == 422
    assert api.get("time_entries", params={"workspace_id": wid}).json()["count"] == 1
    member = {"workspace_id": int(wid), "user_id": "1"}
    assert api.post("workspace_resources", json={"workspace_resource": member}).status_code == 200
    assert api.put(f"stories/{sid}", json={"story": {"archived": True}}).status_code == 200
    assert api.get("stories", params={"workspace_id": wid}).json()["count"] == 0
    assert api.get("stories", params={"workspace_id": wid, "show_archived": "true"}).json()["count"] == 1
    assert api.delete(f"time_entries/{tid}").status_code == 204
    assert api.get(f"time_entries/{tid}").status_code == 404
    logged = kantata.do("log_time", id=wid, date="2026-11-24", minutes=60)
    assert kantata.do("approve_time", ids=[logged["id"]]) == {"ids": [logged["id"]]}


def test_people_change_archive_and_delete_projects(api: httpx.Client, kantata: TwinHandle):
    wid = made(api, external_reference=REFERENCE)
    kantata.do("change_project", id=wid, price_in_cents=125_050, status_key=400)
    [row] = api.get(f"workspaces/{wid}").json()["workspaces"].values()
    assert (row["price_in_cents"], row["status"]["message"]) == (125_050, "On Hold")
    kantata.do("archive_project", id=wid)
    assert api.get("workspaces").json()["count"] == 0
    kantata.do("delete_project", id=wid)
    assert kantata.state("external_references") == []
    assert len(kantata.ledger()) == 1


def test_changes_can_be_paged_by_their_stamp(api: httpx.Client, kantata: TwinHandle):
    httpx.post(f"{kantata.url}/__twin/clock", json={"at": "2026-11-23T10:00:00Z", "frozen": True}, trust_env=False)
    made(api)
    httpx.post(f"{kantata.url}/__twin/clock", json={"advance": 60}, trust_env=False)
    late = made(api)
    said = api.get("workspaces", params={"updated_after": "2026-11-23T10:00:30Z", "order": "updated_at:asc"}).json()
    assert [row["id"] for row in said["results"]] == [late]
    assert said["workspaces"][late]["updated_at"] == "2026-11-23T02:01:00-08:00"
    assert api.get("users/me").json()["count"] == 1


def test_a_budgeted_project_needs_a_price_that_fits(api: httpx.Client):
    for price, says in ((None, "can't be blank"), (2**31, "is out of range")):
        said = api.post("workspaces", json={"workspace": {"title": "x", "price": price}})
        assert (said.status_code, said.json()["errors"][0]["message"]) == (422, says)
    plain = api.post("workspaces", json={"workspace": {"title": "x", "budgeted": False, "price": 5, "currency": "EUR"}})
    [row] = plain.json()["workspaces"].values()
    assert (row["price_in_cents"], row["currency"]) == (None, "USD")


def test_a_rate_card_keeps_its_currency(api: httpx.Client, kantata: TwinHandle):
    wid = made(api, currency="USD", price=5)
    kantata.twin.store.put("workspaces", wid, {"rate_card_id": 7})
    api.put(f"workspaces/{wid}", json={"workspace": {"currency": "EUR", "price": 8}})
    [row] = api.get(f"workspaces/{wid}").json()["workspaces"].values()
    assert (row["currency"], row["price_in_cents"]) == ("USD", 800)


def test_matching_ignores_stop_words(api: httpx.Client):
    for name in ("The Firm", "It Is"):
        api.post("workspace_groups", json={"workspace_group": {"name": name}})
    assert api.get("workspace_groups", params={"matching": "the firm"}).json()["count"] == 1
    assert api.get("workspace_groups", params={"matching": "it is"}).json()["count"] == 0


def test_fields_of_other_objects_may_have_the_same_name(api: httpx.Client):
    rows = api.get("custom_fields").json()["custom_fields"]
    [other] = [fid for fid, row in rows.items() if (row["name"], row["subject_type"]) == ("Budget hours", "Story")]
    body = {"title": "x", "price": 0, "custom_fields": [{"custom_field_id": int(other), "value": "1"}]}
    assert api.post("workspaces", json={"workspace": body}).status_code == 422


@pytest.mark.parametrize("order", ["updated_at:asc", "updated_at:desc"])
def test_a_row_that_changes_between_two_pages_hides_another(api: httpx.Client, kantata: TwinHandle, order: str):
    kantata.seed({"workspaces": [{"title": f"P{n}"} for n in range(6)]})
    kantata.fault(kind="page_shift", object="workspaces", times=1)
    pages = [api.get("workspaces", params={"per_page": "3", "page": str(n), "order": order}).json() for n in (1, 2)]
    seen = {row["title"] for page in pages for row in page["workspaces"].values()}
    assert len(seen) == 5
