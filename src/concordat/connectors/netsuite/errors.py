"""NetSuite's errors in our words, by a table; what is not in it is read by its status.

Shapes and codes: ns-online-help section_156570709583; limits: section_1525253248. The code of a 429 is
unsure, so the status decides there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concordat.errors import (
    AuthRevoked,
    Busy,
    Duplicate,
    Locked,
    Missing,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
    VersionConflict,
)
from concordat.sdk.rest import Answer

__all__ = ["CODES", "translate"]

CODES: Mapping[str, type[VendorError]] = {
    "CONCURRENCY_LIMIT_EXCEEDED": Busy,
    "SSS_REQUEST_LIMIT_EXCEEDED": Busy,
    "WS_REQUEST_BLOCKED": Busy,
    "INVALID_LOGIN": AuthRevoked,
    "INSUFFICIENT_PERMISSION": AuthRevoked,
    "NONEXISTENT_ID": Missing,
    "RCRD_DSNT_EXIST": Missing,
    "RCRD_HAS_BEEN_CHANGED": VersionConflict,
    "CUSTOM_RECORD_COLLISION": VersionConflict,
    "RCRD_LOCKED_BY_WF": Locked,
    "UNEXPECTED_ERROR": UnknownOutcome,
    "IDEMPOTENCY_ERROR": Duplicate,
    "DUP_RCRD": Duplicate,
    "INVALID_CONTENT": Rejected,
    "INVALID_PARAMETER": Rejected,
    "INVALID_HEADER": Rejected,
    "INVALID_ID": Rejected,
    "USER_ERROR": Rejected,
}

TOLD: Mapping[str, type[VendorError]] = {
    "this record already exists": Duplicate,
    "record has been changed": VersionConflict,
    "record was changed by a different user": VersionConflict,
}
"""What a USER_ERROR may mean, by its text (optimistic locking: ns-online-help section_N2877583)."""


def translate(answer: Answer, write: bool, /) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read an error body. `field` is NetSuite's own path; the connector gives it its canonical name."""
    detail = _first(answer.json)
    code, says = str(detail.get("o:errorCode", "")), str(detail.get("detail", ""))
    if answer.status == 429:
        busy = Busy(f"NetSuite: {says or 'too many requests at once'}", code=code, status=429)
        busy.retry_after = answer.retry_after
        return busy
    kind = CODES.get(code)
    if kind is None or answer.status >= 500:
        return None
    if code == "USER_ERROR":
        kind = next((told for words, told in TOLD.items() if words in says.lower()), kind)
    if kind is UnknownOutcome and not write:
        return Unavailable(f"NetSuite: {says}", code=code, status=answer.status)
    field = str(detail.get("o:errorPath", ""))
    return kind(f"NetSuite: {says}", code=code, field=field, status=answer.status)


def _first(said: Any) -> Mapping[str, Any]:
    details = said.get("o:errorDetails") if isinstance(said, Mapping) else None
    return details[0] if isinstance(details, list) and details and isinstance(details[0], Mapping) else {}
