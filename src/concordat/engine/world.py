"""What an engine is wired to: the database, the connections, the contracts, the calendars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache

import structlog

from concordat.core.contract import Contract, Ownership
from concordat.core.language import load_contract
from concordat.core.plan import Planner
from concordat.core.settle import Policy
from concordat.core.sla import BusinessCalendar, Span, due
from concordat.core.undo import USAGE
from concordat.errors import Bug
from concordat.sdk.spec import Connector, ObjectFacts
from concordat.store.database import Connection, Database
from concordat.store.queries import QUERIES

__all__ = ["Lane", "World", "log"]

log = structlog.get_logger("concordat.engine")

DEFAULT_BRAKE = 500
"""Subjects an hour that a transactional contract may start without a word about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """All ready effects of one (connection, object, operation)."""

    id: int
    connection: str
    object: str
    operation: str
    kept: frozenset[str] = frozenset()
    """Fields that this very system owns: never written to an object that is there already."""


def _transaction(conn: Connection) -> str:
    row = conn.execute("SELECT pg_current_xact_id()::text AS id").fetchone() or {}
    return str(row["id"])


@dataclass(kw_only=True)
class World:
    """Everything the engine needs; made once by `wiring`, shared by all threads of a process."""

    db: Database
    unit: str
    connectors: Mapping[str, Connector]
    contracts: Mapping[str, Contract]
    """Active and runnable contracts by name."""
    calendars: Mapping[str, BusinessCalendar]
    """By team; `""` is the firm's."""
    sweeps: Mapping[tuple[str, str], timedelta] = field(default_factory=dict)
    """How often each (connection, object) is swept as a source."""
    beats: Callable[[], None] = lambda: None
    """Done with every beat of a worker: budgets keep their pace and hear of each other."""
    _lanes: dict[int, Lane] = field(default_factory=dict)
    _opened_in: str = ""
    """The transaction that opened the lanes, until another one has seen them."""
    _pinned: dict[tuple[str, int], Contract] = field(default_factory=dict)
    _pinned_planners: dict[str, Planner] = field(default_factory=dict)
    _due: Callable[[str, Span, datetime], datetime] = field(init=False)

    def __post_init__(self) -> None:
        self._due = lru_cache(maxsize=1024)(self._count)  # one round of planning asks thousands of times

    def pinned(self, conn: Connection, name: str, version: int) -> Contract:
        """One version of a contract, as it was published: a handoff ends on the version that it began on."""
        known = self.contracts.get(name) or self._pinned.get((name, version))
        if known is not None and known.version == version:
            return known
        if (name, version) not in self._pinned:
            row = conn.execute(QUERIES.contract.show, {"name": name, "version": version}).fetchone()
            loaded = load_contract(row["text"] if row else "", file=f"{name}/v{version}", systems=None).contract
            if loaded is None:
                raise Bug(f"{name}/v{version} was published and cannot be read any more.")
            self._pinned[name, version] = loaded
        return self._pinned[name, version]

    def planner(self, contract: Contract) -> Planner:
        """The planner of one version of a contract."""
        if contract is self.contracts.get(contract.contract):
            return self.planners[contract.contract]
        known = self._pinned_planners.get(contract.key)
        if known is None:
            known = self._pinned_planners.setdefault(contract.key, Planner(contract, self._targets))
        return known

    @cached_property
    def _targets(self) -> Mapping[tuple[str, str], frozenset[str]]:
        return {
            (name, object_): facts.fields
            for name, connector in self.connectors.items()
            for object_, facts in connector.facts.targets.items()
            if facts.fields
        }

    @cached_property
    def planners(self) -> Mapping[str, Planner]:
        """One planner per contract, knowing which fields each target holds."""
        return {name: Planner(contract, self._targets) for name, contract in self.contracts.items()}

    @cached_property
    def subjects(self) -> tuple[list[str], list[str]]:
        """Contract names and the canonical object each is about, side by side."""
        return list(self.contracts), [contract.subject for contract in self.contracts.values()]

    def subjects_from(self, connection: str) -> tuple[list[str], list[str]]:
        """The same for records of one connection: what a contract makes in a system is no subject of it there."""
        known = [(n, c.subject) for n, c in self.contracts.items() if (connection, c.subject) not in self._made[n]]
        return [name for name, _ in known], [subject for _, subject in known]

    @cached_property
    def _made(self) -> Mapping[str, frozenset[tuple[str, str]]]:
        return {
            name: frozenset((step.system, step.word) for step in contract.steps.values() if step.kind == "put")
            for name, contract in self.contracts.items()
        }

    @cached_property
    def owned(self) -> Mapping[str, Mapping[str, tuple[Ownership, tuple[str, ...]]]]:
        """By object and field: its system of record, and the contracts that say so. Of two rules the first holds."""
        found: dict[str, dict[str, tuple[Ownership, tuple[str, ...]]]] = {}
        for name, contract in self.contracts.items():
            for path, rule in contract.owns.items():
                object_, _, field_ = path.partition(".")
                known = found.setdefault(object_, {})
                first, names = known.get(field_, (rule, ()))
                known[field_] = (first, (*names, name))
        return found

    def _kept(self, connection: str, object_: str) -> frozenset[str]:
        rules = self.owned.get(object_, {}).items()
        return frozenset(f for f, (rule, _) in rules if rule.system == connection and rule.others != "accept")

    @cached_property
    def priorities(self) -> Mapping[str, int]:
        """Contracts that are not the first to be served when calls are scarce; a lower number goes first."""
        order = {"stream": 1, "batch": 2}
        return {name: order[c.channel] for name, c in self.contracts.items() if c.channel in order}

    @cached_property
    def contested(self) -> frozenset[tuple[str, str]]:
        """Objects of systems that several contracts put: they may want different things of one."""
        put = Counter(
            place
            for contract in self.contracts.values()
            for place in {(step.system, step.word) for step in contract.steps.values() if step.kind == "put"}
        )
        return frozenset(place for place, many in put.items() if many > 1)

    def waited_for(self, contract: str, version: int, step: str) -> bool:
        """Whether another step of this contract waits for this one; yes when this version is not known here."""
        known = self._waited_for.get((contract, version))
        return known is None or step in known

    @cached_property
    def _waited_for(self) -> Mapping[tuple[str, int], frozenset[str]]:
        return {
            (name, contract.version): frozenset(before for step in contract.steps.values() for before in step.after)
            for name, contract in self.contracts.items()
        }

    def timed(self, contract: str, version: int, step: str) -> bool:
        """Whether a service level of this contract runs until this step; yes when this version is not known here."""
        known = self._timed.get((contract, version))
        return known is None or step in known

    @cached_property
    def _timed(self) -> Mapping[tuple[str, int], frozenset[str]]:
        return {
            (name, contract.version): frozenset(level.until for level in contract.service_levels)
            for name, contract in self.contracts.items()
        }

    def facts(self, lane: Lane) -> ObjectFacts | None:
        """What the lane's target declares; None for a question."""
        return self.connectors[lane.connection].facts.targets.get(lane.object)

    def policy(self, contract: str, word: str) -> Policy:
        """How patiently this contract tries again after this class of error."""
        known = self.contracts.get(contract)
        return Policy.of(known.retry.get(word) if known else None)  # type: ignore[call-overload]

    def due(self, team: str, span: Span, start: datetime) -> datetime:
        """When something of this team is due, in its business hours."""
        return self._due(team, span, start)

    def _count(self, team: str, span: Span, start: datetime) -> datetime:
        calendar = self.calendars.get(team) or self.calendars[""]
        return due(start, span, calendar)

    def lanes(self, conn: Connection) -> Mapping[int, Lane]:
        """Every lane, read again when a new one may be there."""
        rows = conn.execute(QUERIES.effect.lanes).fetchall()
        self._lanes = {row["id"]: Lane(**row, kept=self._kept(row["connection"], row["object"])) for row in rows}
        return self._lanes

    def lane_ids(self, conn: Connection) -> Mapping[tuple[str, str, str], int]:
        """Lane by (connection, object, operation), opening those that contracts need."""
        if self._opened_in and self._opened_in != _transaction(conn):
            believed, self._opened_in = self._lanes, ""
            if believed.keys() - self.lanes(conn).keys():  # the transaction that opened them was undone
                self._lanes = {}
        if not self._lanes:
            self._open_lanes(conn)
            self._opened_in = _transaction(conn)
        return {(lane.connection, lane.object, lane.operation): lane.id for lane in self._lanes.values()}

    @property
    def takeable(self) -> Iterable[Lane]:
        """Lanes whose work may be taken as soon as it is ready: all that this firm's worker knows but adoptions."""
        ours = (lane for lane in self._lanes.values() if lane.connection in self.connectors)
        return [lane for lane in ours if lane.operation != "adopt"]

    def knows(self, id_: int) -> bool:
        """Whether this lane was read already."""
        return id_ in self._lanes

    def lane(self, id_: int) -> Lane:
        """One lane by id."""
        return self._lanes[id_]

    def _open_lanes(self, conn: Connection) -> None:
        wanted = sorted(
            {
                (step.system, step.word, operation)
                for contract in self.contracts.values()
                for step in contract.steps.values()
                for operation in {"put": ("put", "adopt"), "check": ("ask",)}.get(step.kind, ())
            }
            | {
                (name, object_, "put")
                for object_ in self.owned
                for name, known in self.connectors.items()
                if object_ in known.facts.targets
            }
            | {(name, USAGE, "ask") for name, known in self.connectors.items() if USAGE in known.facts.questions}
        )
        conn.execute(
            QUERIES.effect.open_lanes,
            {
                "connections": [w[0] for w in wanted],
                "objects": [w[1] for w in wanted],
                "operations": [w[2] for w in wanted],
            },
        )
        self.lanes(conn)
