"""Slack as chat: a channel for each project, messages in it, events back.

facts.py       what is declared: settings, objects, fields, operations
names.py       a channel's name and purpose
errors.py      Slack's errors in our words
pushes.py      events
desk.py        one workspace's calls: methods by name, pages, a bot that was thrown out goes back in
connector.py   the seam
"""

from concordat.connectors.slack.connector import SlackConnector, connect
from concordat.connectors.slack.facts import FACTS, SlackSettings
from concordat.sdk.spec import ConnectorSpec

__all__ = ["SPEC", "SlackConnector", "SlackSettings"]

SPEC = ConnectorSpec(
    system="slack",
    title="Slack",
    settings=SlackSettings,
    facts=FACTS,
    connect=connect,
    credentials=(
        "An administrator makes an app with the bot scopes channels:manage, channels:read, channels:history and"
        " chat:write (groups:* for private channels), installs it, and copies bot token and signing secret."
    ),
    checked_against=(
        "The twin in concordat.twins.slack, with which slack-sdk works unmodified; never a real workspace."
    ),
)
