"""A small firm on fakes, driven step by step: no threads, no sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from concordat.core.contract import Contract
from concordat.core.language import load_contract
from concordat.core.sla import BusinessCalendar
from concordat.engine.claims import NO_TURN, Ready, Turn
from concordat.engine.intake import keep_records
from concordat.engine.lanes import drain
from concordat.engine.matching import plan_dirty
from concordat.engine.recovery import mend
from concordat.engine.world import World
from concordat.operations.contracts import publish
from concordat.sdk.spec import SourceRecord
from concordat.store.database import Database
from tests.engine.fakes import FakeSystem

CONTRACT = """
contract: opportunity-to-project
version: 1
title: A won deal becomes an executable project
owner: sales-operations
channel: transactional
subject: opportunity
since: 2026-01-01
when: opportunity.stage == "closed_won" && opportunity.kind == "new"
withdrawn: opportunity.stage in ["negotiation", "closed_lost"]
with: {client: opportunity.client, contract: opportunity.contract}
value: opportunity.amount
require:
  - {field: contract.billing_terms, owner: crm}
  - {field: client.tax_id, owner: crm, unless: client.tax_status == "exempt"}
steps:
  client_in_erp: {put: client, in: erp, map: {name: client.name, country: client.country}}
  project_in_psa: {put: project, in: psa, map: {name: opportunity.name, client: client, contract_value: contract.value}}
  project_in_erp: {put: project, in: erp, after: [client_in_erp, project_in_psa]}
  staffing: {check: availability, in: hr, for: opportunity.roles, if_unavailable: pending, due: 1 business day,
    owner: resourcing}
  workspace: {put: workspace, in: documents, after: [project_in_psa], optional: true}
  activated: {emit: project.activated, after: [project_in_psa, project_in_erp]}
late_change: {default: converge}
service_levels:
  - {name: activated, until: activated, within: 15 minutes, warn_at: 10 minutes, owner: sales-operations}
cases: {owner: sales-operations, due: 4 business hours}
"""
NOW = datetime(2026, 6, 15, 9, 0, tzinfo=UTC)


def contract(text: str = CONTRACT) -> Contract:
    loaded = load_contract(text, file="test.yaml", systems=None)
    assert loaded.contract is not None, loaded.faults
    return loaded.contract


@dataclass(kw_only=True)
class Firm:
    """The world of one test, and hands to move it."""

    world: World
    crm: FakeSystem
    psa: FakeSystem
    erp: FakeSystem
    hr: FakeSystem
    documents: FakeSystem
    pool: ThreadPoolExecutor
    version: int = 0
    at: datetime | None = None
    workers: list[int] = field(default_factory=list)

    def source(self, object_: str, ref: str, **fields: Any) -> SourceRecord:
        """A new version of a source record."""
        self.version += 1
        record = SourceRecord(object=object_, ref=ref, version=f"{self.version:06}", changed_at=NOW, fields=fields)
        self.crm.records[object_, ref] = record
        return record

    def won(self, n: int = 1, **changes: Any) -> list[SourceRecord]:
        """A won deal with its client and its contract."""
        client = {"name": f"Client {n}", "country": "DE", "tax_id": "DE811907980", "tax_status": "registered"}
        agreed = {"value": {"amount": "350000.00", "currency": "USD"}, "billing_terms": "NET30"}
        deal = {
            "name": f"Deal {n}",
            "stage": "closed_won",
            "kind": "new",
            "amount": {"amount": "350000.00", "currency": "USD"},
            "won_at": "2026-06-15T08:00:00Z",
            "client": f"crm:C{n}",
            "contract": f"crm:K{n}",
            "roles": [],
        }
        return [
            self.source("client", f"C{n}", **{**client, **changes.get("client", {})}),
            self.source("contract", f"K{n}", **{**agreed, **changes.get("contract", {})}),
            self.source("opportunity", f"O{n}", **{**deal, **changes.get("opportunity", {})}),
        ]

    def take(self, *records: SourceRecord) -> None:
        """As if read from the CRM."""
        with self.world.db.engine() as conn:
            keep_records(self.world, conn, "crm", records, correlation_id="c1", traceparent="")

    def plan(self, turn: Turn = NO_TURN) -> Ready:
        """Plan what is dirty; gives what was made ready, taken at once where `turn` has room."""
        made = []
        with self.world.db.engine() as conn:
            self._set_clock(conn)
            while (matched := plan_dirty(self.world, conn, turn=turn)).subjects:
                made.append(matched.ready)
        return Ready.of(made)

    def run(self, *, rounds: int = 30) -> None:
        """Plan and drain until nothing is due."""
        for _ in range(rounds):
            self.plan()
            if not self.drain():
                return

    def drain(self) -> int:
        """One round of every lane that has due work."""
        with self.world.db.engine() as conn:
            lanes = list(self.world.lanes(conn).values())
        return sum(drain(self.world, lane, pool=self.pool, turn=Turn()).taken for lane in lanes)

    def later(self, **by: float) -> None:
        """Time passes: everything that waits is that much older."""
        shift = timedelta(**by)
        with self.world.db.engine() as conn:
            for table, column in _CLOCKS:
                conn.execute(f"UPDATE {table} SET {column} = {column} - %s WHERE {column} IS NOT NULL", [shift])

    def mend(self) -> None:
        mend(self.world, 0)

    def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        with self.world.db.engine() as conn:
            return conn.execute(sql, args or None).fetchall()

    def states(self, handoff: int | None = None) -> dict[str, str]:
        where = "" if handoff is None else f" WHERE handoff_id = {handoff}"
        return {r["step"]: r["state"] for r in self.rows(f"SELECT step, state FROM effect{where} ORDER BY id")}

    def handoff(self) -> dict[str, Any]:
        rows = self.rows("SELECT * FROM handoff")
        assert len(rows) == 1
        return rows[0]

    def _set_clock(self, conn: Any) -> None:
        if self.at is not None:
            conn.execute("SELECT set_config('concordat.now', %s, true)", [self.at.isoformat()])


_CLOCKS = [
    ("work", "due_at"),
    ("effect", "sent_at"),
    ("effect", "settle_by"),
    ("effect", "failing_since"),
    ("effect", "applied_at"),
    ("effect", "due_at"),
    ("dirty", "due_at"),
    ("breaker", "probe_at"),
    ("hint", "due_at"),
    ("service_level", "due_at"),
    ("service_level", "warn_at"),
]

MakeFirm = Callable[..., Firm]


@pytest.fixture
def make_firm(database: Database) -> Iterator[MakeFirm]:
    pools: list[ThreadPoolExecutor] = []

    def make(text: str = CONTRACT, **psa: Any) -> Firm:
        pool = ThreadPoolExecutor(4)
        pools.append(pool)
        systems = {
            "crm": FakeSystem("crm"),
            "psa": FakeSystem("psa", "project", "contract_line", **psa),
            "erp": FakeSystem("erp", "client", "project"),
            "hr": FakeSystem("hr"),
            "documents": FakeSystem("documents", "workspace"),
        }
        agreed = contract(text)
        calendar = BusinessCalendar(zone=ZoneInfo("UTC"), opens=time(9), closes=time(17))
        world = World(
            db=database,
            unit="northbeam",
            connectors=systems,
            contracts={agreed.contract: agreed},
            calendars={"": calendar},
        )
        with database.engine() as conn:
            publish(conn, agreed, text)
        return Firm(world=world, pool=pool, **systems)

    yield make
    for pool in pools:
        pool.shutdown()


@pytest.fixture
def firm(make_firm: MakeFirm) -> Firm:
    return make_firm()
