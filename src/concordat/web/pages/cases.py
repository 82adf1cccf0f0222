"""`/cases`: what only a person can decide, with owner, money and due time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from concordat.operations.overview import list_cases
from concordat.store.database import now
from concordat.store.queries import QUERIES
from concordat.web.console import Console
from concordat.web.edge import bounded
from concordat.web.identity import Visiting

__all__ = ["KINDS", "router"]

KINDS = {
    "missing": "Fields missing",
    "unknown": "A rule without an answer",
    "held": "Outcome unknown",
    "refused": "Refused by the target",
    "withdrawn": "Withdrawn after the start",
    "adopted": "Newer than its contract now",
    "disagreement": "Two contracts disagree",
    "brake": "Too many at once",
    "late_change": "Changed after it was done",
    "unreadable": "Cannot be read",
    "ownership": "Two systems, one field",
}
Word = Annotated[str, Query(max_length=200)]


def router(console: Console) -> APIRouter:
    """Serve the list of open cases."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/cases")
    @bounded
    def cases(request: Request, person: Visiting, owner: Word = "", kind: Word = "", page: Word = "") -> Response:
        owner, kind = owner.replace("\x00", ""), kind.replace("\x00", "")
        with console.world.db.app(person.units) as conn:
            found = list_cases(conn, owner=owner, kind=kind, cursor=page)
            owners = [row["owner"] for row in conn.execute(QUERIES.page.case_owners)]
            freer = {
                "owner": bool(owner) and bool(list_cases(conn, kind=kind, limit=1).rows),
                "kind": bool(kind) and bool(list_cases(conn, owner=owner, limit=1).rows),
            } if not found.rows and not page else {}  # fmt: skip
            at = now(conn)
        return console.page(
            request,
            "cases.html",
            person=person,
            now=at,
            found=found,
            owners=owners if owner in ("", *owners) else [*owners, owner],
            kinds=KINDS,
            kept={"owner": owner, "kind": kind},
            page=page,
            hiding=[name for name, hides in freer.items() if hides],
        )

    return routes
