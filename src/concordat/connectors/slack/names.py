"""A channel's name and purpose: what people read, and what brings the document back without loss.

The name is Slack's to restrict (lower case letters, digits, hyphens, underscores, at most 80 characters;
src: docs.slack.dev/reference/methods/conversations.create): the document's name in such letters, and ten characters
of the record key. The purpose keeps the document's name as it is, and the whole key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from html import escape, unescape
from typing import Any

from concordat.errors import Rejected

__all__ = ["LONGEST_TEXT", "MOST", "channel_name", "heard", "purpose", "read_purpose", "short", "spoken", "told"]

LONGEST = 80
MOST = 250
"""Characters of a topic or purpose."""
LONGEST_TEXT = 40_000
"""Characters of a message that Slack keeps; it cuts the rest off without a word (src: docs.slack.dev, changelog of
2018-04, truncating really long messages)."""
_LINKED = re.compile(r"<(?:https?://|mailto:)(?P<url>[^|>]*)(?:\|(?P<label>[^>]*))?>")
_PURPOSE = re.compile(r"(?P<name>.*) \[(?P<key>CC-[A-Za-z0-9-]{1,32})\]", re.DOTALL)


def short(record_key: str) -> str:
    """Give the part of a record key that ends a channel's name: ten characters, 50 bits."""
    return re.sub(r"[^a-z0-9]", "", record_key.removeprefix("CC-").lower())[-10:]


def channel_name(name: str, record_key: str, prefix: str = "") -> str:
    """Give the channel's name; letters that Slack does not take become their nearest or a hyphen."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-") or "project"
    end = f"-{short(record_key)}"
    return f"{prefix}{slug}"[: LONGEST - len(end)].rstrip("-") + end


def purpose(name: str, record_key: str) -> str:
    """Give the purpose. Raises `Rejected` for a name that cannot be kept whole."""
    made = f"{name.strip()} [{record_key}]"
    if len(escape(made, quote=False)) > MOST:
        raise Rejected(f"The channel's name is too long: its purpose takes {MOST} characters.", field="name")
    return made


def read_purpose(channel: Mapping[str, Any]) -> tuple[str, str]:
    """Give back name and record key; a channel that somebody else made has its own name and no key."""
    match = _PURPOSE.fullmatch(told(channel, "purpose"))
    return (match["name"], match["key"]) if match else (str(channel.get("name", "")), "")


def told(channel: Mapping[str, Any], word: str) -> str:
    """Give the topic or purpose as it was written; links are made in a purpose only."""
    value = str((channel.get(word) or {}).get("value") or "")
    return heard(value) if word == "purpose" else unescape(value)


def heard(text: str) -> str:
    """Give a text as it was written: Slack escapes &, < and >, and makes links of what looks like one.

    `https://a.example` comes back as `<https://a.example>`, `www.a.example` as `<http://www.a.example|www.a.example>`
    (src: api.slack.com/docs/formatting, URL detection). An angle bracket of ours is escaped, so each is Slack's.
    """
    return unescape(_LINKED.sub(lambda link: link["label"] or link[0][1:-1], text))


def spoken(text: str) -> str:
    """Escape a message's text: &, < and > are Slack's (src: docs.slack.dev, formatting message text)."""
    return escape(text, quote=False)
