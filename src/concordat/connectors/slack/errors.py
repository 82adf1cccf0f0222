"""Slack's errors in our words, by a table. The verdict is `ok` in the body: the status is 200 whatever happened."""

from __future__ import annotations

from collections.abc import Mapping

from concordat.errors import (
    AuthRevoked,
    Duplicate,
    Missing,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
)
from concordat.sdk.rest import Answer

__all__ = ["CODES", "verdict"]

CODES: Mapping[str, type[VendorError]] = {
    "invalid_auth": AuthRevoked,
    "not_authed": AuthRevoked,
    "account_inactive": AuthRevoked,
    "token_revoked": AuthRevoked,
    "token_expired": AuthRevoked,
    "missing_scope": AuthRevoked,
    "no_permission": AuthRevoked,
    "not_allowed_token_type": AuthRevoked,
    "access_denied": AuthRevoked,
    "accesslimited": AuthRevoked,
    "ekm_access_denied": AuthRevoked,
    "org_login_required": Unavailable,
    "team_added_to_org": Unavailable,
    "ratelimited": RateLimited,
    "rate_limited": RateLimited,
    "message_limit_exceeded": RateLimited,
    "name_taken": Duplicate,
    "channel_not_found": Missing,
    "message_not_found": Missing,
    "users_not_found": Missing,
    "service_unavailable": Unavailable,
    "request_timeout": Unavailable,
    "internal_error": UnknownOutcome,
    "fatal_error": UnknownOutcome,
}
"""What is absent is `Rejected`: Slack understood and refused (src: the methods' pages on docs.slack.dev).

`org_login_required` and `team_added_to_org`: the workspace is being moved into an organisation.
`request_timeout` means that our POST arrived cut off; `fatal_error` that some of it may have been done.
"""

FIELDS: Mapping[str, str] = {
    "invalid_name_specials": "name",
    "invalid_name_maxlength": "name",
    "invalid_name_required": "name",
    "invalid_name_punctuation": "name",
    "invalid_name": "name",
    "msg_too_long": "text",
    "no_text": "text",
}


def verdict(answer: Answer, write: bool, /) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read `ok`: None when it is true; also for answers whose status already says that something is wrong."""
    said = answer.json if isinstance(answer.json, Mapping) else {}
    if answer.ok and said.get("ok") is True:
        return None
    code = str(said.get("error", ""))
    if answer.status == 429 or CODES.get(code) is RateLimited:
        return RateLimited("Slack: too many calls", retry_after=answer.retry_after, code=code, status=answer.status)
    if not answer.ok:
        return None
    if not code:
        return (UnknownOutcome if write else Unavailable)("Slack: an answer without a verdict", status=answer.status)
    kind = CODES.get(code, Rejected)
    if kind is UnknownOutcome and not write:
        kind = Unavailable
    if kind is Rejected:
        return Rejected(f"Slack: {code}", code=code, field=FIELDS.get(code, ""), status=answer.status)
    return kind(f"Slack: {code}", code=code, status=answer.status)
