"""The firm's HTTP as any client sees it: hooks, health, `/api/v1`."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.outside.twin import Row

__all__ = ["Api"]

CONTRACT = "opportunity-to-project"


class Api:
    """One firm's door. Reads give None while nobody answers, so that they can be awaited."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder
        self._client = httpx.Client(base_url=url, timeout=20, trust_env=False)

    def close(self) -> None:
        """Release the sockets."""
        self._client.close()

    def call(self, method: str, path: str, **said: Any) -> httpx.Response:
        """Make one call with the firm's token."""
        token = (self._folder / ".concordat" / "api.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", **said.pop("headers", {})}
        return self._client.request(method, path, headers=headers, **said)

    def plain(self, method: str, path: str, **said: Any) -> httpx.Response:
        """Make one call as a stranger."""
        return self._client.request(method, path, **said)

    def read(self, path: str, **params: Any) -> Any:
        """Read JSON; None while nobody answers, or before the firm ever ran."""
        if not (self._folder / ".concordat" / "api.token").exists():
            return None
        try:
            answer = self.call("GET", path, params=params)
        except httpx.HTTPError:
            return None
        if answer.status_code == 503:
            return None
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def ready(self) -> bool:
        """Whether it says that it can work."""
        try:
            return self.plain("GET", "/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def items(self, path: str, **params: Any) -> Sequence[Row] | None:
        """Read a whole list, page by page; None while nobody answers."""
        found: list[Row] = []
        cursor = ""
        while True:
            page = self.read(path, limit=200, cursor=cursor, **params)
            if page is None:
                return None
            found += page["items"]
            cursor = page["next"]
            if not cursor:
                return found

    def handoffs(self, contract: str = "") -> Sequence[Row]:
        """Give every handoff; none while nobody answers."""
        return self.items("/api/v1/handoffs", contract=contract) or ()

    def of(self, deal: str, contract: str = CONTRACT) -> Row | None:
        """Give the whole handoff of one deal, by the CRM's id; None while there is none."""
        known = next((h["id"] for h in self.handoffs(contract) if h["subject"]["ref"] == deal), None)
        return self.whole(known) if known else None

    def whole(self, id_: int) -> Row | None:
        """Give one handoff with steps and attempts; None while nobody answers."""
        found: Row | None = self.read(f"/api/v1/handoffs/{id_}")
        return found

    def wholes(self, contract: str = CONTRACT) -> Iterator[Row]:
        """Give every handoff of a contract with its steps."""
        for handoff in self.handoffs(contract):
            whole = self.whole(handoff["id"])
            if whole:
                yield whole

    def cases(self, **params: Any) -> Sequence[Row]:
        """Give the open cases."""
        return self.items("/api/v1/cases", **params) or ()

    def alerts(self) -> Sequence[Row]:
        """Give the alerts."""
        return self.items("/api/v1/alerts") or ()

    def deliveries(self, connection: str = "crm") -> Sequence[Row]:
        """Give what came in, newest first."""
        return self.items("/api/v1/deliveries", connection=connection) or ()

    def metric(self, name: str) -> Mapping[str, float]:
        """Give one figure by its labels, as `/metrics` says it."""
        text = self.plain("GET", "/metrics").text
        lines = [line for line in text.splitlines() if line.startswith((name + "{", name + " "))]
        pairs = (line.removeprefix(name).rpartition(" ") for line in lines)
        return {labels.strip(): float(value) for labels, _, value in pairs}

    def push(self, body: Row | bytes, *, secret: str | None = None, connection: str = "crm") -> httpx.Response:
        """Send a push as the CRM signs it."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        key = (self._folder / "secrets" / "crm.push").read_text().strip() if secret is None else secret
        stamp = str(int(time.time()))  # noqa: TID251  a sender's own clock
        digest = hmac.new(key.encode(), stamp.encode() + b"." + sent, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Concordat-Timestamp": stamp,
            "X-Concordat-Signature": f"sha256={digest}",
        }
        return self._client.post(f"/hooks/{connection}", content=sent, headers=headers)
