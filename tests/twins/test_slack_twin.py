"""Slack's twin: slack-sdk works unmodified, by its supported `base_url`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import Clock, SignatureVerifier

from concordat.twins.server import TwinHandle, start_twins

BOT = "xoxb-twin"


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["slack"]) as twins:
        yield twins["slack"]


def client(twin: TwinHandle, token: str = BOT) -> WebClient:
    return WebClient(token=token, base_url=f"{twin.url}/api/")


@pytest.fixture
def bot(twin: TwinHandle) -> WebClient:
    return client(twin)


def refused(call: Any, **said: Any) -> str:
    with pytest.raises(SlackApiError) as error:
        call(**said)
    return str(error.value.response["error"])


def test_a_channels_life_with_slack_sdk(twin: TwinHandle, bot: WebClient):
    assert bot.auth_test()["team"] == "Northbeam"
    made = bot.conversations_create(name="acme-migration")["channel"]
    channel = made["id"]
    assert (made["name"], made["is_archived"], made["is_member"]) == ("acme-migration", False, True)
    assert bot.conversations_setTopic(channel=channel, topic="A & B")["channel"]["topic"]["value"] == "A &amp; B"
    bot.conversations_setPurpose(channel=channel, purpose="why")
    bot.conversations_rename(channel=channel, name="acme-rollout")
    shown = bot.conversations_info(channel=channel)["channel"]
    assert (shown["name"], shown["purpose"]["value"]) == ("acme-rollout", "why")
    bot.conversations_archive(channel=channel)
    assert refused(bot.conversations_setTopic, channel=channel, topic="x") == "is_archived"
    assert refused(bot.conversations_archive, channel=channel) == "already_archived"
    assert refused(bot.conversations_unarchive, channel=channel) == "not_in_channel"
    person = client(twin, "xoxp-twin")
    person.conversations_unarchive(channel=channel)
    assert refused(person.conversations_unarchive, channel=channel) == "not_archived"
    assert [line["operation"] for line in twin.ledger()] == [
        "create",
        "topic",
        "purpose",
        "rename",
        "archive",
        "unarchive",
    ]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("Acme", "invalid_name_specials"),
        ("a b", "invalid_name_specials"),
        ("a" * 81, "invalid_name_maxlength"),
        ("", "invalid_name_required"),
        ("--", "invalid_name_punctuation"),
    ],
)
def test_names_that_slack_refuses(bot: WebClient, name: str, error: str):
    assert refused(bot.conversations_create, name=name) == error


def test_a_taken_name_is_refused_even_when_archived(bot: WebClient):
    channel = bot.conversations_create(name="acme")["channel"]["id"]
    assert refused(bot.conversations_create, name="acme") == "name_taken"
    bot.conversations_archive(channel=channel)
    assert refused(bot.conversations_create, name="acme") == "name_taken"
    other = bot.conversations_create(name="other")["channel"]["id"]
    assert refused(bot.conversations_rename, channel=other, name="acme") == "name_taken"


def test_channels_are_listed_page_by_page(bot: WebClient):
    for number in range(5):
        bot.conversations_create(name=f"c{number}")
    names = [one["name"] for page in bot.conversations_list(limit=2) for one in page["channels"]]
    assert names == [f"c{number}" for number in range(5)]


def test_messages_carry_metadata_and_are_changed(bot: WebClient):
    channel = bot.conversations_create(name="acme")["channel"]["id"]
    metadata = {"event_type": "concordat_message", "event_payload": {"record_key": "CC-1"}}
    ts = bot.chat_postMessage(channel=channel, text="hello", metadata=metadata)["ts"]
    bot.chat_postMessage(channel=channel, text="again")
    bot.chat_update(channel=channel, ts=ts, text="hello!")
    plain = bot.conversations_history(channel=channel)["messages"]
    assert [(row["text"], "metadata" in row) for row in plain] == [("again", False), ("hello!", False)]
    one = bot.conversations_history(
        channel=channel, latest=ts, oldest=ts, inclusive=True, limit=1, include_all_metadata=True
    )["messages"]
    assert [row["metadata"] for row in one] == [metadata]
    assert refused(bot.chat_update, channel=channel, ts="1.1", text="x") == "message_not_found"
    assert refused(bot.chat_postMessage, channel="C404", text="x") == "channel_not_found"
    assert len(bot.chat_postMessage(channel=channel, text="x" * 40_001)["message"]["text"]) == 40_000


def test_people_are_found_by_email(bot: WebClient):
    assert bot.users_lookupByEmail(email="ann@northbeam.example")["user"]["id"] == "U0000000001"
    assert refused(bot.users_lookupByEmail, email="nobody@northbeam.example") == "users_not_found"


def test_a_wrong_token_and_an_unknown_method_are_answered_with_200(twin: TwinHandle):
    assert refused(client(twin, "xoxb-wrong").auth_test) == "invalid_auth"
    answer = httpx.post(f"{twin.url}/api/no.such", trust_env=False)
    assert (answer.status_code, answer.json()) == (200, {"ok": False, "error": "unknown_method"})


def test_json_and_forms_are_both_taken(twin: TwinHandle):
    headers = {"authorization": "Bearer xoxb-twin"}
    said = httpx.post(f"{twin.url}/api/conversations.create", json={"name": "a"}, headers=headers, trust_env=False)
    form = {"name": "b", "token": "xoxb-twin"}
    also = httpx.post(f"{twin.url}/api/conversations.create", data=form, trust_env=False)
    assert [one.json()["channel"]["name"] for one in (said, also)] == ["a", "b"]


def test_a_tier_has_its_limit_and_says_when_to_come_back():
    with start_twins(["slack"], options={"slack": {"burst": 1}}) as twins:
        twin = twins["slack"]
        bot = client(twin)
        for number in range(20):
            bot.conversations_create(name=f"c{number}")
        with pytest.raises(SlackApiError) as error:
            bot.conversations_create(name="one-more")
        assert error.value.response.status_code == 429
        assert 0 < int(error.value.response.headers["retry-after"]) <= 60
        httpx.post(f"{twin.url}/__twin/clock", json={"advance": 61}, trust_env=False)
        bot.conversations_create(name="one-more")


def test_events_are_signed_as_slack_sdk_verifies(twin: TwinHandle, bot: WebClient):
    channel = bot.conversations_create(name="acme")["channel"]["id"]
    twin.hook("http://127.0.0.1:9/hooks/chat", "shh")
    twin.do("post", channel=channel, text="hi")
    twin.do("archive", channel=channel)
    now = Clock()
    now.now = lambda: twin.twin.now().timestamp()  # type: ignore[method-assign]
    verifier = SignatureVerifier("shh", now)
    sent = twin.twin.pushes.log
    assert [verifier.is_valid_request(one.body, one.headers) for one in sent] == [True, True]


def test_archiving_puts_the_bot_out_until_it_joins_or_is_invited(twin: TwinHandle, bot: WebClient):
    person = client(twin, "xoxp-twin")
    channel = bot.conversations_create(name="open")["channel"]["id"]
    bot.conversations_archive(channel=channel)
    assert refused(bot.conversations_join, channel=channel) == "is_archived"
    person.conversations_unarchive(channel=channel)
    assert refused(bot.chat_postMessage, channel=channel, text="hello") == "not_in_channel"
    assert refused(bot.conversations_history, channel=channel) == "not_in_channel"
    assert refused(bot.conversations_archive, channel=channel) == "not_in_channel"
    assert bot.conversations_join(channel=channel)["channel"]["is_member"] is True
    bot.chat_postMessage(channel=channel, text="hello")
    hidden = bot.conversations_create(name="hidden", is_private=True)["channel"]["id"]
    bot.conversations_archive(channel=hidden)
    assert refused(bot.conversations_info, channel=hidden) == "channel_not_found"
    person.conversations_unarchive(channel=hidden)
    assert refused(bot.conversations_join, channel=hidden) == "channel_not_found"
    assert person.conversations_invite(channel=hidden, users="U0BOT")["channel"]["is_member"] is True
    kinds = "public_channel,private_channel"
    assert [one["id"] for one in bot.conversations_list(types=kinds)["channels"]] == [channel, hidden]
    assert [one["id"] for one in bot.conversations_list()["channels"]] == [channel]


def test_links_are_made_in_messages_and_not_in_topics(bot: WebClient):
    channel = bot.conversations_create(name="links")["channel"]["id"]
    said = "see https://a.example/?x=1&amp;y=2, www.b.example or c@d.example"
    bot.chat_postMessage(channel=channel, text=said)
    assert bot.conversations_history(channel=channel)["messages"][0]["text"] == (
        "see <https://a.example/?x=1&amp;y=2>, <http://www.b.example|www.b.example> or <mailto:c@d.example|c@d.example>"
    )
    topic = bot.conversations_setTopic(channel=channel, topic="https://a.example")["channel"]["topic"]["value"]
    assert topic == "https://a.example"


def test_a_filter_makes_a_page_short_before_the_last(bot: WebClient):
    channels = [bot.conversations_create(name=f"n-{number}")["channel"]["id"] for number in range(3)]
    bot.conversations_archive(channel=channels[0])
    page = bot.conversations_list(limit=1, exclude_archived=True)
    assert (page["channels"], page["response_metadata"]["next_cursor"]) == ([], "1")
