"""The view from outside: `/__twin` of a twin and the API of the firm, over HTTP and nothing else."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self

import httpx

from concordat.errors import NotReachable
from concordat.tryton_server.wire import Session

__all__ = ["Api", "Away", "Books", "RealErp", "Twin"]

Row = Mapping[str, Any]


class Books(Protocol):
    """What any system on the stage can be asked."""

    def state(self, object_: str) -> Sequence[Row]:
        """Give every record it holds of one object."""

    def ledger(self) -> Sequence[Row] | None:
        """Give every write it committed, in order; None when it keeps no ledger."""


class Away(NotReachable):
    """Nobody answers there at this moment."""


class _Door:
    """One address; a door that stays shut is `Away`."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url, headers=dict(headers or {}), timeout=10, trust_env=False, verify=_authorities()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the socket."""
        self._client.close()

    def ask(self, method: str, path: str, **said: Any) -> Any:
        """Make one call and give the JSON of its answer."""
        try:
            answer = self._client.request(method, path, **said)
        except httpx.HTTPError as error:
            raise Away(f"{self.url} does not answer: {error}.") from error
        if answer.status_code >= 300:
            raise Away(f"{method} {self.url}{path} answered {answer.status_code}: {answer.text[:200]}")
        return answer.json()


class Twin(_Door):
    """One twin, by its pages beside the vendor's."""

    def state(self, object_: str) -> Sequence[Row]:
        """Give every record it holds of one object."""
        found: Sequence[Row] = self.ask("GET", f"/__twin/state/{object_}")
        return found

    def ledger(self) -> Sequence[Row]:
        """Give every write it committed, in order."""
        lines: Sequence[Row] = self.ask("GET", "/__twin/ledger")
        return lines

    def do(self, action: str, **said: Any) -> Any:
        """Do a person's act."""
        return self.ask("POST", "/__twin/do", json={"action": action, **said})

    def seed(self, objects: Mapping[str, Sequence[Row]]) -> None:
        """Load records."""
        self.ask("POST", "/__twin/seed", json=objects)

    def fault(self, **said: Any) -> int:
        """Enter a fault; gives its id."""
        return int(self.ask("POST", "/__twin/faults", json=said)[0]["id"])

    def fired(self, fault: int) -> bool:
        """Whether this fault has struck."""
        return any(one["id"] == fault and one["fired"] for one in self.ask("GET", "/__twin/faults"))

    def heal(self, fault: int) -> None:
        """Take a fault away."""
        self.ask("DELETE", f"/__twin/faults/{fault}")

    def pushes(self) -> Sequence[Row]:
        """Give every push it sent."""
        sent: Sequence[Row] = self.ask("GET", "/__twin/pushes")["pushes"]
        return sent

    def hooks(self, hook: Mapping[str, str], times: int) -> None:
        """Send every push to this address so many times from now on."""
        self.ask("DELETE", "/__twin/pushes")
        for _ in range(times):
            self.ask("POST", "/__twin/pushes", json=hook)


class RealErp:
    """A real Tryton, by its own RPC, under the words that the ERP's twin has. It keeps no ledger."""

    MODELS: Mapping[str, tuple[str, Sequence[Any]]] = {
        "customer": ("party.party", []),
        "job": ("project.work", [("type", "=", "project")]),
    }

    def __init__(self, settings: Row) -> None:
        self._session = Session(settings["url"], settings["database"], settings["user"], settings["password"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def state(self, object_: str) -> Sequence[Row]:
        """Give every record it holds of one object."""
        model, domain = self.MODELS[object_]
        return self._session.read(model, domain, ["rec_name"])

    def ledger(self) -> None:
        """Give nothing: Tryton has none."""


class Api(_Door):
    """The firm's own API, as any client with its token sees it."""

    def __init__(self, url: str, token: Path) -> None:
        super().__init__(url, {"Authorization": f"Bearer {token.read_text().strip()}"})

    def handoffs(self) -> Sequence[Row]:
        """Give every handoff, newest first."""
        found: list[Row] = []
        cursor = ""
        while True:
            page = self.ask("GET", "/api/v1/handoffs", params={"limit": 200, "cursor": cursor})
            found += page["items"]
            cursor = page["next"]
            if not cursor:
                return found

    def handoff(self, id_: int) -> Row:
        """Give one handoff with its steps and their attempts."""
        whole: Row = self.ask("GET", f"/api/v1/handoffs/{id_}")
        return whole


@cache
def _authorities() -> ssl.SSLContext:
    """Read the trusted authorities once: that is most of what a client costs."""
    return httpx.create_ssl_context(trust_env=False)
