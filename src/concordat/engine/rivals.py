"""Two contracts that write different values into one field of one target object: said clearly, by contract and field.

Whoever wrote last is what the target holds. Nobody can tell which contract is right, and writing again and again would
never end: people decide, by an owner in `owns` or by taking the field out of one map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from concordat.core.agree import agrees
from concordat.engine.calls import Outcome
from concordat.engine.cases import CaseDraft
from concordat.engine.world import Lane, World
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["Rival", "disagreement", "rivals_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rival:
    """Another contract's step that wants other values in the same object."""

    contract: str
    step: str
    handoff: int
    fields: Mapping[str, Mapping[str, Any]]
    """Field to what ours wants and what theirs wants."""


def rivals_of(world: World, conn: Connection, lane: Lane, outcomes: Sequence[Outcome]) -> Mapping[int, Rival]:
    """Who wants something else, by effect; asked only of objects that several contracts put. Agreed again, cases go."""
    if lane.operation != "put" or (lane.connection, lane.object) not in world.contested:
        return {}
    written = {o.row.id: o for o in outcomes if o.error is None and not o.row.takes_back and not o.absent}
    if not written:
        return {}
    found: dict[int, Rival] = {}
    asked: set[int] = set()
    for row in conn.execute(QUERIES.effect.rivals, {"ids": list(written)}):
        asked.add(row["id"])
        outcome = written[row["id"]]
        fields = _apart(outcome, row["desired"], lane.kept)
        if fields and row["id"] not in found:
            found[row["id"]] = Rival(
                contract=row["contract"], step=row["step"], handoff=row["handoff_id"], fields=fields
            )
    if asked - found.keys():
        conn.execute(QUERIES.case.agreed, {"effects": sorted(asked - found.keys())})
    return found


def _apart(outcome: Outcome, theirs: Mapping[str, Any], kept: frozenset[str]) -> dict[str, dict[str, Any]]:
    ours = outcome.row.fields
    both = [name for name in ours if name in theirs and name not in kept]
    return {
        name: {"ours": ours[name], "theirs": theirs[name]}
        for name in both
        if ours[name] is not None and _plain(theirs[name]) and not agrees(ours[name], theirs[name])
    }


def _plain(value: Any) -> bool:
    """A value that can be compared as it stands: filled, and no reference that another target has to fill in."""
    return value is not None and not (isinstance(value, Mapping) and "$ref" in value)


def disagreement(draft: CaseDraft, lane: Lane, outcome: Outcome, rival: Rival) -> CaseDraft:
    """The case of two contracts, in place of one that only says that the target holds something else."""
    row = outcome.row
    fields = ", ".join(rival.fields)
    says = f"two contracts disagree on {fields} of the {lane.object} in {lane.connection}"
    return replace(
        draft,
        kind="disagreement",
        title=f"{row.title}: {says}: {row.contract} ({row.step}) and {rival.contract} ({rival.step})",
        facts={
            "system": lane.connection,
            "object": lane.object,
            "ref": outcome.ref or row.ref,
            "contracts": [row.contract, rival.contract],
            "handoffs": [row.handoff, rival.handoff],
            "fields": {name: dict(values) for name, values in rival.fields.items()},
            "remedy": "Name the system that owns the field under `owns`, or take it out of one contract's map.",
        },
    )
