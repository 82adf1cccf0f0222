"""Kantata's refusals by status and message: there are no machine codes (src: API reference, Errors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concordat.errors import (
    AuthRevoked,
    Duplicate,
    Locked,
    Missing,
    RateLimited,
    Rejected,
    Retriable,
    Unavailable,
    UnknownOutcome,
    VendorError,
)
from concordat.sdk.rest import Answer

__all__ = ["FIELDS", "STATUS", "VALIDATION", "translate"]

STATUS: Mapping[int, type[VendorError]] = {
    400: Rejected,
    401: AuthRevoked,
    403: AuthRevoked,
    404: Missing,
    429: RateLimited,
    503: Unavailable,
}
"""What is certain about a status; 422 goes by `VALIDATION`, a gateway's 5xx by whether it was a write."""

UNCERTAIN = frozenset({500, 502, 504})
"""504 comes after three minutes, perhaps with a commit (src: API reference, Timeouts)."""

VALIDATION: Mapping[str, type[VendorError]] = {
    "has already been taken": Duplicate,
    "is locked": Locked,
}
"""Part of a validation message to class; any other validation error is `Rejected`. Wordings [unsure]."""

FIELDS: Mapping[str, str] = {
    "title": "name",
    "price": "contract_value",
    "currency": "currency",
    "start_date": "start_date",
    "due_date": "end_date",
    "status_key": "status",
    "workspace_group_ids": "client",
    "workspace_id": "project",
    "budget_estimate_in_cents": "amount",
    "time_estimate_in_minutes": "budget_hours",
}
"""Kantata's attribute to the canonical field."""


def translate(answer: Answer, write: bool) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read a refusal; the message is Kantata's own words."""
    rows = _rows(answer.json)
    says = "; ".join(f"{row.get('field', '')} {row.get('message', '')}".strip() for row in rows)
    message = f"Kantata: {says or answer.text or f'HTTP {answer.status}'}"
    if answer.status == 422:
        return _validation(rows, message)
    if answer.status in UNCERTAIN:
        return (UnknownOutcome if write else Unavailable)(message, status=answer.status)
    kind = STATUS.get(answer.status)
    code = str(rows[0].get("type", "")) if rows else ""
    error = kind(message, code=code, status=answer.status) if kind else None
    if isinstance(error, Retriable):
        error.retry_after = answer.retry_after
    return error


def _validation(rows: list[Mapping[str, Any]], message: str) -> VendorError:
    field = next((FIELDS[row["field"]] for row in rows if row.get("field") in FIELDS), "")
    kinds = {
        next((kind for part, kind in VALIDATION.items() if part in str(row.get("message"))), Rejected) for row in rows
    }
    kind = kinds.pop() if len(kinds) == 1 else Rejected
    return kind(message, code="validation", field=field, status=422)


def _rows(said: Any) -> list[Mapping[str, Any]]:
    rows = said.get("errors") if isinstance(said, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
