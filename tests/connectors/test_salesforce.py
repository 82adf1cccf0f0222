"""The Salesforce connector against the twin, over sockets: the conformance suite, and what is Salesforce's own."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from concordat import errors
from concordat.connectors.salesforce import FACTS, SPEC, SalesforceConnector, SalesforceSettings, translate
from concordat.connectors.salesforce.errors import CODES, verdict
from concordat.errors import AmbiguousKey, AuthRevoked, Busy, Locked, Rejected, Unavailable, UnknownOutcome
from concordat.sdk.conformance import Bench, Check, checks
from concordat.sdk.rest import Answer
from concordat.sdk.spec import CallContext, Connector, WriteIntent
from concordat.twins.northbeam import northbeam
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01", timeout=10)
HELD = {"client": "Account", "opportunity": "Opportunity"}
FIRM = northbeam(seed=3, deals=12)


def settings(twin: TwinHandle, **more: Any) -> SalesforceSettings:
    base = {"url": twin.url, "token_url": twin.url, "consumer_key": "concordat", "push_secret": "hush"}
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


def client(number: int) -> dict[str, Any]:
    return {
        "name": f"O'Brien \\ Søn {number}",
        "number": f"N-{number}",
        "country": "DE",
        "currency": "EUR",
        "tax_id": f"DE00000000{number}",
        "tax_status": "registered",
        "payment_terms": "NET30",
        "phone": f"+49 {number}",
        "billing_email": "b@client.example",
        "parent": {"ref": FIRM.accounts[0]["Id"], "name": "Parent"},
    }


def opportunity(number: int) -> dict[str, Any]:
    return {
        "name": f"Deal {number}",
        "number": f"X-{number}",
        "stage": "closed_won" if number == 2 else "negotiation",
        "kind": "extension",
        "amount": {"amount": f"{number}50000.10", "currency": "EUR"},
        "probability": 70,
        "close_date": "2026-11-30",
        "client": {"ref": FIRM.accounts[0]["Id"]},
        "contract": {"ref": FIRM.contracts[0]["Id"]},
        "extends": {"ref": FIRM.opportunities[0]["Id"]},
        "entity": "NB-DE",
        "roles": [{"role": "Engineer", "hours": "120", "from": "2026-12-01", "to": "2027-01-31", "location": "Berlin"}],
    }


@pytest.fixture
def bench(twin: TwinHandle, crm: SalesforceConnector) -> Bench:
    return Bench(
        connector=crm,
        examples={"client": client, "opportunity": opportunity},
        held=lambda object_: len(twin.state(HELD[object_])),
        advance=twin.advance,
        sources={
            "client": [row["Id"] for row in FIRM.accounts],
            "contract": [row["Id"] for row in FIRM.contracts],
            "opportunity": [row["Id"] for row in FIRM.opportunities],
        },
    )


@pytest.mark.parametrize("check", checks(FACTS), ids=str)
def test_conforms(check: Check, bench: Bench):
    check(bench)


def test_it_is_a_connector(crm: SalesforceConnector):
    assert isinstance(crm, Connector)
    assert crm.facts is SPEC.facts


def intent(number: int = 1, object_: str = "client", **changes: Any) -> WriteIntent:
    fields = {"client": client, "opportunity": opportunity}[object_](number)
    values = {"fields": fields, "record_key": f"CC-{number}", "write_key": f"CC-{number}-1", **changes}
    return WriteIntent(object=object_, **values)


def test_a_jwt_logs_in():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with start_twins(["salesforce"], options={"salesforce": {"public_key": public.decode()}}) as twins:
        for user, good in (("integration@northbeam.example", True), ("nobody", False)):
            said = settings(twins["salesforce"], username=user, private_key=private)
            connector = SPEC.connect(said, connection="crm")
            if good:
                connector.ping(CTX)
            else:
                with pytest.raises(AuthRevoked, match="approved"):
                    connector.ping(CTX)
            connector.close()


def test_a_wrong_secret_is_one_clear_sentence(twin: TwinHandle):
    connector = SPEC.connect(settings(twin, consumer_secret="wrong"), connection="crm")
    with pytest.raises(AuthRevoked, match="invalid client credentials"):
        connector.ping(CTX)
    connector.close()


def test_a_deal_brings_its_parents(crm: SalesforceConnector):
    wanted = FIRM.opportunities[0]
    records = crm.fetch_source("opportunity", [f"crm:{wanted['Id']}"], CTX)
    assert [record.object for record in records] == ["client", "contract", "opportunity"]
    parent, contract, deal = records
    assert deal.fields["client"] == f"crm:{parent.ref}"
    assert deal.fields["contract"] == f"crm:{contract.ref}"
    assert deal.fields["amount"] == contract.fields["value"]
    assert deal.fields["stage"] == "negotiation"
    assert deal.fields["won_at"] is None
    assert contract.fields["signed"] is True
    assert deal.numbers == [wanted["Deal_Number__c"]]
    assert deal.fields["owner_name"] in {user["Name"] for user in FIRM.users}


def drain(crm: SalesforceConnector, cursor: str | None, object_: str = "opportunity") -> tuple[list[str], str]:
    seen: list[str] = []
    while True:
        page = crm.changes(object_, cursor, CTX)
        seen += [record.ref for record in page.records if record.object == object_]
        cursor = page.cursor
        if not page.more:
            return seen, cursor


def test_polling_pages_resumes_and_shows_a_tombstone(crm: SalesforceConnector, twin: TwinHandle):
    seen, cursor = drain(crm, None)
    assert sorted(seen) == sorted(row["Id"] for row in FIRM.opportunities)
    twin.advance(timedelta(seconds=5))
    twin.do("win_deal", number="D-00003")
    twin.do("delete", object="Opportunity", id=FIRM.opportunities[4]["Id"])
    again, cursor = drain(crm, cursor)
    assert {FIRM.opportunities[2]["Id"], FIRM.opportunities[4]["Id"]} <= set(again)
    (gone,) = crm.fetch_source("opportunity", [FIRM.opportunities[4]["Id"]], CTX)[-1:]
    assert gone.deleted
    (won,) = crm.fetch_source("opportunity", [FIRM.opportunities[2]["Id"]], CTX)[-1:]
    assert won.fields["stage"] == "closed_won"
    assert won.fields["won_at"] == won.version


def test_an_idle_poll_reads_nothing(crm: SalesforceConnector, twin: TwinHandle):
    _, cursor = drain(crm, None)
    for _ in range(4):
        twin.advance(timedelta(minutes=3))
        seen, cursor = drain(crm, cursor)
    assert seen == []


def test_a_late_row_below_the_mark_is_still_read(crm: SalesforceConnector, twin: TwinHandle):
    """A long transaction: the row's stamp is older than what was read already."""
    _, cursor = drain(crm, None)
    twin.advance(timedelta(seconds=60))
    twin.do("change_amount", id=FIRM.opportunities[0]["Id"], amount="1.00")
    _, cursor = drain(crm, cursor)
    twin.advance(timedelta(seconds=-30))
    twin.do("change_amount", id=FIRM.opportunities[1]["Id"], amount="2.00")
    twin.advance(timedelta(seconds=100))
    found: set[str] = set()
    for _ in range(3):
        seen, cursor = drain(crm, cursor)
        found |= set(seen)
        twin.advance(timedelta(seconds=61))
    assert FIRM.opportunities[1]["Id"] in found


@pytest.mark.parametrize("kind", ["commit_then_drop", "commit_then_504", "truncate_body", "html_error_page"])
def test_a_lost_answer_is_an_unknown_outcome_and_find_knows(crm: SalesforceConnector, twin: TwinHandle, kind: str):
    crm.ping(CTX)
    twin.fault(kind=kind, operation="upsert", nth=1, status=504 if kind == "commit_then_504" else 200, commit=True)
    with pytest.raises(UnknownOutcome):
        crm.write([intent()], CTX)
    assert len(crm.find("client", ["CC-1"], CTX)["CC-1"]) == 1
    (again,) = crm.write([intent()], CTX)
    assert again.disposition == "updated"
    assert len([line for line in twin.ledger("Account") if line["operation"] == "create"]) == 1


@pytest.mark.parametrize(
    ("fault", "error"), [({"kind": "status"}, Unavailable), ({"kind": "drop_before_commit"}, Unavailable)]
)
def test_a_read_that_fails_is_unavailable(
    crm: SalesforceConnector, twin: TwinHandle, fault: dict[str, Any], error: type
):
    crm.ping(CTX)
    twin.fault(**fault)
    with pytest.raises(error):
        crm.ping(CTX)


def test_a_shut_port_means_nothing_was_written(crm: SalesforceConnector, twin: TwinHandle):
    crm.ping(CTX)
    twin.refuse()
    with pytest.raises((Unavailable, UnknownOutcome)):
        crm.write([intent()], CTX)
    with pytest.raises(Unavailable):
        crm.write([intent()], CTX)
    twin.admit()
    assert crm.write([intent()], CTX)[0].disposition == "created"


def test_a_session_that_ends_mid_poll_is_renewed(crm: SalesforceConnector, twin: TwinHandle):
    twin.fault(kind="token_expires_after", calls=1)
    seen, _ = drain(crm, None)
    assert len(set(seen)) == len(FIRM.opportunities)


def test_members_fail_alone_and_name_our_field(crm: SalesforceConnector, twin: TwinHandle):
    twin.fault(kind="lock_storm", key="CC-2", times=1)
    bad = intent(3, fields={**client(3), "parent": {"ref": "001xx0000000000ZZZ"}})
    good, locked, wrong = crm.write([intent(1), intent(2), bad], CTX)
    assert good.error is None
    assert isinstance(locked.error, Locked)
    assert isinstance(wrong.error, Rejected)
    assert wrong.error.field == "parent"


def test_two_records_under_one_key_are_ambiguous(crm: SalesforceConnector, twin: TwinHandle):
    twin.seed({"Account": [{"Name": "A", "Concordat_Key__c": "CC-1"}, {"Name": "B", "Concordat_Key__c": "CC-1"}]})
    (result,) = crm.write([intent()], CTX)
    assert isinstance(result.error, AmbiguousKey)
    assert len(crm.find("client", ["CC-1"], CTX)["CC-1"]) == 2


def test_an_adopted_record_is_changed_by_id_beside_new_ones(crm: SalesforceConnector, twin: TwinHandle):
    old = FIRM.accounts[1]["Id"]
    first, second = crm.write([intent(1, ref=old), intent(2)], CTX)
    assert (first.ref, first.disposition, second.disposition) == (old, "updated", "created")
    assert crm.find("client", ["CC-1"], CTX)["CC-1"][0].ref == old


def test_two_hundred_records_are_one_call(crm: SalesforceConnector, twin: TwinHandle):
    results = crm.write([intent(number) for number in range(200)], CTX)
    assert all(result.error is None for result in results)
    assert crm.find("client", [f"CC-{number}" for number in range(200)], CTX).keys() >= {"CC-0", "CC-199"}


def test_a_name_with_quotes_is_matched_not_run(crm: SalesforceConnector, twin: TwinHandle):
    wild = next(row for row in FIRM.accounts if "'" in row["Name"])
    (found,) = crm.match("client", {"name": wild["Name"]}, CTX)
    assert found.ref == wild["Id"]
    assert crm.match("client", {"name": "x' OR Name LIKE '%"}, CTX) == []


def test_a_single_currency_org_refuses_another_currency(twin: TwinHandle):
    connector = SPEC.connect(settings(twin, multi_currency=False, currency="USD"), connection="crm")
    (result,) = connector.write([intent(1, "opportunity")], CTX)
    connector.close()
    assert isinstance(result.error, Rejected)
    assert result.error.field == "amount"


def test_a_renamed_field_is_used(twin: TwinHandle):
    connector = SPEC.connect(settings(twin, fields={"client": {"tax_id": "Website", "parent": ""}}), connection="crm")
    (result,) = connector.write([intent(1, fields={"name": "N", "tax_id": "T-1"})], CTX)
    (refused,) = connector.write([intent(2)], CTX)
    connector.close()
    assert next(row for row in twin.state("Account") if row["id"] == result.ref)["Website"] == "T-1"
    assert isinstance(refused.error, Rejected)


def test_settings_need_one_credential(twin: TwinHandle):
    with pytest.raises(ValidationError, match="consumer_secret"):
        settings(twin, consumer_secret=None)


NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)


def hinted(body: bytes, *, secret: bytes = b"hush", age: int = 0) -> dict[str, str]:
    stamp = str(int(NOW.timestamp()) - age)
    digest = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Concordat-Timestamp": stamp, "X-Concordat-Signature": f"sha256={digest}"}


def test_a_signed_hint_is_decoded(crm: SalesforceConnector):
    whole = [row["Id"] for row in FIRM.opportunities[:2]]
    body = json.dumps({"event": "e1", "object": "Opportunity", "ids": [whole[0], whole[1][:15]]}).encode()
    push = crm.decode_push(hinted(body), body, NOW)
    assert [(hint.object, hint.ref) for hint in push.hints] == [("opportunity", ref) for ref in whole]
    assert push.key == "e1"


@pytest.mark.parametrize(
    "headers",
    [hinted(b"{}", secret=b"x"), hinted(b"{}", age=301), hinted(b"{}", age=-301), {}, hinted(b"other")],
    ids=["secret", "old", "future", "none", "body"],
)
def test_a_hint_that_is_not_ours_is_refused(crm: SalesforceConnector, headers: dict[str, str]):
    with pytest.raises(AuthRevoked):
        crm.decode_push(headers, b"{}", NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"object": "Account"}',
        b'{"object": "Account", "ids": 5}',
        b'{"object": "Account", "ids": "001"}',
    ],
)
def test_a_hint_that_cannot_be_read_is_rejected(crm: SalesforceConnector, body: bytes):
    with pytest.raises(Rejected):
        crm.decode_push(hinted(body), body, NOW)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_next_move(code: str):
    error = verdict(code, {"message": "says", "fields": []})
    assert isinstance(error, CODES[code])
    assert (error.code, "says" in error.message) == (code, True)
    assert type(error).__name__ in vars(errors)


def test_answers_without_a_code_are_left_to_the_door():
    assert translate(Answer(status=502, headers={}, content=b"<html>"), True) is None
    odd = [{"errorCode": "UNKNOWN_EXCEPTION", "message": "x"}]
    assert translate(Answer(status=500, headers={}, json=odd), True) is None
    many = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded"}]
    assert isinstance(translate(Answer(status=403, headers={}, json=many), True), Busy)
    assert isinstance(translate(Answer(status=300, headers={}, json=["a", "b"]), True), AmbiguousKey)
