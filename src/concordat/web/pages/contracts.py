"""`/contracts` and `/contracts/{name}/{version}`: what is promised, in words and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import RedirectResponse

from concordat.core.contract import Contract
from concordat.core.language import load_contract
from concordat.operations.contracts import show_contract
from concordat.store.database import now
from concordat.store.queries import QUERIES
from concordat.web.console import Console
from concordat.web.drawing.steps import Box, steps_picture
from concordat.web.edge import bounded
from concordat.web.identity import Visiting
from concordat.web.story import step_words

__all__ = ["router"]

Name = Annotated[str, Path(max_length=100)]
Version = Annotated[int, Path(ge=1, lt=2**31)]


def router(console: Console) -> APIRouter:
    """Serve the list of contracts, and each version's page."""
    routes = APIRouter(include_in_schema=False)
    world = console.world

    @routes.get("/contracts")
    @bounded
    def contracts(request: Request, person: Visiting) -> Response:
        with world.db.app(person.units) as conn:
            rows = conn.execute(QUERIES.page.contracts).fetchall()
            at = now(conn)
        return console.page(request, "contracts.html", person=person, now=at, rows=rows)

    @routes.get("/contracts/{name}")
    @bounded
    def active(person: Visiting, name: Name) -> Response:
        with world.db.app(person.units) as conn:
            row = show_contract(conn, name.replace("\x00", ""))
        return RedirectResponse(f"/contracts/{row['name']}/{row['version']}", 303)

    @routes.get("/contracts/{name}/{version}")
    @bounded
    def contract(request: Request, person: Visiting, name: Name, version: Version) -> Response:
        with world.db.app(person.units) as conn:
            row = show_contract(conn, name.replace("\x00", ""), version)
            versions = [r for r in conn.execute(QUERIES.page.contracts) if r["name"] == row["name"]]
            at = now(conn)
        read = load_contract(row["text"], file=row["name"]).contract
        return console.page(
            request,
            "contract.html",
            person=person,
            now=at,
            row=row,
            versions=versions,
            contract=read,
            steps=_boxes(console, read) if read else (),
            picture=steps_picture(_boxes(console, read), label=f"Steps of {row['name']}") if read else "",
        )

    return routes


def _boxes(console: Console, contract: Contract) -> Sequence[Box]:
    return [_box(console, contract, name) for name in contract.order()]


def _box(console: Console, contract: Contract, name: str) -> Box:
    step = contract.steps[name]
    said = {"step": name, "kind": step.kind, "connection": step.system, "object": step.word, "item": ""}
    does = {"put": "make", "check": "ask for", "await": "wait for", "emit": "announce", "act": "do"}[step.kind]
    return Box(
        name=name,
        title=step_words(said, console.world),
        under=name if step.system else f"{does} {step.word}",
        after=step.after,
        optional=step.optional,
        kind=step.kind,
    )
