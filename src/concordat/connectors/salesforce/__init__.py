"""Salesforce as CRM over REST: deals, clients and contracts out, clients and opportunities in.

facts.py      what is declared: settings, objects, fields, operations
fields.py     each object as a Salesforce record, both ways
errors.py     Salesforce's codes in our words
desk.py       one connection's calls: queries in pages, collections, the login
writes.py     collections of records and what became of each
feed.py       where a poll stands
hints.py      signed hints
connector.py  the seam
"""

from __future__ import annotations

from concordat.connectors.salesforce.connector import SalesforceConnector, connect
from concordat.connectors.salesforce.errors import translate
from concordat.connectors.salesforce.facts import FACTS, SalesforceSettings
from concordat.sdk.spec import ConnectorSpec

__all__ = ["FACTS", "SPEC", "SalesforceConnector", "SalesforceSettings", "connect", "translate"]

SPEC = ConnectorSpec(
    system="salesforce",
    title="Salesforce",
    settings=SalesforceSettings,
    facts=FACTS,
    connect=connect,
    credentials="A connected app with the JWT bearer flow (or client credentials) and an integration user.",
    checked_against="The twin, which is driven by the unmodified simple-salesforce; no real org was called.",
)
