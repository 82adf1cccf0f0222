"""The web application: hooks, API, health and console of one running firm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request, Response

from concordat.engine.worker import Worker
from concordat.engine.worker import wake as wake_all
from concordat.operations.sessions import api_token
from concordat.web import health, hooks, live, problems
from concordat.web.api import decisions, lists
from concordat.web.api import handoffs as handoffs_api
from concordat.web.console import Console
from concordat.web.edge import Bodies, Headers
from concordat.web.identity import Door
from concordat.web.openapi import describe
from concordat.web.pages import cases, contracts, handoff, handoffs, login, overview
from concordat.wiring import Running

__all__ = ["create_app"]

SPEC = "/api/v1/openapi.json"
TROUBLE = {
    401: "Sign in",
    403: "Not allowed",
    404: "Not here",
    503: "Not at this moment",
    500: "A fault of our own",
}


def create_app(running: Running, *, worker: Worker | None, base_url: str) -> FastAPI:
    """Make the application. `worker` is woken directly when it runs in this process, else all are told.

    The API's token is made in the firm's `.concordat` folder when there is none. Opens nothing else.
    """
    world = running.world
    pulse = live.Pulse(db=running.db)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await pulse.close()

    app = FastAPI(
        title="Concordat",
        version=version("concordat-hub"),
        openapi_url=SPEC,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect would name whatever host the caller named
        lifespan=lifespan,
    )
    app.state.door = Door(db=running.db, token=api_token(running.firm.state), units=(world.unit,))
    app.state.pulse = pulse
    wake = _wake(running, worker)
    console = Console(world=world, firm=running.firm.firm.name)
    app.include_router(hooks.router(world, wake))
    app.include_router(health.router(running.db))
    app.include_router(handoffs_api.router(world, lambda: wake("")), prefix="/api/v1")
    app.include_router(decisions.router(world, lambda: wake("")), prefix="/api/v1")
    app.include_router(lists.router(world), prefix="/api/v1")
    app.include_router(login.router(console, running.db, secure=base_url.startswith("https:")))
    for page in (overview, handoffs, cases, contracts):
        app.include_router(page.router(console))
    app.include_router(handoff.router(console, lambda: wake("")))
    app.include_router(live.router(pulse))
    app.include_router(console.files())
    app.add_middleware(Bodies)
    app.add_middleware(Headers)
    problems.install(app, _trouble(console))
    describe(app)
    return app


def _wake(running: Running, worker: Worker | None) -> Callable[[str], None]:
    """Tell whoever works that there is something to do; after the commit, harmless when lost.

    A worker in this process is told the connection, so that it reads what was hinted at once.
    """
    if worker is not None:
        return worker.wake
    return lambda _connection: wake_all(running.world)


def _trouble(console: Console) -> problems.Page:
    def page(request: Request, status: int, detail: str, remedy: str) -> Response:
        if status == 401:
            return console.signed_out(request)
        return console.trouble(request, status, TROUBLE.get(status, "That did not work"), detail, remedy)

    return page
