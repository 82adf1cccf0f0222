"""The server around the application: an address that answers at once, and an end that waits for no open page."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

__all__ = ["Server", "listen_on"]


def listen_on(port: int, *, host: str = "127.0.0.1") -> socket.socket:
    """Bind and listen; port 0 takes a free one. Raises `OSError` when it is in use.

    The protocol is named because the event loop turns Nagle's delay off only for sockets that say they are TCP:
    without it every answer in two pieces takes 40 ms longer.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock


class Server(uvicorn.Server):
    """Ends the live streams before it waits for its connections; else an open page would hold up every stop."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        # 8 s: whoever is still being answered then is cut off; nothing that was acknowledged depends on it.
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=8,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in order: streams, connections, lifespan."""
        await self.app.state.pulse.close()
        await super().shutdown(sockets)
