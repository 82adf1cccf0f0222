"""`concordat up`, `web`: the processes that receive and show, with a worker or without."""

from __future__ import annotations

import socket

from concordat.cli.open import the_firm
from concordat.cli.screen import HOST, FirmOption, LogOption, PortOption, out
from concordat.cli.worker import notes, own_name, running, telemetry, working
from concordat.engine.worker import Worker
from concordat.errors import NotReachable
from concordat.operations.sessions import one_time_link
from concordat.settings import Firm
from concordat.web.app import create_app
from concordat.web.server import Server, listen_on
from concordat.wiring import Running

__all__ = ["serve", "up", "web"]


def up(firm: FirmOption = None, port: PortOption = None, log_level: LogOption = "warning") -> None:
    """Run everything in one process: hooks, API and console on loopback, and a worker. Ends on Ctrl-C or SIGTERM."""
    telemetry(log_level)
    chosen = _free_port(the_firm(firm), port)
    with running(firm) as opened:
        one = Worker(world=opened.world, name=own_name())
        notes(opened)
        with working(one):
            serve(opened, worker=one, sock=chosen)


def web(firm: FirmOption = None, port: PortOption = None, log_level: LogOption = "warning") -> None:
    """Run hooks, API and console without a worker; workers run elsewhere."""
    telemetry(log_level)
    chosen = _free_port(the_firm(firm), port)
    with running(firm) as opened:
        serve(opened, worker=None, sock=chosen)


def serve(opened: Running, *, worker: Worker | None, sock: socket.socket) -> None:
    """Serve until a signal comes; prints where, and a one-time login link."""
    port = sock.getsockname()[1]
    url = f"http://{HOST}:{port}"
    app = create_app(opened, worker=worker, base_url=url)
    token = one_time_link(opened.db, person="operator", role="operator", units=[opened.world.unit])
    out.print(f"Concordat is up for {opened.firm.firm.name}: {url}")
    out.print(f"Sign in once with {url}/login?token={token}", soft_wrap=True)
    out.print(f"API token: {opened.firm.state / 'api.token'} · Ctrl-C ends it.", soft_wrap=True)
    Server(app).run(sockets=[sock])


def _free_port(firm: Firm, port: int | None) -> socket.socket:
    """Bind first, so that a port in use is a sentence and not a half-started process."""
    wanted = firm.web.port if port is None else port
    try:
        return listen_on(wanted, host=HOST)
    except OSError as error:
        raise NotReachable(
            f"Port {wanted} on {HOST} is in use or not allowed.",
            remedy="Choose another with --port, or end what uses it.",
        ) from error
