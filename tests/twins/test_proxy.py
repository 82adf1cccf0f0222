"""The proxy on real sockets: each wire fault as a caller sees it, and what the twin committed meanwhile."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from concordat.errors import Invalid, NotReachable
from concordat.twins import server
from concordat.twins.base import Call, Refuse, Reply, Twin
from concordat.twins.proxy import InProcess
from concordat.twins.server import TwinHandle, Twins, load_faults, run_twins, start_proxy, start_twins


def make(options: Mapping[str, Any]) -> Twin:
    twin = Twin("acme", options)
    twin.tokens.allow("good")

    @twin.guard
    def guard(call: Call) -> None:
        if not twin.tokens.good(twin.bearer(call)):
            raise Refuse(401, {"error": "invalid_token"})

    @twin.route("POST", "/api/projects", object="projects")
    def create(call: Call) -> Reply:
        record = twin.commit("projects", "create", call.json["ref_no"], call.json)
        return Reply({"id": record.ref, **record.fields}, 201)

    @twin.route("GET", "/api/projects", object="projects", operation="search")
    def search(call: Call) -> Reply:
        found = twin.search("projects", "ref_no", call.query["ref_no"])
        return Reply({"projects": [{"id": record.ref, **fields} for record, fields in found]})

    @twin.action("poke")
    def poke(said: Mapping[str, Any]) -> Any:
        twin.push({"id": said["id"]}, lambda _body, secret: {"X-Secret": secret}, object="projects")
        return {"poked": said["id"]}

    return twin


def serve(**options: Any) -> Twins:
    return Twins([server._door(twin := make(options), InProcess(twin), "127.0.0.1", 0)])


@pytest.fixture
def acme() -> Iterator[TwinHandle]:
    with serve() as twins:
        yield twins["acme"]


@pytest.fixture
def client(acme: TwinHandle) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=acme.url, headers={"authorization": "Bearer good"}, trust_env=False, timeout=5
    ) as client:
        yield client


def create(client: httpx.Client, ref_no: str = "P-1") -> httpx.Response:
    return client.post("/api/projects", json={"ref_no": ref_no, "name": "Ærø"})


def test_a_call_is_answered_and_kept_in_the_ledger(acme: TwinHandle, client: httpx.Client):
    assert create(client).json() == {"id": "1", "ref_no": "P-1", "name": "Ærø"}
    assert [(line["seq"], line["key"], line["operation"]) for line in acme.ledger()] == [(1, "P-1", "create")]
    assert client.get("/__twin/state/projects").json() == acme.state("projects")
    assert client.get("/__twin/calls").json()["by_path"] == {"POST /api/projects": 1}


@pytest.mark.parametrize(("kind", "committed"), [("commit_then_drop", 1), ("drop_before_commit", 0)])
def test_a_drop_breaks_the_socket_and_the_ledger_knows_the_truth(
    acme: TwinHandle, client: httpx.Client, kind: str, committed: int
):
    acme.fault(kind=kind, object="projects", operation="create", nth=1)
    with pytest.raises(httpx.NetworkError):
        create(client)
    assert len(acme.ledger()) == committed
    assert create(client).status_code == 201


def test_a_504_after_the_commit(acme: TwinHandle, client: httpx.Client):
    acme.fault(kind="commit_then_504", operation="write")
    assert create(client).status_code == 504
    assert len(acme.ledger("projects")) == 1


def test_a_status_with_headers_until_deleted(acme: TwinHandle, client: httpx.Client):
    fault = client.post("/__twin/faults", json={"kind": "status", "headers": {"Retry-After": "7"}}).json()
    assert [(create(client).status_code, create(client).headers["retry-after"])] == [(503, "7")]
    assert client.get("/__twin/faults").json()[0]["fired"] == 2
    client.delete(f"/__twin/faults/{fault[0]['id']}")
    assert create(client).status_code == 201


def test_a_truncated_body_breaks_the_protocol(acme: TwinHandle, client: httpx.Client):
    acme.fault(kind="truncate_body")
    with pytest.raises(httpx.RemoteProtocolError):
        create(client)


def test_an_error_page_in_html(acme: TwinHandle, client: httpx.Client):
    acme.fault(kind="html_error_page", status=200, commit=True)
    answer = create(client)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert len(acme.ledger()) == 1


def test_a_slow_drip_arrives_whole(acme: TwinHandle, client: httpx.Client):
    acme.fault(kind="slow_drip", seconds=0.08, pieces=4)
    assert create(client).json()["id"] == "1"


def test_refuse_resets_every_call_but_the_twins_own_pages(acme: TwinHandle, client: httpx.Client):
    acme.fault(kind="refuse")
    with pytest.raises(httpx.NetworkError):
        create(client)
    assert client.delete("/__twin/faults").json() == {"deleted": 1}
    assert create(client).status_code == 201


def test_a_shut_port_refuses_connections_until_admitted(acme: TwinHandle, client: httpx.Client):
    create(client)
    acme.refuse()
    with pytest.raises(httpx.ConnectError):
        httpx.get(acme.url, trust_env=False)
    acme.admit()
    assert httpx.get(f"{acme.url}/__twin/state", trust_env=False).json() == {"projects": 1}


@pytest.mark.parametrize(
    ("words", "struck"),
    [
        ({"nth": 2}, [2]),
        ({"every": 2}, [2, 4]),
        ({"times": 3}, [1, 2, 3]),
        ({"key": "P-3"}, [3]),
        ({"method": "get"}, []),
        ({"object": "others"}, []),
        ({"path": "^/api/", "operation": "create", "nth": 4}, [4]),
    ],
)
def test_a_matcher_chooses_the_calls(acme: TwinHandle, client: httpx.Client, words: dict[str, Any], struck: list[int]):
    acme.fault(kind="status", status=500, **words)
    codes = [create(client, f"P-{number}").status_code for number in range(1, 5)]
    assert [number for number, code in enumerate(codes, 1) if code == 500] == struck


def test_a_rate_strikes_the_same_calls_for_the_same_seed():
    def struck(seed: int) -> list[int]:
        twin = Twin("acme", {"seed": seed})
        twin.faults.add({"kind": "status", "rate": 0.4})
        return [number for number in range(40) if twin.faults.active("status")]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 6 < len(struck(1)) < 26


def test_a_search_lags_behind_writes(acme: TwinHandle, client: httpx.Client):
    acme.fault(kind="stale_read", seconds=40, object="projects")
    create(client)
    assert client.get("/api/projects", params={"ref_no": "P-1"}).json() == {"projects": []}
    client.post("/__twin/clock", json={"advance": 41})
    assert len(client.get("/api/projects", params={"ref_no": "P-1"}).json()["projects"]) == 1


def test_fields_are_dropped_in_silence(acme: TwinHandle, client: httpx.Client):
    acme.fault(kind="silent_field_drop", fields=["name"])
    assert create(client).status_code == 201
    assert acme.state("projects") == [{"id": "1", "ref_no": "P-1"}]


def test_a_token_ends_after_its_calls(acme: TwinHandle, client: httpx.Client):
    acme.fault(kind="token_expires_after", calls=2)
    assert [create(client, f"{number}").status_code for number in range(3)] == [201, 201, 401]


def test_a_clock_frozen_stands_still(client: httpx.Client):
    at = "2026-11-30T10:00:00Z"
    assert client.post("/__twin/clock", json={"at": at, "frozen": True}).json() == {"now": at}
    assert client.get("/__twin/clock").json() == {"now": at}


@pytest.mark.parametrize("body", [b'{"kind": "nonsense"}', b'{"kind": "status", "path": "("}', b"{", b"[1]"])
def test_a_bad_fault_is_refused_with_a_sentence(client: httpx.Client, body: bytes):
    answer = client.post("/__twin/faults", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_the_proxy_stands_before_any_http_server(acme: TwinHandle):
    with start_proxy(acme.url) as proxies:
        proxy = proxies["sandbox"]
        proxy.fault(kind="commit_then_drop", operation="write", nth=2)
        with httpx.Client(base_url=proxy.url, headers={"authorization": "Bearer good"}, trust_env=False) as client:
            assert create(client).json()["name"] == "Ærø"
            with pytest.raises(httpx.NetworkError):
                create(client, "P-2")
    assert [line["key"] for line in acme.ledger()] == ["P-1", "P-2"]


def test_a_port_in_use_is_one_clear_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(NotReachable, match="is in use"):
            start_twins(["salesforce"], ports={"salesforce": taken.getsockname()[1]})


def test_an_unknown_system_is_named():
    with pytest.raises(Invalid, match="no twin of 'sap'"):
        start_twins(["sap"])


def test_faults_are_loaded_from_a_file(tmp_path: Path):
    path = tmp_path / "faults.yaml"
    path.write_text("- {twin: acme, kind: status, status: 500}\n- {kind: latency, seconds: 2}\n")
    assert load_faults(path, ["acme", "other"]) == {
        "acme": [{"kind": "status", "status": 500}, {"kind": "latency", "seconds": 2}],
        "other": [{"kind": "latency", "seconds": 2}],
    }
    path.write_text("- {kind: gremlins}\n")
    with pytest.raises(Invalid, match="gremlins"):
        load_faults(path, ["acme"])


def test_parallel_calls_are_counted(acme: TwinHandle, client: httpx.Client):
    from concurrent.futures import ThreadPoolExecutor

    acme.fault(kind="latency", seconds=0.15)
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda number: create(client, f"P-{number}").status_code, range(4)))
    assert codes == [201] * 4
    assert client.get("/__twin/calls").json()["max_parallel"] >= 3


@pytest.mark.parametrize("kind", ["commit_then_drop", "drop_before_commit", "status", "commit_then_504", "refuse"])
def test_a_call_that_goes_wrong_is_counted_as_one_that_came(acme: TwinHandle, client: httpx.Client, kind: str):
    acme.fault(kind=kind, nth=1)
    with contextlib.suppress(httpx.TransportError):
        create(client)
    create(client, "P-2")
    calls = client.get("/__twin/calls").json()
    assert (calls["by_path"], calls["faulted"]) == ({"POST /api/projects": 2}, {kind: 1})
    assert client.delete("/__twin/calls").json()["faulted"] == {}


def test_twins_run_until_told_to_stop(tmp_path: Path):
    path = tmp_path / "faults.json"
    path.write_text('{"salesforce": [{"kind": "status", "status": 418}]}')
    stop, running = threading.Event(), queue.Queue[Mapping[str, TwinHandle]]()
    config = {"salesforce": {"hooks": [{"url": "http://127.0.0.1:1/hooks/crm"}]}}
    options = {"stop": stop, "faults": path, "announce": running.put}
    thread = threading.Thread(target=run_twins, args=(config,), kwargs=options)
    thread.start()
    handle = running.get(timeout=10)["salesforce"]
    assert httpx.get(f"{handle.url}/services/data", trust_env=False).status_code == 418
    assert httpx.get(f"{handle.url}/__twin/pushes", trust_env=False).json()["hooks"] == ["http://127.0.0.1:1/hooks/crm"]
    stop.set()
    thread.join(10)
    with pytest.raises(httpx.ConnectError):
        httpx.get(handle.url, trust_env=False)


def test_a_port_shut_for_a_while_opens_by_itself(acme: TwinHandle, client: httpx.Client):
    client.post("/__twin/faults", json={"kind": "refuse", "seconds": 0.3})
    refused, until = 0, time.monotonic() + 10
    while time.monotonic() < until:
        try:
            answered = httpx.get(f"{acme.url}/__twin/state", trust_env=False).status_code == 200
        except httpx.TransportError:
            refused += 1
        else:
            if refused and answered:
                break
    assert refused
    assert create(client).status_code == 201
