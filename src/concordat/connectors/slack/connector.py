"""The connector: one Slack workspace, behind the seam."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from concordat.connectors.slack.desk import Desk, Said, needed
from concordat.connectors.slack.facts import FACTS, SlackSettings
from concordat.connectors.slack.names import (
    LONGEST_TEXT,
    MOST,
    channel_name,
    heard,
    purpose,
    read_purpose,
    short,
    spoken,
    told,
)
from concordat.connectors.slack.pushes import decode
from concordat.errors import Missing, Rejected, UnknownOutcome, VendorError
from concordat.sdk.serving import Unserved, by_key, judged, served
from concordat.sdk.spec import CallContext, JsonObject, Observed, Push, WriteIntent, WriteResult
from concordat.sdk.timing import timed

__all__ = ["SlackConnector", "connect"]

EVENT = "concordat_message"
REMEMBERED = 10_000


def connect(settings: SlackSettings, *, connection: str) -> SlackConnector:
    """Make the connector; nothing is opened until its first call."""
    return SlackConnector(settings, connection=connection)


class SlackConnector(Unserved):
    """One workspace. Remembers in which channel it said what, only to look there first."""

    facts = FACTS

    def __init__(self, settings: SlackSettings, *, connection: str) -> None:
        self._settings = settings
        self._desk = Desk(settings, connection)
        self._said_in: OrderedDict[str, str] = OrderedDict()

    def ping(self, ctx: CallContext) -> None:
        """Prove the token."""
        self._desk.call("auth.test", {}, ctx)

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Make channels and say things, one after another; every failure is in its own result."""
        ctx = timed(ctx)
        return [self._written(intent, ctx) for intent in intents]

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Look for record keys: channels in the whole list, messages in the recent history."""
        wanted, ctx = set(record_keys), timed(ctx)
        seen = (
            self._our_channels(wanted, ctx)
            if served(FACTS, object_).object == "channel"
            else self._our_messages(wanted, ctx)
        )
        return by_key(seen, wanted)

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Find channels of the same name, or the same words said in the channel."""
        ctx = timed(ctx)
        if served(FACTS, object_).object == "channel":
            name = str(fields.get("name") or "").strip().casefold()
            seen = map(_channel, self._desk.channels(ctx)) if name else iter(())
            return [one for one in seen if str(one.fields["name"]).casefold() == name]
        channel = str((fields.get("channel") or {}).get("ref") or "")
        rows = self._desk.history(channel, ctx) if channel else iter(())
        return [one for one in (_message(channel, row) for row in rows) if one.fields["text"] == fields.get("text")]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read channels back by id, messages by channel and stamp."""
        ctx = timed(ctx)
        read = self._read_channel if served(FACTS, object_).object == "channel" else self._read_message
        return [observed for ref in refs if (observed := read(ref, ctx)) is not None]

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """Verify and decode an event."""
        secret = self._settings.signing_secret
        return decode(headers, body, now, secret.get_secret_value() if secret else "")

    def close(self) -> None:
        """Close the sockets."""
        self._desk.close()

    # -- writing

    def _written(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        try:
            judged(FACTS, intent)
            if len(spoken(str(intent.fields.get("topic") or ""))) > MOST:
                raise Rejected(f"A topic takes {MOST} characters.", field="topic")
            return self._put_channel(intent, ctx) if intent.object == "channel" else self._message(intent, ctx)
        except VendorError as error:
            return WriteResult(error=error)

    def _put_channel(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        if intent.ref is None:
            return self._created(intent, ctx)
        if intent.operation == "put":
            return _done(intent.ref, changed=self._changed(intent, intent.ref, ctx))
        act = self._desk.shut if intent.operation == "archive" else self._desk.reopen
        return _done(intent.ref, changed=act(intent.ref, ctx))

    def _created(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        """Make a channel and then dress it: whatever fails after the first call is doubt about the whole."""
        name, why = self._names(intent)
        said = self._desk.call("conversations.create", {"name": name, "is_private": self._settings.private}, ctx)
        made = said.get("channel") or {}
        ref = needed(made, "id", write=True)
        try:
            self._dress(made, name, why, intent, ctx)
            if intent.fields.get("archived"):
                self._desk.shut(ref, ctx)
        except VendorError as error:
            raise UnknownOutcome(f"The channel is made, the rest of it is not: {error}", code=error.code) from error
        return WriteResult(ref=ref, disposition="created", url=_link(ref))

    def _changed(self, intent: WriteIntent, ref: str, ctx: CallContext) -> bool:
        """Open before dressing what is to be open, close after it what is to be closed; a closed one is not dressed."""
        name, why = self._names(intent) if "name" in intent.fields else ("", "")
        present = self._desk.channel(ref, ctx)
        closed, shut = bool(present.get("is_archived")), bool(intent.fields.get("archived"))
        opened = closed and not shut and "archived" in intent.fields and self._desk.reopen(ref, ctx)
        changed = self._dress(present, name, why, intent, ctx)
        return (shut and not closed and self._desk.shut(ref, ctx)) or changed or opened

    def _names(self, intent: WriteIntent) -> tuple[str, str]:
        name = str(intent.fields.get("name") or "").strip()
        if not name:
            raise Rejected("A channel needs a name.", field="name")
        made = channel_name(name, intent.record_key, self._settings.prefix)
        return made, purpose(name, intent.record_key)

    def _dress(self, present: Said, name: str, why: str, intent: WriteIntent, ctx: CallContext) -> bool:
        """Bring name, purpose and topic to what they shall be; purpose first, for it carries the key."""
        channel, calls = {"channel": present["id"]}, []
        if why and told(present, "purpose") != why:
            calls.append(("setPurpose", {"purpose": why}))
        if name and present.get("name") != name:
            calls.append(("rename", {"name": name}))
        topic = intent.fields.get("topic") or ""
        if "topic" in intent.fields and told(present, "topic") != topic:
            calls.append(("setTopic", {"topic": topic}))
        for method, said in calls:
            self._desk.call(f"conversations.{method}", {**channel, **said}, ctx)
        return bool(calls)

    def _message(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        text = spoken(str(intent.fields.get("text") or ""))
        if not 0 < len(text) <= LONGEST_TEXT:
            says = f"would be cut off after {LONGEST_TEXT} characters" if text else "needs a text"
            raise Rejected(f"A message {says}.", field="text")
        where = str((intent.fields.get("channel") or {}).get("ref") or "")
        if intent.ref:
            channel, _, ts = intent.ref.partition(":")
            if "channel" in intent.fields and where != channel:
                raise Rejected("A message stays in the channel where it was said.", field="channel")
            self._desk.call("chat.update", {"channel": channel, "ts": ts, "text": text}, ctx)
            return WriteResult(ref=intent.ref, disposition="updated", url=_link(channel))
        if not where:
            raise Rejected("The channel is not in Slack yet.", field="channel")
        return self._said(intent, where, text, ctx)

    def _said(self, intent: WriteIntent, channel: str, text: str, ctx: CallContext) -> WriteResult:
        self._remember(intent.record_key, channel)
        metadata = {"event_type": EVENT, "event_payload": {"record_key": intent.record_key}}
        said = self._desk.call("chat.postMessage", {"channel": channel, "text": text, "metadata": metadata}, ctx)
        return WriteResult(ref=f"{channel}:{needed(said, 'ts', write=True)}", disposition="created", url=_link(channel))

    def _remember(self, record_key: str, channel: str) -> None:
        self._said_in[record_key] = channel
        while len(self._said_in) > REMEMBERED:
            self._said_in.popitem(last=False)

    # -- reading

    def _our_channels(self, wanted: set[str], ctx: CallContext) -> Iterator[Observed]:
        """A channel whose purpose was never set is known by the end of its name."""
        by_end = {short(key): key for key in wanted}
        for one in self._desk.channels(ctx):
            observed = _channel(one)
            key = observed.record_key or by_end.get(str(one.get("name", "")).rpartition("-")[2], "")
            if key in wanted:
                yield _channel(one, record_key=key)

    def _our_messages(self, wanted: set[str], ctx: CallContext) -> Iterator[Observed]:
        """Look where it was said, else in every channel that the app is in."""
        hints = {self._said_in.get(key, "") for key in wanted}
        places = hints if "" not in hints else {str(c["id"]) for c in self._desk.channels(ctx) if c.get("is_member")}
        for place in sorted(places):
            yield from (_message(place, row) for row in self._desk.history(place, ctx))

    def _read_channel(self, ref: str, ctx: CallContext) -> Observed | None:
        try:
            return _channel(self._desk.channel(ref, ctx))
        except Missing:
            return None

    def _read_message(self, ref: str, ctx: CallContext) -> Observed | None:
        channel, _, ts = ref.partition(":")
        at = {"channel": channel, "latest": ts, "oldest": ts, "inclusive": True, "limit": 1}
        try:
            rows = self._desk.call("conversations.history", {**at, "include_all_metadata": True}, ctx).get("messages")
        except Missing:
            return None
        return next((_message(channel, row) for row in rows or () if row.get("ts") == ts), None)


def _channel(said: Said, record_key: str = "") -> Observed:
    name, key = read_purpose(said)
    closed = bool(said.get("is_archived"))
    return Observed(
        ref=str(said["id"]),
        record_key=record_key or key,
        fields={"name": name, "topic": told(said, "topic") or None, "archived": closed},
        url=_link(str(said["id"])),
        archived=closed,
    )


def _message(channel: str, row: Said) -> Observed:
    payload = (row.get("metadata") or {}).get("event_payload") or {}
    return Observed(
        ref=f"{channel}:{row['ts']}",
        record_key=str(payload.get("record_key") or ""),
        fields={"channel": {"ref": channel}, "text": heard(str(row.get("text", "")))},
        url=_link(channel),
    )


def _done(ref: str, *, changed: bool) -> WriteResult:
    disposition: Literal["updated", "unchanged"] = "updated" if changed else "unchanged"
    return WriteResult(ref=ref, disposition=disposition, url=_link(ref))


def _link(channel: str) -> str:
    return f"https://slack.com/app_redirect?channel={channel}"
