"""`concordat up`, `worker`, `web`, `login`: the processes that do the work and show it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
import uvicorn

from concordat.cli.open import database, running, the_firm
from concordat.cli.screen import FirmOption, err, out
from concordat.engine.recovery import bury
from concordat.engine.worker import Worker
from concordat.errors import NotReachable
from concordat.operations.sessions import one_time_link
from concordat.settings import Firm, read_environment
from concordat.telemetry import configure
from concordat.web.app import create_app
from concordat.wiring import Running

__all__ = ["add_to", "serve"]

HOST = "127.0.0.1"
PortOption = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Loopback port; default: [web] port of the firm, 8484."),
]
LogOption = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command()(up)
    app.command()(worker)
    app.command()(web)
    app.command()(login)


def up(firm: FirmOption = None, port: PortOption = None, log_level: LogOption = "warning") -> None:
    """Run everything in one process: hooks, API and console on loopback, and a worker. Ends on Ctrl-C or SIGTERM."""
    _telemetry(log_level)
    chosen = _free_port(the_firm(firm), port)
    with running(firm) as opened:
        one = Worker(world=opened.world, name=_name())
        _notes(opened)
        with working(one):
            serve(opened, worker=one, sock=chosen)


def worker(firm: FirmOption = None, log_level: LogOption = "info") -> None:
    """Run one more worker, on this host or another, against the same database. Ends on Ctrl-C or SIGTERM."""
    _telemetry(log_level)
    with running(firm) as opened:
        one = Worker(world=opened.world, name=_name())
        _notes(opened)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: one.stop())
        err.print(f"worker {one.name} is at work; Ctrl-C ends it")
        bury(opened.world, _is_dead)
        one.run()


def web(firm: FirmOption = None, port: PortOption = None, log_level: LogOption = "warning") -> None:
    """Run hooks, API and console without a worker; workers run elsewhere."""
    _telemetry(log_level)
    chosen = _free_port(the_firm(firm), port)
    with running(firm) as opened:
        serve(opened, worker=None, sock=chosen)


def login(
    firm: FirmOption = None,
    port: PortOption = None,
    person: Annotated[str, typer.Option(help="Who signs in.")] = "operator",
    role: Annotated[str, typer.Option(help="viewer, operator, engineer, board or auditor.")] = "operator",
) -> None:
    """Print a one-time link to the console, good for 15 minutes."""
    with database(firm) as (known, db):
        token = one_time_link(db, person=person, role=role, units=[known.firm.unit])
    number = known.web.port if port is None else port
    out.print(f"http://{HOST}:{number}/login?token={token}", soft_wrap=True)


@contextmanager
def working(one: Worker) -> Iterator[None]:
    """A worker in a thread of its own, stopped in order at the end."""
    bury(one.world, _is_dead)
    thread = threading.Thread(target=one.run, name="worker")
    thread.start()
    try:
        yield
    finally:
        one.stop()
        thread.join(timeout=60)


def serve(opened: Running, *, worker: Worker | None, sock: socket.socket) -> None:
    """Serve until a signal comes; prints where, and a one-time login link."""
    port = sock.getsockname()[1]
    url = f"http://{HOST}:{port}"
    app = create_app(opened, worker=worker, base_url=url)
    token = one_time_link(opened.db, person="operator", role="operator", units=[opened.world.unit])
    config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=5, lifespan="on")
    server = uvicorn.Server(config)
    out.print(f"Concordat is up for {opened.firm.firm.name}: {url}")
    out.print(f"Sign in once with {url}/login?token={token}", soft_wrap=True)
    out.print(f"API token: {opened.firm.state / 'api.token'} · Ctrl-C ends it.", soft_wrap=True)
    server.run(sockets=[sock])


def _free_port(firm: Firm, port: int | None) -> socket.socket:
    """Bind first, so that a port in use is a sentence and not a half-started process."""
    wanted = firm.web.port if port is None else port
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, wanted))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise NotReachable(
            f"Port {wanted} on {HOST} is in use or not allowed.",
            remedy="Choose another with --port, or end what uses it.",
        ) from error
    return sock


def _notes(opened: Running) -> None:
    for note in opened.notes:
        err.print(f"! {note}")


def _name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _is_dead(name: str) -> bool:
    """Whether a worker of this host, named by host and process, has no process any more."""
    host, _, pid = name.rpartition("-")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid()


def _telemetry(level: str) -> None:
    environment = read_environment()
    configure(log_level=level, otlp_endpoint=environment.telemetry.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""))
