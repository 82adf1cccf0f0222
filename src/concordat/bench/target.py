"""The lean system: a source of won deals and a target for what they become, as fast as Python answers HTTP.

A process of its own (`python -m concordat.bench.target`), loopback only; it prints its port and ends with its
standard input. It upserts by record key and counts every write per key, so that duplicates are provable.

    POST /bulk/{object}          list of documents        -> list of {ref, created}
    POST /bulk/{object}/read     list of refs             -> list of documents or null
    POST /bulk/{object}/find     list of record keys      -> list of documents or null
    POST /one/{object}           one document             -> {ref, created}
    POST /one/{object}/read      one ref                  -> document or null
    POST /ask                    list of questions        -> list of {met}
    POST /source                 {after, limit}           -> {records, cursor, more}
    POST /source/read            list of refs             -> records, parents along
    POST /reset                  {deals, page, delay}     -> {}; calls of targets are answered after `delay` seconds
    POST /count, /ledger         {}                       -> what was done so far
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from concordat.bench.deals import records_of

__all__ = ["Held", "Lean", "main"]

HEAD = b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(slots=True)
class Held:
    """One target object and how often it was written and created."""

    ref: str
    document: dict[str, Any]
    writes: int = 1
    creates: int = 1


@dataclass(kw_only=True)
class Lean:
    """What the lean system knows. Keys are unique over all objects."""

    held: dict[str, Held] = field(default_factory=dict)
    by_ref: dict[str, Held] = field(default_factory=dict)
    pages: list[list[dict[str, Any]]] = field(default_factory=list)
    first_page: float = 0.0
    first_writes: dict[str, float] = field(default_factory=dict)
    """Monotonic time of the first write for each deal, known by the number that ends a document's name."""
    delay: float = 0.0
    by: dict[str, list[int]] = field(default_factory=dict)
    """Calls and records by target object and act."""
    flying: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    """Most calls side by side by connection, of those that are delayed."""
    writes: int = 0
    calls: int = 0
    answers: int = 0

    def answer(self, path: str, body: Any) -> Any:
        """Answer one call; `KeyError` for a path that is not there."""
        self.calls += 1
        way, _, rest = path.lstrip("/").partition("/")
        object_, _, act = rest.partition("/")
        if way in ("bulk", "one", "ask"):
            counted = self.by.setdefault(f"{object_ or 'question'} {act or ('write' if object_ else 'ask')}", [0, 0])
            counted[0] += 1
            counted[1] += len(body) if isinstance(body, list) else 1
        return WAYS[way, act if way in ("bulk", "one") else rest](self, body)

    def put(self, document: dict[str, Any]) -> dict[str, Any]:
        """Create or update by key."""
        self.writes += 1
        known = self.held.get(document["key"])
        if known is not None:
            known.document = document | {"ref": known.ref}
            known.writes += 1
            return {"ref": known.ref, "created": False}
        made = Held(f"T{len(self.held) + 1}", document)
        document["ref"] = made.ref
        self.held[document["key"]] = self.by_ref[made.ref] = made
        self.first_writes.setdefault(str(document["fields"].get("name", "")).rpartition(" ")[2], time.monotonic())
        return {"ref": made.ref, "created": True}

    def read(self, ref: str) -> dict[str, Any] | None:
        """One object by its id."""
        found = self.by_ref.get(ref)
        return found.document if found else None

    def find(self, key: str) -> dict[str, Any] | None:
        """One object by its record key."""
        found = self.held.get(key)
        return found.document if found else None

    def source(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One page of deals; the pages were made before anybody measured."""
        self.first_page = self.first_page or time.monotonic()
        at = int(asked["after"] or 0)
        page = self.pages[at] if at < len(self.pages) else []
        following = min(at + 1, len(self.pages))
        return {"records": page, "cursor": str(following), "more": following < len(self.pages)}

    def reset(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Forget everything and offer this many deals, `page` of them on a page."""
        self.__init__()  # type: ignore[misc]
        size, self.delay = asked["page"], asked.get("delay", 0.0)
        for start in range(0, asked["deals"], size):
            numbers = range(start, min(start + size, asked["deals"]))
            self.pages.append([record for n in numbers for record in records_of(n)])
        return {}

    def count(self) -> dict[str, Any]:
        """What was done, in numbers."""
        return {
            "writes": self.writes,
            "objects": len(self.held),
            "calls": self.calls,
            "answers": self.answers,
            "first_page": self.first_page,
            "by": self.by,
            "most": self.most,
            "most_creates": max((h.creates for h in self.held.values()), default=0),
            "most_writes": max((h.writes for h in self.held.values()), default=0),
        }

    def ledger(self) -> dict[str, Any]:
        """Every key with its writes, and when each deal was first written."""
        return {"keys": {key: held.writes for key, held in self.held.items()}, "first_writes": self.first_writes}

    def ask(self, questions: list[Any]) -> list[dict[str, Any]]:
        """Everybody is available."""
        self.answers += len(questions)
        return [{"met": True}] * len(questions)


WAYS: dict[tuple[str, str], Callable[[Lean, Any], Any]] = {
    ("bulk", ""): lambda lean, body: [lean.put(document) for document in body],
    ("bulk", "read"): lambda lean, body: [lean.read(ref) for ref in body],
    ("bulk", "find"): lambda lean, body: [lean.find(key) for key in body],
    ("one", ""): lambda lean, body: lean.put(body),
    ("one", "read"): lambda lean, body: lean.read(body["ref"]),
    ("ask", ""): lambda lean, body: lean.ask(body),
    ("source", ""): lambda lean, body: lean.source(body),
    ("source", "read"): lambda _lean, body: [r for ref in body for r in records_of(int(ref[1:]))],
    ("reset", ""): lambda lean, body: lean.reset(body),
    ("count", ""): lambda lean, _body: lean.count(),
    ("ledger", ""): lambda lean, _body: lean.ledger(),
}


class _Wire(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, for clients that send a content-length."""

    def __init__(self, lean: Lean) -> None:
        self.lean = lean
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport if isinstance(transport, asyncio.Transport) else None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            size = _length(head)
            if len(self.buffer) < end + 4 + size:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + size], self.buffer[end + 4 + size :]
            self._reply(head.split(b" ", 2)[1].decode(), body)

    def _reply(self, path: str, body: bytes) -> None:
        try:
            status, answer = 200, orjson.dumps(self.lean.answer(path, orjson.loads(body) if body else None))
        except (KeyError, ValueError, TypeError, IndexError) as error:
            status, answer = 400, orjson.dumps({"error": repr(error)})
        whole, place = HEAD % (status, len(answer)) + answer, path.lstrip("/").partition("/")
        if self.lean.delay and place[0] in ("bulk", "one", "ask"):
            self._later(place[2].partition(".")[0] or "hr", whole)
        elif self.transport is not None:
            self.transport.write(whole)

    def _later(self, connection: str, whole: bytes) -> None:
        flying, most = self.lean.flying, self.lean.most
        flying[connection] = flying.get(connection, 0) + 1
        most[connection] = max(most.get(connection, 0), flying[connection])
        asyncio.get_running_loop().call_later(self.lean.delay, self._land, connection, whole)

    def _land(self, connection: str, whole: bytes) -> None:
        self.lean.flying[connection] -= 1
        if self.transport is not None:
            self.transport.write(whole)


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(LENGTH)
    return 0 if at < 0 else int(lower[at + len(LENGTH) :].split(b"\r\n", 1)[0])


async def _serve() -> None:
    lean = Lean()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Wire(lean), "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Serve until standard input ends."""
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
