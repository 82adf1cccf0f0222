"""A twin from outside: `/__twin/*`, and nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

__all__ = ["Row", "Twin"]

Row = Mapping[str, Any]


class Twin:
    """The pages beside the vendor's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=20, trust_env=False)

    def close(self) -> None:
        """Release the socket."""
        self._client.close()

    def ask(self, method: str, path: str, **said: Any) -> Any:
        """Make one call and give the JSON of its answer."""
        answer = self._client.request(method, f"/__twin/{path}", **said)
        assert answer.status_code == 200, f"{method} {self.url}/__twin/{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def state(self, object_: str) -> Sequence[Row]:
        """Give every record of one object."""
        found: Sequence[Row] = self.ask("GET", f"state/{object_}")
        return found

    def ledger(self, object_: str = "", *, since: int = 0) -> Sequence[Row]:
        """Give the writes that it committed, in order."""
        params = {"since": str(since), **({"object": object_} if object_ else {})}
        lines: Sequence[Row] = self.ask("GET", "ledger", params=params)
        return lines

    def seed(self, records: Mapping[str, Sequence[Row]]) -> None:
        """Load records, outside the ledger."""
        self.ask("POST", "seed", json=records)

    def do(self, action: str, **said: Any) -> Any:
        """Do what a person does there."""
        return self.ask("POST", "do", json={"action": action, **said})

    def fault(self, kind: str, **said: Any) -> int:
        """Enter a fault; gives its id."""
        return int(self.ask("POST", "faults", json={"kind": kind, **said})[0]["id"])

    def fired(self, fault: int) -> int:
        """How often a fault has struck."""
        return next((int(one["fired"]) for one in self.ask("GET", "faults") if one["id"] == fault), 0)

    def heal(self, fault: int | None = None) -> None:
        """Take one fault away, or all."""
        self.ask("DELETE", "faults" if fault is None else f"faults/{fault}")

    def calls(self) -> Row:
        """How many calls came, by path."""
        found: Row = self.ask("GET", "calls")
        return found

    def count_anew(self) -> None:
        """Start counting calls."""
        self.ask("DELETE", "calls")

    def pushes(self) -> Sequence[Row]:
        """Give every push it sent."""
        sent: Sequence[Row] = self.ask("GET", "pushes")["pushes"]
        return sent
