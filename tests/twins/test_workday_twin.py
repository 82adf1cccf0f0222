"""Workday's twin on a real socket: two ways in, two reports, dated rows and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from concordat.twins.server import TwinHandle, start_twins

REPORTS = "ccx/service/customreport2/northbeam/ISU_Concordat"
BASIC = ("ISU_Concordat", "concordat-password")


@pytest.fixture
def workday() -> Iterator[TwinHandle]:
    with start_twins(["workday"]) as twins:
        handle = twins["workday"]
        body = {"at": "2026-11-23T10:00:00Z", "frozen": True}
        httpx.post(f"{handle.url}/__twin/clock", json=body, trust_env=False)
        yield handle


@pytest.fixture
def api(workday: TwinHandle) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=workday.url, auth=BASIC, trust_env=False, timeout=5) as client:
        yield client


def report(api: httpx.Client, name: str, **prompts: Any) -> list[dict[str, Any]]:
    answer = api.get(f"{REPORTS}/{name}", params={"format": "json", **prompts})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["Report_Entry"]
    return rows


def test_a_token_is_had_by_refresh_and_ends(workday: TwinHandle):
    url = f"{workday.url}/ccx/oauth2/northbeam/token"
    form = {"grant_type": "refresh_token", "refresh_token": "concordat-refresh"}
    said = httpx.post(url, data=form, auth=("concordat", "concordat-secret"), trust_env=False).json()
    headers = {"authorization": f"Bearer {said['access_token']}"}
    path = f"{workday.url}/{REPORTS}/Concordat_Workers?format=json"
    assert httpx.get(path, headers=headers, trust_env=False).json() == {"Report_Entry": []}
    workday.advance(timedelta(seconds=3601))
    assert httpx.get(path, headers=headers, trust_env=False).status_code == 401
    assert httpx.post(url, data=form, auth=("concordat", "wrong"), trust_env=False).status_code == 401
    bad = {**form, "refresh_token": "stolen"}
    assert httpx.post(url, data=bad, auth=("concordat", "concordat-secret"), trust_env=False).status_code == 400


def test_a_row_is_text_and_leaves_out_what_is_empty(api: httpx.Client, workday: TwinHandle):
    workday.do("hire", id="E1", name="Ada", role="Architect", weekly_hours="38.5", cost_center="0410")
    [row] = report(api, "Concordat_Workers")
    assert (row["Employee_ID"], row["Active"], row["Scheduled_Weekly_Hours"]) == ("E1", "1", "38.5")
    assert "Email" not in row
    assert row["Last_Functionally_Updated"] == "2026-11-23T02:00:00.000-08:00"
    assert row["Employment_group"][0]["Cost_Center"] == "0410"


def test_a_row_of_the_future_holds_only_from_its_day(api: httpx.Client, workday: TwinHandle):
    workday.do("hire", id="E1", name="Ada", role="Consultant")
    workday.do("change", worker="E1", effective="2026-12-01", role="Architect")
    workday.do("hire", id="E2", name="Bo", hire_date="2027-01-01")
    now = {row["Employee_ID"]: row for row in report(api, "Concordat_Workers")}
    assert (now["E1"]["Job_Profile"], now["E2"]["Active"]) == ("Consultant", "0")
    assert len(now["E1"]["Employment_group"]) == 2
    workday.advance(timedelta(days=9))
    since = "2026-12-01T00:00:00.000Z"
    [row] = report(api, "Concordat_Workers", Updated_From=since)
    assert (row["Employee_ID"], row["Job_Profile"]) == ("E1", "Architect")
    workday.do("rescind", worker="E1", effective="2026-12-01")
    [row] = report(api, "Concordat_Workers", **{"Workers!Employee_ID": "E1"})
    assert row["Job_Profile"] == "Consultant"
    path = "/ccx/service/customreport2/northbeam/ISU_Concordat/Concordat_Workers"
    refused = api.get(path, params={"format": "json", "Workers!Employee_ID": "E1!E9"})
    assert (refused.status_code, "not a valid ID value" in refused.text) == (400, True)


def test_a_rehire_is_the_same_person_under_a_new_number(api: httpx.Client, workday: TwinHandle):
    workday.do("hire", id="E1", name="Ada", role="Architect")
    workday.do("terminate", worker="E1", date="2026-11-20")
    again = workday.do("rehire", worker="E1", hire_date="2026-11-23")
    rows = {row["Employee_ID"]: row for row in report(api, "Concordat_Workers")}
    assert (rows["E1"]["Active"], rows[again["id"]]["Active"]) == ("0", "1")
    assert rows["E1"]["Universal_ID"] == rows[again["id"]]["Universal_ID"]


def test_bookings_take_from_free_time_and_give_it_back(api: httpx.Client, workday: TwinHandle):
    workday.do("hire", id="E1", name="Ada", role="Architect")
    workday.do("hire", id="E2", name="Bo", role="Architect", hire_date="2026-12-02")
    dates = {"From_Date": "2026-11-30", "To_Date": "2026-12-06"}
    booking = workday.do("book", worker="E1", **{"from": "2026-11-30", "to": "2026-12-11"}, hours="40")
    free = {r["Employee_ID"]: r["Free_Minutes"] for r in report(api, "Concordat_Availability", **dates)}
    assert free == {"E1": "1200", "E2": "1440"}
    assert workday.do("free", booking=booking["id"]) == {"freed": [booking["id"]]}
    rows = report(api, "Concordat_Availability", **{**dates, "To_Date": "2026-12-07"})
    assert [r["Free_Minutes"] for r in rows if r["Employee_ID"] == "E1"] == ["2400", "2400"]
    workday.do("terminate", worker="E1", date="2026-12-01")
    assert report(api, "Concordat_Availability", **dates)[0]["Free_Minutes"] == "960"


def test_seeded_people_have_the_words_of_hire(api: httpx.Client, workday: TwinHandle):
    workday.seed({"workers": [{"id": "E7", "name": "Cy", "role": "Analyst", "company": "NB-DE"}, {"name": "Di"}]})
    rows = {row["Worker"]: row for row in report(api, "Concordat_Workers")}
    assert (rows["Cy"]["Company"], rows["Di"]["Employee_ID"]) == ("NB-DE", "1001")


def test_refusals(api: httpx.Client, workday: TwinHandle):
    path = f"{REPORTS}/Concordat_Workers"
    assert httpx.get(f"{workday.url}/{path}", trust_env=False).status_code == 401
    assert api.get(path, params={"format": "csv"}).status_code == 400
    assert api.get(path, params={"format": "json", "Updated_From": "soon"}).status_code == 400
    assert api.get(f"{REPORTS}/Secret", params={"format": "json"}).status_code == 404
    assert api.get(path.replace("ISU_Concordat", "Somebody"), params={"format": "json"}).status_code == 404
    assert api.get(f"{REPORTS}/Concordat_Availability", params={"format": "json"}).status_code == 400
    workday.fault(kind="quota_exhausted", times=1)
    slow = api.get(path, params={"format": "json"})
    assert (slow.status_code, "retry-after" in slow.headers) == (429, False)
    workday.fault(kind="quota_exhausted", times=1, soap=True)
    fault = api.get(path, params={"format": "json"})
    assert (fault.status_code, b"Fault" in fault.content) == (500, True)


def test_a_column_may_vanish(api: httpx.Client, workday: TwinHandle):
    workday.do("hire", id="E1", name="Ada")
    workday.fault(kind="schema_drift", fields=["Worker"])
    assert "Worker" not in report(api, "Concordat_Workers")[0]
