"""One call of the seam: every request it makes to Tryton shares its deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concordat.sdk.rpc import Rpc, Said
from concordat.sdk.spec import CallContext
from concordat.sdk.timing import left, timed

__all__ = ["Desk", "Row"]

Row = Mapping[str, Any]
"""A record as Tryton reads it: field names; a related record nested under its name with a dot at the end."""


class Desk:
    """The server as seen by one call, until its time is over. Belongs to one thread."""

    def __init__(self, rpc: Rpc, ctx: CallContext) -> None:
        self._rpc = rpc
        self._ctx = timed(ctx)

    def read(self, model: str, domain: Sequence[Any], fields: Sequence[str], limit: int | None = None) -> list[Row]:
        """Read these fields of the records that meet a domain, archived ones too, by ascending id.

        The context says so, not the domain: Tryton hides archived records in every nested part of a domain.
        """
        shown = {"active_test": False}
        return list(self._rpc.read(left(self._ctx), model, domain, fields, limit=limit, context=shown))

    def ask(self, model: str, method: str, *arguments: Any) -> Said:
        """Call a method that changes nothing."""
        return self._rpc.ask(left(self._ctx), model, method, *arguments, write=False)

    def write(self, model: str, method: str, *arguments: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Call a method that changes something."""
        return self._rpc.call(left(self._ctx), model, method, *arguments, write=True, context=context)
