"""`/api/v1`: contracts, cases, alerts, connections and deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from concordat.engine.world import World
from concordat.operations.contracts import show_contract
from concordat.operations.overview import list_alerts, list_cases, list_deliveries, systems
from concordat.store.queries import QUERIES
from concordat.web.api import models
from concordat.web.edge import bounded
from concordat.web.identity import Looking

__all__ = ["router"]

Cursor = Annotated[str, Query(max_length=200, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200)]
Word = Annotated[str, Query(max_length=100)]
Name = Annotated[str, Path(max_length=100)]
Version = Annotated[int | None, Query(ge=1, lt=2**31, description="Default: the active one.")]


def router(world: World) -> APIRouter:
    """Serve the lists of one world."""
    routes = APIRouter()
    _contracts(routes, world)
    _waiting(routes, world)
    _systems(routes, world)
    return routes


def _contracts(routes: APIRouter, world: World) -> None:
    @routes.get("/contracts", summary="List every version of every contract", tags=["contracts"])
    @bounded
    def contracts(person: Looking) -> Sequence[models.Contract]:
        with world.db.app(person.units) as conn:
            rows = conn.execute(QUERIES.page.contracts).fetchall()
        return [models.Contract.model_validate(row) for row in rows]

    @routes.get("/contracts/{name}", summary="Show one contract with its text", tags=["contracts"])
    @bounded
    def contract(person: Looking, name: Name, version: Version = None) -> models.ContractText:
        with world.db.app(person.units) as conn:
            row = show_contract(conn, name.replace("\x00", ""), version)
        return models.ContractText.model_validate(row)


def _waiting(routes: APIRouter, world: World) -> None:
    @routes.get("/cases", summary="List open cases, newest first", tags=["cases"])
    @bounded
    def cases(
        person: Looking, owner: Word = "", kind: Word = "", cursor: Cursor = "", limit: Limit = 50
    ) -> models.CasePage:
        with world.db.app(person.units) as conn:
            found = list_cases(conn, owner=_plain(owner), kind=_plain(kind), cursor=cursor, limit=limit)
        return models.CasePage(items=[models.Case.of(row) for row in found.rows], next=found.next)

    @routes.get("/alerts", summary="List alerts, newest first", tags=["cases"])
    @bounded
    def alerts(person: Looking, cursor: Cursor = "", limit: Limit = 50) -> models.AlertPage:
        with world.db.app(person.units) as conn:
            found = list_alerts(conn, cursor=cursor, limit=limit)
        return models.AlertPage(items=[models.Alert.model_validate(r) for r in found.rows], next=found.next)


def _budget(row: Mapping[str, Any] | None) -> models.Budget | None:
    return models.Budget(**{name: row[name] for name in models.Budget.model_fields}) if row else None


def _systems(routes: APIRouter, world: World) -> None:
    @routes.get("/connections", summary="List systems by their progress", tags=["connections"])
    @bounded
    def connections(person: Looking) -> Sequence[models.Connection]:
        with world.db.app(person.units) as conn:
            found = systems(conn, world, whole=world.unit in person.units)
        return [
            models.Connection(
                name=system.name,
                title=system.title,
                state=system.state,
                reason=system.reason,
                ok_at=system.ok_at,
                probe_at=system.probe_at,
                open_effects=system.open_effects,
                waiting_seconds=system.waiting,
                refusals=system.refusals,
                budget=_budget(system.budget),
                sources=[models.Source.model_validate(source) for source in system.sources],
            )
            for system in found
        ]

    @routes.get("/deliveries", summary="List what came in, newest first", tags=["connections"])
    @bounded
    def deliveries(
        person: Looking, connection: Word = "", cursor: Cursor = "", limit: Limit = 50
    ) -> models.DeliveryPage:
        with world.db.app(person.units) as conn:
            found = list_deliveries(conn, connection=_plain(connection), cursor=cursor, limit=limit)
        items = [models.Delivery.model_validate(row) for row in found.rows]
        return models.DeliveryPage(items=items, next=found.next)


def _plain(text: str) -> str:
    """What the database can hold as text."""
    return text.replace("\x00", "")
