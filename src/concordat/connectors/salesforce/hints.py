"""Signed hints: an automation of the org says which records to read again. The format is Concordat's own."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from concordat.connectors.salesforce.fields import PREFIXES, full_id
from concordat.errors import AuthRevoked, Rejected
from concordat.sdk.spec import Hint, Push

__all__ = ["decode"]

STALE = timedelta(seconds=300)
LONGEST = 11
"""Digits of a timestamp in seconds, for some thousand years."""


def decode(headers: Mapping[str, str], body: bytes, now: datetime, secret: SecretStr | None) -> Push:
    """Decode a hint signed with the shared secret; one older than 300 s is refused as a replay."""
    given = {name.lower(): value for name, value in headers.items()}
    stamp = given.get("x-concordat-timestamp", "")
    if secret is None:
        raise AuthRevoked("A hint came, but the connection has no push_secret.")
    digest = hmac.new(secret.get_secret_value().encode(), stamp.encode() + b"." + body, hashlib.sha256)
    signature = f"sha256={digest.hexdigest()}".encode()
    if not hmac.compare_digest(signature, given.get("x-concordat-signature", "").encode()):
        raise AuthRevoked("The hint's signature is not ours.")
    if not stamp.isdecimal() or len(stamp) > LONGEST or abs(now - datetime.fromtimestamp(int(stamp), UTC)) > STALE:
        raise AuthRevoked("The hint is older than 300 seconds.")
    return _push(body)


def _push(body: bytes) -> Push:
    try:
        said = json.loads(body)
        object_, ids = PREFIXES.get(said["object"]), said["ids"]
        key = str(said.get("event") or hashlib.sha256(body).hexdigest())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Rejected(f"The hint cannot be read: {type(error).__name__}", code="MALFORMED") from error
    if not isinstance(ids, list):
        raise Rejected("The hint's `ids` are no list.", code="MALFORMED")
    return Push(
        hints=[Hint(object=object_, ref=full_id(str(ref)) or str(ref)) for ref in ids] if object_ else [], key=key
    )
