"""Which handoff a person means: its id, or any system's number of anything in it."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from concordat.errors import NotFound, UserError
from concordat.operations.handoffs import Wanted, find_handoffs
from concordat.store.database import Connection

__all__ = ["IdArgument", "the_id"]

IdArgument = Annotated[
    str, typer.Argument(help="A handoff's id (12 or H12), or any system's number of anything in it.")
]


def the_id(conn: Connection, said: str) -> int:
    """The handoff behind an id or any system's number. Raises `NotFound`; several are a `UserError` that lists them."""
    if re.fullmatch(r"[Hh]-?\d{1,18}", said):
        return int(said.lstrip("Hh-"))
    rows = find_handoffs(conn, Wanted(q=said)).rows
    if said.isdigit() and len(said) < 19 and not rows:
        return int(said)
    if not rows:
        raise NotFound(f"No handoff has to do with {said}.", remedy="`concordat handoff list` shows those there are.")
    if len(rows) > 1:
        several = ", ".join(f"{row['id']} ({row['contract']})" for row in rows[:10])
        raise UserError(f"Several handoffs have to do with {said}: {several}.", remedy="Name one by its id, like H12.")
    return int(rows[0]["id"])
