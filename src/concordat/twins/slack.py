"""A Slack workspace: channels, messages with metadata, users, signed events.

Options: `token` (xoxb-twin), `user_token` (xoxp-twin), `users` (e-mail to id), `limits` (true), `burst` (5: how many
times a tier's calls of a minute are let through at once), `history_page` (999: most messages in a page; 15 for apps
outside the Marketplace since 2025-05-29, src: docs.slack.dev rate-limits), `scopes` (all; else a list).
Acts: `post` {"channel", "text"} (a person says something: pushed as an event), `archive` {"channel"}.

Quirks, each with its source:
- HTTP 200 with `ok: false`; form, JSON and query are all taken (src: docs.slack.dev, web-api)
- a channel's name: lower case letters, digits, hyphens, underscores, at most 80; taken names are refused, those of
  archived channels too (src: docs.slack.dev/reference/methods/conversations.create)
- bot tokens cannot unarchive (src: docs.slack.dev/reference/methods/conversations.unarchive, bug alert)
- archiving puts the bot out of the channel, and it is not back in when a person unarchives it: until it joins
  (`conversations.join`; a private one: a person invites it) it gets not_in_channel, also for archiving, and does not
  see a private one (src: Credal-ai/actions-sdk pull 263, elastic/connectors issue 1972,
  open-cli-collective/slack-chat-api issue 26, slack-go/slack issue 1066)
- a message of more than 40,000 characters is cut off without a word (src: docs.slack.dev/reference/methods/
  chat.postMessage, truncating content; changelog of 2018-04)
- what looks like a link comes back as one, `<https://…>` or `<http://www.…|www.…>`
  (src: api.slack.com/docs/formatting); in purposes too (unsure), in topics not (src: conversations.setTopic)
- filters of a listing are applied to a page that was cut before, so a page may be short or empty and not be the last
  (src: docs.slack.dev/reference/methods/conversations.list)
- the ledger's words for what a call does to a channel: create, topic, purpose, rename, archive, unarchive, join, invite
- tiers of calls a minute for each method, 429 with Retry-After (src: docs.slack.dev/apis/web-api/rate-limits; bursts
  are allowed "occasionally", `burst` is our reading); one message a second to a channel is not enforced
- a message's metadata comes back only when asked for (src: conversations.history, include_all_metadata)
- &, < and > come back escaped in topics and purposes (unsure)
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

from concordat.twins.base import Call, Record, Refuse, Reply, Twin

__all__ = ["make"]

CHANNELS, MESSAGES = "channels", "messages"
BOT = "U0BOT"
NAME = re.compile(r"[a-z0-9_-]+")
LINK = re.compile(
    r"(?P<whole>https?://[^\s<>|&]+(?:&amp;[^\s<>|&]+)*(?<![.,;:!?]))"
    r"|(?P<bare>www\.[^\s<>|&]+(?<![.,;:!?]))|(?<![\w.])(?P<mail>[\w.]+@[\w.]+\w)"
)
LONGEST_TEXT = 40_000
TRUE = frozenset({True, "true", "1"})
TIERS = {1: 1, 2: 20, 3: 50, 4: 100}
Said = Mapping[str, Any]
DEFAULTS: Mapping[str, Any] = {
    "token": "xoxb-twin",
    "user_token": "xoxp-twin",
    "users": {"ann@northbeam.example": "U0000000001"},
    "limits": True,
    "burst": 5,
    "history_page": 999,
    "scopes": None,
}


def make(options: Mapping[str, Any]) -> Twin:
    """Build the workspace."""
    twin = Twin("slack", {**DEFAULTS, **options})
    twin.make_ref = lambda object_, number: f"{'C' if object_ == CHANNELS else 'M'}{number:010d}"
    twin.no_route = lambda _call: Reply({"ok": False, "error": "unknown_method"})
    twin.bad_json = lambda _call: Reply({"ok": False, "error": "invalid_json"})
    twin.tokens.allow(twin.options["token"])
    twin.tokens.allow(twin.options["user_token"])
    _Workspace(twin).serve()
    return twin


class _Workspace:
    """The methods, and what they share."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self._calls: dict[str, deque[datetime]] = defaultdict(deque)
        self._numbers = itertools.count(1)
        twin.seeded = self._seeded

    def serve(self) -> None:
        """Put every method in place: its object, operation and tier."""
        methods: Mapping[str, tuple[Callable[[Call, Said], Said], str, str, int]] = {
            "auth.test": (self.test, "auth", "read", 4),
            "conversations.create": (self.create, CHANNELS, "create", 2),
            "conversations.info": (self.info, CHANNELS, "read", 3),
            "conversations.list": (self.listing, CHANNELS, "search", 2),
            "conversations.archive": (self.archive, CHANNELS, "archive", 2),
            "conversations.unarchive": (self.unarchive, CHANNELS, "unarchive", 2),
            "conversations.join": (self.join, CHANNELS, "join", 3),
            "conversations.invite": (self.invite, CHANNELS, "invite", 3),
            "conversations.rename": (self.rename, CHANNELS, "update", 2),
            "conversations.setTopic": (self.topic, CHANNELS, "update", 2),
            "conversations.setPurpose": (self.purpose, CHANNELS, "update", 2),
            "conversations.history": (self.history, MESSAGES, "search", 3),
            "chat.postMessage": (self.post, MESSAGES, "create", 4),
            "chat.update": (self.update, MESSAGES, "update", 3),
            "users.lookupByEmail": (self.user, "users", "read", 3),
        }
        for name, (act, object_, operation, tier) in methods.items():
            handler = self._handler(name, act, tier)
            for verb in ("POST", "GET"):
                self.twin.route(verb, f"/api/{name}", object=object_, operation=operation)(handler)
        self.twin.action("post")(self.person_posts)
        self.twin.action("archive")(self.person_archives)

    def _handler(self, name: str, act: Callable[[Call, Said], Said], tier: int) -> Callable[[Call], Reply]:
        def handle(call: Call) -> Reply:
            said = _arguments(call)
            token = str(said.get("token") or self.twin.bearer(call))
            if not token or not self.twin.tokens.good(token):
                raise _no("invalid_auth" if token else "not_authed")
            self._throttle(name, tier, call)
            return Reply({"ok": True, **act(call, {**said, "token": token})})

        return handle

    def _throttle(self, name: str, tier: int, call: Call) -> None:
        now, seen = self.twin.now(), self._calls[name]
        while seen and seen[0] <= now - timedelta(minutes=1):
            seen.popleft()
        full = self.twin.options["limits"] and len(seen) >= TIERS[tier] * int(self.twin.options["burst"])
        fault = self.twin.fault("quota_exhausted", call)
        if full or fault:
            wait = fault.args.get("seconds", 30) if fault else 60 - int((now - seen[0]).total_seconds())
            raise Refuse(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(wait)})
        seen.append(now)

    # -- channels

    def test(self, _call: Call, _said: Said) -> Said:
        """Say who is calling."""
        return {"url": "https://northbeam.slack.com/", "team": "Northbeam", "team_id": "T1", "user_id": BOT}

    def create(self, _call: Call, said: Said) -> Said:
        """Make a channel."""
        name = self._judged(str(said.get("name", "")))
        if self.twin.store.where(CHANNELS, "name", name):
            raise _no("name_taken")
        fields = {
            "name": name, "is_private": said.get("is_private") in TRUE, "is_archived": False,
            "is_member": True, "created": int(self.twin.now().timestamp()), "topic": "", "purpose": "",
        }  # fmt: skip
        return {"channel": self._shown(self.twin.commit(CHANNELS, "create", name, fields))}

    def info(self, _call: Call, said: Said) -> Said:
        """Show a channel."""
        return {"channel": self._shown(self._channel(said))}

    def listing(self, _call: Call, said: Said) -> Said:
        """List channels in pages, continued by a cursor."""
        seen = self.twin.visible(CHANNELS)
        found = [(r, fields) for r in self.twin.store.all(CHANNELS) if (fields := seen(r)) is not None]
        limit, after = min(int(said.get("limit") or 100), 1000), int(said.get("cursor") or 0)
        cursor = str(after + limit) if after + limit < len(found) else ""
        page = found[after : after + limit]
        shown = [self._shown(record, fields) for record, fields in page if _listed(said, fields)]
        return {"channels": shown, "response_metadata": {"next_cursor": cursor}}

    def archive(self, _call: Call, said: Said) -> Said:
        """Close a channel."""
        record = self._channel(said)
        if record.fields["is_archived"]:
            raise _no("already_archived")
        if not record.fields["is_member"] and not str(said["token"]).startswith("xoxp-"):
            raise _no("not_in_channel")
        self._set(record, "archive", is_archived=True, is_member=False)
        return {}

    def unarchive(self, _call: Call, said: Said) -> Said:
        """Open it again; a bot's token cannot."""
        record = self._channel(said)
        if not str(said["token"]).startswith("xoxp-"):
            raise _no("not_in_channel")
        if not record.fields["is_archived"]:
            raise _no("not_archived")
        self._set(record, "unarchive", is_archived=False)
        return {}

    def join(self, _call: Call, said: Said) -> Said:
        """Let the bot into a public channel."""
        record = self._channel(said)
        if self.twin.options["scopes"] is not None and "channels:join" not in self.twin.options["scopes"]:
            raise _no("missing_scope")
        if record.fields["is_archived"] or record.fields["is_private"]:
            raise _no("is_archived" if record.fields["is_archived"] else "method_not_supported_for_channel_type")
        return {"channel": self._shown(self._set(record, "join", is_member=True))}

    def invite(self, _call: Call, said: Said) -> Said:
        """Let a person bring the bot in."""
        record = self._channel(said)
        if record.fields["is_archived"] or not str(said["token"]).startswith("xoxp-"):
            raise _no("is_archived" if record.fields["is_archived"] else "cant_invite_self")
        if record.fields["is_member"] or said.get("users") != BOT:
            raise _no("already_in_channel" if said.get("users") == BOT else "user_not_found")
        return {"channel": self._shown(self._set(record, "invite", is_member=True))}

    def rename(self, _call: Call, said: Said) -> Said:
        """Give a channel another name."""
        record, name = self._open(said), self._judged(str(said.get("name", "")))
        if any(other.ref != record.ref for other in self.twin.store.where(CHANNELS, "name", name)):
            raise _no("name_taken")
        return {"channel": self._shown(self._set(record, "rename", name=name))}

    def topic(self, _call: Call, said: Said) -> Said:
        """Set the topic."""
        return {
            "channel": self._shown(self._set(self._open(said), "topic", topic=_short(said.get("topic"), linked=False)))
        }

    def purpose(self, _call: Call, said: Said) -> Said:
        """Set the purpose."""
        return {"channel": self._shown(self._set(self._open(said), "purpose", purpose=_short(said.get("purpose"))))}

    def _judged(self, name: str) -> str:
        if not name:
            raise _no("invalid_name_required")
        if len(name) > 80:
            raise _no("invalid_name_maxlength")
        if not NAME.fullmatch(name):
            raise _no("invalid_name_specials")
        if not re.search(r"[a-z0-9]", name):
            raise _no("invalid_name_punctuation")
        return name

    def _channel(self, said: Said) -> Record:
        record = self.twin.store.get(CHANNELS, str(said.get("channel", "")))
        if record is None or not _visible(said, record.fields):
            raise _no("channel_not_found")
        return record

    def _open(self, said: Said) -> Record:
        record = self._channel(said)
        if record.fields["is_archived"]:
            raise _no("is_archived")
        if not record.fields["is_member"]:
            raise _no("not_in_channel")
        return record

    def _set(self, record: Record, operation: str, **fields: Any) -> Record:
        return self.twin.commit(CHANNELS, operation, record.fields["name"], fields, ref=record.ref)

    def _shown(self, record: Record, fields: Said | None = None) -> dict[str, Any]:
        kept = dict(fields or record.fields)
        told = {word: {"value": kept.pop(word), "creator": BOT, "last_set": 0} for word in ("topic", "purpose")}
        return {"id": record.ref, **kept, "name_normalized": kept["name"], "is_channel": True, **told}

    # -- messages

    def post(self, _call: Call, said: Said) -> Said:
        """Say something."""
        record, text = self._open(said), str(said.get("text") or "")
        if not text:
            raise _no("no_text")
        text = _linked(text[:LONGEST_TEXT])
        metadata = said.get("metadata")
        kept = json.loads(metadata) if isinstance(metadata, str) and metadata else metadata
        ts = self._ts()
        fields = {"channel": record.ref, "text": text, "ts": ts, "user": BOT, "metadata": kept}
        payload = (kept or {}).get("event_payload") or {}
        self.twin.commit(MESSAGES, "create", str(payload.get("record_key") or ts), fields)
        return {"channel": record.ref, "ts": ts, "message": {"type": "message", "text": text, "ts": ts}}

    def update(self, _call: Call, said: Said) -> Said:
        """Say it otherwise."""
        record, ts = self._open(said), str(said.get("ts", ""))
        for message in self.twin.store.where(MESSAGES, "ts", ts):
            if message.fields["channel"] == record.ref:
                text = _linked(str(said.get("text") or ""))
                self.twin.commit(MESSAGES, "update", ts, {"text": text}, ref=message.ref)
                return {"channel": record.ref, "ts": ts, "text": text}
        raise _no("message_not_found")

    def history(self, _call: Call, said: Said) -> Said:
        """Read back, newest first, in pages; metadata only when asked for."""
        record, seen = self._channel(said), self.twin.visible(MESSAGES)
        if not record.fields["is_member"]:
            raise _no("not_in_channel")
        oldest, latest = str(said.get("oldest") or "0"), str(said.get("latest") or "9")
        inclusive = said.get("inclusive") in TRUE
        rows = [f for m in self.twin.store.where(MESSAGES, "channel", record.ref) if (f := seen(m)) is not None]
        rows = [f for f in rows if oldest < f["ts"] < latest or (inclusive and f["ts"] in {oldest, latest})]
        rows.sort(key=lambda f: str(f["ts"]), reverse=True)
        limit, after = (
            min(int(said.get("limit") or 100), int(self.twin.options["history_page"])),
            int(said.get("cursor") or 0),
        )
        whole = said.get("include_all_metadata") in TRUE
        more = after + limit < len(rows)
        cursor = {"response_metadata": {"next_cursor": str(after + limit)}} if more else {}
        return {"messages": _messages(rows[after : after + limit], whole=whole), "has_more": more, **cursor}

    def user(self, _call: Call, said: Said) -> Said:
        """Find a person by e-mail."""
        email = str(said.get("email", ""))
        if email not in self.twin.options["users"]:
            raise _no("users_not_found")
        return {"user": {"id": self.twin.options["users"][email], "profile": {"email": email}}}

    def _ts(self) -> str:
        return f"{int(self.twin.now().timestamp())}.{next(self._numbers):06d}"

    # -- what a person does

    def person_posts(self, said: Said) -> Any:
        """Somebody writes; the app is told by a signed event."""
        ts = self._ts()
        fields = {"channel": said["channel"], "text": said["text"], "ts": ts, "user": "U0000000001", "metadata": None}
        self.twin.store.put(MESSAGES, self.twin.fresh(MESSAGES), fields)
        event = {"type": "message", "channel": said["channel"], "user": "U0000000001", "text": said["text"], "ts": ts}
        self._tell(event, f"Ev{ts.replace('.', '')}")
        return {"ts": ts}

    def person_archives(self, said: Said) -> Any:
        """Somebody closes a channel."""
        self.twin.store.put(CHANNELS, str(said["channel"]), {"is_archived": True, "is_member": False})
        event = {"type": "channel_archive", "channel": said["channel"], "user": "U0000000001"}
        self._tell(event, f"Ev{said['channel']}{next(self._numbers)}")
        return {}

    def _tell(self, event: Said, event_id: str) -> None:
        now = str(int(self.twin.now().timestamp()))

        def sign(body: bytes, secret: str) -> Mapping[str, str]:
            digest = hmac.new(secret.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
            signed = {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": f"v0={digest}"}
            return {"Content-Type": "application/json", **signed}

        data = {"type": "event_callback", "team_id": "T1", "event_id": event_id, "event": event}
        self.twin.push(data, sign, object=MESSAGES)

    def _seeded(self, object_: str, fields: dict[str, Any]) -> dict[str, Any]:
        if object_ != CHANNELS:
            return fields
        plain = {"is_private": False, "is_archived": False, "is_member": True, "created": 0, "topic": "", "purpose": ""}
        return {**plain, **fields}


def _arguments(call: Call) -> Said:
    """Read arguments from the query, a form or JSON."""
    if call.headers.get("content-type", "").startswith("application/json"):
        said = call.json
        return {**call.query, **said} if isinstance(said, Mapping) else call.query
    return {**call.query, **call.form}


def _messages(rows: Sequence[Mapping[str, Any]], *, whole: bool) -> list[dict[str, Any]]:
    hidden = {"channel"} if whole else {"channel", "metadata"}
    return [
        {"type": "message", **{name: value for name, value in row.items() if name not in hidden and value is not None}}
        for row in rows
    ]


def _short(value: Any, *, linked: bool = True) -> str:
    text = str(value or "")
    if len(text) > 250:
        raise _no("too_long")
    text = escape(text, quote=False)
    return _linked(text) if linked else text


def _linked(text: str) -> str:
    """Make links, as Slack's servers do with what was posted."""

    def link(found: re.Match[str]) -> str:
        if found["whole"]:
            return f"<{found[0]}>"
        return f"<{'http://' if found['bare'] else 'mailto:'}{found[0]}|{found[0]}>"

    return LINK.sub(link, text)


def _visible(said: Said, fields: Said) -> bool:
    """Whether this token sees the channel: a bot sees a private one from the inside only."""
    return fields["is_member"] or not fields["is_private"] or str(said["token"]).startswith("xoxp-")


def _listed(said: Said, fields: Said) -> bool:
    kind = "private_channel" if fields["is_private"] else "public_channel"
    hidden = fields["is_archived"] and said.get("exclude_archived") in TRUE
    return _visible(said, fields) and not hidden and kind in str(said.get("types") or "public_channel").split(",")


def _no(error: str) -> Refuse:
    return Refuse(200, {"ok": False, "error": error})
