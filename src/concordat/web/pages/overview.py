"""`/`: what waits, what it is worth, which systems answer, and each handoff at a glance."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from concordat.operations.overview import Overview, Strip, overview
from concordat.web.console import Console
from concordat.web.drawing.strip import strip
from concordat.web.edge import bounded
from concordat.web.identity import Visiting

__all__ = ["router"]


def router(console: Console) -> APIRouter:
    """Serve the first page."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    @bounded
    def first(request: Request, person: Visiting) -> Response:
        with console.world.db.app(person.units) as conn:
            found = overview(conn, console.world, whole=console.world.unit in person.units)
        down = [system for system in found.systems if system.state in ("down", "failing")]
        return console.page(
            request,
            "overview.html",
            person=person,
            now=found.now,
            found=found,
            headline=_headline(found, len(down)),
            down=down,
            pictures={s.contract: _picture(s) for s in found.strips},
        )

    return routes


def _picture(one: Strip) -> str:
    parts = (("good", one.in_step), ("moving", one.moving), ("waiting", one.waiting), ("broken", one.broken))
    return strip(parts)


def _headline(found: Overview, down: int) -> tuple[str, str]:
    """One sentence about the reader's morning, and one about the day."""
    ran = sum(one.arrived for one in found.strips)
    day = f"{_many(ran, 'handoff')} arrived in the last day."
    if not ran:
        day = "No handoff arrived in the last day."
    if not found.case_count:
        return "Nothing waits for you", day
    late = f" {found.late_cases:,} past due." if found.late_cases else ""
    broken = f" {_many(down, 'system')} in trouble." if down else ""
    verb = "waits" if found.case_count == 1 else "wait"
    return f"{_many(found.case_count, 'case')} {verb} for a person", f"{day}{late}{broken}"


def _many(count: int, noun: str) -> str:
    capped = "10,000+" if count > 10_000 else f"{count:,}"
    return f"{capped} {noun}" + ("" if count == 1 else "s")
