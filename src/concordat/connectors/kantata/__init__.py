"""Kantata OX as PSA over its REST API: projects are workspaces, contract lines are stories, clients are groups.

facts.py      what is declared: settings, objects, fields, operations
errors.py     the translation table of refusals
desk.py       one connection's calls: envelopes, pages, custom fields by name
groups.py     the client's group, made once
values.py     money, hours and statuses, both ways
projects.py   project and workspace, both ways
lines.py      contract line and story, both ways
feed.py       changes since a cursor
connector.py  the seam
"""

from concordat.connectors.kantata.connector import KantataConnector, connect
from concordat.connectors.kantata.facts import FACTS, KantataSettings
from concordat.sdk.spec import ConnectorSpec

__all__ = ["SPEC", "KantataConnector", "KantataSettings"]

SPEC = ConnectorSpec(
    system="kantata",
    title="Kantata OX",
    settings=KantataSettings,
    facts=FACTS,
    connect=connect,
    credentials=(
        "An account administrator creates a user for Concordat, an API application under Settings, "
        "Integrations, and authorises it as that user; the bearer token does not expire until it is revoked."
    ),
    checked_against=(
        "The twin, written from the vendor's published OpenAPI, mavenlink_gem and tap-mavenlink; "
        "never against a real account."
    ),
)
