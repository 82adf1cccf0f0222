"""Handoffs over the API: found by any number, shown whole, replayed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from concordat.errors import Rejected, Unavailable
from tests.engine.conftest import CONTRACT
from tests.engine.fakes import LOST
from tests.web.conftest import MakeSite, Site

pytestmark = pytest.mark.slow

API = "/api/v1/handoffs"


def get(site: Site, path: str = "", **query: Any) -> httpx.Response:
    with site.client() as client:
        return client.get(API + path, params=query)


def items(site: Site, **query: Any) -> list[dict[str, Any]]:
    return get(site, **query).json()["items"]


@pytest.mark.parametrize("token", ["x", "wrong", "é"])
def test_a_stranger_gets_nothing(site: Site, token: str):
    for headers in ({}, {"Authorization": f"Bearer {token}".encode()}):
        answer = httpx.get(site.url + API, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"


def test_none(site: Site):
    assert get(site).json() == {"items": [], "next": "", "looked_back": False}


def test_one_is_told_in_full(site: Site):
    site.deals.take(*site.deals.won())
    site.run()
    one = items(site)[0]
    assert (one["title"], one["state"], one["effects"], one["done"]) == ("Deal 1", "in_step", 6, 6)
    assert one["value"] == {"amount": "350000.00", "currency": "USD"}
    assert one["subject"]["client"] == "Client 1"
    whole = get(site, f"/{one['id']}").json()
    assert {s["state"] for s in whole["steps"]} == {"verified"}
    assert whole["says"] == "Deal 1 is in step in NetSuite, Kantata and SharePoint."
    assert whole["correlation_id"] == "c1"
    psa = next(s for s in whole["steps"] if s["step"] == "project_in_psa")
    assert [(a["act"], a["outcome"]) for a in psa["attempts"]] == [("write", "created")]
    assert [e["type"] for e in whole["events"]] == ["project.activated"]
    assert whole["service_levels"][0]["met_at"]


def test_pages_follow_each_other_without_a_gap_or_a_double(site: Site):
    for n in range(7):
        site.deals.take(*site.deals.won(n))
    site.deals.plan()
    for sort, order in (("newest", -1), ("oldest", 1)):
        seen, cursor = [], ""
        while True:
            page = get(site, limit=3, cursor=cursor, sort=sort).json()
            seen += [i["id"] for i in page["items"]]
            cursor = page["next"]
            if not cursor:
                break
        assert seen == sorted(seen)[::order]
        assert len(set(seen)) == 7


def test_filters(site: Site):
    site.deals.take(*site.deals.won(1), *site.deals.won(2, client={"tax_id": ""}))
    site.run()
    assert [i["title"] for i in items(site, state="waiting")] == ["Deal 2"]
    assert [i["title"] for i in items(site, state="open", sort="oldest")] == ["Deal 2"]
    assert [i["title"] for i in items(site, state="in_step")] == ["Deal 1"]
    assert items(site, contract="no-such") == []
    assert len(items(site, contract="opportunity-to-project")) == 2


def test_any_systems_number_finds_it(site: Site):
    site.deals.take(*site.deals.won(1), *site.deals.won(2))
    site.run()
    ref = site.deals.psa.held[site.deals.psa.ledger[0][1]][0].ref
    for number in ("O1", "o1", "C1", ref):
        assert len(items(site, q=number)) == 1, number
    one = items(site, q="O1")[0]["id"]
    assert [i["id"] for i in items(site, q=f"H{one}")] == [one]
    assert items(site, q="nothing' OR 1=1") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"state": "nonsense"}, 400),
        ({"cursor": "nonsense"}, 400),
        ({"cursor": "!"}, 400),
        ({"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"}, 400),
        ({"limit": 0}, 422),
        ({"limit": 201}, 422),
        ({"sort": "sideways"}, 422),
        ({"q": "x" * 201}, 422),
    ],
)
def test_a_bad_question_is_a_problem_with_a_way_out(site: Site, query: dict[str, Any], status: int):
    answer = get(site, **query)
    assert answer.status_code == status
    assert answer.json()["remedy"]


@pytest.mark.parametrize("id_", ["0", "-1", "99", str(2**70), "x"])
def test_an_unknown_one_is_a_problem(site: Site, id_: str):
    assert get(site, f"/{id_}").status_code in (404, 422)


def test_missing_fields_come_with_their_owner(site: Site):
    site.deals.take(*site.deals.won(client={"tax_id": ""}))
    site.run()
    whole = get(site, f"/{items(site)[0]['id']}").json()
    assert [(m["field"], m["owner"]) for m in whole["missing"]] == [("client.tax_id", "crm")]
    assert whole["says"] == "Deal 1 cannot start. One thing is missing."
    assert whole["next_action"] == "Fill client.tax_id in Salesforce. Then it goes on by itself."


# ── replay ────────────────────────────────────────────────────────────────────────────────────────


def replay(site: Site, id_: int, key: str = "", **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    with site.client() as client:
        return client.post(f"{API}/{id_}/replay", json=body, headers=headers)


def held(site: Site) -> int:
    site.deals.psa.fail("write", Rejected("the name is refused", code="BAD_NAME", field="name"))
    site.deals.take(*site.deals.won())
    site.run()
    return items(site)[0]["id"]


def test_a_replay_moves_what_is_held_and_repeats_nothing_else(site: Site):
    id_ = held(site)
    assert items(site)[0]["state"] == "partial"
    before = len(site.deals.erp.ledger)
    answer = replay(site, id_)
    assert answer.status_code == 202
    assert answer.json() == {"handoff": id_, "released": ["project_in_psa"], "left": []}
    site.run()
    assert items(site)[0]["state"] == "in_step"
    assert len(site.deals.psa.ledger) == 1
    assert len(site.deals.erp.ledger) == before + 1
    assert [r["person"] for r in site.deals.rows("SELECT person FROM audit")] == ["api"]
    assert [r["state"] for r in site.deals.rows('SELECT state FROM "case"')] == ["resolved"]


def test_a_replay_of_what_is_in_step_changes_nothing(site: Site):
    site.deals.take(*site.deals.won())
    site.run()
    before = (list(site.deals.psa.ledger), list(site.deals.erp.ledger))
    assert replay(site, items(site)[0]["id"]).json()["released"] == []
    site.run()
    assert (site.deals.psa.ledger, site.deals.erp.ledger) == before


def test_a_replay_from_a_step_leaves_the_steps_before_it(site: Site):
    site.deals.hr.down = Unavailable("503")
    id_ = held(site)
    assert replay(site, id_, step="project_in_psa").json()["released"] == ["project_in_psa"]
    assert replay(site, id_, step="nonsense").status_code == 400
    assert replay(site, 999).status_code == 404


def test_the_same_key_is_done_once_and_answered_again(site: Site):
    id_ = held(site)
    first, second = replay(site, id_, "k1"), replay(site, id_, "k1")
    assert first.json() == second.json()
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.headers["idempotency-replayed"] == "true"
    assert len(site.deals.rows("SELECT * FROM audit")) == 1
    assert replay(site, id_, "k1", step="staffing").status_code == 422


def test_sixty_four_copies_are_one_effect(site: Site):
    id_ = held(site)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: replay(site, id_, "k64"), range(64)))
    assert {a.status_code for a in answers} <= {202, 409}
    assert len({a.text for a in answers if a.status_code == 202}) == 1
    assert len(site.deals.rows("SELECT * FROM audit")) == 1


# ── who may ───────────────────────────────────────────────────────────────────────────────────────


def test_another_unit_sees_and_moves_nothing(site: Site):
    id_ = held(site)
    with closing(site.browser(units=("elsewhere",))) as other:
        assert other.get(API).json()["items"] == []
        assert other.get(API, params={"q": "O1"}).json()["items"] == []
        assert other.get(API, params={"q": f"H{id_}"}).json()["items"] == []
        assert other.get(f"{API}/{id_}").status_code == 404


# ── what a replay does not do ─────────────────────────────────────────────────────────────────────


def test_a_replay_decides_no_late_change(make_site: MakeSite):
    site = make_site(CONTRACT.replace("late_change: {default: converge}", "late_change: {default: hold}"))
    site.deals.take(*site.deals.won())
    site.run()
    site.deals.take(*site.deals.won(contract={"value": {"amount": "400000.00", "currency": "USD"}}))
    site.run()
    before = len(site.deals.psa.ledger)
    done = replay(site, items(site)[0]["id"]).json()
    assert done["released"] == []
    assert "waits for a decision" in done["left"][0]["why"]
    site.run()
    assert len(site.deals.psa.ledger) == before


def test_a_replay_repeats_an_unknown_outcome_only_by_name(make_site: MakeSite):
    site = make_site(upsert=False, unique_key=False, find="no")
    site.deals.psa.fail("write", LOST, after_commit=True)
    site.deals.take(*site.deals.won())
    for _ in range(4):
        site.run()
        site.deals.later(minutes=10)
    assert site.deals.states()["project_in_psa"] == "held"
    id_ = items(site)[0]["id"]
    done = replay(site, id_).json()
    assert done["released"] == []
    assert "Look at the target" in done["left"][0]["why"]
    assert replay(site, id_, step="project_in_psa").json()["released"] == ["project_in_psa"]
