"""The undo plan and the decisions of people, over HTTP and on the page."""

from __future__ import annotations

from contextlib import closing

import httpx
import pytest

from tests.engine.conftest import CONTRACT
from tests.engine.test_proposals import LATE, STEP, money
from tests.engine.test_undo import UNDO, used
from tests.web.conftest import MakeSite, Site

pytestmark = pytest.mark.slow

API = "/api/v1"


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    site = make_site(CONTRACT.replace(LATE, STEP) + UNDO)
    used(site.deals)
    site.deals.take(*site.deals.won())
    site.run()
    return site


def form_of(page: httpx.Response) -> str:
    return page.text.split('name="csrf" value="')[1].split('"')[0]


def test_the_plan_is_shown_before_it_runs_and_while_it_runs(site: Site):
    with site.client() as client, closing(site.browser()) as browser:
        plan = client.get(f"{API}/handoffs/1/undo-plan").json()
        assert plan["running"] is False
        does = {line["step"]: line["does"] for line in plan["lines"]}
        assert does == {
            "activated": "leave", "workspace": "write", "staffing": "drop", "project_in_erp": "write",
            "project_in_psa": "look", "client_in_erp": "leave",
        }  # fmt: skip
        assert "If it is withdrawn" in browser.get("/handoffs/1").text
        site.deals.take(*site.deals.won(opportunity={"stage": "closed_lost"}))
        site.run()
        plan = client.get(f"{API}/handoffs/1/undo-plan").json()
        assert plan["running"] is True
        assert {line["step"]: line["does"] for line in plan["lines"]}["project_in_psa"] == "done"
        assert client.get(f"{API}/handoffs/1").json()["state"] == "withdrawn"
        assert client.get(f"{API}/handoffs/99/undo-plan").status_code == 404


def test_a_change_is_approved_over_http(site: Site):
    site.deals.take(*site.deals.won(contract=money("400000.00")))
    site.run()
    with site.client() as client:
        (one,) = client.get(f"{API}/proposals").json()["items"]
        assert one["changes"]["contract_value"]["to"]["amount"] == "400000.00"
        for _ in range(2):
            answer = client.post(f"{API}/proposals/{one['id']}/approve", json={}, headers={"Idempotency-Key": "k"})
            assert answer.json() == {"id": one["id"], "state": "approved"}
        site.run()
        assert client.get(f"{API}/handoffs/1").json()["state"] == "in_step"
        assert client.post(f"{API}/proposals/{one['id']}/decline", json={"reason": "no"}).status_code == 400
        (one,) = client.get(f"{API}/handoffs/1/proposals").json()["items"]
        assert (one["state"], one["decided_by"]) == ("approved", "api")


def test_an_approver_declines_on_the_page_and_a_viewer_may_not(site: Site):
    site.deals.take(*site.deals.won(contract=money("400000.00")))
    site.run()
    with closing(site.browser(role="viewer")) as viewer:
        page = viewer.get("/handoffs/1")
        assert "Changes that wait for a decision" in page.text
        assert "Approve" not in page.text
        assert viewer.post("/proposals/1", data={"csrf": form_of(page), "do": "approve"}).status_code == 403
    with closing(site.browser(role="approver")) as approver:
        page = approver.get("/handoffs/1")
        data = {"csrf": form_of(page), "do": "decline", "reason": "not agreed"}
        assert "not agreed" in approver.post("/proposals/1", data=data).text
        assert approver.post("/proposals/1", data={**data, "csrf": "other"}).status_code == 403


def test_a_handoff_is_stopped_with_a_reason(site: Site):
    with site.client() as client:
        assert client.post(f"{API}/handoffs/1/cancel", json={"reason": ""}).status_code == 422
        assert client.post(f"{API}/handoffs/1/cancel", json={"reason": "wrong"}).json()["state"] == "cancelled"
        assert client.get(f"{API}/handoffs/1").json()["waits_for"] == "stopped by api: wrong"
        assert client.post(f"{API}/handoffs/1/skip", json={"reason": "no", "step": "nowhere"}).status_code == 400
