"""`/api/v1`: the undo plan of a handoff, late changes that wait for a person, a step skipped, a handoff stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from concordat.engine.world import World
from concordat.operations.decisions import approve, cancel, decline, list_proposals, skip
from concordat.operations.undo import undo_plan
from concordat.store.database import Connection
from concordat.web.edge import bounded, in_thread
from concordat.web.identity import Acting, Deciding, Looking
from concordat.web.once import Key, Once

__all__ = ["router"]

Id = Annotated[int, Path(ge=1, lt=2**62, description="The id.")]
REASON = "Why, in a sentence; kept in the audit."


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UndoLine(_Value):
    """What becomes of one step when the handoff is withdrawn."""

    step: str
    item: str
    does: str = Field(description="`write`, `drop`, `leave`, `decide`, `look`, `wait` or `done`.")
    says: str = Field(description="The same for people.")
    word: str = Field(description="The contract's word: `hold`, `archive`, `lock`, `release`.")
    system: str
    object: str
    ref: str
    after: Sequence[str] = Field(description="Steps that are undone before this one.")
    why: str = Field(description="Why it is not undone, or why somebody is asked.")
    owner: str = Field(description="Whose decision it is; empty where nobody is asked.")
    state: str = Field(description="State of the effect that undoes it; empty before it runs.")


class UndoPlan(_Value):
    """The undo of one handoff, in the order in which it runs."""

    handoff: int
    title: str
    state: str
    contract: str
    when: str = Field(description="The contract's condition of withdrawal.")
    running: bool = Field(description="It runs, or has run; otherwise nothing happens by looking.")
    lines: Sequence[UndoLine]


class Proposal(_Value):
    """A late change that a person must agree to."""

    id: int
    handoff_id: int
    contract: str
    title: str
    step: str
    item: str
    changes: Mapping[str, Any] = Field(description="Field to `{from, to}`.")
    team: str
    author: str = Field(description="Who made the change at the source, where it says so; may not approve.")
    state: str
    decided_by: str
    reason: str
    opened_at: datetime
    decided_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Proposal:
        """From a row."""
        return cls(**{name: row[name] for name in cls.model_fields})


class ProposalList(_Value):
    """Late changes."""

    items: Sequence[Proposal]


class Reason(_Value):
    """Why somebody decides."""

    reason: str = Field(min_length=1, max_length=500, description=REASON)


class Word(_Value):
    """A word about a decision."""

    reason: str = Field(default="", max_length=500, description=REASON)


class Skip(Reason):
    """Which step shall not happen."""

    step: str = Field(min_length=1, max_length=100)
    item: str = Field(default="", max_length=100)


class Decided(_Value):
    """What was decided."""

    id: int
    state: str


def router(world: World, wake: Callable[[], None]) -> APIRouter:
    """Serve the decisions of one world; `wake` is called when one left work."""
    routes = APIRouter()
    _reads(routes, world)
    _writes(routes, wake)
    return routes


def _reads(routes: APIRouter, world: World) -> None:
    @routes.get("/handoffs/{id}/undo-plan", tags=["handoffs"], summary="Show what a withdrawal would undo")
    @bounded
    def plan(person: Looking, id: Id) -> UndoPlan:  # noqa: A002 - the path's own word
        with world.db.app(person.units) as conn:
            return UndoPlan.model_validate(undo_plan(world, conn, id))

    @routes.get("/handoffs/{id}/proposals", tags=["proposals"], summary="List the late changes of one handoff")
    @bounded
    def of_handoff(person: Looking, id: Id) -> ProposalList:  # noqa: A002 - the path's own word
        with world.db.app(person.units) as conn:
            return ProposalList(items=[Proposal.of(row) for row in list_proposals(conn, id)])

    @routes.get("/proposals", tags=["proposals"], summary="List the late changes that wait for a person")
    @bounded
    def waiting(person: Looking) -> ProposalList:
        with world.db.app(person.units) as conn:
            return ProposalList(items=[Proposal.of(row) for row in list_proposals(conn)])


def _writes(routes: APIRouter, wake: Callable[[], None]) -> None:
    async def decided(once: Once, work: Callable[[Connection], Decided]) -> Response:
        answer = await in_thread(lambda: once.run(200, work))
        await in_thread(wake)
        return answer

    @routes.post(
        "/proposals/{id}/approve", tags=["proposals"], summary="Agree to a late change", response_model=Decided
    )
    async def agree(request: Request, person: Deciding, id: Id, body: Word, key: Key = None) -> Response:  # noqa: A002
        def work(conn: Connection) -> Decided:
            approve(conn, id, person=person.name, reason=body.reason)
            return Decided(id=id, state="approved")

        return await decided(Once.of(request, person, key, body), work)

    @routes.post("/proposals/{id}/decline", tags=["proposals"], summary="Refuse a late change", response_model=Decided)
    async def refuse(request: Request, person: Deciding, id: Id, body: Reason, key: Key = None) -> Response:  # noqa: A002
        def work(conn: Connection) -> Decided:
            decline(conn, id, person=person.name, reason=body.reason)
            return Decided(id=id, state="declined")

        return await decided(Once.of(request, person, key, body), work)

    @routes.post("/handoffs/{id}/cancel", tags=["handoffs"], summary="Stop a handoff", response_model=Decided)
    async def stop(request: Request, person: Acting, id: Id, body: Reason, key: Key = None) -> Response:  # noqa: A002
        def work(conn: Connection) -> Decided:
            cancel(conn, id, person=person.name, reason=body.reason)
            return Decided(id=id, state="cancelled")

        return await decided(Once.of(request, person, key, body), work)

    @routes.post("/handoffs/{id}/skip", tags=["handoffs"], summary="Skip a step", response_model=Decided)
    async def leave_out(request: Request, person: Acting, id: Id, body: Skip, key: Key = None) -> Response:  # noqa: A002
        def work(conn: Connection) -> Decided:
            skip(conn, id, step=body.step, item=body.item, person=person.name, reason=body.reason)
            return Decided(id=id, state="skipped")

        return await decided(Once.of(request, person, key, body), work)
