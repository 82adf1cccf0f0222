"""`/handoffs/{id}`: where it stands and what comes next, then its timeline, its steps, and every call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from markupsafe import Markup
from starlette.responses import RedirectResponse

from concordat.operations.decisions import approve, decline, list_proposals
from concordat.operations.handoffs import replay, show_handoff
from concordat.operations.undo import undo_plan
from concordat.store.database import now
from concordat.web.console import Console
from concordat.web.drawing.timeline import Timeline, axis, draw, timeline
from concordat.web.edge import bounded, in_thread
from concordat.web.identity import Visiting, check_form, check_own
from concordat.web.problems import Refused
from concordat.web.story import in_words, step_words, tell

__all__ = ["router"]

Id = Annotated[int, Path(ge=1, lt=2**62)]
Some = Annotated[int, Query(ge=0, le=500)]
MOVABLE = frozenset({"held", "pending"})


def router(console: Console, wake: Any) -> APIRouter:
    """Serve one handoff, and its replay."""
    routes = APIRouter(include_in_schema=False)
    world = console.world

    @routes.get("/handoffs/{id}")
    @bounded
    def handoff(
        request: Request,
        person: Visiting,
        id: Id,  # noqa: A002 - the path's own word
        released: Some | None = None,
        left: Some = 0,
    ) -> Response:
        with world.db.app(person.units) as conn:
            row = show_handoff(conn, id, world.contracts)
            undo, proposals = undo_plan(world, conn, id), list_proposals(conn, id)
            at = now(conn)
        found = timeline(row, at)
        return console.page(
            request,
            "handoff.html",
            person=person,
            now=at,
            row=row,
            undo=undo,
            proposals=proposals,
            value=in_short,
            story=tell(row, world),
            picture=_Picture(found),
            notes=_notes(row["effects"], console),
            stuck=[e for e in row["effects"] if e["state"] in MOVABLE],
            said=_said(released, left),
        )

    @routes.post("/proposals/{id}")
    async def decide(
        person: Visiting,
        id: Id,  # noqa: A002 - the path's own word
        csrf: Annotated[str, Form()] = "",
        do: Annotated[str, Form(pattern="^(approve|decline)$")] = "decline",
        reason: Annotated[str, Form(max_length=500)] = "",
    ) -> Response:
        check_own(person, csrf)
        if not person.decides:
            raise Refused(403, f"The role {person.role} looks and does not decide.", remedy="Ask an approver.")

        def work() -> int:
            with world.db.app(person.units) as conn:
                row = (approve if do == "approve" else decline)(conn, id, person=person.name, reason=reason)
            return int(row["handoff_id"])

        handoff = await in_thread(work)
        await in_thread(wake)
        return RedirectResponse(f"/handoffs/{handoff}", 303)

    @routes.post("/handoffs/{id}/replay")
    async def again(
        person: Visiting,
        id: Id,  # noqa: A002 - the path's own word
        csrf: Annotated[str, Form()] = "",
        step: Annotated[str, Form(max_length=60)] = "",
    ) -> Response:
        check_form(person, csrf)

        def work() -> tuple[int, int]:
            with world.db.app(person.units) as conn:
                done = replay(conn, id, person=person.name, step=step)
            return len(done.released), len(done.left)

        released, left = await in_thread(work)
        await in_thread(wake)
        return RedirectResponse(f"/handoffs/{id}?released={released}&left={left}", 303)

    return routes


class _Picture:
    """The timeline's parts, as the template asks for them."""

    def __init__(self, found: Timeline) -> None:
        self.found = found

    @property
    def axis(self) -> Markup:
        return axis(self.found)

    @property
    def marks(self) -> list[str]:
        return [mark.word for mark in self.found.marks]

    def row(self, effect: int) -> Markup:
        return draw(self.found, effect)


def in_short(value: Any) -> str:
    """A field's value in a line."""
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in value.values() if part)
    return "empty" if value is None else str(value)


def _notes(effects: Sequence[Mapping[str, Any]], console: Console) -> Mapping[int, str]:
    """What is said beside each bar; other steps by the words they have on this page."""
    titles = {effect["step"]: step_words({**effect, "item": ""}, console.world) for effect in effects}
    return {effect["id"]: _note(effect, titles) for effect in effects}


def _note(effect: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    if effect["state"] == "held":
        return str(effect["error"] or effect["waits_for"] or "waits for a decision")
    if effect["state"] in ("pending", "in_doubt"):
        return str(effect["waits_for"])
    tries = f", {effect['tries']} tries" if effect["tries"] > 1 else ""
    if effect["state"] in ("applied", "verified"):
        return f"{effect['ref'] or ('published' if effect['kind'] == 'emit' else 'yes')}{tries}"
    if effect["state"] == "blocked":
        return "after " + ", ".join(f"“{titles.get(step) or in_words(step)}”" for step in effect["after"])
    return str(effect["error"])


def _said(released: int | None, left: int) -> str:
    """How a replay went, with counts."""
    if released is None:
        return ""
    steps = "1 step is" if released == 1 else f"{released} steps are"
    first = f"Replayed: {steps} ready again." if released else "Replayed: it is planned again; no step had to be moved."
    return first + (f" {left} left alone: see the steps below." if left else "")
