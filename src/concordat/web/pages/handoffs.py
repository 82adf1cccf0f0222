"""`/handoffs`: all of them, by state, contract and any system's number; the whole view is in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from concordat.operations.handoffs import Wanted, find_handoffs
from concordat.store.database import Connection, now
from concordat.store.queries import QUERIES
from concordat.web.console import Console
from concordat.web.edge import bounded
from concordat.web.identity import Visiting

__all__ = ["STATES", "router"]

STATES = (
    ("", "Any state"),
    ("open", "Not at rest"),
    ("moving", "On its way"),
    ("waiting", "Waiting"),
    ("broken", "Broken"),
    ("in_step", "In step"),
    ("adopted", "Adopted"),
    ("withdrawn", "Withdrawn"),
    ("cancelled", "Cancelled"),
)
Word = Annotated[str, Query(max_length=200)]


def router(console: Console) -> APIRouter:
    """Serve the list."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/handoffs")
    @bounded
    def handoffs(  # noqa: PLR0917 - one per word of the query
        request: Request,
        person: Visiting,
        q: Word = "",
        state: Word = "",
        contract: Word = "",
        sort: Annotated[str, Query(pattern="^(newest|oldest|)$")] = "",
        page: Word = "",
    ) -> Response:
        wanted = Wanted(state=state, contract=contract, q=q, oldest=sort == "oldest", cursor=page, limit=50)
        with console.world.db.app(person.units) as conn:
            found = find_handoffs(conn, wanted)
            names = sorted({row["name"] for row in conn.execute(QUERIES.page.contracts)})
            hiding = [] if found.rows or page else _hiding(conn, wanted)
            at = now(conn)
        return console.page(
            request,
            "handoffs.html",
            person=person,
            now=at,
            found=found,
            wanted=wanted,
            states=STATES if state in dict(STATES) else (*STATES, (state, state)),
            contracts=names,
            hiding=hiding,
            kept={"q": q, "state": state, "contract": contract},
            q=q,
        )

    return routes


def _hiding(conn: Connection, wanted: Wanted) -> Sequence[tuple[str, str, Wanted]]:
    """Which single filter hides rows: its name, its value, and the list without it."""
    state = dict(STATES).get(wanted.state, wanted.state)
    freer = [
        ("q", wanted.q, replace(wanted, q="", limit=1)),
        ("state", state if wanted.state else "", replace(wanted, state="", limit=1)),
        ("contract", wanted.contract, replace(wanted, contract="", limit=1)),
    ]
    return [(name, said, each) for name, said, each in freer if said and find_handoffs(conn, each).rows]
