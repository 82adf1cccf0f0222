"""Pushes out of a twin, received on a real socket: signed, repeated, lost, swapped, delayed, retried."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from concordat.twins.server import TwinHandle, start_twins


class Receiver:
    def __init__(self) -> None:
        self.got: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.codes: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = receiver.codes.pop(0) if receiver.codes else 202
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.got.put(({name.lower(): value for name, value in self.headers.items()}, body))

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/crm"

    def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        headers, body = self.got.get(timeout=10)
        return headers, json.loads(body)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


@pytest.fixture
def twin(receiver: Receiver) -> Iterator[TwinHandle]:
    with start_twins(["salesforce"]) as twins:
        twins["salesforce"].hook(receiver.url, "hush")
        yield twins["salesforce"]


def make(twin: TwinHandle, name: str) -> str:
    return str(twin.do("make", object="Account", fields={"Name": name})["id"])


def good(headers: dict[str, str], body: bytes) -> bool:
    stamp = headers["x-concordat-timestamp"].encode()
    digest = hmac.new(b"hush", stamp + b"." + body, hashlib.sha256).hexdigest()
    return headers["x-concordat-signature"] == f"sha256={digest}"


def test_a_push_is_signed(twin: TwinHandle, receiver: Receiver):
    ref = make(twin, "A")
    headers, body = receiver.got.get(timeout=10)
    assert good(headers, body)
    assert json.loads(body)["ids"] == [ref]


def test_a_bad_signature_is_wrong(twin: TwinHandle, receiver: Receiver):
    twin.fault(kind="push_bad_signature")
    make(twin, "A")
    assert not good(*receiver.got.get(timeout=10))


def test_a_push_may_come_twice_or_never(twin: TwinHandle, receiver: Receiver):
    twin.fault(kind="push_duplicate", nth=1)
    twin.fault(kind="push_lose", nth=2)
    refs = [make(twin, name) for name in "ABC"]
    assert [receiver.next()[1]["ids"] for _ in range(3)] == [[refs[0]], [refs[0]], [refs[2]]]


def test_pushes_may_change_places(twin: TwinHandle, receiver: Receiver):
    twin.fault(kind="push_reorder", nth=1)
    refs = [make(twin, name) for name in "AB"]
    assert [receiver.next()[1]["ids"] for _ in range(2)] == [[refs[1]], [refs[0]]]


def test_a_push_may_be_late(twin: TwinHandle, receiver: Receiver):
    twin.fault(kind="push_delay", seconds=0.3, nth=1)
    refs = [make(twin, name) for name in "AB"]
    assert [receiver.next()[1]["ids"] for _ in range(2)] == [[refs[1]], [refs[0]]]


def test_a_refused_push_is_sent_again(twin: TwinHandle, receiver: Receiver):
    receiver.codes = [503]
    ref = make(twin, "A")
    assert [receiver.next()[1]["ids"] for _ in range(2)] == [[ref], [ref]]
