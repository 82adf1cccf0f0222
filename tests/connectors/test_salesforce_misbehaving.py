"""Salesforce at its worst, over sockets: what it drops, wraps, hides or refuses as a whole, and what is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from concordat.connectors.salesforce import SPEC, SalesforceConnector, SalesforceSettings
from concordat.core.agree import disagreements
from concordat.errors import (
    Duplicate,
    Locked,
    Missing,
    Rejected,
    ResyncRequired,
    Unavailable,
    UnknownOutcome,
    VendorError,
)
from concordat.sdk.spec import CallContext, Observed, WriteIntent, WriteResult
from concordat.twins.northbeam import northbeam
from concordat.twins.server import TwinHandle, start_twins

pytestmark = pytest.mark.slow

CTX = CallContext(correlation_id="c-1", timeout=10)
FIRM = northbeam(seed=3, deals=12)
ACCOUNT, DEAL = FIRM.accounts[0]["Id"], FIRM.opportunities[0]["Id"]


def settings(twin: TwinHandle, **more: Any) -> SalesforceSettings:
    base = {"url": twin.url, "token_url": twin.url, "consumer_key": "concordat"}
    return SalesforceSettings.model_validate({**base, "consumer_secret": "concordat-secret", **more})


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["salesforce"]) as twins:
        twins["salesforce"].seed(FIRM.salesforce())
        yield twins["salesforce"]


@pytest.fixture
def crm(twin: TwinHandle) -> Iterator[SalesforceConnector]:
    connector = SPEC.connect(settings(twin, page=5), connection="crm")
    yield connector
    connector.close()


def client(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": f"Client {number}", "number": f"N-{number}", "currency": "EUR", **more}


def deal(number: int = 1, **more: Any) -> dict[str, Any]:
    day = {"close_date": "2026-11-30", "client": {"ref": ACCOUNT, "name": "A"}}
    return {"name": f"Deal {number}", "stage": "negotiation", **day, **more}


def intent(fields: dict[str, Any], object_: str = "client", number: int = 1, **more: Any) -> WriteIntent:
    return WriteIntent(object=object_, record_key=f"CC-{number}", write_key=f"CC-{number}-1", fields=fields, **more)


def write(crm: SalesforceConnector, fields: dict[str, Any], object_: str = "client", **more: Any) -> WriteResult:
    (result,) = crm.write([intent(fields, object_, **more)], CTX)
    return result


def made(crm: SalesforceConnector, fields: dict[str, Any], object_: str = "client", **more: Any) -> str:
    result = write(crm, fields, object_, **more)
    assert result.error is None, result.error
    return str(result.ref)


def held(crm: SalesforceConnector, ref: str, object_: str = "client") -> Observed:
    (seen,) = crm.fetch(object_, [ref], CTX)
    return seen


# -- one bad record among many


SHAPES = [
    ("close_date", "2026-13-45"), ("close_date", 20261130), ("close_date", "30.11.2026"),
    ("probability", "NaN"), ("probability", True), ("probability", {"percent": 5}),
    ("amount", "12.50"), ("amount", {"amount": "12.50"}), ("amount", {"amount": "Infinity", "currency": "EUR"}),
    ("amount", {"amount": "12.50", "currency": "euro"}), ("name", {"text": "x"}), ("name", ["x"]),
    ("stage", {"word": "won"}), ("client", {"ref": None, "name": "Nobody's"}),
    ("client", {"ref": ["001"]}), ("entity", True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), SHAPES)
def test_a_value_of_the_wrong_shape_stops_itself_and_nobody_else(crm: SalesforceConnector, name: str, value: Any):
    intents = [intent(deal(n), "opportunity", n) for n in (1, 2, 3)]
    intents[1] = intent({**deal(2), name: value}, "opportunity", 2)
    good, bad, other = crm.write(intents, CTX)
    assert isinstance(bad.error, Rejected)
    assert bad.error.field == name
    assert (good.error, other.error) == (None, None)


def test_what_the_parser_refuses_stops_itself_and_nobody_else(twin: TwinHandle):
    """The org's own type of a renamed field is not known here: Salesforce refuses the whole call over one value."""
    crm = SPEC.connect(
        settings(twin, fields={"opportunity": {"entity": "CloseDate", "close_date": ""}}), connection="crm"
    )
    fields = {name: value for name, value in deal().items() if name != "close_date"}
    intents = [intent({**fields, "entity": "2026-11-30"}, "opportunity", n) for n in range(9)]
    intents[6] = intent({**fields, "entity": "NB-US"}, "opportunity", 6)
    results = crm.write(intents, CTX)
    crm.close()
    assert [n for n, result in enumerate(results) if result.error] == [6]
    assert isinstance(results[6].error, Rejected)
    assert results[6].error.code == "JSON_PARSER_ERROR"
    assert len(twin.ledger("Opportunity")) == 8


def test_a_lock_inside_a_trigger_is_a_lock(crm: SalesforceConnector, twin: TwinHandle):
    twin.fault(kind="lock_storm", inside=True, times=1)
    first, second = crm.write([intent(client(1), number=1), intent(client(2), number=2)], CTX)
    assert isinstance(first.error, Locked)
    assert second.error is None
    made(crm, client(1), number=1)


def test_a_copy_that_a_rule_sees_is_a_case_that_names_it(crm: SalesforceConnector, twin: TwinHandle):
    twin.fault(kind="duplicate_rule", object="Account")
    name = FIRM.accounts[0]["Name"]
    refused, good = crm.write([intent(client(1, name=name), number=1), intent(client(2), number=2)], CTX)
    assert isinstance(refused.error, Rejected)
    assert not isinstance(refused.error, Duplicate)
    assert refused.error.code == "DUPLICATES_DETECTED"
    assert ACCOUNT in refused.error.message
    assert good.error is None
    assert len(twin.ledger("Account")) == 1


def test_a_deal_with_products_keeps_its_amount_and_is_seen_to(crm: SalesforceConnector, twin: TwinHandle):
    money = {"amount": "100.00", "currency": "EUR"}
    ref = made(crm, deal(amount=money), "opportunity")
    twin.seed(
        {
            "Opportunity": [
                {**row, "HasOpportunityLineItem": True} for row in twin.state("Opportunity") if row["id"] == ref
            ]
        }
    )
    fields = deal(name="Renamed", amount={**money, "amount": "250.00"})
    made(crm, fields, "opportunity", ref=ref)
    assert set(disagreements(fields, held(crm, ref, "opportunity").fields)) == {"amount"}


@pytest.mark.parametrize("row", ['{"success": true, "errors": [], "created": false}', "null", "5"])
def test_an_answer_without_an_id_is_doubt(crm: SalesforceConnector, twin: TwinHandle, row: str):
    crm.ping(CTX)
    twin.fault(kind="status", status=200, body=f"[{row}]", headers={"content-type": "application/json"})
    assert isinstance(write(crm, client()).error, UnknownOutcome)


def test_a_trigger_that_is_overburdened_is_given_fewer(crm: SalesforceConnector, twin: TwinHandle):
    twin.fault(kind="partial_batch", over=40)
    results = crm.write([intent(client(n), number=n) for n in range(150)], CTX)
    assert [result.error for result in results] == [None] * 150
    assert len({result.ref for result in results}) == 150
    assert len(twin.ledger("Account")) == 150
    twin.heal()
    twin.fault(kind="partial_batch", over=0)
    before = twin.twin.traffic.calls.total()
    results = crm.write([intent(client(n), number=n) for n in range(150)], CTX)
    assert {type(result.error) for result in results} == {Rejected}
    assert twin.twin.traffic.calls.total() - before < 40


def test_a_lost_answer_to_a_mixed_collection_doubles_and_drops_nothing(crm: SalesforceConnector, twin: TwinHandle):
    crm.ping(CTX)
    twin.fault(kind="commit_then_504", operation="upsert", times=1)
    twin.fault(kind="lock_storm", key="CC-2", times=1)
    intents = [intent(client(n), number=n) for n in (1, 2, 3)]
    with pytest.raises(UnknownOutcome):
        crm.write(intents, CTX)
    assert set(crm.find("client", ["CC-1", "CC-2", "CC-3"], CTX)) == {"CC-1", "CC-3"}
    results = crm.write(intents, CTX)
    assert [result.disposition for result in results] == ["updated", "created", "updated"]
    assert [line["operation"] for line in twin.ledger("Account")].count("create") == 3


def test_another_field_that_is_taken_is_no_sign_of_our_own_write(crm: SalesforceConnector, twin: TwinHandle):
    says = "duplicate value found: Tax_Id__c duplicates value on record with id: 001xx0000003DGb"
    twin.fault(kind="partial_batch", code="DUPLICATE_VALUE", message=says, times=1)
    error = write(crm, client(tax_id="DE1")).error
    assert (type(error), error.field if error else "") == (Rejected, "tax_id")
    hidden = "duplicate value found: <unknown> duplicates value on record with id: <unknown>"
    twin.fault(kind="partial_batch", code="DUPLICATE_VALUE", message=hidden, times=1)
    assert type(write(crm, client()).error) is Rejected
    made(crm, client(), number=7)
    error = write(crm, client(2), number=7, ref=ACCOUNT).error
    assert type(error) is Duplicate


def test_a_call_ends_in_its_time_however_many_requests_it_makes(crm: SalesforceConnector, twin: TwinHandle):
    crm.ping(CTX)
    twin.fault(kind="latency", seconds=0.4)
    twin.fault(kind="partial_batch", over=0)
    short = CallContext(correlation_id="c-1", timeout=0.6)
    results = crm.write([intent(client(n), number=n) for n in range(40)], short)
    assert {type(result.error) for result in results} <= {Rejected, Unavailable, UnknownOutcome}
    assert twin.ledger("Account") == []


def test_a_finer_word_that_a_person_chose_stays(crm: SalesforceConnector, twin: TwinHandle):
    """Several stages of the org mean the same here: writing one of them over another would move the deal."""
    ref = made(crm, deal(stage="prospecting"), "opportunity", number=5)
    twin.do("fill", object="Opportunity", id=ref, fields={"StageName": "Qualification"})
    made(crm, deal(stage="prospecting", name="By key"), "opportunity", number=5)
    made(crm, deal(stage="prospecting", name="By id"), "opportunity", number=5, ref=ref)
    [row] = [row for row in twin.state("Opportunity") if row["id"] == ref]
    assert (row["StageName"], row["Name"]) == ("Qualification", "By id")
    made(crm, deal(stage="closed_won"), "opportunity", number=5, ref=ref)
    made(crm, deal(stage="prospecting"), "opportunity", number=5, ref=ref)
    assert held(crm, ref, "opportunity").fields["stage"] == "prospecting"


# -- what is emptied


def test_every_field_of_a_client_is_emptied_and_read_back_empty(crm: SalesforceConnector):
    full = client(
        country="DE", tax_id="DE1", tax_status="registered", payment_terms="NET30", phone="1", billing_email="b@c.d"
    )
    ref = made(crm, {**full, "parent": {"ref": ACCOUNT, "name": "P"}})
    emptied = {**dict.fromkeys([*full, "parent"]), "name": "Client 1", "currency": "EUR"}
    made(crm, emptied, ref=ref)
    assert disagreements(emptied, held(crm, ref).fields) == {}
    assert held(crm, ref).record_key == "CC-1"


def test_every_field_of_a_deal_is_emptied_and_read_back_empty(crm: SalesforceConnector):
    roles = [{"role": "Engineer", "hours": "120"}]
    money = {"amount": "100.00", "currency": "EUR"}
    more = {
        "kind": "new",
        "number": "X-1",
        "entity": "NB-DE",
        "contract": {"ref": FIRM.contracts[0]["Id"]},
        "extends": {"ref": DEAL},
    }
    ref = made(crm, deal(amount=money, roles=roles, probability=70, **more), "opportunity")
    emptied = {**dict.fromkeys([*more, "amount", "roles", "client"]), **deal(client=None)}
    made(crm, emptied, "opportunity", ref=ref)
    assert disagreements(emptied, held(crm, ref, "opportunity").fields) == {}
    made(crm, deal(roles=[]), "opportunity", ref=ref)
    assert held(crm, ref, "opportunity").fields["roles"] == []


def test_what_salesforce_cannot_empty_is_refused_before_anything_is_sent(crm: SalesforceConnector, twin: TwinHandle):
    ref = made(crm, client())
    for name in ("currency", "name"):
        error = write(crm, client(**{name: None}), ref=ref).error
        assert isinstance(error, Rejected)
        assert error.field == name
    assert len(twin.ledger("Account")) == 1


# -- money


def test_decimals_that_the_amount_cannot_keep_are_refused(crm: SalesforceConnector, twin: TwinHandle):
    error = write(crm, deal(amount={"amount": "7.125", "currency": "KWD"}), "opportunity").error
    assert isinstance(error, Rejected)
    assert error.field == "amount"
    assert twin.ledger("Opportunity") == []
    for amount, currency in (("7.120", "KWD"), ("350000", "JPY"), ("0.01", "EUR"), ("-5.00", "EUR")):
        wanted = {"amount": amount, "currency": currency}
        ref = made(crm, deal(amount=wanted), "opportunity")
        assert held(crm, ref, "opportunity").fields["amount"] == wanted


def test_a_single_currency_org_takes_its_own_currency_and_no_other(twin: TwinHandle):
    crm = SPEC.connect(settings(twin, multi_currency=False, currency="USD"), connection="crm")
    fields = client(currency="USD")
    ref = made(crm, fields)
    assert disagreements(fields, held(crm, ref).fields) == {}
    error = write(crm, client(currency="EUR"), ref=ref).error
    crm.close()
    assert isinstance(error, Rejected)
    assert error.field == "currency"


# -- reading


def test_a_deal_that_was_made_as_won_says_when(crm: SalesforceConnector, twin: TwinHandle):
    new = twin.do("win_extension", id=DEAL, amount="80000", new_number="D-900")["id"]
    (record,) = crm.fetch_source("opportunity", [new], CTX)[-1:]
    assert record.fields["stage"] == "closed_won"
    assert record.fields["won_at"] == record.version


def test_an_account_that_was_merged_away_names_the_survivor(crm: SalesforceConnector, twin: TwinHandle):
    loser, winner = FIRM.accounts[1]["Id"], FIRM.accounts[2]["Id"]
    twin.do("merge", id=loser, into=winner)
    (record,) = crm.fetch_source("client", [loser], CTX)
    assert (record.deleted, record.fields["merged_into"]) == (True, f"crm:{winner}")
    (alive,) = crm.fetch_source("client", [winner], CTX)
    assert alive.fields["merged_into"] is None
    error = write(crm, client(), ref=loser).error
    assert isinstance(error, Missing)


def test_an_id_that_is_none_hides_no_other_record(crm: SalesforceConnector):
    refs = ["006A", f"crm:{DEAL}", "x' OR Name LIKE '%", "", "006xx0000000000ZZZ"]
    assert [r.ref for r in crm.fetch_source("opportunity", refs, CTX) if r.object == "opportunity"] == [DEAL]
    assert crm.fetch_source("opportunity", ["?"], CTX) == []
    assert [seen.ref for seen in crm.fetch("opportunity", [DEAL, "?"], CTX)] == [DEAL]
    assert [seen.ref for seen in crm.fetch("opportunity", [DEAL[:15]], CTX)] == [DEAL]
    assert crm.fetch("opportunity", [], CTX) == []
    assert crm.find("client", [], CTX) == {}


def test_two_hundred_long_keys_and_ids_fit_into_an_address(crm: SalesforceConnector):
    assert crm.find("opportunity", [f"CC-{n:032d}" for n in range(200)], CTX) == {}
    refs = [f"006xx{n:010d}AAA" for n in range(450)]
    assert len(crm.fetch_source("opportunity", [*refs, DEAL], CTX)) == 3


def test_roles_that_cannot_be_read_are_kept_not_dropped(crm: SalesforceConnector, twin: TwinHandle):
    twin.do("fill", object="Opportunity", id=DEAL, fields={"Roles__c": "two engineers, please"})
    (record,) = crm.fetch_source("opportunity", [DEAL], CTX)[-1:]
    assert record.fields["roles"] == []
    assert record.extra["roles"] == "two engineers, please"


def test_a_column_that_is_gone_empties_nothing(crm: SalesforceConnector, twin: TwinHandle):
    twin.fault(kind="schema_drift", fields=["Amount"])
    with pytest.raises(VendorError, match="Amount"):
        crm.fetch_source("opportunity", [DEAL], CTX)
    columns = crm._mapper.columns("opportunity")
    with pytest.raises(Unavailable, match="Amount"):
        crm._mapper.read("opportunity", {**dict.fromkeys(c for c in columns if c != "Amount"), "Owner": None})


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{}", b'"x"', b'{"records": 5}', b'{"records": [], "done": false}', b'{"records": [5]}']
)
def test_an_answer_of_another_shape_is_no_answer(crm: SalesforceConnector, twin: TwinHandle, body: bytes):
    crm.ping(CTX)
    twin.fault(kind="status", status=200, body=body.decode(), headers={"content-type": "application/json"})
    with pytest.raises(Unavailable):
        crm.changes("client", None, CTX)


def test_a_page_that_is_shorter_than_it_says_is_no_answer(crm: SalesforceConnector, twin: TwinHandle):
    crm.ping(CTX)
    body = '{"totalSize": 9, "done": true, "records": []}'
    twin.fault(kind="status", status=200, body=body, headers={"content-type": "application/json"})
    with pytest.raises(Unavailable):
        crm.find("client", ["CC-1"], CTX)


@pytest.mark.parametrize(
    "cursor", ["nonsense", "[]", '{"at": 5}', '{"when": ""}', '{"at": "2026", "id": "", "now": "x", "swept": "y"}']
)
def test_a_cursor_that_is_none_asks_for_a_resync(crm: SalesforceConnector, cursor: str):
    with pytest.raises(ResyncRequired):
        crm.changes("client", cursor, CTX)


def test_an_object_that_is_not_declared_is_refused(crm: SalesforceConnector):
    for ask in (lambda: crm.changes("invoice", None, CTX), lambda: crm.fetch_source("invoice", ["1"], CTX)):
        with pytest.raises(Rejected, match="invoice"):
            ask()
    for look in (lambda: crm.find("contract", ["CC-1"], CTX), lambda: crm.fetch("contract", [DEAL], CTX)):
        with pytest.raises(Rejected, match="contract"):
            look()
    assert isinstance(write(crm, {}, "contract").error, Rejected)


def test_records_of_one_second_are_all_read_across_pages(crm: SalesforceConnector, twin: TwinHandle):
    rows = [{"Name": f"Bulk {n}", "SystemModstamp": "2030-01-01T00:00:00.000+0000"} for n in range(23)]
    twin.seed({"Account": rows})
    seen, cursor, more = set(), None, True
    while more:
        page = crm.changes("client", cursor, CTX)
        seen |= {record.fields["name"] for record in page.records}
        cursor, more = page.cursor, page.more
    assert {f"Bulk {n}" for n in range(23)} <= seen


def test_a_deals_name_alone_adopts_no_other_clients_deal(crm: SalesforceConnector):
    row = FIRM.opportunities[0]
    assert crm.match("opportunity", {"name": row["Name"]}, CTX) == []
    assert crm.match("opportunity", {"name": row["Name"], "client": {"ref": None, "name": "?"}}, CTX) == []
    found = crm.match("opportunity", {"name": f"  {row['Name']} ", "client": {"ref": row["AccountId"]}}, CTX)
    assert row["Id"] in [seen.ref for seen in found]
