"""NetSuite as ERP over SuiteTalk REST: clients are customers, projects are jobs, contract lines tasks.

facts.py       what is declared: settings, objects, fields, operations
kinds.py       each object as a record type, both ways
errors.py      NetSuite's errors in our words
feed.py        changes since a cursor
connector.py   the seam
"""

from concordat.connectors.netsuite.connector import NetSuiteConnector, connect
from concordat.connectors.netsuite.facts import FACTS, NetSuiteSettings
from concordat.sdk.spec import ConnectorSpec

__all__ = ["SPEC", "NetSuiteConnector", "NetSuiteSettings"]

SPEC = ConnectorSpec(
    system="netsuite",
    title="NetSuite",
    settings=NetSuiteSettings,
    facts=FACTS,
    connect=connect,
    credentials=(
        "An administrator creates an integration record with OAuth 2.0 client credentials and REST web"
        " services, and uploads our certificate on the OAuth 2.0 Client Credentials (M2M) Setup page."
    ),
    checked_against=(
        "The twin in concordat.twins.netsuite, with which the netsuite client from PyPI works unmodified;"
        " never a real account."
    ),
)
