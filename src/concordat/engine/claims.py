"""Claims: due work under a lease and a fence, and work that is taken in the transaction that makes it ready.

A claim marks what will be written as being sent before any call. Work that becomes ready by a plan or by what was just
settled is taken at once by the process that made it ready, when that lane has room and its target object is free: the
same marks, without a second transaction. Everything else enters its lane and is claimed from there.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg.errors import UniqueViolation

from concordat.core.keys import write_key
from concordat.core.undo import LOOK, UNDO, back
from concordat.engine.world import Lane, World
from concordat.errors import Contended
from concordat.sdk.spec import WriteIntent
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = [
    "NOTHING",
    "NO_TURN",
    "ROUND",
    "Act",
    "Claimed",
    "Ready",
    "Turn",
    "one_writer",
    "put_back_early",
    "refs_of",
    "round_of",
    "take",
    "taken_at_once",
]

Act = Literal["write", "resolve", "verify", "ask", "adopt", "unchanged", "later"]
ROUND = 500
"""Most rows of one round; bounds memory and the length of a transaction."""
FRESH = 60.0
"""Seconds after its claim within which a call must begin. A process that slept longer was presumed dead meanwhile, and
its old document would overwrite a newer one; with the call's own timeout this stays below the lease, and well within
the settle windows of targets without a unique key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """One row under our fence."""

    id: int
    unit: str
    handoff: int
    contract: str
    version: int
    step: str
    act: Act
    fence: int
    generation: int
    tries: int
    digest: str
    fields: Mapping[str, Any]
    """The desired document with references filled in for this target."""
    record_key: str
    ref: str
    url: str
    owner: str
    title: str
    """The handoff's, for people."""
    value: tuple[str, str] | None
    """The money that hangs on it: amount and currency."""
    optional: bool
    verified: bool
    correlation_id: str
    traceparent: str
    at: datetime
    failing_since: datetime | None
    settle_by: datetime | None
    applied_at: datetime | None = None
    priority: int = 0
    """Of its contract's channel: who goes first when calls are scarce."""
    until: float = math.inf
    """On this process's monotonic clock: a call that has not begun by then is not made (the process was stopped)."""

    @property
    def takes_back(self) -> bool:
        """It undoes a step, or asks before an undo."""
        return self.step.startswith((UNDO, LOOK))

    @classmethod
    def of(cls, row: Mapping[str, Any], lane: Lane, refs: Mapping[Any, Mapping[str, Any]], at: datetime) -> Claimed:
        """A row as the claim gives it; `refs` says what targets call other objects."""
        return cls(
            id=row["id"],
            unit=row["unit"],
            handoff=row["handoff_id"],
            contract=row["contract"],
            version=row["version"],
            step=row["step"],
            act=row["act"],
            fence=row["fence"],
            generation=row["generation"],
            tries=row["tries"],
            digest=row["digest"],
            fields=_document(row, lane, refs),
            record_key=row["record_key"] or "",
            ref=row["ref"] or "",
            url=row["link_url"] or "",
            owner=row["owner"],
            title=row["title"],
            value=(str(row["value_amount"]), row["value_currency"]) if row["value_currency"] else None,
            optional=row["optional"],
            verified=bool(row["link_verified"]),
            correlation_id=row["correlation_id"],
            traceparent=row["traceparent"],
            at=at,
            failing_since=row["failing_since"],
            settle_by=row["settle_by"],
            applied_at=row["applied_at"],
            until=time.monotonic() + FRESH,
        )

    def intent(self, lane: Lane) -> WriteIntent:
        """The write as the connector sees it."""
        return WriteIntent(
            object=lane.object,
            record_key=self.record_key,
            write_key=write_key(self.record_key, self.generation),
            fields=self.fields,
            ref=self.ref or None,
        )


def _document(row: Mapping[str, Any], lane: Lane, refs: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
    """What is written: an empty field is sent where it was filled once; what was never ours to fill is left alone.

    Where an undo holds, or may, the document takes it back.
    """
    wrote = row["desired"] if row["wrote"] is None else row["wrote"]  # a question is about no target object
    filled = {key: _filled(value, lane, refs) for key, value in row["desired"].items()}
    taken = {} if row.get("kind") == "undo" else back(row.get("undone") or {})
    # What the target itself owns is written when the object is made, and never again.
    kept = lane.kept if row["ref"] and row.get("kind") != "undo" else ()
    ours = {key: value for key, value in filled.items() if (value is not None or key in wrote) and key not in kept}
    return {**ours, **{key: value for key, value in taken.items() if ours.get(key) is None}}


def _filled(value: Any, lane: Lane, refs: Mapping[Any, Mapping[str, Any]]) -> Any:
    """A reference gets the id that the target gave to the object."""
    if not (isinstance(value, dict) and "$ref" in value):
        return value
    to = value["$ref"]
    system = to.get("system") or lane.connection
    link = refs.get((to["owner"], system, to["object"], to.get("item", "")))
    part = to.get("part")
    if part:
        return link[part] if link and part in link else value.get(part)
    return {"ref": link["ref"] if link else None, "name": value.get("name"), "number": value.get("number")}


# ── taken at once ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """Which lanes this process would go on with at once, and how many rows of each."""

    worker: int = 0
    rooms: Mapping[int, int] = field(default_factory=dict)

    def parameters(self, world: World) -> dict[str, Any]:
        """As the statements that make work ready take it."""
        facts = [world.facts(world.lane(id_)) for id_ in self.rooms]
        return {
            "worker": self.worker,
            "turns": list(self.rooms),
            "rooms": list(self.rooms.values()),
            "windows": [f.settle_window.total_seconds() if f else 0.0 for f in facts],
        }


NO_TURN = Turn()
"""Everything enters its lane."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """What a transaction made ready: lanes with work to claim, and rows that were taken at once, by lane."""

    lanes: frozenset[int] = frozenset()
    taken: Mapping[int, Sequence[Claimed]] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Iterable[Ready]) -> Ready:
        """All of these together."""
        lanes: set[int] = set()
        taken: dict[int, list[Claimed]] = defaultdict(list)
        for part in parts:
            lanes |= part.lanes
            for lane, rows in part.taken.items():
                taken[lane].extend(rows)
        return cls(lanes=frozenset(lanes), taken=taken)


NOTHING = Ready()


def taken_at_once(world: World, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> Mapping[int, Sequence[Claimed]]:
    """Rows that a statement took for this process, by lane; what must wait for another object is put back."""
    if not rows:
        return {}
    refs = refs_of(conn, rows)
    at = rows[0]["now"]
    by_lane: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_lane[row["lane_id"]].append(row)
    taken = {}
    for lane_id, members in by_lane.items():
        lane = world.lane(lane_id)
        early = put_back_early(conn, lane, members, refs)
        taken[lane_id] = [Claimed.of(row, lane, refs, at) for row in members if row["id"] not in early]
    return taken


@contextmanager
def one_writer() -> Iterator[None]:
    """Another worker began to write one of these target objects at this moment: the transaction is done again."""
    try:
        yield
    except UniqueViolation as error:
        if error.diag.constraint_name == "work_one_writer":
            raise Contended("Another worker writes one of these target objects at this moment.") from error
        raise


# ── claimed from a lane ───────────────────────────────────────────────────────────────────────────


def take(
    conn: Connection, lane: int, *, limit: int, worker: int, settle_window: timedelta, probing: bool = False
) -> Sequence[Mapping[str, Any]]:
    """Lock due rows, then read and mark them: nobody plans or settles between the two.

    Nothing is taken for a connection that is down, unless to probe it.
    """
    due = conn.execute(QUERIES.effect.take_due, {"lane": lane, "limit": limit, "probing": probing}).fetchall()
    if not due:
        return ()
    parameters = {
        "ids": [row["effect_id"] for row in due],
        "failing": due[0]["failing"],
        "worker": worker,
        "settle_window": settle_window.total_seconds(),
    }
    with one_writer():
        return conn.execute(QUERIES.effect.claim, parameters).fetchall()


def round_of(world: World, lane: Lane) -> int:
    """Rows of one round: as many calls side by side as the target allows, each of the vendor's own limit."""
    facts = world.facts(lane)
    if facts is None:
        return ROUND
    return min(ROUND, (facts.write_batch if lane.operation == "put" else 1) * facts.parallel)


def refs_of(
    conn: Connection, rows: Sequence[Mapping[str, Any]]
) -> Mapping[tuple[int, str, str, str], Mapping[str, Any]]:
    """What the targets call the objects that these documents refer to."""
    owners = {
        value["$ref"]["owner"]
        for row in rows
        for value in row["desired"].values()
        if isinstance(value, dict) and "$ref" in value
    }
    if not owners:
        return {}
    found = conn.execute(QUERIES.effect.refs, {"owners": sorted(owners)})
    return {(r["owner_id"], r["connection"], r["object"], r["item"]): r for r in found}


def put_back_early(
    conn: Connection, lane: Lane, rows: Sequence[Mapping[str, Any]], refs: Mapping[Any, Mapping[str, Any]]
) -> frozenset[int]:
    """Put back, visibly, what refers to an object that another effect is about to make here; give its ids."""
    lacking = [
        (row["id"], *place, str(value.get("name") or ""))
        for row in rows
        for value in row["desired"].values()
        if row["act"] == "write" and isinstance(value, dict) and "$ref" in value
        if (place := _place(value["$ref"], lane)) not in refs
    ]
    if not lacking:
        return frozenset()
    names = ("ids", "owners", "systems", "objects", "items", "names")
    parameters = dict(zip(names, map(list, zip(*lacking, strict=True)), strict=True))
    waiting = conn.execute(QUERIES.effect.wait_for_others, parameters).fetchall()
    if waiting:
        conn.execute(QUERIES.handoff.derive_states, {"ids": sorted({row["handoff_id"] for row in waiting})})
    return frozenset(row["id"] for row in waiting)


def _place(to: Mapping[str, Any], lane: Lane) -> tuple[int, str, str, str]:
    return to["owner"], to.get("system") or lane.connection, to["object"], to.get("item", "")
