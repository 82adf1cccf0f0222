"""What is declared about Slack: the connection's settings, and what channels and messages are there."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr

from concordat.sdk.serving import Settings
from concordat.sdk.spec import ObjectFacts, PromiseClass, SystemFacts

__all__ = ["FACTS", "SlackSettings"]


class SlackSettings(Settings):
    """A connection to one Slack workspace."""

    token: SecretStr = Field(description="The app's bot token, xoxb-…")
    user_token: SecretStr | None = Field(
        default=None, description="A user token, xoxp-…, to re-open archived channels: bots cannot"
    )
    signing_secret: SecretStr | None = Field(
        default=None, description="The app's signing secret; without it no event is accepted"
    )
    private: bool = Field(default=False, description="Make private channels")
    prefix: str = Field(
        default="", pattern=r"[a-z0-9_-]{0,20}", description="What the name of every channel begins with: proj-"
    )
    url: str = Field(default="https://slack.com/api", description="Where the Web API answers")


FACTS = SystemFacts(
    system="slack",
    title="Slack",
    pushes=True,
    targets={
        "channel": ObjectFacts(
            object="channel",
            vendor_object="channel",
            promise=PromiseClass.B,
            find="strong",
            settle_window=timedelta(minutes=2),
            read_batch=20,
            parallel=2,
            fields=frozenset({"name", "topic", "archived"}),
            operations=frozenset({"put", "archive", "reactivate"}),
            note=(
                "Names are unique in a workspace and ours end in a part of the record key, so name_taken means ours;"
                " a changed project name is another channel name, so this is class B, not A."
            ),
        ),
        "message": ObjectFacts(
            object="message",
            vendor_object="message",
            promise=PromiseClass.D,
            find="eventual",
            search_lag=timedelta(seconds=10),
            read_batch=20,
            parallel=2,
            fields=frozenset({"channel", "text"}),
            note="chat.postMessage knows no key; ours is in the metadata, looked for in the newest 1,000 messages.",
        ),
    },
)
