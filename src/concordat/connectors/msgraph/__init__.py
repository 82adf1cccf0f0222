"""Microsoft Graph as document store: a workspace is a folder in a SharePoint or OneDrive library.

facts.py       what is declared: settings, fields, operations
names.py       a folder's name: readable, allowed, read back without loss
errors.py      Graph's errors in our words
desk.py        one library's calls: places, listings, $batch
locks.py       what locks a workspace, and gives it back
connector.py   the seam
"""

from concordat.connectors.msgraph.connector import GraphConnector, connect
from concordat.connectors.msgraph.facts import FACTS, GraphSettings
from concordat.sdk.spec import ConnectorSpec

__all__ = ["SPEC", "GraphConnector", "GraphSettings"]

SPEC = ConnectorSpec(
    system="msgraph",
    title="Microsoft Graph",
    settings=GraphSettings,
    facts=FACTS,
    connect=connect,
    credentials=(
        "An administrator registers an application in Entra with the application permission Sites.Selected (write on"
        " the one site) or Files.ReadWrite.All, grants consent, and makes a client secret."
    ),
    checked_against=(
        "The twin in concordat.twins.msgraph, which answers the documented requests; never a real tenant."
    ),
)
