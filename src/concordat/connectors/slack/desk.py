"""One workspace's calls: methods by name, answers in Slack's words; a bot that was thrown out goes back in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from concordat.connectors.slack.errors import verdict
from concordat.connectors.slack.facts import SlackSettings
from concordat.errors import AuthRevoked, Missing, Rejected, Unavailable, UnknownOutcome
from concordat.sdk.auth import Bearer
from concordat.sdk.rest import Http, encode_json
from concordat.sdk.spec import CallContext
from concordat.sdk.timing import left

__all__ = ["Desk", "Said", "needed"]

PAGE, RECENT = 200, 1_000
"""Messages asked for at once, and how many of the newest are looked through. Slack may give fewer in a page."""
WRITES = frozenset(
    {"create", "archive", "unarchive", "rename", "setTopic", "setPurpose", "postMessage", "update", "join", "invite"}
)
Said = Mapping[str, Any]


class Desk:
    """The methods, by a bot's token and, where no bot may, a person's."""

    def __init__(self, settings: SlackSettings, connection: str) -> None:
        self.private = settings.private
        self._url = settings.url
        self._connection = connection
        self._bot = self._door(settings.token.get_secret_value())
        self._user = self._door(settings.user_token.get_secret_value()) if settings.user_token else None

    def close(self) -> None:
        """Close the sockets."""
        for door in filter(None, (self._bot, self._user)):
            door.close()

    def call(self, method: str, said: Said, ctx: CallContext) -> Said:
        """Call as the bot; where it was thrown out of the channel, it goes back in and calls once more."""
        try:
            return self._send(self._bot, method, said, ctx)
        except (Rejected, Missing) as error:
            if error.code != "not_in_channel" and not (self.private and error.code == "channel_not_found"):
                raise
            self._enter(str(said.get("channel", "")), error, ctx)
        return self._send(self._bot, method, said, ctx)

    def reopen(self, channel: str, ctx: CallContext) -> bool:
        """Open an archived channel, as a person; False: it was open. Archiving put the bot out: it comes back later."""
        if self._user is None:
            raise Rejected("Slack lets no bot re-open a channel: set `user_token`, or a person does it.")
        user = self._user
        return _moved(lambda: self._send(user, "conversations.unarchive", {"channel": channel}, ctx), "not_archived")

    def shut(self, channel: str, ctx: CallContext) -> bool:
        """Archive a channel; False: it was archived."""
        return _moved(lambda: self.call("conversations.archive", {"channel": channel}, ctx), "already_archived")

    def channel(self, ref: str, ctx: CallContext) -> Said:
        """Show a channel; a private one that put the bot out is seen by the person alone."""
        try:
            said = self._send(self._bot, "conversations.info", {"channel": ref}, ctx)
        except Missing:
            if self._user is None or not self.private:
                raise
            said = self._send(self._user, "conversations.info", {"channel": ref}, ctx)
        return _mapping(said, "channel", write=False)

    def channels(self, ctx: CallContext) -> Iterator[Said]:
        """List every channel: a page may be short, or empty, before the last one."""
        kinds = "public_channel,private_channel" if self.private else "public_channel"
        yield from self._pages("conversations.list", {"limit": 1000, "types": kinds}, "channels", ctx)

    def history(self, channel: str, ctx: CallContext) -> Iterator[Said]:
        """Give the newest messages of a channel, whatever size of page this workspace grants."""
        ask = {"channel": channel, "limit": PAGE, "include_all_metadata": True}
        for number, row in enumerate(self._pages("conversations.history", ask, "messages", ctx), 1):
            yield row
            if number >= RECENT:
                return

    def _pages(self, method: str, said: Said, rows: str, ctx: CallContext) -> Iterator[Said]:
        cursor = ""
        while True:
            page = self.call(method, {**said, "cursor": cursor}, ctx)
            yield from page.get(rows) or ()
            after = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if after in {"", cursor}:
                return
            cursor = after

    def _enter(self, channel: str, why: Rejected | Missing, ctx: CallContext) -> None:
        """Join, or be invited into a private channel, which hides itself. Else the first refusal stays as it is."""
        try:
            if not self.private:
                self._send(self._bot, "conversations.join", {"channel": channel}, ctx)
            elif self._user is None:
                raise why
            else:
                me = needed(self._send(self._bot, "auth.test", {}, ctx), "user_id", write=False)
                self._send(self._user, "conversations.invite", {"channel": channel, "users": me}, ctx)
        except (AuthRevoked, Missing, Rejected):
            raise why from None

    def _send(self, door: Http, method: str, said: Said, ctx: CallContext) -> Said:
        write = method.rpartition(".")[2] in WRITES
        answer = door.send(left(ctx), "POST", f"/{method}", form=_form(said), write=write)
        refused = verdict(answer, write)
        if refused is not None:
            raise refused
        heard: Said = answer.json
        return heard

    def _door(self, token: str) -> Http:
        return Http(self._url, Bearer(token), connection=self._connection, errors=verdict)


def _moved(act: Callable[[], object], done: str) -> bool:
    """Act; to be there already is success, and no move."""
    try:
        act()
    except Rejected as error:
        if error.code != done:
            raise
        return False
    return True


def needed(said: Said, name: str, *, write: bool) -> str:
    """Give a word that every good answer has; one without it is no answer."""
    if not said.get(name):
        raise (UnknownOutcome if write else Unavailable)(f"Slack: an answer without {name}")
    return str(said[name])


def _mapping(said: Said, name: str, *, write: bool) -> Said:
    needed(said, name, write=write)
    found: Said = said[name]
    return found


def _form(said: Said) -> dict[str, str]:
    """Write arguments as a form, which every method takes; what is no text goes as JSON."""
    return {name: value if isinstance(value, str) else encode_json(value).decode() for name, value in said.items()}
