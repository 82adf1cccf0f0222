"""What is going on: handoffs by contract, money that waits, cases, systems, alerts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from concordat.core.states import HandoffState
from concordat.engine.world import World
from concordat.errors import Invalid
from concordat.operations.handoffs import GROUPS, Found, cursor_of, keyset
from concordat.store.database import Connection, now
from concordat.store.queries import QUERIES

__all__ = [
    "CAP",
    "Overview",
    "Strip",
    "System",
    "list_alerts",
    "list_cases",
    "list_deliveries",
    "overview",
    "systems",
]

CAP = 10_000
"""Where counting ends."""
END = "9999-12-31T00:00:00+00:00"
STRETCH = 25_000
KINDS = {state.value: group for group in ("moving", "waiting", "broken") for state in GROUPS[group]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """One contract's handoffs: what arrived in the last day, and everything that is not at rest."""

    contract: str
    title: str
    version: int
    arrived: int = 0
    in_step: int = 0
    """Of those that arrived in the last day."""
    moving: int = 0
    waiting: int = 0
    broken: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """One connection, by its progress."""

    name: str
    title: str
    state: str
    """`up`, `failing`, `down` or `quiet`."""
    reason: str = ""
    ok_at: datetime | None = None
    opened_at: datetime | None = None
    probe_at: datetime | None = None
    open_effects: int = 0
    capped: bool = False
    waiting: float = 0.0
    """Seconds that the oldest of the next open effects has waited."""
    refusals: int = 0
    sources: Sequence[Mapping[str, Any]] = ()
    budget: Mapping[str, Any] | None = None
    """Its calls, what of them is allowed, and when they are used up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The first page."""

    now: datetime
    strips: Sequence[Strip]
    systems: Sequence[System]
    money: Mapping[str, Decimal]
    """What waits or is broken, by currency; never summed across."""
    money_capped: bool
    cases: Sequence[Mapping[str, Any]]
    case_count: int
    late_cases: int
    case_money: Mapping[str, Decimal]
    late: int
    alerts: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    came_in: Mapping[str, int] = field(default_factory=dict)
    """Deliveries of the last hour by how they ended."""


def overview(conn: Connection, world: World, *, whole: bool) -> Overview:
    """Read the first page, for the units that the connection sees. `whole`: as for `systems`."""
    open_ = conn.execute(QUERIES.page.open_handoff_figures).fetchall()
    cases = conn.execute(QUERIES.page.case_money).fetchall()
    stuck = [row for row in open_ if row["state"] in (HandoffState.WAITING, HandoffState.PARTIAL)]
    return Overview(
        now=now(conn),
        strips=_strips(conn, open_),
        systems=systems(conn, world, whole=whole),
        money=_by_currency((row["currency"], row["amount"]) for row in stuck),
        money_capped=sum(row["many"] for row in open_) > CAP,
        cases=_case_rows(conn, [row["id"] for row in conn.execute(QUERIES.page.urgent_cases, {"limit": 8})]),
        case_count=sum(row["many"] for row in cases),
        late_cases=sum(row["late"] for row in cases),
        case_money=_by_currency((row["currency"], row["amount"]) for row in cases),
        late=(conn.execute(QUERIES.page.late_handoffs).fetchone() or {})["many"],
        alerts=list_alerts(conn, limit=5).rows,
        came_in=_came_in(conn),
    )


def _came_in(conn: Connection) -> Mapping[str, int]:
    ends: dict[str, int] = defaultdict(int)
    for row in conn.execute(QUERIES.page.delivery_figures):
        ends[row["state"]] += row["many"]
    return dict(ends)


def _by_currency(pairs: Iterable[tuple[str | None, Decimal | None]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in pairs:
        if currency is not None and amount is not None:
            sums[currency] += amount
    return dict(sorted(sums.items()))


def _strips(conn: Connection, open_: Sequence[Mapping[str, Any]]) -> list[Strip]:
    arrived = conn.execute(QUERIES.page.arrived).fetchall()
    known = conn.execute(QUERIES.page.contracts).fetchall()
    active = {row["name"]: row for row in known if row["state"] == "active"}
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in arrived:
        counts[row["contract"]]["arrived"] += row["many"]
        if row["state"] == HandoffState.IN_STEP:
            counts[row["contract"]]["in_step"] += row["many"]
    for figure in open_:
        counts[figure["contract"]][KINDS[figure["state"]]] += figure["many"]
    names = sorted(set(active) | set(counts))
    newest = {row["name"]: row for row in (*reversed(known), *active.values())}
    return [
        Strip(contract=name, title=newest[name]["title"], version=newest[name]["version"], **counts[name])
        for name in names
    ]


# ── systems ───────────────────────────────────────────────────────────────────────────────────────


def systems(conn: Connection, world: World, *, whole: bool) -> list[System]:
    """Every connection of the firm, with its breaker, what is open for it, and how far its sources were read.

    What a system said, and how often it was called or refused, belongs to no unit: only whoever sees the firm's own
    unit (`whole`) is told. Others are told states and times.
    """
    breakers = {row["connection"]: row for row in conn.execute(QUERIES.page.breaker_figures)}
    waits = {row["connection"]: row for row in conn.execute(QUERIES.page.waits_of_connections)}
    refused: dict[str, int] = defaultdict(int)
    for row in conn.execute(QUERIES.page.refusal_figures):
        refused[row["connection"]] += row["times"]
    sources: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in conn.execute(QUERIES.page.cursors):
        sources[row["connection"]].append(row)
    budgets = {row["connection"]: row for row in conn.execute(QUERIES.budget.figures)}
    found = (
        replace(
            _system(name, connector.facts.title, breakers.get(name), waits.get(name), sources[name], refused[name]),
            budget=budgets.get(name),
        )
        for name, connector in world.connectors.items()
    )
    told = found if whole else map(_outlined, found)
    return sorted(told, key=lambda s: (("down", "failing", "up", "quiet").index(s.state), s.name))


def _outlined(one: System) -> System:
    sources = [{**source, "error": ""} for source in one.sources]
    return replace(one, reason="", refusals=0, budget=None, sources=sources)


def _system(  # noqa: PLR0917 - one row of each table
    name: str,
    title: str,
    breaker: Mapping[str, Any] | None,
    waits: Mapping[str, Any] | None,
    sources: Sequence[Mapping[str, Any]],
    refusals: int,
) -> System:
    heard = any(s["read_at"] for s in sources)
    error = next((s["error"] for s in sources if s["error"]), "")
    kept = {k: breaker[k] for k in ("ok_at", "opened_at", "probe_at")} if breaker else {}
    return System(
        name=name,
        title=title,
        state=_state(breaker, error, heard=heard or waits is not None),
        reason=(breaker["reason"] if breaker else "") or error,
        open_effects=waits["open_effects"] if waits else 0,
        capped=waits["capped"] if waits else False,
        waiting=waits["waiting"] if waits else 0.0,
        refusals=refusals,
        sources=sources,
        **kept,
    )


def _state(breaker: Mapping[str, Any] | None, error: str, *, heard: bool) -> str:
    if breaker is not None and breaker["state"] == "open":
        return "down"
    if error or (breaker is not None and breaker["failures"] > 0):
        return "failing"
    return "up" if heard else "quiet"


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────


def list_cases(conn: Connection, *, owner: str = "", kind: str = "", cursor: str = "", limit: int = 50) -> Found:
    """One page of open cases, newest first."""
    opened, id_ = _place(cursor)
    parameters = {"opened": opened, "id": id_, "limit": limit + 1}
    if owner:
        found = conn.execute(QUERIES.page.open_cases_of_owner, {**parameters, "owner": owner, "kind": kind})
    elif kind:
        found = conn.execute(QUERIES.page.open_cases_of_kind, {**parameters, "kind": kind})
    else:
        found = conn.execute(QUERIES.page.open_cases, parameters)
    return _page(_case_rows(conn, [row["id"] for row in found]), limit, "opened_at")


def _case_rows(conn: Connection, ids: Sequence[int]) -> list[Mapping[str, Any]]:
    """These cases, in this order."""
    rows = {row["id"]: row for row in conn.execute(QUERIES.page.case_rows, {"ids": list(ids)})} if ids else {}
    return [rows[id_] for id_ in ids if id_ in rows]


def list_alerts(conn: Connection, *, cursor: str = "", limit: int = 50) -> Found:
    """One page of alerts, newest first."""
    raised, id_ = _place(cursor)
    rows = conn.execute(QUERIES.page.alerts, {"raised": raised, "id": id_, "limit": limit + 1}).fetchall()
    return _page(rows, limit, "raised_at")


def list_deliveries(conn: Connection, *, connection: str = "", cursor: str = "", limit: int = 50) -> Found:
    """One page of what came in, newest first, within one stretch of ids."""
    newest = (conn.execute(QUERIES.page.newest_delivery).fetchone() or {"id": 0})["id"]
    before = min(int(keyset(cursor)[0]), newest + 1) if cursor else newest + 1
    floor = max(before - STRETCH, 0)
    parameters = {"before": before, "floor": floor, "connection": connection, "limit": limit + 1}
    rows = conn.execute(QUERIES.page.deliveries, parameters).fetchall()
    if len(rows) > limit:
        return Found(rows=rows[:limit], next=cursor_of(rows[limit - 1]["id"]))
    return Found(rows=rows, next=cursor_of(floor) if floor else "", looked_back=floor > 0)


def _place(cursor: str) -> tuple[str, int]:
    """Instant and id of a place in a list; before its beginning without a cursor."""
    if not cursor:
        return END, 0
    instant, id_ = keyset(cursor, parts=2)
    try:
        # As Python writes it back: it reads more ways of writing an instant than PostgreSQL does.
        return datetime.fromisoformat(instant).astimezone(UTC).isoformat(), int(id_)
    except (ValueError, OverflowError) as error:
        raise Invalid("That cursor was not made here.", remedy="Start again without one.") from error


def _page(rows: Sequence[Mapping[str, Any]], limit: int, column: str) -> Found:
    if len(rows) <= limit:
        return Found(rows=rows)
    last = rows[limit - 1]
    return Found(rows=rows[:limit], next=cursor_of(last[column].isoformat(), last["id"]))
