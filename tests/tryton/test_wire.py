"""What goes wrong between Tryton and us, injected on the socket before a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from concordat.connectors.tryton import TrytonConnector
from concordat.errors import (
    AuthRevoked,
    Duplicate,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
    VersionConflict,
)
from concordat.tryton_server import Tryton
from concordat.twins.server import TwinHandle, start_proxy
from tests.tryton.documents import CLIENT, intent, put
from tests.tryton.running import call, connector

pytestmark = pytest.mark.slow

CREATE = r"model\.party\.party\.create"


@pytest.fixture
def proxy(tryton: Tryton) -> Iterator[TwinHandle]:
    with start_proxy(tryton.access.url, system="tryton") as twins:
        yield twins["tryton"]


@pytest.fixture
def behind(tryton: Tryton, proxy: TwinHandle) -> Iterator[TrytonConnector]:
    made = connector(tryton, url=proxy.url)
    made.ping(call())
    yield made
    made.close()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "commit_then_drop"},
        {"kind": "commit_then_504"},
        {"kind": "truncate_body"},
        {"kind": "html_error_page", "status": 200, "commit": True},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_batch_that_was_kept_and_not_told_is_doubt_and_is_found_whole(
    proxy: TwinHandle, behind: TrytonConnector, fault: dict[str, Any]
) -> None:
    wanted = [intent("client", {"name": f"Doubt {number}"}) for number in range(3)]
    proxy.fault(**fault, key=CREATE, nth=1)
    with pytest.raises(UnknownOutcome):
        put(behind, *wanted)
    found = behind.find("client", [each.record_key for each in wanted], call())
    assert [len(found[each.record_key]) for each in wanted] == [1, 1, 1]
    assert [type(result.error) for result in put(behind, *wanted)] == [Duplicate] * 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 503, "body": "<html>database down</html>"}, Unavailable),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "3"}}, RateLimited),
        ({"kind": "status", "status": 429}, RateLimited),
        ({"kind": "status", "status": 401, "body": "<html>no session</html>"}, AuthRevoked),
        ({"kind": "drop_before_commit"}, UnknownOutcome),
        ({"kind": "status", "status": 200, "body": {"id": 1}}, UnknownOutcome),
        ({"kind": "status", "status": 200, "body": {"id": 1, "result": 7}}, UnknownOutcome),
        ({"kind": "status", "status": 200, "body": {"id": 1, "result": [1]}}, UnknownOutcome),
        ({"kind": "status", "status": 200, "body": {"id": 1, "result": {"__class__": "date"}}}, UnknownOutcome),
        ({"kind": "status", "status": 200, "body": {"error": "x"}}, Rejected),
        ({"kind": "status", "status": 200, "body": {"error": ["ConcurrencyException", "x"]}}, VersionConflict),
    ],
)
def test_every_answer_of_the_wire_is_read(
    proxy: TwinHandle, behind: TrytonConnector, fault: dict[str, Any], kind: type[VendorError]
) -> None:
    proxy.fault(**fault, key=CREATE)
    wanted = [intent("client", {"name": "Wire"}) for _ in range(2)]
    try:
        errors = [result.error for result in put(behind, *wanted)]
    except VendorError as error:
        errors = [error]
    assert {type(error) for error in errors} == {kind}
    proxy.heal()
    assert behind.find("client", [each.record_key for each in wanted], call()) == {}


def test_a_session_that_ends_while_a_batch_is_split_is_won_back(proxy: TwinHandle, behind: TrytonConnector) -> None:
    wanted = [intent("client", {"name": f"Split {number}"}) for number in range(4)]
    wanted.insert(2, intent("client", {"name": "Bad", "phone": " "}))
    proxy.fault(kind="status", status=401, body="<html>session expired</html>", key=CREATE, nth=2)
    results = put(behind, *wanted)
    assert [type(result.error) for result in results] == [*[type(None)] * 2, Rejected, *[type(None)] * 2]
    found = behind.find("client", [each.record_key for each in wanted], call())
    assert sorted(len(seen) for seen in found.values()) == [1, 1, 1, 1]


def test_a_half_that_loses_its_answer_is_doubt_for_its_own_records_only(
    proxy: TwinHandle, behind: TrytonConnector
) -> None:
    wanted = [intent("client", {**CLIENT, "name": f"Half {number}"}) for number in range(4)]
    wanted[3] = intent("client", {"name": "Bad", "phone": " "})
    proxy.fault(kind="commit_then_drop", key=CREATE, nth=2)
    results = put(behind, *wanted)
    assert [type(result.error) for result in results][:2] == [UnknownOutcome] * 2
    assert [type(result.error) for result in results][2:] == [type(None), Rejected]
    found = behind.find("client", [each.record_key for each in wanted], call())
    assert len(found) == 3
