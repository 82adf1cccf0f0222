"""The door for Tryton's JSON-RPC: a session held open, its types in JSON, its faults as `concordat.errors`.

    rpc = Rpc("https://erp.example.com", database="erp", user="concordat", password="…", connection="erp")
    rpc.call(ctx, "party.party", "create", [{"name": "Acme", "code": "CC-…"}], write=True)   # -> [7]
    rpc.read(ctx, "party.party", [["code", "=", "CC-…"]], ["name", "addresses.city"])        # -> [{…}]

It stands on `concordat.sdk.rest.Http`, so deadlines, tracing, doubt about writes and the repeat after a 401
are the same as for every other vendor. Values cross as Python has them: `Decimal`, `date`, `datetime` (naive,
UTC), `timedelta`, `bytes`; numbers with a point come back as `Decimal`. The wire was read off Tryton 8.0.12:
see docs/reference/connectors/tryton.md.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from concordat.errors import (
    AuthRevoked,
    Missing,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
    VersionConflict,
)
from concordat.sdk.auth import Anonymous
from concordat.sdk.rest import Answer, Http
from concordat.sdk.spec import CallContext

__all__ = ["FAULTS", "Rpc", "Said", "decode", "encode", "fault_error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One answer: its result, and when the server gave it by its own clock (whole seconds), if it said so."""

    result: Any
    at: datetime | None = None


class Rpc:
    """One user's session on one database. Safe for several threads; opens nothing until the first call."""

    def __init__(
        self, url: str, *, database: str, user: str, password: str, connection: str, parallel: int = 8
    ) -> None:
        """`parallel` bounds the calls in flight; trytond answers each in a thread of its own."""
        self._path = f"{database}/rpc/"
        self._connection = connection
        self._session = _Session(
            http=Http(url, Anonymous(), connection=connection, parallel=parallel),
            path=self._path,
            database=database,
            user=user,
            password=password,
        )
        self._http = Http(url, self._session, connection=connection, parallel=parallel)

    def call(
        self,
        ctx: CallContext,
        model: str,
        method: str,
        *arguments: Any,
        write: bool,
        context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a model's method and return its result; `context` is laid over the user's own.

        Raises only `VendorError`. Tryton runs a call in one transaction: a fault means that nothing was kept.
        """
        return self.ask(ctx, model, method, *arguments, write=write, context=context).result

    def ask(
        self,
        ctx: CallContext,
        model: str,
        method: str,
        *arguments: Any,
        write: bool,
        context: Mapping[str, Any] | None = None,
    ) -> Said:
        """Do what `call` does and also say when the server answered."""
        around = {**self._session.context(ctx), **(context or {})}
        params = [*arguments, around]
        return _send(self._http, ctx, self._path, f"model.{model}.{method}", params, write=write)

    def read(
        self,
        ctx: CallContext,
        model: str,
        domain: Sequence[Any],
        fields: Sequence[str],
        *,
        limit: int | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Read these fields of the records that meet a domain, by ascending id.

        Dotted names reach into related records, which come back nested under the name with a dot at its end.
        Archived records are left out unless the context says `active_test: False`.
        """
        arguments = (list(domain), 0, limit, [["id", "ASC"]], list(fields))
        rows = self.call(ctx, model, "search_read", *arguments, write=False, context=context)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unavailable(f"{self._connection}: {model}.search_read gave no records")
        return rows

    def close(self) -> None:
        """Close the sockets. The session stays valid at the server until it times out there."""
        self._http.close()
        self._session.http.close()


@dataclass(kw_only=True)
class _Session:
    """The login of one user: made when first needed, once more after a 401, by one thread for all."""

    http: Http
    path: str
    database: str
    user: str
    password: str = field(repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _open: _Opened | None = None

    def headers(self, ctx: CallContext, /) -> Mapping[str, str]:
        """Give `Authorization: Session …`."""
        return self._current(ctx).headers

    def renew(self, used: Mapping[str, str], ctx: CallContext, /) -> bool:
        """Log in again, unless another thread has already done so."""
        opened = self._open
        if opened is not None and opened.headers == used:
            self._replace(opened, ctx)
        return True

    def context(self, ctx: CallContext) -> Mapping[str, Any]:
        """Give what every call carries as its last parameter: the user's company and language."""
        return self._current(ctx).context

    def _current(self, ctx: CallContext) -> _Opened:
        return self._open or self._replace(None, ctx)

    def _replace(self, stale: _Opened | None, ctx: CallContext) -> _Opened:
        with self._lock:
            if self._open is None or self._open is stale:
                self._open = self._login(ctx)
            return self._open

    def _login(self, ctx: CallContext) -> _Opened:
        params = [self.user, {"password": self.password}, "en"]
        try:
            said = _send(self.http, ctx, self.path, "common.db.login", params, write=False).result
        except Missing as error:
            raise AuthRevoked(f"{self.http.connection}: no database {self.database!r} there") from error
        if not isinstance(said, list) or len(said) < 2:
            raise AuthRevoked(f"{self.http.connection}: the login gave no session")
        number, token = said[0], said[1]
        secret = base64.b64encode(f"{self.user}:{number}:{token}".encode()).decode()
        headers = {"authorization": f"Session {secret}"}
        return _Opened(headers=headers, context=self._preferences(ctx, headers))

    def _preferences(self, ctx: CallContext, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """Read the user's own context; asked with an empty one, because a given one is echoed back."""
        method = "model.res.user.get_preferences"
        said = _send(self.http, ctx, self.path, method, [True, {}], write=False, headers=headers).result
        return {name: said[name] for name in ("company", "company_filter", "language") if name in said}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    headers: Mapping[str, str] = field(repr=False)
    context: Mapping[str, Any]


def _send(
    http: Http,
    ctx: CallContext,
    path: str,
    method: str,
    params: Sequence[Any],
    *,
    write: bool,
    headers: Mapping[str, str] | None = None,
) -> Said:
    """Make one call. With just these three names in the body Tryton answers business faults with HTTP 200."""
    body = {"id": 1, "method": method, "params": [encode(each) for each in params]}
    answer = http.send(ctx, "POST", path, json=body, write=write, headers=headers)
    said = answer.json
    if not isinstance(said, Mapping) or not ({"error", "result"} & said.keys()):
        kind = UnknownOutcome if write else Unavailable
        raise kind(f"{http.connection}: the answer is no JSON-RPC: {answer.text[:80]!r}", status=answer.status)
    if "error" in said:
        fault = said["error"] if isinstance(said["error"], list) else [str(said["error"])]
        raise fault_error(fault, connection=http.connection, write=write)
    try:
        return Said(result=decode(said.get("result")), at=_clock(answer))
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:
        kind = UnknownOutcome if write else Unavailable
        raise kind(f"{http.connection}: the answer cannot be decoded: {type(error).__name__} {error}") from error


def _clock(answer: Answer) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None


FAULTS: Mapping[str, type[VendorError]] = {
    "UserError": Rejected,
    "UserWarning": Rejected,
    "ConcurrencyException": VersionConflict,
    "LoginException": AuthRevoked,
    "RateLimitException": RateLimited,
}
"""Tryton's named faults (trytond/exceptions.py, 8.0.12). Each rolls its transaction back: nothing was kept.

`UserError` is also how a refused permission and a broken unique column look: who must know reads again.
"""

FULL = ("no space left", "disk full", "read-only transaction", "recovery mode", "too many clients", "connection slots")
"""Words in a nameless fault of a database that takes nothing now: the transaction was undone, nothing was kept."""

LOST = ("connection", "terminat", "timeout", "timed out", "serialize", "deadlock", "shutting", "starting")
"""Words in a nameless fault that mean a lost or quarrelling database: a commit may have been under way."""


def fault_error(fault: Sequence[Any], *, connection: str, write: bool) -> VendorError:
    """Translate the `error` member of an answer.

    A fault without one of the known names is an exception inside the server: `[text, traceback]`. It is
    Rejected (an unknown field, for instance) unless it speaks of the database, which leaves the outcome open.
    """
    name = str(fault[0]) if fault else ""
    kind = FAULTS.get(name)
    if kind is not None:
        return kind(f"{connection}: {_sentence(fault[1] if len(fault) > 1 else '')}", code=name)
    if any(word in name.lower() for word in FULL):
        return Unavailable(f"{connection}: Tryton's database takes nothing: {name[:200]}", code="server")
    if any(word in name.lower() for word in LOST):
        lost = UnknownOutcome if write else Unavailable
        return lost(f"{connection}: Tryton lost its database: {name[:200]}", code="server")
    return Rejected(f"{connection}: Tryton failed inside: {name[:200]}", code="server")


def _sentence(said: Any) -> str:
    """Join what a person may read: text and description, not the machine's third part."""
    if isinstance(said, str):
        return said
    words = [part for part in said if isinstance(part, str) and part] if isinstance(said, Sequence) else []
    return ": ".join(words[:2]) or "no reason given"


def encode(value: Any) -> Any:
    """Give a value Tryton's form in JSON. A float is left to the door, which refuses it."""
    if isinstance(value, Mapping):
        return {str(name): encode(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [encode(member) for member in value]
    kind = next((kind for kind in type(value).__mro__ if kind in _ENCODERS), None)
    return value if kind is None else {"__class__": kind.__name__, **_ENCODERS[kind](value)}


def decode(value: Any) -> Any:
    """Give Tryton's JSON its Python form; an unknown `__class__` stays the mapping it is."""
    if isinstance(value, list):
        return [decode(member) for member in value]
    if not isinstance(value, dict):
        return value
    decoder = _DECODERS.get(value.get("__class__", ""))
    return decoder(value) if decoder else {name: decode(member) for name, member in value.items()}


_DAY = ("year", "month", "day")
_MOMENT = (*_DAY, "hour", "minute", "second", "microsecond")


def _parts(names: Sequence[str]) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: getattr(value, name) for name in names}


def _seconds(value: timedelta) -> int | Decimal:
    """Count exactly: whole seconds as an integer, microseconds as a Decimal."""
    whole = value.days * 86_400 + value.seconds
    return whole if value.microseconds == 0 else whole + Decimal(value.microseconds) / 1_000_000


def _day(said: Mapping[str, Any]) -> date:
    return date(said["year"], said["month"], said["day"])


def _time(said: Mapping[str, Any]) -> time:
    return time(said["hour"], said["minute"], said["second"], said["microsecond"])


_ENCODERS: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    Decimal: lambda value: {"decimal": format(value, "f")},
    datetime: _parts(_MOMENT),
    date: _parts(_DAY),
    timedelta: lambda value: {"seconds": _seconds(value)},
    bytes: lambda value: {"base64": base64.b64encode(value).decode()},
}

_DECODERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "Decimal": lambda said: Decimal(said["decimal"]),
    "datetime": lambda said: datetime.combine(_day(said), _time(said)),
    "date": _day,
    "timedelta": lambda said: timedelta(microseconds=int(Decimal(said["seconds"]) * 1_000_000)),
    "bytes": lambda said: base64.b64decode(said["base64"]),
}
"""The types of trytond/protocols/jsonrpc.py, 8.0.12."""
