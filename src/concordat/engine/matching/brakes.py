"""The brake: what would start too much in an hour stops for a person, and loses nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from concordat.core.contract import Contract
from concordat.core.plan import Stance
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.matching.reading import again
from concordat.engine.matching.subject import Key, Subject
from concordat.engine.world import DEFAULT_BRAKE, World, log
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["brake"]


def brake(world: World, conn: Connection, live: list[Subject]) -> list[Subject]:
    """Stop what would start too much in an hour; it waits for a person and loses nothing."""
    starting: dict[str, list[Subject]] = defaultdict(list)
    for subject in live:
        if not subject.handoff and subject.plan.stance is Stance.WANTED:
            starting[subject.contract.contract].append(subject)
    stopped: set[Key] = set()
    for name, members in starting.items():
        most = _most(world.contracts[name])
        if most is None:
            continue
        row = conn.execute(QUERIES.handoff.brake_count, {"contract": name, "subjects": len(members)}).fetchone() or {}
        if row["released"] or row["subjects"] <= most:
            continue
        over = members[-min(len(members), row["subjects"] - most) :]
        conn.execute(QUERIES.handoff.brake_stop, {"contract": name, "subjects": len(over)})
        again(conn, over, 30.0)
        open_cases(conn, [_brake_case(world.contracts[name], over, most)])
        log.warning("brake.stopped", contract=name, subjects=len(over), most=most)
        stopped |= {s.key for s in over}
    return [s for s in live if s.key not in stopped]


def _most(contract: Contract) -> int | None:
    if contract.brake is not None:
        return contract.brake.subjects
    return DEFAULT_BRAKE if contract.channel == "transactional" else None


def _brake_case(contract: Contract, over: Sequence[Subject], most: int) -> CaseDraft:
    name = contract.contract
    return CaseDraft(
        unit=over[0].unit,
        kind="brake",
        contract=name,
        title=f"{name} would start more than {most} subjects in an hour; the rest waits",
        owner=contract.case_owner,
        facts={
            "waiting": len(over),
            "most": most,
            "remedy": f"Look at them, then: concordat contract release {name}",
        },
    )
