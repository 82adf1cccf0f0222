"""Graph's errors in our words, by a table; what is not in it is read by its status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from concordat.errors import (
    AuthRevoked,
    Duplicate,
    Locked,
    Missing,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ResyncRequired,
    VendorError,
    VersionConflict,
)
from concordat.sdk.rest import Answer

__all__ = ["CODES", "translate"]

CODES: Mapping[str, type[VendorError]] = {
    "nameAlreadyExists": Duplicate,
    "itemNotFound": Missing,
    "accessDenied": AuthRevoked,
    "InvalidAuthenticationToken": AuthRevoked,
    "unauthenticated": AuthRevoked,
    "invalidRequest": Rejected,
    "BadRequest": Rejected,
    "pathIsTooLong": Rejected,
    "resourceModified": VersionConflict,
    "resourceLocked": Locked,
    "quotaLimitReached": QuotaExhausted,
    "activityLimitReached": RateLimited,
    "TooManyRequests": RateLimited,
    "resyncRequired": ResyncRequired,
    "resyncChangesApplyDifferences": ResyncRequired,
    "resyncChangesUploadDifferences": ResyncRequired,
}
"""Codes of learn.microsoft.com/graph/errors and driveitem-delta."""


BANDWIDTH = 509
"""Throttled for what was sent in all; it is carried out later, not now (src: learn.microsoft.com/graph/errors)."""


def translate(answer: Answer, _write: bool, /) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read an error body; a gateway's 5xx is left to its status, whatever it says."""
    said = answer.json.get("error") if isinstance(answer.json, Mapping) else None
    if answer.status == BANDWIDTH:
        return RateLimited("Microsoft Graph: too much was sent", retry_after=answer.retry_after, status=answer.status)
    if not isinstance(said, Mapping) or answer.status >= 500:
        return None
    code, message = str(said.get("code", "")), f"Microsoft Graph: {said.get('message', '')}"
    kind = CODES.get(code)
    if kind is RateLimited or answer.status == 429:
        wait: timedelta | None = answer.retry_after
        return RateLimited(message, retry_after=wait, code=code, status=answer.status)
    return kind(message, code=code, status=answer.status) if kind else None
