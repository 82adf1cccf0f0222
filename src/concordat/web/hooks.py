"""`POST /hooks/{connection}`: vendors' pushes, durable before they are acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import anyio
from fastapi import APIRouter, Request, Response

from concordat.engine.world import World, log
from concordat.operations.hooks import Pushed, receive_push
from concordat.web.edge import in_thread
from concordat.web.problems import Problem, Refused, problem

__all__ = ["LARGEST", "router"]

LARGEST = 1024 * 1024
"""Bytes of the largest push."""
UPLOAD = 10.0
"""Seconds that a sender may take for its body."""
AT_ONCE = 64
"""Pushes on their way in; more are asked to come back."""


def router(world: World, wake: Callable[[str], None]) -> APIRouter:
    """Serve the hooks of one world; `wake` is called with the connection after a push that left work."""
    routes = APIRouter(tags=["hooks"])
    inside = anyio.Semaphore(AT_ONCE)

    @routes.post(
        "/hooks/{connection}",
        summary="Take a vendor's push",
        status_code=202,
        response_class=Response,
        responses={
            200: {"description": "The answer to a handshake."},
            202: {"description": "Durable. Also for a body that cannot be read: it is kept and becomes a case."},
            401: {"description": "The signature proves nothing; nothing was stored.", "model": Problem},
            404: {"description": "No such connection.", "model": Problem},
            413: {"description": "Larger than 1 MiB.", "model": Problem},
            503: {"description": "Not taken; send it again after `Retry-After`.", "model": Problem},
        },
    )
    async def push(connection: str, request: Request) -> Response:
        try:
            inside.acquire_nowait()
        except anyio.WouldBlock:
            wait = {"Retry-After": "1"}
            raise Refused(503, "Too many pushes at once.", remedy="Send it again.", headers=wait) from None
        try:
            body = await _body(request)
            headers = {name: ", ".join(request.headers.getlist(name)) for name in request.headers}
            sent = request.headers.get("traceparent", "").strip()
            pushed = await in_thread(
                lambda: receive_push(world, connection, headers=headers, body=body, traceparent=sent)
            )
        finally:
            inside.release()
        if pushed.received.hinted:
            await _tell(wake, connection)
        return _answer(pushed)

    return routes


async def _tell(wake: Callable[[str], None], connection: str) -> None:
    """Wake a worker. The push is durable already: its sender hears so, whatever becomes of the call."""
    try:
        await in_thread(lambda: wake(connection))
    except Exception as error:  # noqa: BLE001 - whatever it is, the push was taken
        log.warning("hook.unheard", connection=connection, error=str(error))


async def _body(request: Request) -> bytes:
    """Read at most a mebibyte, within ten seconds."""
    said = request.headers.get("content-length", "0")
    too_large = Refused(413, f"A push has at most {LARGEST} bytes.")
    if said.isdigit() and int(said) > LARGEST:
        raise too_large
    body = bytearray()
    try:
        with anyio.fail_after(UPLOAD):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise too_large
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.") from None
    return bytes(body)


def _answer(pushed: Pushed) -> Response:
    correlation = {"X-Correlation-Id": pushed.correlation_id}
    received = pushed.received
    if received.status == HTTPStatus.UNAUTHORIZED:
        return problem(401, "The signature does not hold.", headers=correlation)
    return Response(received.body, received.status, headers=correlation, media_type=received.media_type)
