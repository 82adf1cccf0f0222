"""What came back, or did not, and what to do next: the tables of transport failures and of statuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from concordat.errors import (
    AuthRevoked,
    Busy,
    Locked,
    Missing,
    QuotaExhausted,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
    VersionConflict,
)

__all__ = ["STATUS", "TRANSPORT", "UNCERTAIN", "Answer", "Translate", "status_error", "transport_error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the vendor answered. `json` is None for an empty body or one that is no JSON."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""
    json: Any = None

    @property
    def ok(self) -> bool:
        """Status 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body for people, cut to 300 characters."""
        return self.content[:1200].decode("utf-8", "replace")[:300]

    @property
    def retry_after(self) -> timedelta | None:
        """`Retry-After`, in seconds or as a date measured against the answer's own `Date`."""
        return _retry_after(self.headers.get("retry-after", ""), self.headers.get("date", ""))


Translate = Callable[[Answer, bool], VendorError | None]
"""A connector's error table: `(answer, write) -> error`, or None to leave it to `status_error`."""


def transport_error(error: httpx.RequestError, *, connection: str, write: bool) -> VendorError:
    """Translate httpx's failure by `TRANSPORT`; an unlisted class counts as sent, the careful reading."""
    sent, why = next((TRANSPORT[kind] for kind in type(error).__mro__ if kind in TRANSPORT), (True, "failed"))
    message = f"{connection}: {why} ({type(error).__name__})"
    if isinstance(error, httpx.PoolTimeout):
        return Busy(message)
    return UnknownOutcome(message) if sent and write else Unavailable(message)


TRANSPORT: Mapping[type[Exception], tuple[bool, str]] = {
    # failure                      may be sent   what happened
    httpx.ConnectError: (False, "the connection was refused"),
    httpx.ConnectTimeout: (False, "no connection in time"),
    httpx.PoolTimeout: (False, "no free connection in time"),
    httpx.ProxyError: (False, "the proxy refused"),
    httpx.UnsupportedProtocol: (False, "the address is not http(s)"),
    httpx.LocalProtocolError: (False, "the request breaks HTTP"),
    httpx.WriteError: (True, "the connection broke while sending"),
    httpx.WriteTimeout: (True, "sending took too long"),
    httpx.ReadError: (True, "the connection broke before the answer"),
    httpx.ReadTimeout: (True, "no answer in time"),
    httpx.CloseError: (True, "the connection broke while closing"),
    httpx.RemoteProtocolError: (True, "the answer breaks HTTP"),
    httpx.DecodingError: (True, "the answer cannot be decoded"),
    httpx.TooManyRedirects: (True, "the answer redirects in circles"),
}
"""Every failure httpx can raise for a request; a test proves that none is missing."""


def status_error(answer: Answer, *, connection: str, write: bool) -> VendorError:
    """Read a status that a connector's own table left open."""
    message, status = f"{connection}: HTTP {answer.status} {answer.text}".strip(), answer.status
    if status == 429:
        return RateLimited(message, retry_after=answer.retry_after, status=status)
    if status == 503 or (status in UNCERTAIN and not write):
        return Unavailable(message, retry_after=answer.retry_after, status=status)
    if status in UNCERTAIN or 300 <= status < 400 or (status >= 500 and status not in STATUS):
        return (UnknownOutcome if write else Unavailable)(message, status=status)
    return STATUS.get(status, Rejected)(message, status=status)


UNCERTAIN = frozenset({408, 500, 502, 504})
"""The vendor or a gateway gave up: a write may have happened. So it may where an answer points elsewhere (3xx)."""

STATUS: Mapping[int, type[VendorError]] = {
    401: AuthRevoked,
    403: AuthRevoked,
    404: Missing,
    409: VersionConflict,
    410: Missing,
    412: VersionConflict,
    423: Locked,
    425: Unavailable,
    501: Rejected,
    507: QuotaExhausted,
}
"""Status to class; what is absent below 500 is `Rejected`."""


def _retry_after(value: str, date: str) -> timedelta | None:
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value), 86_400))
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return max(wait, timedelta(0))
