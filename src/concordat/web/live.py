"""`/live`: one stream of notices, never of data; a page that hears one asks for its own part again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from concordat.engine.world import log
from concordat.errors import ConcordatError
from concordat.store.database import Database
from concordat.store.queries import QUERIES
from concordat.web.edge import in_thread
from concordat.web.identity import Visiting
from concordat.web.problems import Refused

__all__ = ["Pulse", "router"]

EVERY = 1.0
"""Seconds between two looks, shared by all who listen."""
LASTS = 120.0
"""Seconds of one stream; a browser opens the next by itself, and a session that ended is noticed."""
LISTENERS = 200


@dataclass(kw_only=True)
class Pulse:
    """Looks at a few counters once a second while anybody listens, and tells all of them that something moved."""

    db: Database
    beat: int = 0
    listeners: int = 0
    closed: bool = False
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    _task: asyncio.Task[None] | None = None

    async def listen(self, seen: int) -> AsyncIterator[int]:
        """Yield the number of the beat whenever it moved; ends after two minutes, or when the pulse is closed."""
        self.listeners += 1
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        loop = asyncio.get_running_loop()
        end = loop.time() + LASTS
        try:
            while not self.closed and loop.time() < end:
                async with self._moved:
                    await self._moved.wait()
                if self.beat != seen or seen < 0:
                    seen = self.beat
                    yield seen
                else:
                    yield -1
        finally:
            self.listeners -= 1

    async def close(self) -> None:
        """End every stream."""
        self.closed = True
        async with self._moved:
            self._moved.notify_all()
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        known: object = None
        idle = 0
        while self.listeners and not self.closed:
            try:
                found = await in_thread(self._look)
            except ConcordatError as error:
                log.warning("live.waiting", error=str(error))
                found = known
            idle += 1
            if found != known or idle * EVERY >= 15:
                self.beat += found != known and known is not None
                known, idle = found, 0
                async with self._moved:
                    self._moved.notify_all()
            await asyncio.sleep(EVERY)
        self._task = None

    def _look(self) -> object:
        with self.db.app([]) as conn:
            return conn.execute(QUERIES.page.pulse).fetchone()


def router(pulse: Pulse) -> APIRouter:
    """Serve the stream to whoever is signed in."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/live")
    async def live(request: Request, person: Visiting) -> Response:  # noqa: ARG001 - who is signed in
        if pulse.listeners >= LISTENERS:
            raise Refused(503, "Too many listen already.", headers={"Retry-After": "60"})
        said = request.headers.get("last-event-id", "")
        seen = int(said) if said.isdecimal() and len(said) < 12 else pulse.beat

        async def stream() -> AsyncIterator[bytes]:
            yield b"retry: 3000\n\n" + _event(pulse.beat, "hello" if seen == pulse.beat else "moved")
            async for beat in pulse.listen(pulse.beat):
                yield b": still here\n\n" if beat < 0 else _event(beat, "moved")

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream(), headers=headers, media_type="text/event-stream")

    return routes


def _event(beat: int, word: str) -> bytes:
    return f"id: {beat}\nevent: {word}\ndata: {{}}\n\n".encode()
