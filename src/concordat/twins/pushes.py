"""Webhooks out: what a twin sends to the addresses registered with it, and how a delivery may go wrong.

A push is retried with growing pauses until the receiver answers 2xx, at most ten times, as most vendors do.
Push faults: see `faults.PUSH`. `GET /__twin/pushes` shows every delivery with its tries and last status.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from concordat.twins.faults import PUSH, Faults, Occasion

__all__ = ["Delivery", "Hook", "Pushes", "Sign"]

Sign = Callable[[bytes, str], Mapping[str, str]]
"""`(body, secret) -> headers`: the vendor's way to sign."""

MOST_TRIES = 10


@dataclass(frozen=True, slots=True)
class Hook:
    """Where pushes go, and the secret shared with the receiver."""

    url: str
    secret: str = field(repr=False, default="")


@dataclass(slots=True)
class Delivery:
    """One push on its way to one hook."""

    seq: int
    url: str
    body: bytes
    headers: Mapping[str, str]
    due: float
    held: bool = False
    tries: int = 0
    status: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Show it."""
        body = self.body.decode("utf-8", "replace")
        return {"seq": self.seq, "url": self.url, "tries": self.tries, "status": self.status, "body": body}


class Pushes:
    """The outbox of one twin. `send` may be called from any thread; `deliver` runs on the server's loop."""

    def __init__(self, faults: Faults) -> None:
        self.hooks: list[Hook] = []
        self.log: list[Delivery] = []
        self.wake: Callable[[], None] = lambda: None
        self._outbox: list[Delivery] = []
        self._faults = faults
        self._seq = itertools.count(1)

    def send(self, body: bytes, sign: Sign, *, object_: str = "") -> None:
        """Push `body` to every hook, signed with the hook's secret, subject to push faults."""
        for hook in list(self.hooks):
            occasion = Occasion(object=object_, operation="push", path=hook.url, text=body.decode("utf-8", "replace"))
            struck = {fault.kind: fault for fault in self._faults.strike(PUSH, occasion)}
            if "push_lose" in struck:
                continue
            secret = hook.secret + "-wrong" if "push_bad_signature" in struck else hook.secret
            delay = struck["push_delay"].args.get("seconds", 5) if "push_delay" in struck else 0
            for _ in range(1 + ("push_duplicate" in struck)):
                self._queue(hook.url, body, sign(body, secret), float(delay), held="push_reorder" in struck)
        self.wake()

    def take(self) -> list[Delivery]:
        """Take what is due now, in order; a simulation may deliver these itself."""
        now = time.monotonic()
        ready = [one for one in self._outbox if one.due <= now]
        self._outbox = [one for one in self._outbox if one.due > now]
        return ready

    def pause(self) -> float | None:
        """Seconds until something is due; None when nothing waits."""
        return max(0.0, min(one.due for one in self._outbox) - time.monotonic()) if self._outbox else None

    async def deliver(self, woken: asyncio.Event) -> None:
        """Send until cancelled."""
        async with httpx.AsyncClient(verify=_authorities(), trust_env=False, timeout=10) as client:
            while True:
                for one in self.take():
                    await self._post(client, one)
                woken.clear()
                # Not `wait_for`: on Python 3.11 it loses a cancellation that comes together with what it waits for.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.pause()):
                        await woken.wait()

    def _queue(self, url: str, body: bytes, headers: Mapping[str, str], delay: float, *, held: bool) -> None:
        now = time.monotonic()
        one = Delivery(next(self._seq), url, body, headers, now + (3.0 if held else delay), held)
        waiting = [] if held else [other for other in self._outbox if other.held]
        for other in waiting:
            other.due, other.held = one.due, False
            self._outbox.remove(other)
        self._outbox += [one, *waiting]
        self.log.append(one)

    async def _post(self, client: httpx.AsyncClient, one: Delivery) -> None:
        one.tries += 1
        try:
            answer = await client.post(one.url, content=one.body, headers=dict(one.headers))
            one.status = answer.status_code
        except httpx.HTTPError:
            one.status = None
        if (one.status is None or one.status >= 300) and one.tries < MOST_TRIES:
            one.due = time.monotonic() + min(0.25 * 2**one.tries, 15)
            self._outbox.append(one)


@cache
def _authorities() -> ssl.SSLContext:
    """Read the trusted authorities once: that is most of what a client costs."""
    return httpx.create_ssl_context(trust_env=False)
