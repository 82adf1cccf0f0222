"""`/api/v1/handoffs`: find them, look at one, replay it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from concordat.engine.world import World
from concordat.operations.handoffs import Replayed as Done
from concordat.operations.handoffs import Wanted, find_handoffs, replay, show_handoff
from concordat.web.api.models import Handoff, HandoffPage, HandoffWhole, Left, Replay, Replayed
from concordat.web.edge import bounded, in_thread
from concordat.web.identity import Acting, Looking
from concordat.web.once import Key, Once
from concordat.web.story import tell

__all__ = ["router"]

Id = Annotated[int, Path(ge=1, lt=2**62, description="The handoff's id.")]


def router(world: World, wake: Callable[[], None]) -> APIRouter:
    """Serve handoffs of one world; `wake` is called when a replay left work."""
    routes = APIRouter(prefix="/handoffs", tags=["handoffs"])

    @routes.get("", summary="Find handoffs")
    @bounded
    def find(  # noqa: PLR0917 - one per word of the query
        person: Looking,
        state: Annotated[
            str, Query(description="A state, or `open`, `moving`, `waiting`, `broken`.", max_length=100)
        ] = "",
        contract: Annotated[str, Query(description="Name of a contract.", max_length=100)] = "",
        q: Annotated[str, Query(description="Any system's number of anything behind it.", max_length=200)] = "",
        sort: Annotated[str, Query(pattern="^(newest|oldest)$")] = "newest",
        cursor: Annotated[str, Query(max_length=200, description="`next` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> HandoffPage:
        wanted = Wanted(state=state, contract=contract, q=q, oldest=sort == "oldest", cursor=cursor, limit=limit)
        with world.db.app(person.units) as conn:
            found = find_handoffs(conn, wanted)
        items = [Handoff.of(row) for row in found.rows]
        return HandoffPage(items=items, next=found.next, looked_back=found.looked_back)

    @routes.get("/{id}", summary="Show everything about one handoff")
    @bounded
    def show(person: Looking, id: Id) -> HandoffWhole:  # noqa: A002 - the path's own word
        with world.db.app(person.units) as conn:
            row = show_handoff(conn, id, world.contracts)
        says = tell(row, world)
        return HandoffWhole.whole(row, says=says.says, next_action=says.next)

    @routes.post(
        "/{id}/replay",
        summary="Plan and converge a handoff again",
        status_code=202,
        response_model=Replayed,
        responses={202: {"description": "What was set going; nothing that is verified is done again."}},
    )
    async def again(
        request: Request,
        person: Acting,
        id: Id,  # noqa: A002 - the path's own word
        body: Replay,
        key: Key = None,
    ) -> Response:
        once = Once.of(request, person, key, body)

        def work() -> Response:
            return once.run(202, lambda conn: _replayed(replay(conn, id, person=person.name, step=body.step)))

        answer = await in_thread(work)
        await in_thread(wake)
        return answer

    return routes


def _replayed(done: Done) -> Replayed:
    return Replayed(handoff=done.handoff, released=done.released, left=[Left(**left) for left in done.left])
