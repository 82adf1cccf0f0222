"""One call of the seam: every request it makes to Tryton shares its deadline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concordat.errors import Unavailable
from concordat.sdk.rpc import Rpc, Said
from concordat.sdk.spec import CallContext

__all__ = ["Desk", "Row"]

Row = Mapping[str, Any]
"""A record as Tryton reads it: field names; a related record nested under its name with a dot at the end."""

_LEAST = 0.05
"""Seconds below which a request is not begun."""


class Desk:
    """The server as seen by one call, until its time is over. Belongs to one thread."""

    def __init__(self, rpc: Rpc, ctx: CallContext) -> None:
        self._rpc = rpc
        self._ctx = ctx
        self._until = time.monotonic() + ctx.timeout

    def read(self, model: str, domain: Sequence[Any], fields: Sequence[str], limit: int | None = None) -> list[Row]:
        """Read these fields of the records that meet a domain, archived ones too, by ascending id.

        The context says so, not the domain: Tryton hides archived records in every nested part of a domain.
        """
        shown = {"active_test": False}
        return list(self._rpc.read(self._now(), model, domain, fields, limit=limit, context=shown))

    def ask(self, model: str, method: str, *arguments: Any) -> Said:
        """Call a method that changes nothing."""
        return self._rpc.ask(self._now(), model, method, *arguments, write=False)

    def write(self, model: str, method: str, *arguments: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Call a method that changes something."""
        return self._rpc.call(self._now(), model, method, *arguments, write=True, context=context)

    def _now(self) -> CallContext:
        """Give what is left of the time. `Unavailable` when it is over: the request was never sent."""
        left = self._until - time.monotonic()
        if left < _LEAST:
            raise Unavailable("Tryton: the call's time was over before this request; it was not sent.")
        return replace(self._ctx, timeout=left)
