"""Slack's events: verify the signature, answer the handshake, keep the rest.

No event is a hint: a workspace is no source, so nobody could read back what it speaks of, and each message that
anybody writes would end as a case.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from concordat.errors import AuthRevoked, Rejected
from concordat.sdk.spec import Push

__all__ = ["decode"]

FRESH = timedelta(minutes=5)


def decode(headers: Mapping[str, str], body: bytes, now: datetime, secret: str) -> Push:
    """Decode one call (src: docs.slack.dev/authentication/verifying-requests-from-slack, /apis/events-api)."""
    _verify({name.lower(): value for name, value in headers.items()}, body, now, secret)
    try:
        said = json.loads(body)
        kind = said["type"]
    except (ValueError, TypeError, KeyError) as error:
        raise Rejected("Slack: an event that cannot be read.") from error
    if kind == "url_verification":
        return Push(reply=str(said.get("challenge", "")).encode())
    return Push(key=str(said.get("event_id") or hashlib.sha256(body).hexdigest()))


def _verify(headers: Mapping[str, str], body: bytes, now: datetime, secret: str) -> None:
    sent, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
    fresh = sent.isdigit() and len(sent) < 12 and abs(now.timestamp() - int(sent)) <= FRESH.total_seconds()
    wanted = hmac.new(secret.encode(), f"v0:{sent}:".encode() + body, hashlib.sha256).hexdigest()
    good = hmac.compare_digest(f"v0={wanted}".encode(), signature.encode())
    if not (secret and fresh and good):
        raise AuthRevoked("Slack: the signature of this call is not good.")
