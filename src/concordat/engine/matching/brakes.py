"""The brake: what would create, change or undo too much in a while stops for a person, and loses nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from concordat.core.contract import Brake, Contract
from concordat.core.plan import Stance
from concordat.engine.cases import CaseDraft, open_cases
from concordat.engine.matching.reading import again
from concordat.engine.matching.subject import Key, Subject
from concordat.engine.world import DEFAULT_BRAKE, World, log
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["brake"]

Does = Literal["", "create", "change", "undo"]
LOOK_AGAIN = 30.0
"""Seconds until what was stopped is looked at again."""


def brake(world: World, conn: Connection, live: list[Subject]) -> list[Subject]:
    """Stop what goes beyond the contract's brake; it waits for a person and loses nothing."""
    moving: dict[str, list[Subject]] = defaultdict(list)
    for subject in live:
        if _does(subject):
            moving[subject.contract.contract].append(subject)
    stopped: set[Key] = set()
    for name, members in moving.items():
        limit = _limit(world.contracts[name])
        if limit is not None:
            over = _over(conn, name, limit, members)
            stopped |= {s.key for s in over}
            if over:
                _stop(conn, world.contracts[name], limit, over)
    return [s for s in live if s.key not in stopped]


def _does(subject: Subject) -> Does:
    """What a plan does to its subject, if it does anything anew. What only waits was counted when it began."""
    stance = subject.plan.stance
    if stance is Stance.WITHDRAWN:
        return "undo" if subject.stands and subject.was not in ("withdrawing", "withdrawn") else ""
    if stance is not Stance.WANTED:
        return ""
    if not subject.handoff:
        return "create"
    settled = subject.was not in ("waiting", "planned", "adopted")
    return "change" if settled and subject.planned != subject.plan.digest else ""


def _limit(contract: Contract) -> Brake | None:
    if contract.brake is not None:
        return contract.brake
    return Brake(subjects=DEFAULT_BRAKE) if contract.channel == "transactional" else None


def _over(conn: Connection, name: str, limit: Brake, members: Sequence[Subject]) -> Sequence[Subject]:
    """Those that go beyond; what goes before them is counted."""
    per = limit.per.span.length.total_seconds()
    row = conn.execute(QUERIES.handoff.brake_count, {"contract": name, "per": per}).fetchone() or {}
    subjects, money = row["subjects"], Decimal(row["money"])
    fits = 0
    for subject in members:
        subjects, money = subjects + 1, money + _worth(subject, limit)
        if not row["released"] and _beyond(limit, subjects, money):
            break
        fits += 1
    done, over = members[:fits], members[fits:]
    worth = sum((_worth(s, limit) for s in done), Decimal(0))
    added = {"contract": name, "subjects": len(done), "money": worth, "stopped": bool(over)}
    conn.execute(QUERIES.handoff.brake_add, added)
    return over


def _beyond(limit: Brake, subjects: int, money: Decimal) -> bool:
    most = limit.money
    return (limit.subjects is not None and subjects > limit.subjects) or (most is not None and money > most.amount)


def _worth(subject: Subject, limit: Brake) -> Decimal:
    """The money at stake in the brake's currency; another currency is counted by its subjects alone."""
    most, value = limit.money, subject.plan.value
    return abs(Decimal(value[0])) if most and value and value[1] == most.currency else Decimal(0)


def _stop(conn: Connection, contract: Contract, limit: Brake, over: Sequence[Subject]) -> None:
    again(conn, over, LOOK_AGAIN)
    name = contract.contract
    words = [f"{limit.subjects} subjects" if limit.subjects is not None else "", str(limit.money or "")]
    most = " or ".join(word for word in words if word)
    draft = CaseDraft(
        unit=over[0].unit,
        kind="brake",
        contract=name,
        title=f"{name} would create, change or undo more than {most} in {limit.per.text}; the rest waits",
        owner=contract.case_owner,
        facts={
            "waiting": len(over),
            "of_them": dict(Counter(_does(s) for s in over)),
            "most": most,
            "remedy": f"Look at them, then: concordat contract release {name}",
        },
    )
    open_cases(conn, [draft])
    log.warning("brake.stopped", contract=name, subjects=len(over), most=most)
