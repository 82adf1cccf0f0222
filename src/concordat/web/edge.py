"""The asynchronous edge: synchronous work in threads with an end to patience, and what every answer carries."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import Request
from starlette.datastructures import Headers as Sent
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from concordat.errors import NotReachable

__all__ = ["PATIENCE", "Bodies", "Headers", "bounded", "in_thread", "is_local"]

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 4.5
"""Seconds after which the door answers that it cannot, whatever the database does; promised are five."""
THREADS = 48
LARGEST = 64 * 1024
"""Bytes of the largest body; pushes have a limit of their own."""
UPLOAD = 10.0
"""Seconds that a sender may take for its body."""
HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_limiters: dict[str, CapacityLimiter] = {}


async def in_thread(work: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """Run blocking work in a thread; `NotReachable` when patience ends first, and the thread ends on its own."""
    try:
        with anyio.fail_after(patience):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=_limiter())
    except TimeoutError as error:
        raise NotReachable("The answer is not to be had in time.", remedy="Try again shortly.") from error


def bounded(work: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Make a synchronous endpoint one that answers in time. FastAPI reads the signature through it."""

    @functools.wraps(work)
    async def endpoint(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(functools.partial(work, *args, **kwargs))

    return endpoint


def _limiter() -> CapacityLimiter:
    """One limit for each event loop: a thread left behind by impatience still counts."""
    name = str(id(anyio.lowlevel.current_token()))
    return _limiters.setdefault(name, CapacityLimiter(THREADS))


def is_local(request: Request) -> bool:
    """Whether the caller is on this machine, came straight here and not through a proxy, and meant this machine.

    A web page elsewhere can bend its own name to this address: its requests are told by their Host.
    """
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        return False
    if re.sub(r":\d*$", "", request.headers.get("host", "")).casefold() not in HERE:
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


class Headers:
    """Puts the protective headers on every answer, and forbids keeping what is anybody's own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding headers to the start of the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, sending)


class Bodies:
    """Refuses a body that is larger or slower than any of ours, while it arrives; pushes limit theirs themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, counting what is read."""
        if scope["type"] != "http" or scope["path"].startswith("/hooks/"):
            await self.app(scope, receive, send)
            return
        said = Sent(scope=scope).get("content-length", "")
        left = LARGEST - int(said) if said.isdecimal() and len(said) < 20 and int(said) > LARGEST else LARGEST
        end, more = anyio.current_time() + UPLOAD, True

        async def receiving() -> Message:
            nonlocal left, more
            if not more:  # what comes behind the body is that the caller went away
                return await receive()
            if left < 0:
                raise HTTPException(413)
            with anyio.move_on_at(end):
                message = await receive()
                left -= len(message.get("body", b""))
                more = message.get("more_body", False)
                if left < 0:
                    raise HTTPException(413)
                return message
            raise HTTPException(408)

        await self.app(scope, receiving, send)
