"""What locks a workspace, and gives it back: grants made on the folder, and a column that remembers which.

A lock turns each *write* grant on the folder itself to *read* (src: learn.microsoft.com/graph/api/permission-update:
only roles can be changed). What the library hands down is not Graph's to change, and owners stay owners. Graph forgets
what a grant was before, so the ids are kept in a text column of the library (src: learn.microsoft.com/graph/api/
listitem-update, by way of the item's listItem), which an administrator adds once. The column is written first, as
`locking …`, and says `locked …` only when every grant was turned: a lock that broke off reads as not locked.
"""

from __future__ import annotations

from urllib.parse import quote

from concordat.connectors.msgraph.desk import EXPAND, Desk, Item, kept
from concordat.errors import Rejected
from concordat.sdk.spec import CallContext

__all__ = ["Locks"]

BEGUN, DONE = "locking", "locked"


class Locks:
    """Locks of one library."""

    def __init__(self, desk: Desk, column: str) -> None:
        self._desk = desk
        self._column = column

    def holds(self, item: Item) -> bool:
        """Say whether a lock stands on a folder that was read with its columns."""
        return bool(self._column) and kept(item, self._column).partition(" ")[0] == DONE

    def shut(self, path: str, ctx: CallContext) -> None:
        """Lock; a repeat turns what was granted since."""
        if not self._column:
            raise Rejected("A lock needs a text column of the library: name it as `lock_column`.", field="locked")
        said = kept(self._desk.read(f"{path}?{EXPAND}", ctx), self._column)
        own = [grant for grant in self._desk.all(f"{path}/permissions", ctx) if _writes(grant)]
        if said.partition(" ")[0] == DONE and not own:
            return
        ids = dict.fromkeys([*said.split()[1:], *(str(grant["id"]) for grant in own)])
        self._note(path, " ".join([BEGUN, *ids]), ctx)
        for grant in own:
            self._turn(path, str(grant["id"]), "read", ctx)
        self._note(path, " ".join([DONE, *ids]), ctx)

    def open(self, path: str, ctx: CallContext) -> None:
        """Give back what the lock took; a grant that somebody deleted since stays deleted."""
        said = kept(self._desk.read(f"{path}?{EXPAND}", ctx), self._column) if self._column else ""
        for id_ in said.split()[1:]:
            self._turn(path, id_, "write", ctx)
        if said:
            self._note(path, None, ctx)

    def _turn(self, path: str, id_: str, role: str, ctx: CallContext) -> None:
        self._desk.change(f"{path}/permissions/{quote(id_, safe='')}", {"roles": [role]}, ctx, gone=True)

    def _note(self, path: str, text: str | None, ctx: CallContext) -> None:
        try:
            self._desk.change(f"{path}/listItem/fields", {self._column: text}, ctx)
        except Rejected as error:
            says = f"A lock needs the text column {self._column!r} in the library: {error.message}"
            raise Rejected(says, code=error.code, field="locked", status=error.status) from error


def _writes(grant: Item) -> bool:
    return "write" in (grant.get("roles") or ()) and not grant.get("inheritedFrom")
