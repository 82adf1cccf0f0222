"""Salesforce's error codes and what to do next, one table for whole answers and for members of a batch.

A code that is not listed is `Rejected` with its own words (each code is a sentence about the record),
except on a 5xx, where the door's reading of the status decides. A trigger reports the lock that it ran into under
its own name, so a lock goes by its words, too (src: declarative-lookup-rollup-summaries, issue 1241).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    RateLimited,
    Rejected,
    Retriable,
    Unavailable,
    UnknownOutcome,
    VendorError,
)
from concordat.sdk.auth import token_errors
from concordat.sdk.rest import Answer

__all__ = ["CODES", "login_errors", "translate", "verdict"]

CODES: Mapping[str, type[VendorError]] = {
    "INVALID_SESSION_ID": AuthExpired,
    "INVALID_AUTH_HEADER": AuthRevoked,
    "INVALID_LOGIN": AuthRevoked,
    "API_DISABLED_FOR_ORG": AuthRevoked,
    "API_CURRENTLY_DISABLED": AuthRevoked,
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": AuthRevoked,
    "ORG_LOCKED": AuthRevoked,
    "INACTIVE_OWNER_OR_USER": Rejected,
    "INSUFFICIENT_ACCESS": Rejected,
    "INSUFFICIENT_ACCESS_OR_READONLY": Rejected,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": Rejected,
    "REQUEST_LIMIT_EXCEEDED": QuotaExhausted,
    "STORAGE_LIMIT_EXCEEDED": QuotaExhausted,
    "SERVER_UNAVAILABLE": Unavailable,
    "UNKNOWN_EXCEPTION": Unavailable,
    "QUERY_TIMEOUT": Unavailable,
    "INVALID_QUERY_LOCATOR": Unavailable,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": Unavailable,
    "UNABLE_TO_LOCK_ROW": Locked,
    "ENTITY_IS_LOCKED": Locked,
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


MOVED = frozenset({301, 302, 303, 307, 308})
INNER = "UNKNOWN_EXCEPTION"
"""An inner failure: of one record in a batch nothing was saved, of a whole call nobody knows."""


def login_errors(answer: Answer, write: bool, /) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read a refused login: too many of them, or a failure of the vendor's own, is no refused credential."""
    said = answer.json if isinstance(answer.json, Mapping) else {}
    words = f"{said.get('error', '')} {said.get('error_description', '')}".lower()
    if "rate exceeded" in words or "rate_limit" in words:
        return RateLimited(f"Salesforce: {words}", retry_after=answer.retry_after, status=answer.status)
    if any(word in words for word in ("server_error", "unknown_error", "temporarily_unavailable")):
        return Unavailable(f"Salesforce: {words}", retry_after=answer.retry_after, status=answer.status)
    return token_errors(answer, write)


def translate(answer: Answer, write: bool, /) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read a refused call; None leaves the status to the door."""
    if answer.status == 300:
        rows = answer.json if isinstance(answer.json, list) else []
        return AmbiguousKey(f"{len(rows)} records carry this key", code="MULTIPLE_CHOICES", status=300)
    if answer.status in MOVED:
        where = answer.headers.get("location", "")
        kind = UnknownOutcome if write else Unavailable
        return kind(f"The org answers at another address, {where}: mend `url`", status=answer.status)
    first = answer.json[0] if isinstance(answer.json, list) and answer.json else None
    if not isinstance(first, Mapping):
        return None
    code = str(first.get("errorCode", ""))
    if answer.status >= 500 and (code not in CODES or code == INNER):
        return None
    if code == INNER:
        return (UnknownOutcome if write else Unavailable)(f"{code}: {first.get('message', '')}", code=code)
    error = verdict(code, first, status=answer.status)
    if isinstance(error, Retriable):
        error.retry_after = answer.retry_after
    return error


def verdict(
    code: str, row: Mapping[str, Any], *, status: int | None = None, canonical: Callable[[str], str] = str
) -> VendorError:
    """Make the error of one code; `canonical` names our field for the vendor's."""
    message = f"{code}: {row.get('message', '')}{_alike(row)}"
    fields = row.get("fields") or []
    kind = Locked if "UNABLE_TO_LOCK_ROW" in message else CODES.get(code, Rejected)
    if code == "REQUEST_LIMIT_EXCEEDED" and "oncurrent" in message:
        kind = Busy
    if kind in {QuotaExhausted, Unavailable}:
        return kind(message, code=code, status=status)
    field = canonical(str(fields[0])) if fields else ""
    return kind(message, code=code, field=field, status=status)


def _alike(row: Mapping[str, Any]) -> str:
    """Name the records that a duplicate rule saw (src: REST API Developer Guide, headers_duplicaterules)."""
    refs = ", ".join(dict.fromkeys(_matched(row.get("duplicateResult"))))
    return f" ({refs})" if refs else ""


def _matched(result: Any) -> Iterator[str]:
    for match in _members(result, "matchResults"):
        for found in _members(match, "matchRecords"):
            record = found.get("record") if isinstance(found, Mapping) else None
            if isinstance(record, Mapping) and record.get("Id"):
                yield str(record["Id"])


def _members(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []
