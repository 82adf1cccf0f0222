"""Salesforce's refusals: codes, quotas, moved addresses, ended sessions; and no secret in any of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from concordat.connectors.salesforce import SPEC, SalesforceConnector, SalesforceSettings, translate
from concordat.connectors.salesforce.errors import verdict
from concordat.errors import AuthRevoked, Locked, QuotaExhausted, RateLimited, Rejected, Unavailable, UnknownOutcome
from concordat.sdk.rest import Answer
from concordat.sdk.spec import CallContext
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", timeout=10)


def settings(twin: TwinHandle, **more: Any) -> SalesforceSettings:
    base = {"url": twin.url, "token_url": twin.url, "consumer_key": "concordat"}
    return SalesforceSettings.model_validate({**base, "consumer_secret": "concordat-secret", **more})


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["salesforce"]) as twins:
        yield twins["salesforce"]


@pytest.fixture
def crm(twin: TwinHandle) -> Iterator[SalesforceConnector]:
    connector = SPEC.connect(settings(twin), connection="crm")
    yield connector
    connector.close()


def test_a_quota_that_says_when_is_believed(crm: SalesforceConnector, twin: TwinHandle):
    crm.ping(CTX)
    twin.fault(kind="quota_exhausted", retry_after=90, times=1)
    with pytest.raises(QuotaExhausted) as spent:
        crm.ping(CTX)
    assert spent.value.retry_after == timedelta(seconds=90)
    twin.fault(kind="quota_exhausted", times=1)
    with pytest.raises(QuotaExhausted) as silent:
        crm.ping(CTX)
    assert (silent.value.resets_at, silent.value.retry_after) == (None, None)


def test_an_inner_failure_of_one_record_is_tried_again_and_one_of_a_call_is_doubt():
    assert isinstance(verdict("UNKNOWN_EXCEPTION", {"message": "x"}), Unavailable)
    odd = [{"errorCode": "UNKNOWN_EXCEPTION", "message": "x"}]
    assert isinstance(translate(Answer(status=400, headers={}, json=odd), True), UnknownOutcome)
    assert isinstance(translate(Answer(status=400, headers={}, json=odd), False), Unavailable)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_org_that_moved_makes_no_case_of_a_record(status: int):
    answer = Answer(status=status, headers={"location": "https://new.my.salesforce.com/x"})
    for write, kind in ((True, UnknownOutcome), (False, Unavailable)):
        error = translate(answer, write)
        assert type(error) is kind
        assert "new.my.salesforce.com" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ENTITY_IS_LOCKED", Locked),
        ("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", AuthRevoked),
        ("ORG_LOCKED", AuthRevoked),
        ("STORAGE_LIMIT_EXCEEDED", QuotaExhausted),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", Rejected),
        ("INVALID_QUERY_FILTER_OPERATOR", Rejected),
    ],
)
def test_codes_beside_the_usual_ones(code: str, kind: type):
    assert type(verdict(code, {"message": "says"})) is kind


def test_many_threads_whose_session_ended_log_in_once(crm: SalesforceConnector, twin: TwinHandle):
    crm.ping(CTX)
    before = twin.twin.traffic.calls["POST /services/oauth2/token"]
    twin.twin.tokens.revoke()
    failed: list[Exception] = []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait(5)
        try:
            crm.ping(CTX)
        except Exception as error:  # noqa: BLE001  collected
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert failed == []
    assert twin.twin.traffic.calls["POST /services/oauth2/token"] == before + 1


def test_no_error_shows_a_secret(twin: TwinHandle):
    crm = SPEC.connect(settings(twin, consumer_secret="canary-secret", push_secret="canary-push"), connection="crm")
    with pytest.raises(AuthRevoked) as refused:
        crm.ping(CTX)
    with pytest.raises(AuthRevoked) as unsigned:
        crm.decode_push({"x-concordat-signature": "sha256=00"}, b"{}", twin.twin.now() + timedelta(0))
    crm.close()
    said = f"{refused.value!r} {refused.value} {unsigned.value!r} {crm._settings!r} {crm._desk!r}"
    assert "canary" not in said


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('{"error": "invalid_grant", "error_description": "login rate exceeded"}', RateLimited),
        ('{"error": "server_error", "error_description": "try again"}', Unavailable),
        ('{"error": "invalid_grant", "error_description": "user hasn\'t approved this consumer"}', AuthRevoked),
    ],
)
def test_a_login_that_fails_is_not_always_a_refused_credential(
    crm: SalesforceConnector, twin: TwinHandle, said: str, kind: type
):
    head = {"content-type": "application/json"}
    twin.fault(kind="status", status=400, body=said, headers=head, path="/oauth2/token")
    with pytest.raises(kind):
        crm.ping(CTX)
