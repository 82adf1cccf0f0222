"""A Slack workspace: channels, messages with metadata, users, signed events.

Options: `token` (xoxb-twin), `user_token` (xoxp-twin), `users` (e-mail to id), `limits` (true), `burst` (5: how many
times a tier's calls of a minute are let through at once).
Acts: `post` {"channel", "text"} (a person says something: pushed as an event), `archive` {"channel"}.

Quirks, each with its source:
- HTTP 200 with `ok: false`; form, JSON and query are all taken (src: docs.slack.dev, web-api)
- a channel's name: lower case letters, digits, hyphens, underscores, at most 80; taken names are refused, those of
  archived channels too (src: docs.slack.dev/reference/methods/conversations.create)
- bot tokens cannot unarchive (src: docs.slack.dev/reference/methods/conversations.unarchive, bug alert)
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
NAME = re.compile(r"[a-z0-9_-]+")
TIERS = {1: 1, 2: 20, 3: 50, 4: 100}
Said = Mapping[str, Any]
DEFAULTS: Mapping[str, Any] = {
    "token": "xoxb-twin",
    "user_token": "xoxp-twin",
    "users": {"ann@northbeam.example": "U0000000001"},
    "limits": True,
    "burst": 5,
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
        return {"url": "https://northbeam.slack.com/", "team": "Northbeam", "team_id": "T1", "user_id": "U0BOT"}

    def create(self, _call: Call, said: Said) -> Said:
        """Make a channel."""
        name = self._judged(str(said.get("name", "")))
        if self.twin.store.where(CHANNELS, "name", name):
            raise _no("name_taken")
        fields = {
            "name": name, "is_private": said.get("is_private") in {True, "true", "1"}, "is_archived": False,
            "is_member": True, "created": int(self.twin.now().timestamp()), "topic": "", "purpose": "",
        }  # fmt: skip
        return {"channel": self._shown(self.twin.commit(CHANNELS, "create", name, fields))}

    def info(self, _call: Call, said: Said) -> Said:
        """Show a channel."""
        return {"channel": self._shown(self._channel(said))}

    def listing(self, _call: Call, said: Said) -> Said:
        """List channels in pages, continued by a cursor."""
        seen = self.twin.visible(CHANNELS)
        hide = said.get("exclude_archived") in {True, "true", "1"}
        found = [(r, fields) for r in self.twin.store.all(CHANNELS) if (fields := seen(r)) is not None]
        found = [pair for pair in found if not (hide and pair[1]["is_archived"])]
        limit, after = min(int(said.get("limit") or 100), 1000), int(said.get("cursor") or 0)
        cursor = str(after + limit) if after + limit < len(found) else ""
        shown = [self._shown(record, fields) for record, fields in found[after : after + limit]]
        return {"channels": shown, "response_metadata": {"next_cursor": cursor}}

    def archive(self, _call: Call, said: Said) -> Said:
        """Close a channel."""
        record = self._channel(said)
        if record.fields["is_archived"]:
            raise _no("already_archived")
        self._set(record, "archive", is_archived=True)
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

    def rename(self, _call: Call, said: Said) -> Said:
        """Give a channel another name."""
        record, name = self._open(said), self._judged(str(said.get("name", "")))
        if any(other.ref != record.ref for other in self.twin.store.where(CHANNELS, "name", name)):
            raise _no("name_taken")
        return {"channel": self._shown(self._set(record, "update", name=name))}

    def topic(self, _call: Call, said: Said) -> Said:
        """Set the topic."""
        return {"channel": self._shown(self._set(self._open(said), "update", topic=_short(said.get("topic"))))}

    def purpose(self, _call: Call, said: Said) -> Said:
        """Set the purpose."""
        return {"channel": self._shown(self._set(self._open(said), "update", purpose=_short(said.get("purpose"))))}

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
        if record is None:
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
        told = {word: {"value": kept.pop(word), "creator": "U0BOT", "last_set": 0} for word in ("topic", "purpose")}
        return {"id": record.ref, **kept, "name_normalized": kept["name"], "is_channel": True, **told}

    # -- messages

    def post(self, _call: Call, said: Said) -> Said:
        """Say something."""
        record, text = self._open(said), str(said.get("text") or "")
        if not text:
            raise _no("no_text")
        if len(text) > 40_000:
            raise _no("msg_too_long")
        metadata = said.get("metadata")
        kept = json.loads(metadata) if isinstance(metadata, str) and metadata else metadata
        ts = self._ts()
        fields = {"channel": record.ref, "text": text, "ts": ts, "user": "U0BOT", "metadata": kept}
        payload = (kept or {}).get("event_payload") or {}
        self.twin.commit(MESSAGES, "create", str(payload.get("record_key") or ts), fields)
        return {"channel": record.ref, "ts": ts, "message": {"type": "message", "text": text, "ts": ts}}

    def update(self, _call: Call, said: Said) -> Said:
        """Say it otherwise."""
        record, ts = self._open(said), str(said.get("ts", ""))
        for message in self.twin.store.where(MESSAGES, "ts", ts):
            if message.fields["channel"] == record.ref:
                text = str(said.get("text") or "")
                self.twin.commit(MESSAGES, "update", ts, {"text": text}, ref=message.ref)
                return {"channel": record.ref, "ts": ts, "text": text}
        raise _no("message_not_found")

    def history(self, _call: Call, said: Said) -> Said:
        """Read back, newest first, in pages; metadata only when asked for."""
        record, seen = self._channel(said), self.twin.visible(MESSAGES)
        oldest, latest = str(said.get("oldest") or "0"), str(said.get("latest") or "9")
        inclusive = said.get("inclusive") in {True, "true", "1"}
        rows = [f for m in self.twin.store.where(MESSAGES, "channel", record.ref) if (f := seen(m)) is not None]
        rows = [f for f in rows if oldest < f["ts"] < latest or (inclusive and f["ts"] in {oldest, latest})]
        rows.sort(key=lambda f: str(f["ts"]), reverse=True)
        limit, after = min(int(said.get("limit") or 100), 999), int(said.get("cursor") or 0)
        whole = said.get("include_all_metadata") in {True, "true", "1"}
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
        self.twin.store.put(CHANNELS, str(said["channel"]), {"is_archived": True})
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


def _short(value: Any) -> str:
    text = str(value or "")
    if len(text) > 250:
        raise _no("too_long")
    return escape(text, quote=False)


def _no(error: str) -> Refuse:
    return Refuse(200, {"ok": False, "error": error})
