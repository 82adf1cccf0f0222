"""The undo of a handoff as a plan that people can read before it runs, and while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concordat.core.contract import Contract
from concordat.core.states import EffectState, HandoffState
from concordat.core.undo import USAGE, Does, Line
from concordat.engine.matching.reading import read_one
from concordat.engine.undo import Survey, lines_of, survey
from concordat.engine.world import World
from concordat.errors import NotFound, VendorError
from concordat.sdk.spec import CallContext
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["ask_usage", "shown", "undo_plan"]

LAST = 2**62
PATIENCE = 10.0
"""Seconds that one system may take to say what people have put on its objects."""
DOES = {
    Does.WRITE: "undone",
    Does.DROP: "let go",
    Does.LEAVE: "stays",
    Does.DECIDE: "a decision",
    Does.LOOK: "asked first",
    Does.WAIT: "waits",
}
"""What becomes of a step, for people."""


def undo_plan(
    world: World, conn: Connection, id_: int, *, usage: Mapping[tuple[str, str], Any] | None = None
) -> dict[str, Any]:
    """What is done if this handoff is withdrawn, or is being done. Reads only; `usage` is what `ask_usage` found out.

    Raises `NotFound`, also for one of another unit.
    """
    row = conn.execute(QUERIES.page.handoff_rows, {"ids": [id_]}).fetchone() if 0 < id_ < LAST else None
    if row is None:
        raise NotFound(f"There is no handoff {id_}.", remedy="Search by any system's number instead.")
    contract = world.pinned(conn, row["contract"], row["version"])
    subject = read_one(conn, contract, row["subject_id"])
    stands = survey(conn, [id_]).get(id_, Survey())
    lines = lines_of(world, contract, stands, subject.fields, said=usage)
    running = row["state"] in (HandoffState.WITHDRAWING, HandoffState.WITHDRAWN)
    return {
        "handoff": id_,
        "title": row["title"],
        "state": row["state"],
        "contract": contract.key,
        "when": contract.withdrawn or "",
        "running": running,
        "lines": [*shown(lines, stands), *_done(contract, stands)],
    }


def ask_usage(world: World, plan: Mapping[str, Any], *, correlation_id: str) -> dict[tuple[str, str], Any]:
    """Ask the targets what people have put on the objects that a plan must know about; None where nobody answers."""
    said: dict[tuple[str, str], Any] = {}
    for line in plan["lines"]:
        if line["does"] != Does.LOOK:
            continue
        context = CallContext(correlation_id=correlation_id, timeout=PATIENCE)
        asked = {"object": line["object"], "ref": line["ref"]}
        try:
            (answer,) = world.connectors[line["system"]].ask(USAGE, [asked], context)
        except VendorError:
            said[line["step"], line["item"]] = None
        else:
            said[line["step"], line["item"]] = answer.detail if answer.met else None
    return said


def shown(lines: Sequence[Line], stands: Survey) -> list[dict[str, Any]]:
    """The plan's lines as they are printed, in the order in which they run."""
    return [
        {
            "step": line.step,
            "item": line.item,
            "does": line.does.value,
            "says": f"{DOES[line.does]}: {line.word}" if line.does is Does.WRITE else DOES[line.does],
            "word": line.word,
            "system": line.system,
            "object": line.object,
            "ref": line.ref,
            "after": list(line.after),
            "why": line.why,
            "owner": line.owner if line.does is Does.DECIDE or line.asks else "",
            "state": _state(stands, line.step, line.item),
        }
        for line in lines
    ]


def _state(stands: Survey, step: str, item: str) -> str:
    row = stands.undos.get((step, item))
    return row["state"] if row and row["state"] not in (EffectState.UNDONE, EffectState.SUPERSEDED) else ""


def _done(contract: Contract, stands: Survey) -> list[dict[str, Any]]:
    """What is undone already."""
    return [
        {
            "step": row["step"],
            "item": row["item"],
            "does": "done",
            "says": "undone",
            "word": undo.do if (undo := contract.undo.get(row["step"])) else "",
            "system": row["connection"] or "",
            "object": row["object"] or "",
            "ref": row["ref"] or "",
            "after": [],
            "why": "",
            "owner": "",
            "state": _state(stands, row["step"], row["item"]),
        }
        for row in stands.effects
        if row["state"] == EffectState.UNDONE
    ]
