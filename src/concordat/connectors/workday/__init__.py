"""Workday as HR, read only, by two custom reports: who works here, and how much of their time is free.

facts.py         what is declared: settings, objects, questions
errors.py        the translation table of refusals
desk.py          one connection's calls: a report with its prompts, rows out
workers.py       worker report to canonical workers
availability.py  free time by week to answers: pure arithmetic
connector.py     the seam
"""

from concordat.connectors.workday.connector import WorkdayConnector, connect
from concordat.connectors.workday.facts import FACTS, WorkdaySettings
from concordat.sdk.spec import ConnectorSpec

__all__ = ["SPEC", "WorkdayConnector", "WorkdaySettings"]

SPEC = ConnectorSpec(
    system="workday",
    title="Workday",
    settings=WorkdaySettings,
    facts=FACTS,
    connect=connect,
    credentials=(
        "An administrator creates an Integration System User, shares the two reports with it, and either gives "
        "its password or registers an API client for integrations with a non-expiring refresh token."
    ),
    checked_against=(
        "The twin, written from singer-io/tap-workday and published descriptions of RaaS; never against a real tenant."
    ),
)
