"""Handoffs as people ask for them: find, look at everything behind one, replay."""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concordat.core.contract import Contract
from concordat.core.states import HandoffState
from concordat.errors import Invalid, NotFound
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = [
    "GROUPS",
    "Found",
    "Replayed",
    "Wanted",
    "cursor_of",
    "find_handoffs",
    "keyset",
    "replay",
    "show_handoff",
    "wanted_states",
]

H = HandoffState
AT_REST = frozenset({H.IN_STEP, H.ADOPTED, H.WITHDRAWN, H.CANCELLED})
GROUPS: Mapping[str, tuple[HandoffState, ...]] = {
    "moving": (H.PLANNED, H.CONVERGING, H.WITHDRAWING),
    "waiting": (H.WAITING,),
    "broken": (H.PARTIAL,),
    "open": tuple(state for state in H if state not in AT_REST),
}
"""Words that people use for several states at once."""

STRETCH = 25_000
"""Ids that one page looks through at most; beyond it the reader is asked to go on."""
LAST = 2**62


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a list is asked for. Everything of it is in the page's address."""

    state: str = ""
    """A state, one of `GROUPS`, or nothing."""
    contract: str = ""
    q: str = ""
    """Any system's number, or an id such as `H12`."""
    oldest: bool = False
    cursor: str = ""
    limit: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One page of a list."""

    rows: Sequence[Mapping[str, Any]] = ()
    next: str = ""
    """The cursor of the page behind this one; empty at the end."""
    looked_back: bool = False
    """The page is short because a stretch of ids ended, not because there is no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a replay set going, and what it left alone and why."""

    handoff: int
    released: Sequence[str] = ()
    left: Sequence[Mapping[str, str]] = field(default_factory=tuple)


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────


def keyset(cursor: str, *, parts: int = 1) -> list[str]:
    """Read a cursor back. One that was not made here is `Invalid`."""
    try:
        said = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        said = ""
    found = said.split("|")
    if len(found) != parts or not found[-1].isdigit() or len(found[-1]) > 18:
        raise Invalid("That cursor was not made here.", remedy="Start again without one.")
    return found


def cursor_of(*parts: object) -> str:
    """Write a cursor: opaque to clients, and safe in an address."""
    said = "|".join(str(part) for part in parts)
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def wanted_states(word: str) -> list[str]:
    """The states behind a state or a group; `Invalid` with those there are."""
    if not word:
        return []
    if word in GROUPS:
        return [state.value for state in GROUPS[word]]
    if word in set(H):
        return [word]
    known = ", ".join([*GROUPS, *H])
    raise Invalid(f"There is no state {word}.", remedy=f"There is: {known}.")


def find_handoffs(conn: Connection, wanted: Wanted) -> Found:
    """One page of handoffs, newest first unless asked otherwise. Reads what the connection's units may see."""
    states = wanted_states(wanted.state)
    place = int(keyset(wanted.cursor)[0]) if wanted.cursor else None
    common = {"states": states, "contract": wanted.contract.replace("\x00", ""), "limit": wanted.limit + 1}
    if wanted.q.strip():
        ids, looked_back = _searched(conn, wanted, common, place), None
    elif states and not set(states) & AT_REST:
        ids, looked_back = _open(conn, common, place, oldest=wanted.oldest), None
    else:
        ids, looked_back = _stretch(conn, common, place, oldest=wanted.oldest)
    page, more = ids[: wanted.limit], len(ids) > wanted.limit
    rows = {row["id"]: row for row in conn.execute(QUERIES.page.handoff_rows, {"ids": page})}
    found = [rows[id_] for id_ in page if id_ in rows]
    if more:
        return Found(rows=found, next=cursor_of(page[-1]))
    if looked_back is not None:
        return Found(rows=found, next=cursor_of(looked_back), looked_back=True)
    return Found(rows=found)


def _open(conn: Connection, common: Mapping[str, Any], place: int | None, *, oldest: bool) -> list[int]:
    if oldest:
        rows = conn.execute(QUERIES.page.oldest_open_handoffs, {**common, "after": place or 0})
    else:
        rows = conn.execute(QUERIES.page.open_handoffs, {**common, "before": LAST if place is None else place})
    return [row["id"] for row in rows]


def _stretch(
    conn: Connection, common: Mapping[str, Any], place: int | None, *, oldest: bool
) -> tuple[list[int], int | None]:
    """Ids within one stretch, and where to go on when the stretch ended before the page was full."""
    newest = (conn.execute(QUERIES.page.newest_handoff).fetchone() or {})["id"]
    if oldest:
        after = place or 0
        ceiling = after + STRETCH
        rows = conn.execute(QUERIES.page.oldest_handoffs, {**common, "after": after, "ceiling": ceiling})
        ids = [row["id"] for row in rows]
        return ids, ceiling if len(ids) < common["limit"] and ceiling < newest else None
    before = newest + 1 if place is None else min(place, newest + 1)
    floor = max(before - STRETCH, 0)
    rows = conn.execute(QUERIES.page.recent_handoffs, {**common, "before": before, "floor": floor})
    ids = [row["id"] for row in rows]
    return ids, floor if len(ids) < common["limit"] and floor > 0 else None


def _searched(conn: Connection, wanted: Wanted, common: Mapping[str, Any], place: int | None) -> list[int]:
    """At most 500 handoffs behind a number; paged here, since they are few."""
    text = wanted.q.strip().replace("\x00", "")
    found = conn.execute(QUERIES.page.found_handoffs, {**common, "value": text.casefold(), "ref": text, "limit": 500})
    ids = {row["id"] for row in found}
    if re.fullmatch(r"[Hh]-?\d{1,18}", text):
        ids |= _by_id(conn, int(text.lstrip("Hh-")), common)
    ordered = sorted(ids, reverse=not wanted.oldest)
    if place is None:
        return ordered
    return [id_ for id_ in ordered if (id_ > place if wanted.oldest else id_ < place)]


def _by_id(conn: Connection, id_: int, common: Mapping[str, Any]) -> set[int]:
    rows = conn.execute(QUERIES.page.recent_handoffs, {**common, "before": id_ + 1, "floor": id_})
    return {row["id"] for row in rows}


# ── one ───────────────────────────────────────────────────────────────────────────────────────────


def show_handoff(conn: Connection, id_: int, contracts: Mapping[str, Contract] | None = None) -> dict[str, Any]:
    """Everything about one handoff, its steps in the contract's order. `NotFound`, also for one of another unit."""
    row = conn.execute(QUERIES.page.handoff_rows, {"ids": [id_]}).fetchone() if 0 < id_ < LAST else None
    if row is None:
        raise NotFound(f"There is no handoff {id_}.", remedy="Search by any system's number instead.")
    effects = conn.execute(QUERIES.page.effects, {"id": id_}).fetchall()
    cases = conn.execute(QUERIES.page.cases_of_handoff, {"id": id_}).fetchall()
    missing = [m for c in cases if c["state"] != "resolved" for m in c["facts"].get("missing", ())]
    numbers = conn.execute(QUERIES.page.numbers_of_record, {"record": row["subject_id"]}).fetchall()
    return {
        **row,
        "effects": _with_attempts(conn, _in_order(effects, (contracts or {}).get(row["contract"]))),
        "effect_count": row["effects"],
        "cases": cases,
        "missing": missing,
        "clocks": conn.execute(QUERIES.page.clocks_of_handoff, {"id": id_}).fetchall(),
        "events": conn.execute(QUERIES.page.events_of_handoff, {"id": id_}).fetchall(),
        "numbers": [n["value"] for n in numbers],
    }


def _in_order(effects: Sequence[Mapping[str, Any]], contract: Contract | None) -> Sequence[Mapping[str, Any]]:
    places = {step: place for place, step in enumerate(contract.order())} if contract else {}
    return sorted(effects, key=lambda e: (places.get(e["step"], len(places)), e["id"]))


def _with_attempts(conn: Connection, effects: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    tried: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in conn.execute(QUERIES.page.attempts, {"effects": [e["id"] for e in effects]}):
        tried[row["effect_id"]].append(row)
    return [{**effect, "attempts": tried[effect["id"]][::-1]} for effect in effects]


# ── replay ────────────────────────────────────────────────────────────────────────────────────────


def replay(conn: Connection, id_: int, *, person: str, step: str = "") -> Replayed:
    """Plan and converge a handoff again, all of it or from one step on; wake a worker after the commit.

    What waits or is held becomes ready with fresh patience; what is applied, verified or on its way is left as it
    is, so nothing is done twice. A change that waits for a decision stays held, and a call whose outcome nobody
    knows is repeated only when its own step is named. Raises `NotFound`, `Invalid` for an unknown step.
    """
    row = conn.execute(QUERIES.page.lock_handoff, {"id": id_}).fetchone() if 0 < id_ < LAST else None
    if row is None:
        raise NotFound(f"There is no handoff {id_}.")
    conn.execute(QUERIES.handoff.resume, {"id": id_})
    conn.execute(QUERIES.effect.lock_work, {"ids": [id_]})
    effects = conn.execute(QUERIES.page.stuck_effects, {"id": id_}).fetchall()
    wanted = _from(effects, step)
    stuck = [e for e in effects if e["step"] in wanted and e["state"] in ("held", "pending") and e["lane_id"]]
    left = [{"step": e["step"], "why": why} for e in stuck if (why := _against(e, step))]
    going = [e["id"] for e in stuck if not _against(e, step)]
    freed = conn.execute(QUERIES.page.release_effects, {"effects": going}).fetchall()
    conn.execute(QUERIES.case.resolve_effects, {"effects": going, "resolution": f"replayed by {person}"})
    conn.execute(
        QUERIES.page.mark_handoff,
        {
            "contract": row["contract"],
            "subject": row["subject_id"],
            "correlation_id": row["correlation_id"],
            "traceparent": row["traceparent"],
        },
    )
    conn.execute(QUERIES.handoff.derive_states, {"ids": [id_]})
    released = [f["step"] for f in freed]
    _note(conn, row, person, step, released)
    return Replayed(handoff=id_, released=released, left=left)


def _against(effect: Mapping[str, Any], step: str) -> str:
    """What speaks against moving it, as a sentence."""
    if effect["undecided"]:
        return "A change after it was done waits for a decision in its case."
    if effect["unknown"] and effect["step"] != step:
        return "Nobody knows whether it was written. Look at the target, then replay from this very step."
    return ""


def _from(effects: Sequence[Mapping[str, Any]], step: str) -> set[str]:
    """The named step and all behind it; every step when none is named."""
    steps = {e["step"] for e in effects}
    if not step:
        return steps
    if step not in steps:
        raise Invalid(f"This handoff has no step {step}.", remedy=f"It has: {', '.join(sorted(steps))}.")
    behind, grown = {step}, True
    while grown:
        more = {e["step"] for e in effects if behind & set(e["after"])} - behind
        behind, grown = behind | more, bool(more)
    return behind


def _note(conn: Connection, row: Mapping[str, Any], person: str, step: str, released: Sequence[str]) -> None:
    conn.execute(
        QUERIES.page.note,
        {
            "unit": row["unit"],
            "person": person,
            "act": "handoff.replay",
            "object": f"handoff:{row['id']}",
            "before": json_text({"state": row["state"]}),
            "after": json_text({"from": step, "released": list(released)}),
        },
    )
