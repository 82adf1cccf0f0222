"""NetSuite's twin: the netsuite client works unmodified; documented requests get documented answers."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from concordat.twins.server import TwinHandle, start_twins
from concordat.twins.store import Clock

with warnings.catch_warnings(record=True):  # what the client stands on deprecates its own parts when imported
    from netsuite import Config, NetSuite, TokenAuth
    from netsuite.exceptions import NetsuiteAPIRequestError

TBA = {"consumer_key": "ck", "consumer_secret": "cs", "token_id": "ti", "token_secret": "ts"}
RSA = RSAKey.generate_key(2048)
TOKEN = "/services/rest/auth/oauth2/v1/token"
RECORD = "/services/rest/record/v1"
OLD_CLIENT = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""The client and what it stands on call deprecated names of each other."""
QUERY = "/services/rest/query/v1/suiteql"


def options(**more: Any) -> dict[str, Any]:
    return {"public_key": RSA.as_pem(private=False).decode(), "tba": TBA, **more}


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["netsuite"], options={"netsuite": options()}) as twins:
        yield twins["netsuite"]


def assertion(twin: TwinHandle, *, key: Any = RSA, algorithm: str = "PS256", kid: str = "cert-1", **claims: Any) -> str:
    now = int(Clock().now().timestamp())
    said = {"iss": "concordat", "scope": ["rest_webservices"], "aud": f"{twin.url}{TOKEN}", "iat": now}
    header = {"alg": algorithm, "typ": "JWT", "kid": kid}
    return jwt.encode(header, {**said, "exp": now + 300, **claims}, key, algorithms=[algorithm])


def ask_token(twin: TwinHandle, signed: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed,
    }
    return httpx.post(f"{twin.url}{TOKEN}", data=form, trust_env=False)


@pytest.fixture
def client(twin: TwinHandle) -> Iterator[httpx.Client]:
    token = ask_token(twin, assertion(twin)).json()["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=twin.url, headers=headers, trust_env=False, timeout=5) as client:
        yield client


def customer(client: httpx.Client, **fields: Any) -> str:
    body = {"companyName": "Acme", "subsidiary": {"id": "1"}, **fields}
    answer = client.post(f"{RECORD}/customer", json=body)
    assert answer.status_code == 204, answer.text
    return answer.headers["location"].rpartition("/")[2]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["o:errorDetails"][0]["o:errorCode"]


@OLD_CLIENT
def test_the_netsuite_client_works_unmodified(twin: TwinHandle):
    rest = NetSuite(Config(account="1234567", auth=TokenAuth(**TBA))).rest_api

    def at(path: str) -> dict[str, str]:
        return {"url": f"{twin.url}/services/rest{path}"}

    async def story() -> tuple[Any, ...]:
        body = {"companyName": "Acme & Söhne", "subsidiary": {"id": "3"}}
        made = await rest.put("", json=body, **at("/record/v1/customer/eid:CC-1"))
        read = await rest.get("", **at("/record/v1/customer/eid:CC-1"))
        sql = "SELECT id, companyname FROM customer WHERE externalid = 'CC-1'"
        found = await rest.suiteql(q=sql, limit=5, offset=0, **at("/query/v1/suiteql"))
        schema = await rest.jsonschema("customer", **at("/record/v1/metadata-catalog/customer"))
        with pytest.raises(NetsuiteAPIRequestError) as refused:
            await rest.post("", json={**body, "nonsense": 1}, **at("/record/v1/customer"))
        return made, read, found, schema, refused.value.status_code

    made, read, found, schema, refused = asyncio.run(story())
    assert made is None
    assert (read["companyName"], read["subsidiary"]["refName"]) == (
        "Acme & Söhne",
        "Northbeam Consulting GmbH",
    )
    assert found["items"] == [{"links": [], "id": read["id"], "companyname": "Acme & Söhne"}]
    assert "companyName" in schema["properties"]
    assert refused == 400


@OLD_CLIENT
def test_a_bad_signature_of_the_netsuite_client_is_refused(twin: TwinHandle):
    auth = TokenAuth(**{**TBA, "token_secret": "other"})
    rest = NetSuite(Config(account="1234567", auth=auth)).rest_api
    with pytest.raises(NetsuiteAPIRequestError, match="INVALID_LOGIN"):
        asyncio.run(rest.get("", url=f"{twin.url}{RECORD}/customer"))


def test_a_certificate_gives_a_token_for_an_hour_of_the_twins_clock(twin: TwinHandle, client: httpx.Client):
    assert client.get(f"{RECORD}/customer").status_code == 200
    httpx.post(f"{twin.url}/__twin/clock", json={"advance": 3601}, trust_env=False)
    assert code(client.get(f"{RECORD}/customer")) == (401, "INVALID_LOGIN")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kid": "other"}, "kid"),
        ({"iss": "somebody"}, "iss"),
        ({"aud": "https://elsewhere"}, "aud"),
        ({"exp": 9_999_999_999}, "exp"),
        ({"scope": ["restlets"]}, "scope"),
        ({"key": RSAKey.generate_key(2048)}, "signature"),
        ({"algorithm": "RS256"}, "signature"),
    ],
)
def test_a_wrong_assertion_gets_no_token(twin: TwinHandle, wrong: dict[str, Any], why: str):
    answer = ask_token(twin, assertion(twin, **wrong))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
    assert why in answer.json()["error_description"]


def test_an_elliptic_key_works_too():
    key = ECKey.generate_key("P-256")
    given = options(public_key=key.as_pem(private=False).decode())
    with start_twins(["netsuite"], options={"netsuite": given}) as twins:
        signed = assertion(twins["netsuite"], key=key, algorithm="ES256")
        assert ask_token(twins["netsuite"], signed).status_code == 200


def test_put_by_external_id_inserts_then_updates(twin: TwinHandle, client: httpx.Client):
    path = f"{RECORD}/customer/eid:CC-9"
    first = client.put(path, json={"companyName": "Acme", "subsidiary": {"id": "1"}})
    again = client.put(path, json={"phone": "+1 415 555"})
    assert (first.status_code, first.content, again.status_code) == (204, b"", 204)
    assert first.headers["location"] == again.headers["location"]
    assert [line["operation"] for line in twin.ledger("customer")] == ["create", "update"]
    said = client.get(path).json()
    assert (said["companyName"], said["phone"], said["externalId"]) == ("Acme", "+1 415 555", "CC-9")
    assert client.get(f"{RECORD}/customer?ids=eid:CC-9").json()["items"][0]["id"] == said["id"]


def test_unknown_fields_are_dropped_unless_asked_to_be_errors(client: httpx.Client):
    ref = customer(client, nonsense="x")
    assert "nonsense" not in client.get(f"{RECORD}/customer/{ref}").json()
    strict = {"X-NetSuite-PropertyNameValidation": "Error"}
    body = {"companyName": "B", "subsidiary": {"id": "1"}, "nonsense": "x"}
    assert code(client.post(f"{RECORD}/customer", json=body, headers=strict)) == (400, "INVALID_CONTENT")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("customer", {"companyName": "Acme"}, (400, "USER_ERROR")),
        ("customer", {"companyName": "Acme", "subsidiary": {"id": "99"}}, (400, "INVALID_CONTENT")),
        ("job", {"companyName": "P", "subsidiary": "1", "parent": {"id": "5"}}, (400, "INVALID_CONTENT")),
        ("projectTask", {"title": "Design"}, (400, "USER_ERROR")),
        ("nothing", {}, (404, "NONEXISTENT_ID")),
    ],
)
def test_what_is_wrong_is_refused_in_netsuites_words(
    client: httpx.Client, path: str, body: dict[str, Any], expected: tuple[int, str]
):
    assert code(client.post(f"{RECORD}/{path}", json=body)) == expected


def test_entity_ids_and_external_ids_are_unique(client: httpx.Client):
    customer(client, entityId="C-1", externalId="X-1")
    same = {"companyName": "B", "subsidiary": {"id": "1"}}
    number = client.post(f"{RECORD}/job", json={**same, "entityId": "C-1"})
    external = client.post(f"{RECORD}/customer", json={**same, "externalId": "X-1"})
    assert "with this ID already exists" in number.json()["o:errorDetails"][0]["detail"]
    assert "This record already exists" in external.json()["o:errorDetails"][0]["detail"]


def test_suiteql_answers_text_lower_case_without_nulls(client: httpx.Client):
    parent = customer(client, externalId="X-1")
    body = {
        "companyName": "P", "subsidiary": "1", "parent": {"externalId": "X-1"}, "startDate": "2026-11-03",
        "custentity_concordat_budget_cost": 1250.5,
    }  # fmt: skip
    assert client.put(f"{RECORD}/job/eid:J-1", json=body).status_code == 204
    sql = (
        "SELECT id, customer, startdate, TO_CHAR(startdate, 'YYYY-MM-DD') AS began, projectedenddate,"
        " isinactive, custentity_concordat_budget_cost FROM job WHERE externalid IN ('J-1', 'J-2')"
        " ORDER BY id"
    )
    answer = client.post(QUERY, json={"q": sql}, headers={"Prefer": "transient"})
    row = answer.json()["items"][0]
    assert row["customer"] == parent
    assert (row["startdate"], row["began"], row["isinactive"]) == ("11/3/2026", "2026-11-03", "F")
    assert row["custentity_concordat_budget_cost"] == "1250.50"
    assert "projectedenddate" not in row


@pytest.mark.parametrize(
    ("sql", "headers"),
    [
        ("SELECT id FROM job", {}),
        ("SELECT nonsense FROM job", {"Prefer": "transient"}),
        ("DELETE FROM job", {"Prefer": "transient"}),
        ("SELECT id FROM nothing", {"Prefer": "transient"}),
    ],
)
def test_a_bad_query_is_refused(client: httpx.Client, sql: str, headers: dict[str, str]):
    assert client.post(QUERY, json={"q": sql}, headers=headers).status_code == 400


def test_pages_of_a_query(client: httpx.Client):
    for number in range(5):
        customer(client, externalId=f"X-{number}")
    said = client.post(
        f"{QUERY}?limit=2&offset=4",
        json={"q": "SELECT id FROM customer ORDER BY id DESC"},
        headers={"Prefer": "transient"},
    ).json()
    assert (said["count"], said["hasMore"], said["totalResults"]) == (1, False, 5)


def test_a_stale_read_hides_what_was_just_written(twin: TwinHandle, client: httpx.Client):
    twin.fault(kind="stale_read", seconds=40, object="customer")
    customer(client, externalId="X-1")
    ask = {
        "json": {"q": "SELECT id FROM customer WHERE externalid = 'X-1'"},
        "headers": {"Prefer": "transient"},
    }
    assert client.post(QUERY, **ask).json()["items"] == []
    httpx.post(f"{twin.url}/__twin/clock", json={"advance": 41}, trust_env=False)
    assert len(client.post(QUERY, **ask).json()["items"]) == 1


def test_a_list_is_a_job_with_a_result_for_each_record(twin: TwinHandle, client: httpx.Client):
    body = {"items": [{"externalId": "A", "companyName": "A", "subsidiary": "1"}, {"externalId": "B"}]}
    headers = {"Prefer": "respond-async", "X-NetSuite-Idempotency-Key": "k-1"}
    taken = client.put(f"{RECORD}/customer", json=body, headers=headers)
    assert (taken.status_code, taken.headers["preference-applied"]) == (202, "respond-async")
    job = taken.headers["location"]
    assert [client.get(job).json()["progress"] for _ in range(2)] == ["pending", "succeeded"]
    assert [task["id"] for task in client.get(f"{job}/task").json()["items"]] == ["1", "2"]
    good, bad = (client.get(f"{job}/task/{n}/result") for n in (1, 2))
    assert (good.status_code, code(bad)) == (204, (400, "USER_ERROR"))
    again = client.put(f"{RECORD}/customer", json=body, headers=headers)
    assert (code(again), again.headers["location"]) == ((400, "IDEMPOTENCY_ERROR"), job)
    assert len(twin.ledger("customer")) == 1


def test_an_accepted_job_may_fail_and_write_nothing(twin: TwinHandle, client: httpx.Client):
    twin.fault(kind="accepted_then_failed", object="customer")
    body = {"items": [{"externalId": "A", "companyName": "A", "subsidiary": "1"}]}
    job = client.put(f"{RECORD}/customer", json=body, headers={"Prefer": "respond-async"}).headers["location"]
    assert [client.get(job).json()["progress"] for _ in range(2)][-1] == "failed"
    assert twin.ledger() == []


def test_a_list_without_prefer_is_refused(client: httpx.Client):
    assert code(client.put(f"{RECORD}/customer", json={"items": []})) == (400, "INVALID_HEADER")


def test_too_many_requests_at_once(twin: TwinHandle, client: httpx.Client):
    twin.fault(kind="quota_exhausted", times=1)
    assert code(client.get(f"{RECORD}/customer")) == (429, "CONCURRENCY_LIMIT_EXCEEDED")
    assert client.get(f"{RECORD}/customer").status_code == 200


def test_a_closed_period_refuses_time(twin: TwinHandle, client: httpx.Client):
    job = client.put(f"{RECORD}/job/eid:J", json={"companyName": "P", "subsidiary": "1"}).headers["location"]
    bill = {"customer": {"id": job.rpartition("/")[2]}, "hours": "8:00", "tranDate": "2026-10-14"}
    twin.do("close_period", period="2026-10")
    assert code(client.post(f"{RECORD}/timeBill", json=bill)) == (400, "USER_ERROR")
    twin.do("open_period", period="2026-10")
    assert client.post(f"{RECORD}/timeBill", json=bill).status_code == 204


def test_collections_are_filtered_and_records_deleted(client: httpx.Client):
    ref = customer(client, externalId="X-1")
    customer(client, externalId="X-2", companyName="Other")
    found = client.get(f"{RECORD}/customer", params={"q": 'companyName IS "Other" AND externalId START_WITH "X"'})
    assert found.json()["totalResults"] == 1
    assert client.delete(f"{RECORD}/customer/{ref}").status_code == 204
    assert code(client.get(f"{RECORD}/customer/{ref}")) == (404, "NONEXISTENT_ID")
    assert client.get(f"{RECORD}/metadata-catalog").json()["items"][0]["name"] == "customer"
    assert client.get("/services/rest/system/v1/governanceLimits").json()["accountConcurrencyLimit"] == 15
