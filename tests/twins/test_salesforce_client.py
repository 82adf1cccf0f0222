"""Likeness: the unmodified `simple-salesforce` logs in, reads, pages, writes and fails against the twin.

The client knows only `https://…`, so its documented `session` argument carries a transport adapter that sends
whatever it asks for to the twin's port; nothing of the client is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from concordat.twins.server import TwinHandle, start_twins

pytestmark = pytest.mark.slow

USER = "integration@northbeam.example"


class ToTwin(HTTPAdapter):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._netloc = urlsplit(url).netloc

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        request.url = urlunsplit(("http", self._netloc, *urlsplit(str(request.url))[2:]))
        return super().send(request, **options)


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
def twin(keys: tuple[str, str]) -> Iterator[TwinHandle]:
    options = {"salesforce": {"public_key": keys[1], "consumer_key": "app", "username": USER, "batch_size": 3}}
    with start_twins(["salesforce"], options=options) as twins:
        yield twins["salesforce"]


@pytest.fixture
def session(twin: TwinHandle) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", ToTwin(twin.url))
        yield session


@pytest.fixture
def client(session: requests.Session, keys: tuple[str, str]) -> Salesforce:
    return Salesforce(username=USER, consumer_key="app", privatekey=keys[0], session=session, version="62.0")


def test_a_wrong_user_may_not_log_in(session: requests.Session, keys: tuple[str, str]):
    with (
        pytest.warns(UserWarning, match="authorize"),
        pytest.raises(SalesforceAuthenticationFailed, match="approved"),
    ):
        Salesforce(username="other", consumer_key="app", privatekey=keys[0], session=session)


def test_a_key_of_somebody_else_may_not_log_in(session: requests.Session):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid assertion"):
        Salesforce(username=USER, consumer_key="app", privatekey=key.decode(), session=session)


def test_query_all_follows_the_pages(client: Salesforce, twin: TwinHandle):
    twin.seed({"Account": [{"Name": f"Client {number}"} for number in range(8)]})
    answer = client.query_all("SELECT Id, Name FROM Account WHERE Name LIKE 'client%' ORDER BY Name DESC")
    assert [row["Name"] for row in answer["records"]] == [f"Client {number}" for number in range(7, -1, -1)]
    assert answer["totalSize"] == 8
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 8
    assert client.api_usage["api-usage"].used == 4


def test_parents_ride_along(client: Salesforce):
    account = client.Account.create({"Name": "O'Hara & Søn"})["id"]
    deal = {
        "Name": "Deal",
        "StageName": "Closed Won",
        "CloseDate": "2026-11-30",
        "AccountId": account,
        "Amount": 12.5,
    }
    client.Opportunity.create(deal)
    fields = "Id, Amount, IsWon, Account.Name, Contract.Name"
    rows = client.query(f"SELECT {fields} FROM Opportunity WHERE Account.Name = 'o\\'hara & søn'")
    (row,) = rows["records"]
    assert (row["Account"]["Name"], row["Contract"], row["IsWon"], row["Amount"]) == (
        "O'Hara & Søn",
        None,
        True,
        12.5,
    )


def test_upsert_creates_then_changes(client: Salesforce, twin: TwinHandle):
    assert client.Account.upsert("Concordat_Key__c/CC-ONE", {"Name": "First"}) == 201
    assert client.Account.upsert("Concordat_Key__c/cc-one", {"Name": "Second "}) == 200
    assert [record["Name"] for record in twin.state("Account")] == ["Second"]
    assert [(line["operation"], line["key"]) for line in twin.ledger()] == [
        ("create", "CC-ONE"),
        ("update", "CC-ONE"),
    ]


def test_an_ambiguous_key_is_300(client: Salesforce, twin: TwinHandle):
    twin.seed({"Account": [{"Name": "A", "Concordat_Key__c": "CC-X"}, {"Name": "B", "Concordat_Key__c": "CC-X"}]})
    with pytest.raises(SalesforceMoreThanOneRecord):
        client.Account.upsert("Concordat_Key__c/CC-X", {"Name": "C"})


def test_one_record_lives_changes_and_goes(client: Salesforce):
    ref = client.Account.create({"Name": "Ærø"})["id"]
    client.Account.update(ref, {"Phone": "+45 1"})
    assert client.Account.get(ref[:15])["Phone"] == "+45 1"
    client.Account.delete(ref)
    with pytest.raises(SalesforceResourceNotFound):
        client.Account.get(ref)
    assert client.query_all("SELECT Id FROM Account", include_deleted=True)["totalSize"] == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, "REQUIRED_FIELD_MISSING"),
        ({"Name": "x", "Nonsense": 1}, "INVALID_FIELD"),
        ({"Name": "x", "ParentId": "001xx0000000000ZZZ"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"Name": "x", "ParentId": "here"}, "MALFORMED_ID"),
        ({"Name": "x" * 256}, "STRING_TOO_LONG"),
        ({"Name": "x", "Concordat_Key__c": "taken"}, "DUPLICATE_VALUE"),
    ],
)
def test_a_wrong_record_is_refused_with_the_vendors_code(client: Salesforce, data: dict[str, Any], code: str):
    client.Account.create({"Name": "first", "Concordat_Key__c": "TAKEN"})
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Account.create(data)
    assert refused.value.content[0]["errorCode"] == code


def test_a_wrong_query_is_refused(client: Salesforce):
    for soql in ("SELECT Id FROM Account WHERE", "SELECT Nope FROM Account", "SELECT Id FROM Nope", "DROP"):
        with pytest.raises(SalesforceMalformedRequest):
            client.query(soql)


def test_a_session_that_ends_is_renewed_by_the_client(client: Salesforce, twin: TwinHandle):
    twin.fault(kind="token_expires_after", calls=1)
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 0
    assert client.query("SELECT COUNT() FROM Account")["totalSize"] == 0


def test_a_foreign_session_is_refused(session: requests.Session):
    client = Salesforce(instance_url="https://northbeam.my.salesforce.com", session_id="stolen", session=session)
    with pytest.raises(SalesforceExpiredSession):
        client.limits()


def test_a_spent_budget_is_403(client: Salesforce, twin: TwinHandle):
    twin.fault(kind="quota_exhausted")
    with pytest.raises(SalesforceRefusedRequest, match="REQUEST_LIMIT_EXCEEDED"):
        client.limits()


def test_a_collection_answers_per_record(client: Salesforce, twin: TwinHandle):
    twin.fault(kind="lock_storm", key="CC-2", times=1)
    said = [{"attributes": {"type": "Account"}, "Name": f"N{n}", "Concordat_Key__c": f"CC-{n}"} for n in range(4)]
    said[3]["Nonsense"] = "x"
    body = {"allOrNone": False, "records": said}
    rows = client.restful("composite/sobjects/Account/Concordat_Key__c", method="PATCH", json=body)
    assert [row["success"] for row in rows] == [True, True, False, False]
    assert [row["errors"][0]["statusCode"] for row in rows[2:]] == ["UNABLE_TO_LOCK_ROW", "INVALID_FIELD"]
    rows = client.restful(
        "composite/sobjects/Account/Concordat_Key__c", method="PATCH", json={**body, "allOrNone": True}
    )
    assert rows[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert len(twin.ledger()) == 2


def test_describe_names_the_external_id(client: Salesforce):
    fields = {field["name"]: field for field in client.Account.describe()["fields"]}
    assert fields["Concordat_Key__c"]["externalId"]
    assert fields["ParentId"]["referenceTo"] == ["Account"]


def test_acts_move_deals(client: Salesforce, twin: TwinHandle):
    account = client.Account.create({"Name": "Client"})["id"]
    deal = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-11-30", "AccountId": account}
    ref = client.Opportunity.create({**deal, "Deal_Number__c": "D-7"})["id"]
    twin.do("win_deal", number="D-7")
    assert client.Opportunity.get(ref)["IsWon"]
    twin.do("change_amount", id=ref, amount="350000.00")
    assert client.Opportunity.get(ref)["Amount"] == 350000.0
    extension = twin.do("win_extension", id=ref, amount="80000", new_number="D-8")["id"]
    assert client.Opportunity.get(extension)["Extends__c"] == ref
    twin.do("reverse_deal", id=ref)
    assert not client.Opportunity.get(ref)["IsClosed"]
    assert len(twin.ledger()) == 2


def test_a_duplicate_rule_warns_the_api_too_until_it_is_told_to_save(client: Salesforce, twin: TwinHandle):
    first = client.Account.create({"Name": "Acme"})["id"]
    twin.fault(kind="duplicate_rule", object="Account")
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Account.create({"Name": "ACME "})
    (row,) = refused.value.content
    (match,) = row["duplicateResult"]["matchResults"]
    assert (row["errorCode"], match["matchRecords"][0]["record"]["Id"]) == ("DUPLICATES_DETECTED", first)
    client.Account.create({"Name": "Acme"}, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})
    assert len(twin.state("Account")) == 2


def test_a_merged_account_names_its_master_and_gives_its_deals_away(client: Salesforce, twin: TwinHandle):
    loser, winner = (client.Account.create({"Name": name})["id"] for name in ("Old", "New"))
    deal = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-11-30", "AccountId": loser}
    ref = client.Opportunity.create(deal)["id"]
    twin.do("merge", id=loser, into=winner)
    rows = client.query_all("SELECT Id, MasterRecordId FROM Account WHERE IsDeleted = TRUE", include_deleted=True)
    assert [(row["Id"], row["MasterRecordId"]) for row in rows["records"]] == [(loser, winner)]
    assert client.Opportunity.get(ref)["AccountId"] == winner


def test_a_value_that_cannot_be_parsed_refuses_every_record(client: Salesforce, twin: TwinHandle):
    deals = [
        {"Name": f"D{n}", "StageName": "Prospecting", "CloseDate": day} for n, day in enumerate(("2026-11-30", "soon"))
    ]
    said = {"allOrNone": False, "records": [{"attributes": {"type": "Opportunity"}, **deal} for deal in deals]}
    with pytest.raises(SalesforceMalformedRequest, match="JSON_PARSER_ERROR"):
        client.restful("composite/sobjects", method="POST", json=said)
    assert twin.state("Opportunity") == []


def test_a_deal_with_products_ignores_its_amount(client: Salesforce, twin: TwinHandle):
    deal = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-11-30", "Amount": 5}
    twin.seed({"Opportunity": [{**deal, "HasOpportunityLineItem": True}]})
    (row,) = twin.state("Opportunity")
    client.Opportunity.update(row["id"], {"Amount": 7, "Name": "New"})
    kept = client.Opportunity.get(row["id"])
    assert (kept["Amount"], kept["Name"], kept["LastStageChangeDate"]) == (5.0, "New", None)


def test_an_id_that_is_none_and_an_address_that_is_too_long_are_refused(client: Salesforce):
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_QUERY_FILTER_OPERATOR"):
        client.query("SELECT Id FROM Account WHERE Id IN ('001', '001xx000003DGb2AAG')")
    keys = ", ".join(f"'CC-{n:032d}'" for n in range(400))
    with pytest.raises(SalesforceGeneralError, match="414"):
        client.query(f"SELECT Id FROM Account WHERE Concordat_Key__c IN ({keys})")
