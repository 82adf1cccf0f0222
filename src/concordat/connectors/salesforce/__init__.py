"""Salesforce (CRM) over REST: deals, clients and contracts out, clients and opportunities in.

names: `fields` · settings and facts: `facts` · reads and writes: `connector` · translation of errors:
`errors`. Vendor facts: the REST API Developer Guide; docs/reference/connectors/salesforce.md says what was
checked.
"""

from __future__ import annotations

from concordat.connectors.salesforce.connector import Salesforce, connect
from concordat.connectors.salesforce.errors import translate
from concordat.connectors.salesforce.facts import FACTS, SalesforceSettings
from concordat.sdk.spec import ConnectorSpec

__all__ = ["FACTS", "SPEC", "Salesforce", "SalesforceSettings", "connect", "translate"]

SPEC = ConnectorSpec(
    system="salesforce",
    title="Salesforce",
    settings=SalesforceSettings,
    facts=FACTS,
    connect=connect,
    credentials="A connected app with the JWT bearer flow (or client credentials) and an integration user.",
    checked_against="The twin, which is driven by the unmodified simple-salesforce; no real org was called.",
)
