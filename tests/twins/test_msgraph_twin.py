"""Graph's twin answers the requests that Microsoft documents, sent with httpx as the pages show them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from concordat.twins.server import TwinHandle, start_twins

DRIVE = "/v1.0/drives/b!drive1"
CHILDREN = f"{DRIVE}/root:/Workspaces:/children"


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["msgraph"]) as twins:
        yield twins["msgraph"]


def sign_in(twin: TwinHandle, **changes: str) -> httpx.Response:
    form = {
        "client_id": "concordat", "scope": "https://graph.microsoft.com/.default", "client_secret": "secret",
        "grant_type": "client_credentials", **changes,
    }  # fmt: skip
    return httpx.post(f"{twin.url}/contoso/oauth2/v2.0/token", data=form, trust_env=False)


@pytest.fixture
def client(twin: TwinHandle) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {sign_in(twin).json()['access_token']}"}
    with httpx.Client(base_url=twin.url, headers=headers, trust_env=False, timeout=5) as client:
        yield client


def folder(name: str, way: str = "fail") -> dict[str, Any]:
    return {"name": name, "folder": {}, "@microsoft.graph.conflictBehavior": way}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("change", "error"),
    [({"client_secret": "x"}, "invalid_client"), ({"scope": "Files.Read"}, "invalid_scope")],
)
def test_a_wrong_sign_in(twin: TwinHandle, change: dict[str, str], error: str):
    assert sign_in(twin, **change).json()["error"] == error


def test_a_token_ends_with_the_hour(twin: TwinHandle, client: httpx.Client):
    assert client.get(DRIVE).json()["driveType"] == "documentLibrary"
    httpx.post(f"{twin.url}/__twin/clock", json={"advance": 3600}, trust_env=False)
    assert code(client.get(DRIVE)) == (401, "InvalidAuthenticationToken")


def test_a_site_leads_to_its_library(client: httpx.Client):
    site = client.get("/v1.0/sites/contoso.sharepoint.com:/sites/projects").json()
    assert client.get(f"/v1.0/sites/{site['id']}/drive").json()["id"] == "b!drive1"
    assert code(client.get("/v1.0/sites/contoso.sharepoint.com:/sites/other")) == (404, "itemNotFound")


def test_a_folder_is_made_read_by_path_and_listed(twin: TwinHandle, client: httpx.Client):
    made = client.post(CHILDREN, json=folder("Acme & Söhne"))
    assert made.status_code == 201
    item = client.get(f"{DRIVE}/root:/Workspaces/Acme%20%26%20S%C3%B6hne").json()
    assert (item["id"], item["eTag"], item["folder"]) == (made.json()["id"], made.json()["eTag"], {"childCount": 0})
    assert item["parentReference"]["path"] == "/drives/b!drive1/root:/Workspaces"
    assert [one["name"] for one in client.get(CHILDREN).json()["value"]] == ["Acme & Söhne"]
    assert [line["operation"] for line in twin.ledger()] == ["create"]


def test_conflict_behaviour(client: httpx.Client):
    first = client.post(CHILDREN, json=folder("Acme"))
    assert code(client.post(CHILDREN, json=folder("ACME"))) == (409, "nameAlreadyExists")
    replaced = client.post(CHILDREN, json=folder("Acme", "replace"))
    assert (replaced.status_code, replaced.json()["id"]) == (200, first.json()["id"])
    assert client.post(CHILDREN, json=folder("Acme", "rename")).json()["name"] == "Acme 1"


@pytest.mark.parametrize("name", ["a:b", "a/b", "ends.", "~temp", "CON", "x_vti_y", "", " a", "q?", "n" * 256])
def test_names_that_sharepoint_refuses(client: httpx.Client, name: str):
    assert client.post(CHILDREN, json=folder(name)).status_code == 400


def test_an_item_is_renamed_moved_and_deleted(client: httpx.Client):
    item = client.post(CHILDREN, json=folder("Acme")).json()
    path = f"{DRIVE}/items/{item['id']}"
    renamed = client.patch(path, json={"name": "Acme Ltd"}, headers={"if-match": item["eTag"]})
    assert renamed.json()["name"] == "Acme Ltd"
    assert code(client.patch(path, json={"name": "B"}, headers={"if-match": item["eTag"]})) == (412, "resourceModified")
    moved = client.patch(path, json={"parentReference": {"path": "/drives/b!drive1/root:"}})
    assert moved.json()["parentReference"]["path"] == "/drives/b!drive1/root:"
    assert client.delete(path).status_code == 204
    assert code(client.get(path)) == (404, "itemNotFound")


def test_a_listing_comes_in_pages(client: httpx.Client):
    for number in range(5):
        client.post(CHILDREN, json=folder(f"F{number}"))
    page = client.get(f"{CHILDREN}?$top=2").json()
    names = [one["name"] for one in page["value"]]
    while "@odata.nextLink" in page:
        page = client.get(page["@odata.nextLink"]).json()
        names += [one["name"] for one in page["value"]]
    assert names == [f"F{number}" for number in range(5)]


def test_a_batch_answers_each_request_by_its_id(client: httpx.Client):
    typed = {"headers": {"Content-Type": "application/json"}}
    url = "/drives/b!drive1/root:/Workspaces:/children"
    requests = [
        {"id": "a", "method": "POST", "url": url, "body": folder("A"), **typed},
        {"id": "b", "method": "POST", "url": url, "body": folder("a"), **typed},
        {"id": "c", "method": "GET", "url": "/drives/b!drive1/items/nothing"},
        {"id": "d", "method": "POST", "url": url, "body": folder("D")},
    ]
    answer = client.post("/v1.0/$batch", json={"requests": requests})
    statuses = {one["id"]: one["status"] for one in answer.json()["responses"]}
    assert (answer.status_code, statuses) == (200, {"a": 201, "b": 409, "c": 404, "d": 400})
    assert [one["id"] for one in answer.json()["responses"]] == ["d", "c", "b", "a"]
    too_many = [{"id": str(n), "method": "GET", "url": "/drives/b!drive1"} for n in range(21)]
    assert client.post("/v1.0/$batch", json={"requests": too_many}).status_code == 400


def test_throttling_says_how_long(twin: TwinHandle, client: httpx.Client):
    twin.fault(kind="quota_exhausted", seconds=7, times=1)
    answer = client.get(CHILDREN)
    assert (code(answer), answer.headers["retry-after"]) == ((429, "activityLimitReached"), "7")


def test_part_of_a_batch_may_be_throttled(twin: TwinHandle, client: httpx.Client):
    twin.fault(kind="partial_batch", members=[0])
    requests = [{"id": str(n), "method": "GET", "url": "/drives/b!drive1"} for n in range(2)]
    said = client.post("/v1.0/$batch", json={"requests": requests}).json()["responses"]
    assert {one["id"]: one["status"] for one in said} == {"0": 429, "1": 200}


def test_grants_are_given_changed_and_taken(client: httpx.Client):
    item = client.post(CHILDREN, json=folder("Acme")).json()
    path = f"{DRIVE}/items/{item['id']}"
    invite = {"recipients": [{"email": "ann@contoso.com"}], "roles": ["write"], "requireSignIn": True}
    grant = client.post(f"{path}/invite", json=invite).json()["value"][0]
    assert client.patch(f"{path}/permissions/{grant['id']}", json={"roles": ["read"]}).json()["roles"] == ["read"]
    assert client.delete(f"{path}/permissions/{grant['id']}").status_code == 204
    assert client.get(f"{path}/permissions").json()["value"] == []


def test_delta_gives_what_changed_and_forgets(twin: TwinHandle, client: httpx.Client):
    first = client.get(f"{DRIVE}/root/delta?token=latest").json()["@odata.deltaLink"]
    item = client.post(CHILDREN, json=folder("Acme")).json()
    page = client.get(first).json()
    assert [one["id"] for one in page["value"]] == [item["id"]]
    client.delete(f"{DRIVE}/items/{item['id']}")
    assert client.get(page["@odata.deltaLink"]).json()["value"][0]["deleted"]
    twin.do("forget_delta")
    gone = client.get(first)
    assert (gone.status_code, "location" in gone.headers) == (410, True)


def test_what_there_is_not(client: httpx.Client):
    assert code(client.get("/v1.0/me/messages")) == (400, "BadRequest")
    assert code(client.get("/v1.0/drives/other/root/children")) == (404, "itemNotFound")
    assert code(client.post(CHILDREN, content=b"{")) == (400, "BadRequest")


def test_a_column_is_set_shown_when_asked_for_and_emptied_by_null(twin: TwinHandle, client: httpx.Client):
    item = client.post(CHILDREN, json=folder("A")).json()["id"]
    path = f"{DRIVE}/items/{item}"
    expand = {"$expand": "listItem($expand=fields)"}
    assert client.patch(f"{path}/listItem/fields", json={"ConcordatLock": "x"}).json() == {"ConcordatLock": "x"}
    assert client.get(path, params=expand).json()["listItem"]["fields"]["ConcordatLock"] == "x"
    assert "listItem" not in client.get(path).json()
    client.patch(f"{path}/listItem/fields", json={"ConcordatLock": None})
    assert "ConcordatLock" not in client.get(path, params=expand).json()["listItem"]["fields"]
    assert code(client.patch(f"{path}/listItem/fields", json={"Other": "x"})) == (400, "invalidRequest")
    assert [line["object"] for line in twin.ledger()] == ["driveItems", "listItems", "listItems"]
    assert client.get("/__twin/calls").json()["by_path"]["PATCH /v1.0/drives/{drive}/items/{id}/listItem/fields"] == 3


@pytest.mark.parametrize("commit", [True, False])
def test_a_member_of_a_batch_may_be_told_anything_while_the_batch_is_well(
    twin: TwinHandle, client: httpx.Client, *, commit: bool
):
    twin.fault(kind="partial_batch", members=[0], status=504, commit=commit)
    requests = [
        {"id": str(n), "method": "POST", "url": CHILDREN.removeprefix("/v1.0"), "body": folder(f"F{n}"),
         "headers": {"Content-Type": "application/json"}}
        for n in range(2)
    ]  # fmt: skip
    answer = client.post("/v1.0/$batch", json={"requests": requests})
    told = {one["id"]: one["status"] for one in answer.json()["responses"]}
    assert (answer.status_code, told) == (200, {"0": 504, "1": 201})
    assert len(twin.ledger()) == 1 + commit
    assert client.get("/__twin/calls").json()["total"] == 2
