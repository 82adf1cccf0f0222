"""The door on real sockets: what each failure becomes, for a read and for a write, and what goes over the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import httpx
import pytest

from concordat.errors import (
    AuthRevoked,
    Busy,
    Duplicate,
    Locked,
    Missing,
    QuotaExhausted,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
    VersionConflict,
)
from concordat.sdk.auth import Anonymous, Bearer
from concordat.sdk.rest import (
    STATUS,
    TRANSPORT,
    Answer,
    Http,
    WireCall,
    decode_json,
    encode_json,
    observe,
    status_error,
    transport_error,
)
from concordat.sdk.spec import CallContext
from concordat.twins import server
from concordat.twins.base import Call, Reply, Twin
from concordat.twins.proxy import InProcess
from concordat.twins.server import TwinHandle, Twins

CTX = CallContext(correlation_id="corr-1", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01", timeout=5)
QUICK = CallContext(correlation_id="corr-2", timeout=0.2)
REQUEST = httpx.Request("GET", "http://vendor.test/")


def mirror(options: Mapping[str, Any]) -> Twin:
    twin = Twin("mirror", options)

    @twin.route("GET", "/v1/{rest:path}")
    @twin.route("POST", "/v1/{rest:path}")
    def show(call: Call) -> Reply:
        twin.commit("call", "create", "", {"path": call.path})
        body = call.body.decode()
        return Reply({"path": call.path, "query": call.query_string, "headers": dict(call.headers), "body": body})

    return twin


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with Twins([server._door(made := mirror({}), InProcess(made), "127.0.0.1", 0)]) as twins:
        yield twins["mirror"]


@pytest.fixture
def http(twin: TwinHandle) -> Iterator[Http]:
    http = Http(f"{twin.url}/v1", Bearer("secret"), connection="psa")
    yield http
    http.close()


def test_a_call_carries_trace_correlation_and_credential(http: Http):
    said = http.send(CTX, "POST", "/projects", json={"a": Decimal("1.10")}, params={"q": "x y"}, write=True).json
    assert (said["path"], said["query"], said["body"]) == ("/v1/projects", "q=x%20y", '{"a":1.10}')
    assert said["headers"]["traceparent"] == CTX.traceparent
    assert said["headers"]["x-correlation-id"] == "corr-1"
    assert said["headers"]["authorization"] == "Bearer secret"
    assert said["headers"]["content-type"] == "application/json"


def test_a_form_is_encoded(http: Http):
    said = http.send(CTX, "POST", "/token", form={"a": "b&c", "d": "é"}, write=False).json
    assert said["body"] == "a=b%26c&d=%C3%A9"
    assert said["headers"]["content-type"] == "application/x-www-form-urlencoded"


def test_a_link_of_the_same_origin_is_followed_and_no_other(http: Http):
    assert http.send(CTX, "GET", f"{http.origin}/v1/next", write=False).json["path"] == "/v1/next"
    with pytest.raises(Rejected, match="not the configured address"):
        http.send(CTX, "GET", "http://127.0.0.2:1/v1/next", write=False)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "commit_then_drop"},
        {"kind": "drop_before_commit"},
        {"kind": "commit_then_504"},
        {"kind": "truncate_body"},
        {"kind": "html_error_page", "status": 200, "commit": True},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 502},
        {"kind": "status", "status": 200, "body": '{"half": '},
        {"kind": "status", "status": 200, "body": '{"nan": NaN}'},
        {"kind": "status", "status": 200, "body": '{"big": 1E+999999999}'},
        {"kind": "status", "status": 200, "body": "[" * 100_000},
    ],
    ids=lambda fault: "-".join(str(word)[:20] for word in fault.values()),
)
def test_no_certain_answer(http: Http, twin: TwinHandle, fault: dict[str, Any]):
    http.send(CTX, "GET", "/warm", write=False)
    twin.fault(**fault)
    with pytest.raises(UnknownOutcome):
        http.send(CTX, "POST", "/projects", json={}, write=True)
    with pytest.raises(Unavailable):
        http.send(CTX, "POST", "/search", json={}, write=False)


def test_no_answer_in_time(http: Http, twin: TwinHandle):
    twin.fault(kind="latency", seconds=0.6)
    with pytest.raises(UnknownOutcome, match="no answer in time"):
        http.send(QUICK, "POST", "/projects", json={}, write=True)
    with pytest.raises(Unavailable):
        http.send(QUICK, "GET", "/projects", write=False)


def test_an_answer_that_drips_past_the_deadline(http: Http, twin: TwinHandle):
    twin.fault(kind="slow_drip", seconds=0.8, pieces=8)
    with pytest.raises(UnknownOutcome):
        http.send(QUICK, "POST", "/projects", json={}, write=True)


def test_an_answer_without_end_is_no_answer(http: Http, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("concordat.sdk.rest.door.MOST", 1000)
    with pytest.raises(UnknownOutcome, match="larger"):
        http.send(CTX, "POST", "/projects", json={"a": "x" * 2000}, write=True)


def test_all_that_one_call_needs_shares_its_time(twin: TwinHandle):
    class Renewable(Anonymous):
        """A credential that may be had anew."""

        def renew(self, _used: Mapping[str, str], _ctx: CallContext, /) -> bool:
            return True

    http = Http(twin.url, Renewable(), connection="psa")
    twin.fault(kind="status", status=401, nth=1)
    twin.fault(kind="latency", seconds=0.4)
    with pytest.raises(UnknownOutcome, match="no answer in time"):
        http.send(CallContext(correlation_id="c", timeout=0.6), "POST", "/v1/x", json={}, write=True)
    http.close()


def test_a_shut_port_is_unavailable_even_for_a_write(twin: TwinHandle):
    http = Http(twin.url, Anonymous(), connection="psa")
    twin.refuse()
    with pytest.raises(Unavailable, match="refused"):
        http.send(CTX, "POST", "/v1/projects", json={}, write=True)
    http.close()


def test_an_allowed_status_is_an_answer(http: Http, twin: TwinHandle):
    twin.fault(kind="status", status=409, body='{"taken": 1}')
    assert http.send(CTX, "POST", "/x", json={}, write=True, allow={409}).json == {"taken": 1}
    with pytest.raises(VersionConflict):
        http.send(CTX, "POST", "/x", json={}, write=True)


def test_a_redirect_is_not_followed(http: Http, twin: TwinHandle):
    twin.fault(kind="status", status=302, headers={"Location": "http://127.0.0.1:1/"})
    with pytest.raises(Unavailable):
        http.send(CTX, "GET", "/x", write=False)
    with pytest.raises(UnknownOutcome):
        http.send(CTX, "POST", "/x", json={}, write=True)


def test_the_connectors_table_comes_first(twin: TwinHandle):
    def table(answer: Answer, write: bool) -> VendorError | None:  # noqa: FBT001
        return Duplicate("there already", code="dup") if answer.status == 400 and write else None

    http = Http(twin.url, Anonymous(), connection="psa", errors=table)
    twin.fault(kind="status", status=400)
    with pytest.raises(Duplicate):
        http.send(CTX, "POST", "/v1/x", json={}, write=True)
    with pytest.raises(Rejected):
        http.send(CTX, "GET", "/v1/x", write=False)
    http.close()


class Renewing:
    """A credential that was refused once; many threads ask at once."""

    def __init__(self, *, again: bool = True) -> None:
        self.again = again
        self.number = 1
        self.lock = threading.Lock()

    def headers(self, _ctx: CallContext, /) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.number}"}

    def renew(self, _used: Mapping[str, str], _ctx: CallContext, /) -> bool:
        with self.lock:
            self.number += 1
        return self.again


@pytest.mark.parametrize(("again", "calls"), [(True, 2), (False, 1)])
def test_a_401_is_repeated_once_with_a_new_credential(twin: TwinHandle, again: bool, calls: int):  # noqa: FBT001
    http = Http(twin.url, Renewing(again=again), connection="psa")
    twin.fault(kind="status", status=401)
    seen: list[WireCall] = []
    forget = observe(seen.append)
    with pytest.raises(AuthRevoked):
        http.send(CTX, "POST", "/v1/x", json={}, write=True)
    forget()
    assert [call.status for call in seen] == [401] * calls
    twin.heal()
    twin.fault(kind="status", status=401, nth=1)
    if again:
        assert http.send(CTX, "POST", "/v1/x", json={}, write=True).json["headers"]["authorization"] == "Bearer 3"
    http.close()


def test_observers_see_every_exchange_and_no_secret(http: Http, twin: TwinHandle):
    seen: list[WireCall] = []
    forget = observe(seen.append)
    http.send(CTX, "GET", "/ok?token=hidden", write=False)
    twin.fault(kind="commit_then_drop")
    with pytest.raises(UnknownOutcome):
        http.send(CTX, "POST", "/bad", json={"password": "x"}, write=True, idempotent=True)
    forget()
    http.close()
    assert [(call.path, call.status, call.error, call.write) for call in seen] == [
        ("/ok", 200, "", False),
        ("/bad", None, "UnknownOutcome", True),
    ]
    assert "hidden" not in repr(seen)


def _leaves(kind: type[Exception]) -> Iterator[type[Exception]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for each in below:
        yield from _leaves(each)


def test_the_table_of_transport_failures_is_complete():
    assert {kind for kind in _leaves(httpx.RequestError) if kind.__module__.startswith("httpx")} <= set(TRANSPORT)


@pytest.mark.parametrize("kind", TRANSPORT, ids=lambda kind: kind.__name__)
def test_a_write_that_may_have_been_sent_is_never_called_unavailable(kind: type[httpx.RequestError]):
    error: httpx.RequestError = kind("broken", request=REQUEST)
    write = transport_error(error, connection="psa", write=True)
    read = transport_error(error, connection="psa", write=False)
    sent, _ = TRANSPORT[kind]
    assert isinstance(write, UnknownOutcome) == sent
    assert isinstance(read, Busy if kind is httpx.PoolTimeout else Unavailable)


def test_a_failure_nobody_listed_counts_as_sent():
    class NewError(httpx.RequestError):
        pass

    assert isinstance(transport_error(NewError("?"), connection="psa", write=True), UnknownOutcome)


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (301, Unavailable, UnknownOutcome),
        (400, Rejected, Rejected),
        (401, AuthRevoked, AuthRevoked),
        (404, Missing, Missing),
        (408, Unavailable, UnknownOutcome),
        (412, VersionConflict, VersionConflict),
        (422, Rejected, Rejected),
        (423, Locked, Locked),
        (429, RateLimited, RateLimited),
        (500, Unavailable, UnknownOutcome),
        (501, Rejected, Rejected),
        (503, Unavailable, Unavailable),
        (504, Unavailable, UnknownOutcome),
        (507, QuotaExhausted, QuotaExhausted),
        (599, Unavailable, UnknownOutcome),
    ],
)
def test_a_status_says_the_next_move(status: int, read: type, write: type):
    answer = Answer(status=status, headers={})
    assert type(status_error(answer, connection="psa", write=False)) is read
    assert type(status_error(answer, connection="psa", write=True)) is write


def test_every_listed_status_makes_its_error():
    for status, kind in STATUS.items():
        assert isinstance(status_error(Answer(status=status, headers={}), connection="psa", write=True), kind)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "999999999"}, 86_400),
        ({"retry-after": "Mon, 30 Nov 2026 10:00:20 GMT", "date": "Mon, 30 Nov 2026 10:00:00 GMT"}, 20),
        ({"retry-after": "Mon, 30 Nov 2026 09:00:00 GMT", "date": "Mon, 30 Nov 2026 10:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "-5"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: int | None):
    error = status_error(Answer(status=429, headers=headers), connection="psa", write=True)
    assert isinstance(error, RateLimited)
    assert (error.retry_after.total_seconds() if error.retry_after is not None else None) == seconds


@pytest.mark.parametrize("value", [1.5, {"a": [1, {"b": 0.1}]}, (2.0,), Decimal("NaN"), object(), {"a": {1, 2}}])
def test_what_is_not_exact_is_refused(value: Any):
    with pytest.raises(TypeError):
        encode_json(value)


def test_numbers_survive_the_way_there_and_back():
    said = {"a": Decimal("12345678901234567890.10"), "b": [Decimal("1E+3"), 7, None, True, "é"]}
    assert encode_json(said) == '{"a":12345678901234567890.10,"b":[1000,7,null,true,"é"]}'.encode()
    back = decode_json(encode_json(said))
    assert back["a"] == said["a"]
    assert str(back["a"]) == "12345678901234567890.10"
    assert not any(isinstance(value, float) for value in back["b"])


@pytest.mark.parametrize("refuse", [decode_json])
def test_not_a_number_is_no_json(refuse: Callable[[bytes], Any]):
    for body in (b"NaN", b"[Infinity]", b"{", b"<html>"):
        with pytest.raises(ValueError, match=r"."):
            refuse(body)
    assert json.loads(b"NaN") != 1
