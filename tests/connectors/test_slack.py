"""The Slack connector against its twin: one channel for a key, words said once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from concordat.connectors import slack
from concordat.connectors.slack.errors import CODES, verdict
from concordat.connectors.slack.names import channel_name, short
from concordat.errors import (
    AuthRevoked,
    Duplicate,
    Missing,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
)
from concordat.sdk.conformance import Bench, Check, checks
from concordat.sdk.rest import Answer
from concordat.sdk.spec import CallContext, WriteIntent, WriteResult
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", timeout=5)
KEY = "CC-ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["slack"]) as twins:
        yield twins["slack"]


def connector(twin: TwinHandle, **changes: Any) -> slack.SlackConnector:
    given = {
        "url": f"{twin.url}/api", "token": "xoxb-twin", "user_token": "xoxp-twin", "signing_secret": "shh", **changes,
    }  # fmt: skip
    made: slack.SlackConnector = slack.SPEC.connect(slack.SlackSettings(**given), connection="chat")
    return made


@pytest.fixture
def chat(twin: TwinHandle) -> Iterator[slack.SlackConnector]:
    made = connector(twin)
    yield made
    made.close()


@pytest.fixture
def bench(twin: TwinHandle, chat: slack.SlackConnector) -> Bench:
    twin.seed({"channels": [{"id": "C0000000777", "name": "somebody-elses"}]})

    def channel(number: int) -> Mapping[str, Any]:
        name, topic = (
            f"Migration: Phase {number} & <more>",
            f"For Acme & Söhne, {number}: https://acme.example/?a=1&b=2",
        )
        return {"name": name, "topic": topic, "archived": number == 2}

    def message(number: int) -> Mapping[str, Any]:
        return {
            "channel": {"ref": "C0000000777", "name": "x", "number": None},
            "text": f"<Hello> & welcome {number}, www.acme.example",
        }

    return Bench(
        connector=chat,
        examples={"channel": channel, "message": message},
        held=lambda object_: len(twin.state(f"{object_}s")),
        advance=twin.twin.clock.move,
    )


@pytest.mark.parametrize("check", checks(slack.SPEC.facts), ids=str)
def test_conforms(check: Check, bench: Bench):
    check(bench)


def intent(object_: str = "channel", key: str = KEY, **more: Any) -> WriteIntent:
    fields = {"name": "Migration", "topic": "Project for Acme"}
    return WriteIntent(**{"object": object_, "record_key": key, "write_key": f"{key}-1", "fields": fields, **more})


def write(chat: slack.SlackConnector, *args: Any, **more: Any) -> WriteResult:
    return chat.write([intent(*args, **more)], CTX)[0]


def message(channel: str | None, text: str = "Welcome") -> dict[str, Any]:
    return {"fields": {"channel": {"ref": channel, "name": "", "number": ""}, "text": text}}


def test_a_channel_is_named_for_people_and_knows_its_key(twin: TwinHandle, chat: slack.SlackConnector):
    result = write(chat)
    held = twin.state("channels")[0]
    assert (held["name"], held["purpose"]) == ("migration-qrstuvwxyz", f"Migration [{KEY}]")
    seen = chat.find("channel", [KEY, "CC-OTHER"], CTX)
    assert {key: [one.ref for one in found] for key, found in seen.items()} == {KEY: [result.ref]}


def test_the_same_channel_again_is_a_duplicate(chat: slack.SlackConnector):
    assert write(chat).error is None
    assert isinstance(write(chat).error, Duplicate)
    assert write(chat, key="CC-ANOTHER").error is None


def test_a_lost_answer_is_doubt_and_the_bare_channel_is_found_by_its_name(twin: TwinHandle, chat: slack.SlackConnector):
    twin.fault(kind="commit_then_drop", object="channels", operation="create", nth=1)
    assert isinstance(write(chat).error, UnknownOutcome)
    found = chat.find("channel", [KEY], CTX)[KEY]
    assert [one.record_key for one in found] == [KEY]
    assert write(chat, ref=found[0].ref).disposition == "updated"
    assert write(chat, ref=found[0].ref).disposition == "unchanged"
    assert twin.state("channels")[0]["topic"] == "Project for Acme"


def test_a_channel_without_its_purpose_is_doubt_not_success(twin: TwinHandle, chat: slack.SlackConnector):
    twin.fault(kind="quota_exhausted", object="channels", operation="update")
    assert isinstance(write(chat).error, UnknownOutcome)


def test_a_changed_name_renames_and_a_topic_can_be_taken_away(twin: TwinHandle, chat: slack.SlackConnector):
    ref = write(chat).ref
    assert write(chat, ref=ref, fields={"name": "Rollout", "topic": None}).disposition == "updated"
    seen = chat.fetch("channel", [str(ref)], CTX)[0].fields
    assert dict(seen) == {"name": "Rollout", "topic": None, "archived": False}
    assert twin.state("channels")[0]["name"] == "rollout-qrstuvwxyz"


def test_archive_and_reactivate(twin: TwinHandle, chat: slack.SlackConnector):
    ref = str(write(chat).ref)
    assert [write(chat, operation="archive", ref=ref, fields={}).disposition for _ in "12"] == ["updated", "unchanged"]
    assert chat.fetch("channel", [ref], CTX)[0].archived
    bot = connector(twin, user_token=None)
    assert isinstance(write(bot, operation="reactivate", ref=ref, fields={}).error, Rejected)
    bot.close()
    assert write(chat, operation="reactivate", ref=ref, fields={}).disposition == "updated"
    assert not chat.fetch("channel", [ref], CTX)[0].archived


def archived(chat: slack.SlackConnector, ref: str) -> Any:
    return chat.fetch("channel", [ref], CTX)[0].fields["archived"]


def test_a_document_closes_a_channel_and_opens_it_again(twin: TwinHandle, chat: slack.SlackConnector):
    ref = str(write(chat).ref)
    whole = {"name": "Migration", "topic": "Project for Acme"}
    for fields, disposition, closed in (
        ({"archived": True}, "updated", True),
        ({"archived": True}, "unchanged", True),
        ({**whole, "archived": True}, "unchanged", True),
        ({"archived": False}, "updated", False),
        ({"archived": None}, "unchanged", False),
        ({**whole, "topic": "Over", "archived": True}, "updated", True),
        ({**whole, "topic": "Again", "archived": False}, "updated", False),
    ):
        result = write(chat, ref=ref, fields=fields)
        assert (result.error, result.disposition, archived(chat, ref)) == (None, disposition, closed)
    assert chat.fetch("channel", [ref], CTX)[0].fields["topic"] == "Again"
    assert [line["operation"] for line in twin.ledger()].count("archive") == 2


def test_closing_throws_the_bot_out_and_it_comes_back_when_it_must(twin: TwinHandle, chat: slack.SlackConnector):
    ref = str(write(chat).ref)
    assert write(chat, ref=ref, fields={"archived": True}).error is None
    assert twin.state("channels")[0]["is_member"] is False
    assert write(chat, operation="reactivate", ref=ref, fields={}).error is None
    assert write(chat, "message", "CC-M", **message(ref)).error is None
    assert twin.state("channels")[0]["is_member"] is True
    assert len(twin.ledger("messages")) == 1


def test_a_channel_that_the_bot_was_taken_out_of_is_closed_all_the_same(twin: TwinHandle, chat: slack.SlackConnector):
    ref = str(write(chat).ref)
    twin.twin.store.put("channels", ref, {"is_member": False})
    assert write(chat, ref=ref, fields={"archived": True}).disposition == "updated"
    assert archived(chat, ref) is True


def test_a_bot_that_may_not_come_back_says_so_of_the_channel_alone(twin: TwinHandle, chat: slack.SlackConnector):
    ref = str(write(chat).ref)
    twin.twin.store.put("channels", ref, {"is_member": False})
    twin.twin.options["scopes"] = ["chat:write"]
    error = write(chat, "message", "CC-M", **message(ref)).error
    assert (type(error), error and error.code) == (Rejected, "not_in_channel")
    assert twin.ledger("messages") == []


def test_private_channels_take_the_bot_back_by_an_invitation(twin: TwinHandle):
    chat = connector(twin, private=True)
    ref = str(write(chat).ref)
    assert write(chat, ref=ref, fields={"archived": True}).error is None
    assert archived(chat, ref) is True
    assert write(chat, ref=ref, fields={"archived": False, "name": "Migration", "topic": "Again"}).error is None
    assert archived(chat, ref) is False
    chat.close()


def test_whatever_fails_after_a_channel_is_made_is_doubt(twin: TwinHandle, chat: slack.SlackConnector):
    twin.fault(kind="status", status=200, body={"ok": False, "error": "user_is_restricted"}, path="setTopic")
    assert isinstance(write(chat).error, UnknownOutcome)
    (found,) = chat.find("channel", [KEY], CTX)[KEY]
    assert (found.fields["name"], found.fields["topic"]) == ("Migration", None)


def test_two_channels_with_one_key_are_both_shown(twin: TwinHandle, chat: slack.SlackConnector):
    write(chat)
    twin.seed({"channels": [{"name": "by-hand", "purpose": f"Migration [{KEY}]", "is_archived": True}]})
    assert len(chat.find("channel", [KEY], CTX)[KEY]) == 2


def test_a_message_is_found_though_slack_gives_pages_of_fifteen(twin: TwinHandle, chat: slack.SlackConnector):
    channel = str(write(chat).ref)
    twin.twin.options["history_page"] = 15
    assert write(chat, "message", "CC-M", **message(channel)).error is None
    for number in range(40):
        twin.do("post", channel=channel, text=f"chatter {number}")
    assert len(chat.find("message", ["CC-M"], CTX)["CC-M"]) == 1
    assert len(chat.match("message", message(channel)["fields"], CTX)) == 1


def test_a_message_that_slack_would_cut_off_is_never_sent(twin: TwinHandle, chat: slack.SlackConnector):
    channel = str(write(chat).ref)
    error = write(chat, "message", "CC-M", **message(channel, "&" * 8_001)).error
    assert isinstance(error, Rejected)
    assert error.field == "text"
    assert twin.ledger("messages") == []


@pytest.mark.parametrize(
    "text",
    ["see https://a.example/x?b=1&c=2 now", "<https://a.example|not a link>", "www.a.example", "mail a@b.example"],
)
def test_links_that_slack_makes_are_read_back_as_they_were_written(
    twin: TwinHandle, chat: slack.SlackConnector, text: str
):
    channel = str(write(chat, fields={"name": "Migration", "topic": text}).ref)
    result = write(chat, "message", "CC-M", **message(channel, text))
    assert chat.fetch("message", [str(result.ref)], CTX)[0].fields["text"] == text
    assert chat.fetch("channel", [channel], CTX)[0].fields["topic"] == text
    assert twin.state("messages")[0]["text"] != text


def test_a_message_whose_answer_was_lost_is_found_in_the_history(twin: TwinHandle, chat: slack.SlackConnector):
    channel = str(write(chat).ref)
    twin.fault(kind="commit_then_504", object="messages", operation="create", nth=1)
    assert isinstance(write(chat, "message", "CC-M", **message(channel)).error, UnknownOutcome)
    assert [one.fields["text"] for one in chat.find("message", ["CC-M"], CTX)["CC-M"]] == ["Welcome"]
    other = connector(twin)
    assert len(other.find("message", ["CC-M"], CTX)["CC-M"]) == 1
    other.close()
    assert chat.find("message", ["CC-N"], CTX) == {}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fields": {"name": ""}}, "name"),
        ({"fields": {"name": "n" * 230}}, "name"),
        ({"fields": {"name": "n", "topic": "t" * 251}}, "topic"),
        ({"fields": {"name": "n", "colour": "red"}}, "colour"),
        ({"object_": "message", **message(None)}, "channel"),
        ({"object_": "message", **message("C1", "")}, "text"),
        ({"object_": "message", "ref": "C1:1.1", "fields": {"text": None}}, "text"),
        ({"ref": "C1", "fields": {"name": None, "topic": "t"}}, "name"),
        ({"operation": "archive"}, ""),
        ({"operation": "explode", "ref": "C1"}, ""),
    ],
)
def test_what_slack_cannot_take_is_rejected_before_it_is_sent(
    twin: TwinHandle, chat: slack.SlackConnector, changes: dict[str, Any], field: str
):
    error = write(chat, **changes).error
    assert isinstance(error, Rejected)
    assert error.field == field
    assert twin.ledger() == []


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Größe: Über & Co", "groe-uber-co-qrstuvwxyz"),
        ("移行", "project-qrstuvwxyz"),
        ("x" * 200, "x" * 69 + "-qrstuvwxyz"),
    ],
)
def test_channel_names(name: str, made: str):
    assert channel_name(name, KEY) == made
    assert len(made) <= 80
    assert short("CC-MESSAGE-1") == "message1"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "quota_exhausted", "seconds": 7}, RateLimited),
        ({"kind": "status", "status": 503}, Unavailable),
        ({"kind": "truncate_body"}, UnknownOutcome),
        ({"kind": "html_error_page", "status": 200}, UnknownOutcome),
    ],
)
def test_what_goes_wrong_on_the_way(
    twin: TwinHandle, chat: slack.SlackConnector, fault: dict[str, Any], kind: type[VendorError]
):
    twin.fault(object="channels", operation="create", **fault)
    error = write(chat).error
    assert type(error) is kind
    assert not isinstance(error, RateLimited) or error.retry_after == timedelta(seconds=7)


def test_a_wrong_token_needs_a_person(twin: TwinHandle):
    made = connector(twin, token="xoxb-wrong")
    with pytest.raises(AuthRevoked):
        made.ping(CTX)
    made.close()


def test_what_is_gone_is_missing(chat: slack.SlackConnector):
    assert isinstance(write(chat, ref="C404").error, Missing)
    assert chat.fetch("channel", ["C404"], CTX) == []
    assert chat.fetch("message", ["C404:1.1"], CTX) == []


# -- errors


def said(code: str, status: int = 200) -> Answer:
    return Answer(status=status, headers={"retry-after": "3"}, json={"ok": False, "error": code})


@pytest.mark.parametrize(("code", "kind"), CODES.items())
def test_every_code_of_the_table_is_translated(code: str, kind: type[VendorError]):
    error = verdict(said(code), True)
    assert type(error) is kind
    assert error.code == code


def test_the_rest_of_the_verdict():
    assert verdict(Answer(status=200, headers={}, json={"ok": True}), True) is None
    assert type(verdict(said("fatal_error"), False)) is Unavailable
    assert type(verdict(said("something_new"), True)) is Rejected
    assert type(verdict(Answer(status=200, headers={}, json=[]), True)) is UnknownOutcome
    assert verdict(Answer(status=503, headers={}), True) is None
    limited = verdict(Answer(status=429, headers={"retry-after": "3"}), True)
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == timedelta(seconds=3)
