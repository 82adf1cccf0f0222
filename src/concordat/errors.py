"""Every error Concordat raises on purpose, sorted by what to do next.

ConcordatError
├── UserError            the person who typed it can fix it; carries place and remedy (exit 1 or 2)
│   ├── NotFound         no such id, contract, connection
│   └── Invalid          a contract, a firm folder, a body; may carry many faults
├── NotReachable         a server, database or port is not there (exit 3)
├── Contended            the database undid this transaction in favour of another: run it again
├── VendorError          a target or source answered, or failed to; the class says the next move
│   ├── Retriable        the same call may succeed later
│   │   ├── RateLimited      wait `retry_after`, or back off
│   │   ├── QuotaExhausted   wait until `resets_at`
│   │   ├── Busy             too many calls at once: shrink concurrency
│   │   ├── Locked           somebody holds the record: retry with jitter, then serialise
│   │   └── Unavailable      down; nothing was written
│   ├── AuthExpired      refresh the credential once, then repeat
│   ├── AuthRevoked      stop the connection, tell its owner
│   ├── VersionConflict  read again, merge by field owner
│   ├── Duplicate        our key is there already: resolve
│   ├── AmbiguousKey     several records carry our key: a case
│   ├── Rejected         the record is wrong: a case for the field's owner
│   ├── Missing          no such record at the vendor (never proof of deletion)
│   ├── ResyncRequired   the feed is gone: read everything again
│   ├── AcceptedPending  the vendor took it and will decide later: poll `handle`
│   └── UnknownOutcome   sent, no certain answer: resolve, never repeat blindly
└── Bug                  impossible by design: stop
    └── IllegalMove      a state table was asked for a move it does not have
"""

from __future__ import annotations

from datetime import datetime, timedelta


class ConcordatError(Exception):
    """The root. `str(error)` is one sentence that a person can act on."""

    exit_code = 1


class UserError(ConcordatError):
    """Somebody can fix this. `remedy` says how."""

    def __init__(self, message: str, *, remedy: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class NotFound(UserError):
    """No such thing; the message names what was asked for."""


class Invalid(UserError):
    """Input that does not hold; nothing of it was taken."""


class NotReachable(UserError):
    """A server, database or port is not there."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy, exit_code=3)


class Contended(ConcordatError):
    """The database undid this transaction in favour of another one; nothing of it remains. Run it again."""


class VendorError(ConcordatError):
    """A vendor's answer, normalised. `code` is the vendor's own word, `field` the canonical field if known."""

    def __init__(self, message: str, *, code: str = "", field: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.field = field
        self.status = status


class Retriable(VendorError):
    """The same call may succeed later; nothing was written."""

    retry_after: timedelta | None = None


class RateLimited(Retriable):
    """Too many calls; wait `retry_after` when the vendor said it."""

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, code: str = "", status: int | None = None
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.retry_after = retry_after


class QuotaExhausted(Retriable):
    """The budget of a day or hour is spent; it comes back at `resets_at` when the vendor said it."""

    def __init__(
        self, message: str, *, resets_at: datetime | None = None, code: str = "", status: int | None = None
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.resets_at = resets_at


class Busy(Retriable):
    """More parallel calls than the vendor allows."""


class Locked(Retriable):
    """The record or its parent is locked by somebody else at this moment."""


class Unavailable(Retriable):
    """The vendor is down or refuses; it is certain that nothing was written."""

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, code: str = "", status: int | None = None
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.retry_after = retry_after


class AuthExpired(VendorError):
    """The token is no longer good; a new one may be had."""


class AuthRevoked(VendorError):
    """The credential itself is refused, or lacks a permission; a person must act."""


class VersionConflict(VendorError):
    """The record changed since it was read."""


class Duplicate(VendorError):
    """A record with our key exists already."""


class AmbiguousKey(VendorError):
    """Several records carry our key."""


class Rejected(VendorError):
    """The vendor understood and refused; repeating changes nothing."""


class Missing(VendorError):
    """The vendor has no such record, or hides it; this never proves a deletion."""


class ResyncRequired(VendorError):
    """The change feed cannot be continued from this cursor."""


class AcceptedPending(VendorError):
    """Accepted for later; `handle` is what to poll."""

    def __init__(self, message: str, *, handle: str, code: str = "", status: int | None = None) -> None:
        super().__init__(message, code=code, status=status)
        self.handle = handle


class UnknownOutcome(VendorError):
    """The write was sent and no certain answer came back."""


class Bug(ConcordatError):
    """Impossible by design."""


class IllegalMove(Bug):
    """A state table was asked for a move it does not have."""
