"""A client is a workspace group that represents a company.

Kantata keeps group names unique whatever their case (OpenAPI, POST /workspace_groups), so the name is the key:
whoever comes second is refused, and a create that lost its answer can be tried again without harm.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from concordat.connectors.kantata.desk import Desk, held
from concordat.connectors.kantata.values import reference
from concordat.errors import Duplicate, Locked, Rejected, Unavailable, UnknownOutcome
from concordat.sdk.spec import CallContext

__all__ = ["Groups"]


class Groups:
    """Ids of clients' groups by name. What is remembered only saves a call."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def ensure(self, ctx: CallContext, client: Any) -> str:
        """Give the id of the client's group, made when there is none.

        `client` is a target reference. Raises `Locked` while another call makes the same group, and
        `Unavailable` where the answer of the group's own creation was lost: of the project nothing was written.
        """
        if ref := reference(client, "client"):
            return ref
        name = str(client.get("name") or "").strip() if isinstance(client, Mapping) else ""
        if not name:
            raise Rejected("Kantata needs the client's name: it becomes the project's group.", field="client")
        known = self._known.get(name.lower())
        return known or self._looked_up(ctx, name)

    def forget(self) -> None:
        """Remember nothing: a person may have deleted a group."""
        self._known = {}

    def _looked_up(self, ctx: CallContext, name: str) -> str:
        with held(self._lock, ctx):
            group = self._known.get(name.lower()) or self._found(ctx, name, {"matching": name}) or self._made(ctx, name)
            self._known = {**self._known, name.lower(): group}
            return group

    def _found(self, ctx: CallContext, name: str, narrow: Mapping[str, str]) -> str:
        for sheet in self._desk.all(ctx, "workspace_groups", narrow):
            for row in sheet.rows:
                if str(row.get("name", "")).strip().lower() == name.lower():
                    return str(row["id"])
        return ""

    def _made(self, ctx: CallContext, name: str) -> str:
        body = {"workspace_group": {"name": name, "company": True}}
        try:
            return self._desk.create(ctx, "workspace_groups", body).ref
        except Duplicate as error:
            if group := self._found(ctx, name, {}):  # `matching` ignores some words
                return group
            says = f"Kantata has a group {name!r} that its lists do not show yet"
            raise Locked(says, code=error.code, status=error.status) from error
        except UnknownOutcome as error:
            raise Unavailable(f"{error.message} (making the client's group)", status=error.status) from error
