"""The few JSON-RPC calls that set a Tryton up: login, model methods, wizards."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import httpx

from concordat.errors import NotReachable

__all__ = ["Session", "version"]


def version(url: str) -> str | None:
    """Ask for the series the server speaks (`8.0`), or None while it does not answer."""
    try:
        answer = httpx.post(f"{url}/rpc/", json={"id": 0, "method": "common.server.version", "params": []}, timeout=5)
        return str(answer.json()["result"]) if answer.status_code == httpx.codes.OK else None
    except httpx.HTTPError:
        return None


class Session:
    """One user's session. Any fault is a `NotReachable`: set-up has no use for finer words."""

    def __init__(self, url: str, database: str, user: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=120)
        self._path = f"/{database}/rpc/"
        self.user, token, *_ = self._call("common.db.login", [user, {"password": password}, "en"])
        secret = base64.b64encode(f"{user}:{self.user}:{token}".encode()).decode()
        self._http.headers["Authorization"] = f"Session {secret}"
        self.context: dict[str, Any] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take the user's preferences as context; asked with an empty one, which is echoed otherwise."""
        self.context = self._call("model.res.user.get_preferences", [True, {}])

    def model(self, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of a model with the user's context."""
        return self._call(f"model.{name}.{method}", [*arguments, self.context])

    def create(self, name: str, *values: Mapping[str, Any]) -> list[int]:
        """Create records and return their ids, in order."""
        return list(self.model(name, "create", list(values)))

    def search(self, name: str, domain: Sequence[Any], limit: int | None = None) -> list[int]:
        """Find the ids that meet a domain."""
        return list(self.model(name, "search", domain, 0, limit, [["id", "ASC"]]))

    def read(self, name: str, domain: Sequence[Any], fields: Sequence[str]) -> list[dict[str, Any]]:
        """Read these fields of all records that meet a domain."""
        return list(self.model(name, "search_read", domain, 0, None, [["id", "ASC"]], list(fields)))

    def wizard(self, name: str, *steps: tuple[str, Mapping[str, Any]]) -> None:
        """Walk a wizard through its states, each with its data, and close it."""
        number, *_ = self._call(f"wizard.{name}.create", [self.context])
        for state, data in steps:
            self._call(f"wizard.{name}.execute", [number, data, state, self.context])
        self._call(f"wizard.{name}.delete", [number, self.context])

    def close(self) -> None:
        """End the session."""
        self._call("common.db.logout", [])
        self._http.close()

    def _call(self, method: str, params: Sequence[Any]) -> Any:
        body = json.dumps({"id": 1, "method": method, "params": params}, default=_encode)
        try:
            answer = self._http.post(self._path, content=body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError as error:
            raise NotReachable(f"Tryton stopped answering at {method}: {error!r}.") from error
        if answer.status_code != httpx.codes.OK:
            raise NotReachable(f"Tryton refused {method} with HTTP {answer.status_code}.")
        data = answer.json()
        if "error" in data:
            raise NotReachable(f"Tryton refused {method}: {data['error']}.")
        return data["result"]


def _encode(value: Any) -> dict[str, Any]:
    match value:
        case Decimal():
            return {"__class__": "Decimal", "decimal": str(value)}
        case dt.date():
            return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(type(value).__name__)
