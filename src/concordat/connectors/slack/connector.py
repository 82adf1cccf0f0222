"""The connector: one Slack workspace, behind the seam."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import unescape
from typing import Any, NoReturn

from concordat.connectors.slack.errors import verdict
from concordat.connectors.slack.facts import FACTS, SlackSettings
from concordat.connectors.slack.names import MOST, channel_name, purpose, read_purpose, short, spoken, told
from concordat.connectors.slack.pushes import decode
from concordat.errors import Missing, Rejected, Retriable, UnknownOutcome, VendorError
from concordat.sdk.auth import Bearer
from concordat.sdk.rest import Http, encode_json
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ChangePage,
    JsonObject,
    Observed,
    Push,
    SourceRecord,
    WriteIntent,
    WriteResult,
)
from concordat.sdk.timing import left, timed

__all__ = ["SlackConnector", "connect"]

EVENT = "concordat_message"
PAGE = 200
REMEMBERED = 10_000
WRITES = frozenset({"create", "archive", "unarchive", "rename", "setTopic", "setPurpose", "postMessage", "update"})
Said = Mapping[str, Any]


def connect(settings: SlackSettings, *, connection: str) -> SlackConnector:
    """Make the connector; nothing is opened until its first call."""
    return SlackConnector(settings, connection=connection)


class SlackConnector:
    """One workspace. Remembers in which channel it said what, only to look there first."""

    facts = FACTS

    def __init__(self, settings: SlackSettings, *, connection: str) -> None:
        self._connection = connection
        self._settings = settings
        self._bot = self._door(settings.token.get_secret_value())
        self._user = self._door(settings.user_token.get_secret_value()) if settings.user_token else None
        self._said_in: OrderedDict[str, str] = OrderedDict()

    def _door(self, token: str) -> Http:
        return Http(self._settings.url, Bearer(token), connection=self._connection, errors=verdict)

    def ping(self, ctx: CallContext) -> None:
        """Prove the token."""
        self._call("auth.test", {}, ctx)

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:  # noqa: ARG002
        """Refuse: a workspace is no source here."""
        _unserved(f"changes of a {object_}")

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:  # noqa: ARG002
        """Refuse: a workspace is no source here."""
        _unserved(f"a {object_} as a source")

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Make channels and say things, one after another; every failure is in its own result."""
        ctx = timed(ctx)
        return [self._written(intent, ctx) for intent in intents]

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Look for record keys: channels in the whole list, messages in the recent history."""
        wanted, ctx = set(record_keys), timed(ctx)
        seen = self._our_channels(wanted, ctx) if _known(object_) == "channel" else self._our_messages(wanted, ctx)
        found: dict[str, list[Observed]] = {}
        for observed in seen:
            found.setdefault(observed.record_key, []).append(observed)
        return found

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Find channels of the same name, or the same words said in the channel."""
        ctx = timed(ctx)
        if _known(object_) == "channel":
            name = str(fields.get("name") or "").strip().casefold()
            seen = [_channel(one) for one in self._list(ctx)]
            return [one for one in seen if name and str(one.fields["name"]).casefold() == name]
        channel = str((fields.get("channel") or {}).get("ref") or "")
        rows = self._history(channel, ctx) if channel else iter(())
        return [one for one in rows if one.fields["text"] == fields.get("text")]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read channels back by id, messages by channel and stamp."""
        ctx = timed(ctx)
        read = self._read_channel if _known(object_) == "channel" else self._read_message
        return [observed for ref in refs if (observed := read(ref, ctx)) is not None]

    def ask(
        self,
        question: str,
        questions: Sequence[JsonObject],  # noqa: ARG002
        ctx: CallContext,  # noqa: ARG002
    ) -> Sequence[Answer]:
        """Refuse: Slack answers no questions here."""
        _unserved(f"the question {question!r}")

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """Verify and decode an event."""
        secret = self._settings.signing_secret
        return decode(headers, body, now, secret.get_secret_value() if secret else "")

    def close(self) -> None:
        """Close the sockets."""
        for door in filter(None, (self._bot, self._user)):
            door.close()

    # -- writing

    def _written(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        try:
            self._judge(intent)
            return self._channel(intent, ctx) if intent.object == "channel" else self._message(intent, ctx)
        except VendorError as error:
            return WriteResult(error=error)

    def _judge(self, intent: WriteIntent) -> None:
        about = FACTS.targets[_known(intent.object)]
        strange = sorted(set(intent.fields) - about.fields)
        if strange:
            raise Rejected(f"Slack holds no {strange[0]!r} of a {intent.object}.", field=strange[0])
        if intent.operation not in about.operations:
            raise Rejected(f"Slack has no {intent.operation!r} for a {intent.object}.")
        if intent.operation != "put" and intent.ref is None:
            raise Rejected(f"{intent.operation} needs the channel's id.")
        if len(spoken(str(intent.fields.get("topic") or ""))) > MOST:
            raise Rejected(f"A topic takes {MOST} characters.", field="topic")

    def _channel(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        if intent.operation == "archive":
            return self._moved(self._bot, "conversations.archive", "already_archived", intent, ctx)
        if intent.operation == "reactivate":
            if self._user is None:
                raise Rejected("Slack lets no bot re-open a channel: set `user_token`, or a person does it.")
            return self._moved(self._user, "conversations.unarchive", "not_archived", intent, ctx)
        return self._changed(intent, ctx) if intent.ref else self._created(intent, ctx)

    def _moved(self, door: Http, method: str, done: str, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        """Archive or re-open; there already is success."""
        ref = str(intent.ref)
        try:
            self._call(method, {"channel": ref}, ctx, door=door)
        except Rejected as error:
            if error.code != done:
                raise
            return WriteResult(ref=ref, disposition="unchanged", url=_link(ref))
        return WriteResult(ref=ref, disposition="updated", url=_link(ref))

    def _created(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        name, why = self._names(intent)
        said = self._call("conversations.create", {"name": name, "is_private": self._settings.private}, ctx)["channel"]
        try:
            self._dress(said, name, why, intent, ctx)
        except Retriable as error:
            raise UnknownOutcome(f"The channel is made, its purpose or topic is not: {error}") from error
        return WriteResult(ref=said["id"], disposition="created", url=_link(said["id"]))

    def _changed(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        name, why = self._names(intent)
        present = self._call("conversations.info", {"channel": str(intent.ref)}, ctx)["channel"]
        changed = self._dress(present, name, why, intent, ctx)
        return WriteResult(
            ref=intent.ref, disposition="updated" if changed else "unchanged", url=_link(str(intent.ref))
        )

    def _names(self, intent: WriteIntent) -> tuple[str, str]:
        name = str(intent.fields.get("name") or "").strip()
        if not name:
            raise Rejected("A channel needs a name.", field="name")
        made = channel_name(name, intent.record_key, self._settings.prefix)
        return made, purpose(name, intent.record_key)

    def _dress(self, present: Said, name: str, why: str, intent: WriteIntent, ctx: CallContext) -> bool:
        """Bring name, purpose and topic to what they shall be; purpose first, for it carries the key."""
        channel, changed = {"channel": present["id"]}, False
        if told(present, "purpose") != why:
            self._call("conversations.setPurpose", {**channel, "purpose": why}, ctx)
            changed = True
        if present.get("name") != name:
            self._call("conversations.rename", {**channel, "name": name}, ctx)
            changed = True
        if "topic" in intent.fields and told(present, "topic") != (intent.fields["topic"] or ""):
            self._call("conversations.setTopic", {**channel, "topic": intent.fields["topic"] or ""}, ctx)
            changed = True
        return changed

    def _message(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        text = str(intent.fields.get("text") or "")
        if not text:
            raise Rejected("A message needs a text.", field="text")
        if intent.ref:
            channel, _, ts = intent.ref.partition(":")
            self._call("chat.update", {"channel": channel, "ts": ts, "text": spoken(text)}, ctx)
            return WriteResult(ref=intent.ref, disposition="updated", url=_link(channel))
        channel = str((intent.fields.get("channel") or {}).get("ref") or "")
        if not channel:
            raise Rejected("The channel is not in Slack yet.", field="channel")
        self._remember(intent.record_key, channel)
        metadata = {"event_type": EVENT, "event_payload": {"record_key": intent.record_key}}
        said = self._call("chat.postMessage", {"channel": channel, "text": spoken(text), "metadata": metadata}, ctx)
        return WriteResult(ref=f"{channel}:{said['ts']}", disposition="created", url=_link(channel))

    def _remember(self, record_key: str, channel: str) -> None:
        self._said_in[record_key] = channel
        while len(self._said_in) > REMEMBERED:
            self._said_in.popitem(last=False)

    # -- reading

    def _our_channels(self, wanted: set[str], ctx: CallContext) -> Iterator[Observed]:
        """A channel whose purpose was never set is known by the end of its name."""
        by_end = {short(key): key for key in wanted}
        for one in self._list(ctx):
            observed = _channel(one)
            key = observed.record_key or by_end.get(str(one.get("name", "")).rpartition("-")[2], "")
            if key in wanted:
                yield _channel(one, record_key=key)

    def _our_messages(self, wanted: set[str], ctx: CallContext) -> Iterator[Observed]:
        """Look where it was said, else in every channel that the app is in."""
        hints = {self._said_in.get(key, "") for key in wanted}
        places = hints if "" not in hints else {str(c["id"]) for c in self._list(ctx) if c.get("is_member")}
        for place in sorted(places):
            yield from (one for one in self._history(place, ctx) if one.record_key in wanted)

    def _list(self, ctx: CallContext) -> Iterator[Said]:
        kinds = "public_channel,private_channel" if self._settings.private else "public_channel"
        cursor = ""
        while True:
            page = self._call("conversations.list", {"limit": 1000, "types": kinds, "cursor": cursor}, ctx)
            yield from page.get("channels", ())
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return

    def _history(self, channel: str, ctx: CallContext) -> Iterator[Observed]:
        """Give the newest messages of a channel: one page, which is what a look-up after doubt needs."""
        ask = {"channel": channel, "limit": PAGE, "include_all_metadata": True}
        for row in self._call("conversations.history", ask, ctx).get("messages", ()):
            yield _message(channel, row)

    def _read_channel(self, ref: str, ctx: CallContext) -> Observed | None:
        try:
            return _channel(self._call("conversations.info", {"channel": ref}, ctx)["channel"])
        except Missing:
            return None

    def _read_message(self, ref: str, ctx: CallContext) -> Observed | None:
        channel, _, ts = ref.partition(":")
        ask = {
            "channel": channel,
            "latest": ts,
            "oldest": ts,
            "inclusive": True,
            "limit": 1,
            "include_all_metadata": True,
        }
        try:
            rows = self._call("conversations.history", ask, ctx).get("messages", ())
        except Missing:
            return None
        return next((_message(channel, row) for row in rows if row.get("ts") == ts), None)

    def _call(self, method: str, said: Said, ctx: CallContext, *, door: Http | None = None) -> Said:
        write = method.rpartition(".")[2] in WRITES
        answer = (door or self._bot).send(left(ctx), "POST", f"/{method}", form=_form(said), write=write)
        refused = verdict(answer, write)
        if refused is not None:
            raise refused
        told_: Said = answer.json
        return told_


def _form(said: Said) -> dict[str, str]:
    """Write arguments as a form, which every method takes; what is no text goes as JSON."""
    return {name: value if isinstance(value, str) else _json(value) for name, value in said.items()}


def _json(value: Any) -> str:
    return encode_json(value).decode()


def _channel(said: Said, record_key: str = "") -> Observed:
    name, key = read_purpose(said)
    return Observed(
        ref=str(said["id"]),
        record_key=record_key or key,
        fields={"name": name, "topic": told(said, "topic") or None},
        url=_link(str(said["id"])),
        archived=bool(said.get("is_archived")),
    )


def _message(channel: str, row: Said) -> Observed:
    payload = (row.get("metadata") or {}).get("event_payload") or {}
    return Observed(
        ref=f"{channel}:{row['ts']}",
        record_key=str(payload.get("record_key") or ""),
        fields={"channel": {"ref": channel}, "text": unescape(str(row.get("text", "")))},
        url=_link(channel),
    )


def _link(channel: str) -> str:
    return f"https://slack.com/app_redirect?channel={channel}"


def _known(object_: str) -> str:
    if object_ not in FACTS.targets:
        _unserved(f"a {object_}")
    return object_


def _unserved(what: str) -> NoReturn:
    raise Rejected(f"Slack does not serve {what} here.")
