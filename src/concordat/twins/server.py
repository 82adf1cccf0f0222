"""Starts twins: several in one process, each on its own loopback port, in a background thread.

with start_twins(["salesforce", "kantata"]) as twins:
    twins["kantata"].url                                  # http://127.0.0.1:41234
    twins["kantata"].fault(kind="commit_then_drop", object="workspaces", operation="create", nth=1)
    twins["kantata"].ledger("workspaces")
"""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from concordat.errors import Invalid, NotReachable
from concordat.twins.base import Twin
from concordat.twins.control import seed as seed_twin
from concordat.twins.faults import BadFault
from concordat.twins.proxy import Door, InProcess, Remote
from concordat.twins.pushes import Hook

__all__ = [
    "TWINS",
    "TwinHandle",
    "Twins",
    "load_faults",
    "make_twin",
    "run_twins",
    "start_proxy",
    "start_twins",
]

T = TypeVar("T")

TWINS: Mapping[str, str] = {
    "salesforce": "concordat.twins.salesforce",
    "kantata": "concordat.twins.kantata",
    "workday": "concordat.twins.workday",
    "netsuite": "concordat.twins.netsuite",
    "msgraph": "concordat.twins.msgraph",
    "slack": "concordat.twins.slack",
}
"""System to the module whose `make(options) -> Twin` plays it."""


class TwinHandle:
    """A running twin, for tests and the demo. Every method runs on the twin's own loop, one at a time."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        self.system = door.twin.system
        self.twin = door.twin
        self.url = f"http://{door.host}:{door.port}"
        self.port = door.port
        self._door = door
        self._loop = loop

    def fault(self, **said: Any) -> int:
        """Enter a fault (`kind`, matcher words, arguments); returns its id."""
        return self._on_loop(lambda: self._entered(said))

    def heal(self, fault_id: int | None = None) -> None:
        """Delete one fault, or all."""
        self._on_loop(lambda: self.twin.faults.remove(fault_id))

    def seed(self, objects: Mapping[str, Any]) -> None:
        """Load records: `{object: [fields, …]}`."""
        self._on_loop(lambda: seed_twin(self.twin, objects))

    def do(self, action: str, **said: Any) -> Any:
        """Do a person's act."""
        return self._on_loop(lambda: self.twin.actions[action]({"action": action, **said}))

    def state(self, object_: str) -> list[dict[str, Any]]:
        """Give what it holds of one object."""
        return self._on_loop(lambda: [{"id": r.ref, **r.fields} for r in self.twin.store.all(object_)])

    def ledger(self, object_: str = "") -> list[dict[str, Any]]:
        """Give the committed writes."""
        lines = self._on_loop(lambda: list(self.twin.store.ledger))
        return [line.as_json() for line in lines if object_ in {"", line.object}]

    def advance(self, by: timedelta) -> None:
        """Move the twin's clock on."""
        self._on_loop(lambda: self.twin.clock.move(by))

    def hook(self, url: str, secret: str = "") -> None:
        """Register where pushes go."""
        self._on_loop(lambda: self.twin.pushes.hooks.append(Hook(url, secret)))

    def refuse(self) -> None:
        """Shut the port: callers get *connection refused* until `admit`."""
        asyncio.run_coroutine_threadsafe(self._door.shut(), self._loop).result(10)

    def admit(self) -> None:
        """Open the port again."""
        asyncio.run_coroutine_threadsafe(self._door.open(), self._loop).result(10)

    def _entered(self, said: Mapping[str, Any]) -> int:
        fault = self.twin.faults.add(said)
        self._door.obey()
        return fault.id

    def _on_loop(self, work: Callable[[], T]) -> T:
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001  handed to the caller's thread
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(30)


class Twins(Mapping[str, TwinHandle]):
    """Running twins by system. Stop them, or leave the `with` block."""

    def __init__(self, doors: Sequence[tuple[Door, socket.socket]]) -> None:
        self._doors = doors
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="twins", daemon=True)
        self._thread.start()
        ready.wait(10)
        self._handles = {door.twin.system: TwinHandle(door, self._loop) for door, _ in doors}

    def __getitem__(self, system: str) -> TwinHandle:
        return self._handles[system]

    def __iter__(self) -> Iterator[str]:
        return iter(self._handles)

    def __len__(self) -> int:
        return len(self._handles)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every port and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live(ready))
        finally:
            self._loop.close()

    async def _live(self, ready: threading.Event) -> None:
        for door, sock in self._doors:
            await door.open(sock)
            self._start_pushes(door)
        ready.set()
        await self._stop.wait()
        for door, _ in self._doors:
            await door.close()

    def _start_pushes(self, door: Door) -> None:
        woken = asyncio.Event()

        def wake() -> None:
            self._loop.call_soon_threadsafe(woken.set)

        door.twin.pushes.wake = wake
        door.start(door.twin.pushes.deliver(woken))


def make_twin(system: str, options: Mapping[str, Any] | None = None) -> Twin:
    """Build one twin, not yet listening. Raises `Invalid` for a system without one."""
    if system not in TWINS:
        raise Invalid(f"There is no twin of {system!r}.", remedy=f"There are: {', '.join(TWINS)}.", exit_code=2)
    twin: Twin = importlib.import_module(TWINS[system]).make(options or {})
    twin.pushes.hooks += [Hook(h["url"], h.get("secret", "")) for h in twin.options.get("hooks", ())]
    return twin


def start_twins(
    systems: Sequence[str],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    ports: Mapping[str, int] | None = None,
    faults: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    seed: int = 0,
    host: str = "127.0.0.1",
) -> Twins:
    """Start twins, each on its port of `ports` or a free one. Raises `NotReachable` for a port in use."""
    doors: list[tuple[Door, socket.socket]] = []
    try:
        for system in systems:
            twin = make_twin(system, {"seed": seed, **(options or {}).get(system, {})})
            twin.faults.load(list((faults or {}).get(system, ())))
            doors.append(_door(twin, InProcess(twin), host, (ports or {}).get(system, 0)))
    except BaseException:
        for _, sock in doors:
            sock.close()
        raise
    return Twins(doors)


def start_proxy(url: str, *, system: str = "sandbox", port: int = 0, seed: int = 0) -> Twins:
    """Put the fault proxy before any HTTP server; its `/__twin/faults` works, the rest is forwarded."""
    twin = Twin(system, {"seed": seed})
    return Twins([_door(twin, Remote(url), "127.0.0.1", port)])


def run_twins(
    config: Mapping[str, Mapping[str, Any]],
    *,
    stop: threading.Event,
    faults: Path | None = None,
    announce: Callable[[Mapping[str, TwinHandle]], None] = lambda _twins: None,
) -> None:
    """Run twins until `stop` is set. `config`: system to its options, `port` among them; `faults`: a file."""
    ports = {system: int(options.get("port", 0)) for system, options in config.items()}
    loaded = load_faults(faults, list(config)) if faults else None
    with start_twins(list(config), options=config, ports=ports, faults=loaded) as twins:
        announce(twins)
        stop.wait()


def load_faults(path: Path, systems: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
    """Read a faults file (JSON or YAML): `{system: [fault, …]}`, or a list whose members name a `twin`.

    A member without `twin` goes to all. Raises `Invalid` with the file's name and what is wrong.
    """
    try:
        said = json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.read_text())
        loaded: dict[str, list[Mapping[str, Any]]] = {system: [] for system in systems}
        for system, fault in _named(said, systems):
            Twin(system).faults.add(fault)
            loaded[system].append(fault)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, yaml.YAMLError, BadFault) as error:
        raise Invalid(f"{path}: this is no list of faults: {error}", exit_code=2) from error
    return loaded


def _named(said: Any, systems: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    pairs: list[tuple[str, Mapping[str, Any]]] = []
    if isinstance(said, Mapping):
        return [(system, fault) for system, faults in said.items() for fault in faults]
    for fault in said:
        rest = {name: word for name, word in fault.items() if name != "twin"}
        pairs += [(system, rest) for system in ([fault["twin"]] if "twin" in fault else systems)]
    return pairs


def _door(twin: Twin, upstream: InProcess | Remote, host: str, port: int) -> tuple[Door, socket.socket]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, so that Nagle is off
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        remedy = "Stop what uses it, or choose another port."
        raise NotReachable(f"Port {port} for the {twin.system} twin is in use.", remedy=remedy) from error
    return Door(twin, upstream, host, sock.getsockname()[1]), sock
