"""From a firm's `concordat.toml` to its twins: which there are, on which ports, with which credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from concordat.errors import UserError
from concordat.northbeam.deals import plot
from concordat.northbeam.secret import public_half
from concordat.settings import Connection, Firm
from concordat.tryton_server import Tryton
from concordat.twins.server import TWINS, Twins, load_faults, start_twins

__all__ = ["Started", "begin", "seed_data", "twin_options", "twins_of"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
Said = Mapping[str, Any]
Progress = Callable[[str], None]


def twins_of(firm: Firm) -> dict[str, Connection]:
    """Give the firm's connections that a twin, or a Tryton, of this machine stands behind: their `url` is loopback.

    Raises `UserError` when there is none, or when two share a system.
    """
    found: dict[str, Connection] = {}
    for name, connection in firm.connections.items():
        if urlsplit(connection.url).hostname in LOOPBACK and connection.system in {*TWINS, "tryton"}:
            if any(connection.system == other.system for other in found.values()):
                message = (
                    f"Two connections of {firm.folder} are {connection.system}; one process plays each system once."
                )
                raise UserError(message, remedy="Give one of them the address of a real system.")
            found[name] = connection
    if not found:
        raise UserError(
            f"No connection of {firm.folder} is on this machine, so there is no twin to start.",
            remedy="Give a connection a url such as http://127.0.0.1:8501.",
        )
    return found


# ── credentials ───────────────────────────────────────────────────────────────────────────────────


def _salesforce(firm: Firm, name: str, said: Said) -> dict[str, Any]:
    hook = {"url": f"http://127.0.0.1:{firm.web.port}/hooks/{name}", "secret": said.get("push_secret", "")}
    return {
        **_some(said, "consumer_key", "consumer_secret", "username", "currency"),
        **_public(said),
        "hooks": [hook] if said.get("push_secret") else [],
    }


def _netsuite(_firm: Firm, _name: str, said: Said) -> dict[str, Any]:
    lists = {
        "currencies": {id_: code for code, id_ in said.get("currencies", {}).items()},
        "terms": {id_: code for code, id_ in said.get("terms", {}).items()},
        "subsidiaries": {id_: code for code, id_ in said.get("subsidiaries", {}).items()},
    }
    filled = {option: known for option, known in lists.items() if known}
    return {**_some(said, "account", "client_id", "certificate_id"), **_public(said), **filled}


def _kantata(_firm: Firm, _name: str, said: Said) -> dict[str, Any]:
    return {"tokens": [said["token"]]}


def _workday(_firm: Firm, _name: str, said: Said) -> dict[str, Any]:
    names = ("tenant", "owner", "user", "password", "client_id", "client_secret", "refresh_token")
    return _some(said, *names, "workers_report", "availability_report")


def _msgraph(_firm: Firm, _name: str, said: Said) -> dict[str, Any]:
    lists = {"folders": said.get("folder"), "columns": said.get("lock_column")}
    filled = {option: [known] for option, known in lists.items() if known}
    return {**_some(said, "tenant", "client_id", "client_secret", "site", "drive"), **filled}


def _slack(_firm: Firm, _name: str, said: Said) -> dict[str, Any]:
    return {"token": said["token"], **_some(said, "user_token")}


OPTIONS: Mapping[str, Callable[[Firm, str, Said], dict[str, Any]]] = {
    "salesforce": _salesforce,
    "kantata": _kantata,
    "workday": _workday,
    "netsuite": _netsuite,
    "msgraph": _msgraph,
    "slack": _slack,
}
"""How each twin learns the other half of what the connector is given."""


def twin_options(firm: Firm, name: str) -> dict[str, Any]:
    """Give the options of the twin behind one connection: what the connector proves, the twin must know."""
    system = firm.connections[name].system
    try:
        return OPTIONS[system](firm, name, firm.settings(name))
    except KeyError as error:
        message = f"connections.{name} lacks {error.args[0]}, which its twin must know."
        raise UserError(message, remedy="Add it to concordat.toml.") from error


def _some(said: Said, *names: str) -> dict[str, Any]:
    return {name: said[name] for name in names if name in said}


def _public(said: Said) -> dict[str, Any]:
    if "private_key" not in said:
        return {}
    try:
        return {"public_key": public_half(said["private_key"])}
    except ValueError as error:
        raise UserError(
            f"A private key of concordat.toml cannot be read: {error}.", remedy="Give it in PEM."
        ) from error


# ── running ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Started:
    """One system that runs."""

    system: str
    connection: str
    url: str


@contextmanager
def begin(
    firm: Firm,
    *,
    faults: Path | None = None,
    more: Mapping[str, Said] | None = None,
    seed: int = 0,
    progress: Progress = lambda _text: None,
) -> Iterator[list[Started]]:
    """Run the firm's twins, and its Tryton if it has one, until the block ends; give what runs.

    `more` adds options by system. Raises `NotReachable` for a port in use and `Invalid` for a bad faults file.
    """
    found = twins_of(firm)
    played = {c.system: name for name, c in found.items() if c.system != "tryton"}
    options = {system: {**twin_options(firm, name), **(more or {}).get(system, {})} for system, name in played.items()}
    ports = {c.system: urlsplit(c.url).port or 80 for c in found.values()}
    loaded = load_faults(faults, list(played)) if faults else None
    real = next((name for name, c in found.items() if c.system == "tryton"), None)
    running: Twins = start_twins(list(played), options=options, ports=ports, faults=loaded, seed=seed)
    with running, _tryton(firm, real, ports.get("tryton", 0), progress):
        yield [Started(system=c.system, connection=name, url=_origin(c.url)) for name, c in found.items()]


def _origin(url: str) -> str:
    """Leave the vendor's path away: `/__twin` is at the root."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@contextmanager
def _tryton(firm: Firm, name: str | None, port: int, progress: Progress) -> Iterator[None]:
    """Run the real ERP, and leave its password where `concordat.toml` looks for it."""
    if name is None:
        yield
        return
    said = lambda text, _fraction: progress(text)  # noqa: E731
    with Tryton.start(firm.state / "tryton", port=port, progress=said) as tryton:
        place = firm.connections[name].vendor.get("password")
        if isinstance(place, Mapping) and "file" in place:
            file = firm.folder / str(place["file"])
            file.touch(mode=0o600)
            file.write_text(tryton.access.password + "\n")
        yield


def seed_data(seed: int, *, scale: float = 1.0) -> Mapping[str, Mapping[str, Any]]:
    """Give what the twins hold when a person wants something to look at: system to object to records."""
    return plot(seed, scale=scale).seeds
