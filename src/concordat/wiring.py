"""The one place where the parts meet: a firm's folder becomes a database, connections, contracts and an engine.

A new connector is one line in `CONNECTORS`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from concordat.core.contract import Contract
from concordat.core.language import Fault, Loaded, load_contract
from concordat.core.sla import BusinessCalendar, public_calendar
from concordat.engine.budgets import Budgets, Limits
from concordat.engine.tokens import TokenVault
from concordat.engine.world import World
from concordat.errors import Invalid, UserError
from concordat.operations.contracts import publish
from concordat.sdk.auth import wire_clock
from concordat.sdk.spec import Connector, ConnectorSpec, SystemFacts
from concordat.sdk.vault import use_vault
from concordat.settings import Entity, Environment, Firm, read_text
from concordat.store.database import Database
from concordat.store.database.opening import open_database
from concordat.store.migrate import migrate

__all__ = ["CONNECTORS", "Running", "check_contracts", "connector_spec", "open_firm"]

CONNECTORS: Mapping[str, str] = {
    "kantata": "concordat.connectors.kantata",
    "msgraph": "concordat.connectors.msgraph",
    "netsuite": "concordat.connectors.netsuite",
    "salesforce": "concordat.connectors.salesforce",
    "slack": "concordat.connectors.slack",
    "tryton": "concordat.connectors.tryton",
    "workday": "concordat.connectors.workday",
}
"""System → module with its `SPEC`; imported when a firm uses it."""

Progress = Callable[[str], None]
SHIPPED = Path(__file__).parent / "handoffs"
POOL = 24
"""Connections to the database of one process at most."""


def connector_spec(system: str) -> ConnectorSpec:
    """The spec of one system. An unknown one is a `UserError` that lists those there are."""
    module = CONNECTORS.get(system)
    if module is None:
        raise UserError(f"There is no connector for {system}.", remedy=f"There is: {', '.join(sorted(CONNECTORS))}.")
    spec: ConnectorSpec = import_module(module).SPEC
    return spec


@dataclass(kw_only=True)
class Running(AbstractContextManager["Running"]):
    """A firm at work: its database open and migrated, its connections made, its contracts active."""

    firm: Firm
    db: Database
    world: World
    closing: ExitStack
    budgets: Budgets | None = None
    notes: tuple[str, ...] = ()
    """What a person should know: contracts that were left out, and why."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and the database's pools; an embedded server ends with its last user."""
        if self.budgets is not None:
            self.budgets.close()
        for connector in self.world.connectors.values():
            connector.close()
        self.closing.close()


def open_firm(firm: Firm, environment: Environment, *, progress: Progress = lambda _text: None) -> Running:
    """Make a firm ready to work. Raises `UserError` or `NotReachable`, each one sentence with the way out."""
    connectors = _connect(firm)
    loaded = check_contracts(firm)
    progress("starting the database")
    with ExitStack() as stack:
        db = stack.enter_context(open_database(environment.database_url, firm.state, size=POOL))
        progress("bringing the tables up to date")
        migrate(db)
        contracts, notes = _activate(db, firm, loaded)
        budgets = _budgets(firm, db).open()
        stack.callback(use_vault(TokenVault(db=db, holder=_holder())))
        closing = stack.pop_all()
    world = World(
        db=db,
        unit=firm.firm.unit,
        connectors=connectors,
        contracts=contracts,
        calendars=_calendars(firm),
        sweeps=_sweeps(firm, connectors),
        beats=budgets.beat,
    )
    return Running(firm=firm, db=db, world=world, notes=notes, closing=closing, budgets=budgets)


def _budgets(firm: Firm, db: Database) -> Budgets:
    """What each connection may be called, counted for this process."""
    said = {name: connection.budget for name, connection in firm.connections.items()}
    limits = {name: Limits(**budget.model_dump()) if budget else Limits() for name, budget in said.items()}
    return Budgets(db=db, holder=_holder(), limits=limits)


def _holder() -> str:
    """This process, among all that share a database."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _connect(firm: Firm) -> dict[str, Connector]:
    made: dict[str, Connector] = {}
    for name, connection in firm.connections.items():
        spec = connector_spec(connection.system)
        try:
            settings = spec.settings.model_validate(dict(firm.settings(name)))
        except ValidationError as error:
            lines = "\n".join(
                f"  connections.{name}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()
            )
            raise Invalid(
                f"{firm.folder / 'concordat.toml'} has faults:\n{lines}\n", remedy="Mend them and try again."
            ) from error
        made[name] = spec.connect(settings, connection=name)
        if connection.settle is not None:
            made[name].facts = _quick(made[name].facts, connection.settle)
    return made


def _quick(facts: SystemFacts, settle: timedelta) -> SystemFacts:
    """The facts of a system whose writes are known to appear sooner than the vendor's may."""
    targets = {
        name: replace(each, settle_window=min(each.settle_window, settle), search_lag=min(each.search_lag, settle))
        for name, each in facts.targets.items()
    }
    return replace(facts, targets=targets)


# ── contracts ─────────────────────────────────────────────────────────────────────────────────────


def check_contracts(firm: Firm) -> dict[Path, tuple[str, Loaded]]:
    """Load every contract of the firm's folder; nothing is activated. Text and result by file."""
    files = sorted((firm.folder / "contracts").rglob("*.yaml"))
    contracts = [file for file in files if not file.name.endswith(".examples.yaml")]
    texts = {file: read_text(file) for file in contracts}
    systems = tuple(firm.connections)
    return {file: (text, load_contract(text, file=str(file), systems=systems)) for file, text in texts.items()}


def _activate(
    db: Database, firm: Firm, loaded: Mapping[Path, tuple[str, Loaded]]
) -> tuple[dict[str, Contract], tuple[str, ...]]:
    """Publish what holds; an invalid contract is never loaded and never stops the valid ones."""
    active: dict[str, Contract] = {}
    notes = [] if loaded else [f"{firm.folder / 'contracts'} holds no contract: nothing will be done."]
    for file, (text, result) in loaded.items():
        contract = result.contract
        serious = [fault for fault in result.faults if _stops(fault)]
        if contract is None or serious:
            notes.append(
                f"{file.relative_to(firm.folder)} is left out: {len(result.faults)} fault(s); see `concordat check`."
            )
            continue
        known = active.get(contract.contract)
        if known is None or known.version < contract.version:
            with db.engine() as conn:
                publish(conn, contract, text)
            active[contract.contract] = contract
        elif known.version == contract.version:
            notes.append(
                f"{file.relative_to(firm.folder)} is left out: {contract.contract} version {contract.version} "
                "is in another file too; give it another version or remove it."
            )
    return active, tuple(notes)


def _stops(fault: Fault) -> bool:
    return fault.severity != "warning"


# ── time ──────────────────────────────────────────────────────────────────────────────────────────


def _calendars(firm: Firm) -> dict[str, BusinessCalendar]:
    """One calendar per team, that of its entity; the firm's own is its first entity's."""
    year = wire_clock().year
    by_entity = {code: _calendar(entity, year) for code, entity in firm.entities.items()}
    default = next(iter(by_entity.values()))
    teams = {name: by_entity.get(team.calendar, default) for name, team in firm.teams.items()}
    return {"": default, **teams}


def _calendar(entity: Entity, year: int) -> BusinessCalendar:
    return public_calendar(
        entity.zone,
        entity.country,
        range(year - 1, year + 3),
        subdivision=entity.subdivision or None,
        opens=entity.opens,
        closes=entity.closes,
    )


def _sweeps(firm: Firm, connectors: Mapping[str, Connector]) -> dict[tuple[str, str], timedelta]:
    """How often each (connection, object) is swept: what the firm reads from there, and the connector can read."""
    sweeps: dict[tuple[str, str], timedelta] = {}
    for name, connection in firm.connections.items():
        for object_ in connection.reads:
            if object_ not in connectors[name].facts.sources:
                known = ", ".join(sorted(connectors[name].facts.sources)) or "nothing"
                raise Invalid(
                    f"connections.{name}.reads: {connection.system} is no source of {object_}.",
                    remedy=f"It is a source of: {known}.",
                )
            sweeps[name, object_] = connection.poll
    return sweeps
