"""Salesforce's error codes and what to do next, one table for whole answers and for members of a batch.

A code that is not listed is `Rejected` with its own words (each code is a sentence about the record),
except on a 5xx, where the door's reading of the status decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from concordat.errors import (
    AmbiguousKey,
    AuthExpired,
    AuthRevoked,
    Busy,
    Duplicate,
    Locked,
    Missing,
    QuotaExhausted,
    Rejected,
    Unavailable,
    VendorError,
)
from concordat.sdk.rest import Answer

__all__ = ["CODES", "translate", "verdict"]

CODES: Mapping[str, type[VendorError]] = {
    "INVALID_SESSION_ID": AuthExpired,
    "INVALID_AUTH_HEADER": AuthRevoked,
    "INVALID_LOGIN": AuthRevoked,
    "API_DISABLED_FOR_ORG": AuthRevoked,
    "API_CURRENTLY_DISABLED": AuthRevoked,
    "INACTIVE_OWNER_OR_USER": Rejected,
    "INSUFFICIENT_ACCESS": Rejected,
    "INSUFFICIENT_ACCESS_OR_READONLY": Rejected,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": Rejected,
    "REQUEST_LIMIT_EXCEEDED": QuotaExhausted,
    "SERVER_UNAVAILABLE": Unavailable,
    "QUERY_TIMEOUT": Unavailable,
    "INVALID_QUERY_LOCATOR": Unavailable,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": Unavailable,
    "UNABLE_TO_LOCK_ROW": Locked,
    "DUPLICATE_VALUE": Duplicate,
    "DUPLICATE_EXTERNAL_ID": AmbiguousKey,
    "DUPLICATES_DETECTED": Rejected,
    "NOT_FOUND": Missing,
    "ENTITY_IS_DELETED": Missing,
    "MALFORMED_QUERY": Rejected,
    "MALFORMED_ID": Rejected,
    "INVALID_FIELD": Rejected,
    "INVALID_TYPE": Rejected,
    "INVALID_CROSS_REFERENCE_KEY": Rejected,
    "INVALID_FIELD_FOR_INSERT_UPDATE": Rejected,
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": Rejected,
    "REQUIRED_FIELD_MISSING": Rejected,
    "STRING_TOO_LONG": Rejected,
    "NUMBER_OUTSIDE_VALID_RANGE": Rejected,
    "FIELD_INTEGRITY_EXCEPTION": Rejected,
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": Rejected,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": Rejected,
    "JSON_PARSER_ERROR": Rejected,
    "INVALID_INPUT": Rejected,
}


def translate(answer: Answer, _write: bool, /) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read a refused call; None leaves the status to the door."""
    if answer.status == 300:
        rows = answer.json if isinstance(answer.json, list) else []
        return AmbiguousKey(f"{len(rows)} records carry this key", code="MULTIPLE_CHOICES", status=300)
    first = answer.json[0] if isinstance(answer.json, list) and answer.json else None
    if not isinstance(first, Mapping) or (answer.status >= 500 and first.get("errorCode") not in CODES):
        return None
    return verdict(str(first.get("errorCode", "")), first, status=answer.status)


def verdict(
    code: str, row: Mapping[str, Any], *, status: int | None = None, canonical: Callable[[str], str] = str
) -> VendorError:
    """Make the error of one code; `canonical` names our field for the vendor's."""
    message = f"{code}: {row.get('message', '')}"
    fields = row.get("fields") or []
    if code == "REQUEST_LIMIT_EXCEEDED" and "oncurrent" in message:
        return Busy(message, code=code, status=status)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return QuotaExhausted(message, code=code, status=status)
    if CODES.get(code) is Unavailable:
        return Unavailable(message, code=code, status=status)
    field = canonical(str(fields[0])) if fields else ""
    return CODES.get(code, Rejected)(message, code=code, field=field, status=status)
