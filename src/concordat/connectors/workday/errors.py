"""Workday's refusals by status. Everything here is a read, so nothing is ever in doubt."""

from __future__ import annotations

from collections.abc import Mapping

from concordat.errors import AuthRevoked, RateLimited, Rejected, Unavailable, VendorError
from concordat.sdk.rest import Answer

__all__ = ["STATUS", "THROTTLE", "translate"]

STATUS: Mapping[int, type[VendorError]] = {
    400: Rejected,
    401: AuthRevoked,
    403: AuthRevoked,
    404: AuthRevoked,
    429: RateLimited,
    500: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""A report that is not shared with us is a 404 (src: api-evangelist/workday-benefits): a person must share it."""

THROTTLE = (b"too many", b"throttl", b"rate limit")
"""Words of a 500 that means "slower" (src: api-evangelist/workday-business-processes); wordings [unsure]."""


def translate(answer: Answer, _write: bool) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read a refusal."""
    said = answer.json.get("error") if isinstance(answer.json, Mapping) else None
    message = f"Workday: {said or answer.text or f'HTTP {answer.status}'}"
    if answer.status == 500 and any(word in answer.content.lower() for word in THROTTLE):
        return RateLimited("Workday: too many requests (said with a 500)", code="throttled", status=500)
    if answer.status == 404:
        message += " (or the report is not shared with this user)"
    kind = STATUS.get(answer.status)
    return kind(message, status=answer.status) if kind else None
