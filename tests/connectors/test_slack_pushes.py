"""Slack's events: what is Slack's is kept, everything else is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from concordat.connectors import slack
from concordat.errors import AuthRevoked, Rejected

pytestmark = pytest.mark.fast
SECRET = "shh"
NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


def connector(secret: str | None = SECRET) -> slack.SlackConnector:
    settings = slack.SlackSettings.model_validate({"token": "xoxb-twin", "signing_secret": secret})
    made: slack.SlackConnector = slack.SPEC.connect(settings, connection="chat")
    return made


@pytest.fixture
def chat() -> Iterator[slack.SlackConnector]:
    made = connector()
    yield made
    made.close()


def signed(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    ts = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), f"v0:{ts}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": ts, "X-Slack-Signature": f"v0={digest}"}


def event(**said: Any) -> bytes:
    return json.dumps({"type": "event_callback", "event_id": "Ev1", "event": said}).encode()


@pytest.mark.parametrize("channel", ["C1", {"id": "C2", "name": "x"}])
def test_an_event_has_a_key_and_hints_at_nothing_that_cannot_be_read_back(
    chat: slack.SlackConnector, channel: str | dict[str, str]
):
    body = event(type="channel_archive", channel=channel)
    push = chat.decode_push(signed(body), body, NOW)
    assert (push.hints, push.key, push.reply) == ((), "Ev1", None)
    assert "channel" not in chat.facts.sources


def test_the_handshake_is_answered(chat: slack.SlackConnector):
    body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
    assert chat.decode_push(signed(body), body, NOW).reply == b"abc"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(event(), secret="other"),
        signed(event(), at=NOW - timedelta(minutes=6)),
        signed(event(), at=NOW + timedelta(minutes=6)),
        signed(b"something else"),
        {"X-Slack-Request-Timestamp": "soon", "X-Slack-Signature": "v0=é"},
    ],
)
def test_a_call_that_is_not_slacks_is_refused(chat: slack.SlackConnector, headers: dict[str, str]):
    with pytest.raises(AuthRevoked):
        chat.decode_push(headers, event(), NOW)


def test_without_a_secret_nothing_is_believed():
    made = connector(secret=None)
    with pytest.raises(AuthRevoked):
        made.decode_push(signed(event(), secret=""), event(), NOW)
    made.close()


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}"])
def test_an_unreadable_event_is_rejected(chat: slack.SlackConnector, body: bytes):
    with pytest.raises(Rejected):
        chat.decode_push(signed(body), body, NOW)
