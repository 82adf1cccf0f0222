"""The web application: hooks, API, health and console of one running firm."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from fastapi import FastAPI

from concordat.engine.worker import Worker
from concordat.engine.worker import wake as wake_all
from concordat.operations.sessions import api_token
from concordat.web import health, hooks, problems
from concordat.web.api import handoffs
from concordat.web.edge import Headers
from concordat.web.identity import Door
from concordat.web.openapi import describe
from concordat.wiring import Running

__all__ = ["create_app"]

SPEC = "/api/v1/openapi.json"


def create_app(running: Running, *, worker: Worker | None, base_url: str) -> FastAPI:
    """Make the application. `worker` is woken directly when it runs in this process, else all are told.

    The API's token is made in the firm's `.concordat` folder when there is none. Opens nothing else.
    """
    world = running.world
    app = FastAPI(
        title="Concordat",
        version=version("concordat-hub"),
        openapi_url=SPEC,
        docs_url=None,
        redoc_url=None,
    )
    app.state.door = Door(db=running.db, token=api_token(running.firm.state), units=(world.unit,))
    app.state.base_url = base_url
    wake = _wake(running, worker)
    app.include_router(hooks.router(world, wake))
    app.include_router(health.router(running.db))
    app.include_router(handoffs.router(world, wake), prefix="/api/v1")
    app.add_middleware(Headers)
    problems.install(app)
    describe(app)
    return app


def _wake(running: Running, worker: Worker | None) -> Callable[[], None]:
    """Tell whoever works that there is something to do; after the commit, harmless when lost."""
    if worker is not None:
        return worker.wake
    return lambda: wake_all(running.world)
