"""Tryton 8.0 as ERP over JSON-RPC: clients are parties, projects and their lines are works.

facts.py       what is declared: settings, objects, fields, operations
desk.py        one call's time, shared by every request it makes
directory.py   companies, countries, payment terms, statuses: their ids, looked up once
clients.py     client and party, both ways
taxes.py       which kind of identifier a tax number is
works.py       project, contract line and project.work, both ways
bulk.py        writes in bulk that answer per record
feed.py        changes since a cursor
connector.py   the seam
"""

from concordat.connectors.tryton.connector import TrytonConnector, connect
from concordat.connectors.tryton.facts import FACTS, TrytonSettings
from concordat.sdk.spec import ConnectorSpec

__all__ = ["SPEC", "TrytonConnector", "TrytonSettings"]

SPEC = ConnectorSpec(
    system="tryton",
    title="Tryton",
    settings=TrytonSettings,
    facts=FACTS,
    connect=connect,
    credentials=(
        "An administrator creates a user for Concordat with the groups Party, Project and Timesheet "
        "Administration, all companies, and the company filter on all."
    ),
    checked_against=("A real Tryton 8.0.12 on PostgreSQL 18, started by tests/tryton; no twin stands in for it."),
)
