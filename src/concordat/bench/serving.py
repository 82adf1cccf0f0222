"""How a process of a benchmark serves HTTP: on a free loopback port, until its standard input ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from concordat.web.server import listen_on

__all__ = ["serve"]


def serve(app: FastAPI, say: Callable[[object], None]) -> None:
    """Serve the application; its port is said once it is bound."""
    sock = listen_on(0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    threading.Thread(target=_end_with_input, args=[server], daemon=True).start()
    say(sock.getsockname()[1])
    server.run(sockets=[sock])


def _end_with_input(server: uvicorn.Server) -> None:
    while os.read(0, 1024):
        pass
    server.should_exit = True
