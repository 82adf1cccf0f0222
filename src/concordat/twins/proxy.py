"""The proxy in front of every twin (or a vendor's sandbox): HTTP/1.1 on a socket it may drop or garble.

A twin behind it is called in process, so one parse of HTTP is all it costs; a sandbox is called over HTTP.
What each fault does: `faults.WIRE`. The `/__twin` pages are never faulted.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any, Protocol, cast

import h11
import httpx

from concordat.twins.base import Twin
from concordat.twins.control import PREFIX, control
from concordat.twins.faults import WIRE, Fault, Occasion
from concordat.twins.wire import Call, Reply

__all__ = ["Door", "InProcess", "Remote", "Upstream"]

MOST_BODY = 64 * 1024 * 1024
HTML = b"<html><head><title>Error</title></head><body><h1>The service is not available</h1></body></html>"
HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host"})


class Upstream(Protocol):
    """What stands behind the proxy."""

    def occasion(self, call: Call) -> Occasion:
        """Say what a call is about, for fault matchers."""

    def named(self, call: Call) -> str:
        """Give the name under which a call is counted."""

    async def answer(self, call: Call) -> Reply:
        """Carry the call out."""


class InProcess:
    """A twin in this process."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self.occasion = twin.occasion
        self.named = twin.named

    async def answer(self, call: Call) -> Reply:
        """Carry the call out, at once."""
        return self._twin.answer(call)


class Remote:
    """A vendor's sandbox, or any HTTP server. Matchers see method, path and text; `object` stays empty."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=300, follow_redirects=False)

    def occasion(self, call: Call) -> Occasion:
        """Say what the wire shows."""
        operation = "read" if call.method in {"GET", "HEAD"} else "write"
        return Occasion(operation=operation, method=call.method, path=call.path, text=call.text)

    def named(self, call: Call) -> str:
        """Count by method and path as they are."""
        return f"{call.method} {call.path}"

    async def answer(self, call: Call) -> Reply:
        """Forward, and bring the answer back as it is."""
        headers = {name: value for name, value in call.headers.items() if name not in HOP}
        target = call.path + (f"?{call.query_string}" if call.query_string else "")
        try:
            answer = await self._client.request(call.method, target, headers=headers, content=call.body)
        except httpx.RequestError as error:
            return Reply({"error": f"the system behind the proxy is not reachable: {error}"}, 502)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
        return Reply(answer.content, answer.status_code, kept)

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()


class Door:
    """One listening port: opens, shuts and re-opens it, and knows its connections."""

    def __init__(self, twin: Twin, upstream: Upstream, host: str, port: int) -> None:
        self.twin = twin
        self.upstream = upstream
        self.host = host
        self.port = port
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._shut_for: set[int] = set()

    async def open(self, sock: socket.socket | None = None) -> None:
        """Listen; on `sock` when given, else on the port had before."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            where: dict[str, Any] = {"sock": sock} if sock else {"host": self.host, "port": self.port}
            self._server = await loop.create_server(lambda: Connection(self), backlog=512, **where)

    async def shut(self) -> None:
        """Stop listening and reset every connection: callers get *connection refused*."""
        if self._server is not None:
            self._server.close()
            for connection in list(self.connections):
                connection.reset()
            await self._server.wait_closed()
            self._server = None

    def obey(self) -> None:
        """Shut for a while when a `refuse` fault with `seconds` was just entered."""
        for fault in self.twin.faults:
            if fault.kind == "refuse" and "seconds" in fault.args and fault.id not in self._shut_for:
                self._shut_for.add(fault.id)
                self.start(self._shut_a_while(fault))

    def start(self, work: Any) -> None:
        """Run a coroutine beside, and keep hold of it."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def close(self) -> None:
        """Shut for good."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.shut()
        if isinstance(self.upstream, Remote):
            await self.upstream.close()

    async def _shut_a_while(self, fault: Fault) -> None:
        await asyncio.sleep(0.02)  # lets the answer to this very order out
        await self.shut()
        await asyncio.sleep(float(fault.args["seconds"]))
        self.twin.faults.remove(fault.id)
        await self.open()


class Connection(asyncio.Protocol):
    """One client connection, one call at a time."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=256 * 1024)
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._door.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's own signature
        """End."""
        self._door.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._http.receive_data(data)
        self._advance()

    def eof_received(self) -> None:
        """Take the client's end."""
        self._http.receive_data(b"")
        self._advance()

    def reset(self) -> None:
        """Break the connection so that the client sees a reset, not an end."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _advance(self) -> None:
        try:
            while not self._transport.is_closing():
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._encourage()
                    return
                if event is h11.PAUSED:
                    return
                self._take(event)
        except h11.RemoteProtocolError:
            self._transport.close()

    def _encourage(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            self._transport.write(self._http.send(go_on))

    def _take(self, event: Any) -> None:
        if isinstance(event, h11.Request):
            self._head, self._body, self._size = event, [], 0
        elif isinstance(event, h11.Data):
            self._body.append(bytes(event.data))
            self._size += len(event.data)
            if self._size > MOST_BODY:
                self._transport.close()
        elif isinstance(event, h11.EndOfMessage) and self._head is not None:
            self._dispatch(_call(self._head, b"".join(self._body)))
        elif isinstance(event, h11.ConnectionClosed):
            self._transport.close()

    def _dispatch(self, call: Call) -> None:
        twin = self._door.twin
        if call.path.startswith(PREFIX):
            self._send(control(twin, call))
            self._door.obey()
        elif not twin.faults and isinstance(self._door.upstream, InProcess):
            twin.traffic.enter(twin.named(call))
            try:
                self._send(_safely(twin, call))
            finally:
                twin.traffic.leave()
        else:
            self._door.start(self._faulted(call))

    async def _faulted(self, call: Call) -> None:
        traffic, upstream = self._door.twin.traffic, self._door.upstream
        traffic.enter(upstream.named(call))
        try:
            occasion = upstream.occasion(call)
            struck = {fault.kind: fault for fault in self._door.twin.faults.strike(WIRE, occasion)}
            traffic.faulted.update(struck.keys())
            await self._suffer(call, struck)
        finally:
            traffic.leave()

    async def _suffer(self, call: Call, struck: Mapping[str, Fault]) -> None:
        if "latency" in struck:
            await asyncio.sleep(float(struck["latency"].args.get("seconds", 1)))
        if "refuse" in struck or "drop_before_commit" in struck:
            self.reset()
            return
        early = _instead(struck)
        if early is not None:
            self._send(early)
            return
        reply = await self._carried_out(call)
        if "commit_then_drop" in struck:
            self.reset()
        elif "truncate_body" in struck:
            self._truncate(reply, struck["truncate_body"])
        elif "slow_drip" in struck:
            await self._drip(reply, struck["slow_drip"])
        else:
            self._send(_afterwards(reply, struck))

    async def _carried_out(self, call: Call) -> Reply:
        upstream = self._door.upstream
        if isinstance(upstream, InProcess):
            return _safely(self._door.twin, call)
        return await upstream.answer(call)

    def _send(self, reply: Reply) -> None:
        if self._transport.is_closing():
            return
        body = reply.body
        out = self._http.send(_head(reply, len(body))) or b""
        if body and self._head is not None and self._head.method != b"HEAD":
            out += self._http.send(h11.Data(data=body)) or b""
        out += self._http.send(h11.EndOfMessage()) or b""
        self._transport.write(out)
        self._next()

    def _next(self) -> None:
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            asyncio.get_running_loop().call_soon(self._advance)
        else:
            self._transport.close()

    def _truncate(self, reply: Reply, fault: Fault) -> None:
        body = reply.body
        self._transport.write(self._http.send(_head(reply, len(body))) or b"")
        self._transport.write(body[: int(fault.args.get("bytes", len(body) // 2))])
        self._transport.close()

    async def _drip(self, reply: Reply, fault: Fault) -> None:
        body, pieces = reply.body, int(fault.args.get("pieces", 8))
        pause, step = float(fault.args.get("seconds", 2)) / pieces, len(body) // pieces + 1
        self._transport.write(self._http.send(_head(reply, len(body))) or b"")
        for start in range(0, len(body), step):
            await asyncio.sleep(pause)
            self._transport.write(body[start : start + step])
        self._transport.close()


def _call(head: h11.Request, body: bytes) -> Call:
    path, _, query = head.target.decode("ascii", "replace").partition("?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Call(method=head.method.decode(), path=path, query_string=query, headers=headers, body=body)


def _head(reply: Reply, length: int) -> h11.Response:
    named = {name.lower() for name in reply.headers}
    headers = [(name, str(value)) for name, value in reply.headers.items()]
    if length and "content-type" not in named:
        headers.append(("Content-Type", reply.content_type))
    if reply.status != 204:
        headers.append(("Content-Length", str(length)))
    return h11.Response(status_code=reply.status, headers=headers)


def _safely(twin: Twin, call: Call) -> Reply:
    try:
        return twin.answer(call)
    except Exception as error:  # noqa: BLE001  a bug of the twin is a 500 that says so, not a dead server
        return Reply({"error": f"the twin failed: {type(error).__name__}: {error}"}, 500)


def _instead(struck: Mapping[str, Fault]) -> Reply | None:
    if "status" in struck:
        args = struck["status"].args
        body = args.get("body")
        return Reply(
            body.encode() if isinstance(body, str) else body,
            int(args.get("status", 503)),
            args.get("headers", {}),
        )
    if "html_error_page" in struck and not struck["html_error_page"].args.get("commit"):
        return _page(struck["html_error_page"], 502)
    return None


def _afterwards(reply: Reply, struck: Mapping[str, Fault]) -> Reply:
    if "commit_then_504" in struck:
        return _page(struck["commit_then_504"], 504)
    if "html_error_page" in struck:
        return _page(struck["html_error_page"], 502)
    return reply


def _page(fault: Fault, status: int) -> Reply:
    return Reply(HTML, int(fault.args.get("status", status)), {"Content-Type": "text/html"})
