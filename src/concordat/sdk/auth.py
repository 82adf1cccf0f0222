"""How a connection proves who it is: a fixed secret, or a token fetched when needed and again after a 401.

tokens = Http("https://login.vendor.com", Anonymous(), connection="crm", errors=token_errors)
auth = CachedToken(JwtBearer(tokens, path="/oauth2/token", claims={"iss": …, "sub": …, "aud": …}, key=pem))
http = Http("https://api.vendor.com", auth, connection="crm")
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from concordat.errors import AuthRevoked, Unavailable, VendorError
from concordat.sdk.rest import Answer, Http
from concordat.sdk.spec import CallContext
from concordat.sdk.vault import Safe, installed

__all__ = [
    "Algorithm",
    "Anonymous",
    "Basic",
    "Bearer",
    "CachedToken",
    "ClientAssertion",
    "ClientCredentials",
    "JwtBearer",
    "RefreshToken",
    "RotatingRefresh",
    "Token",
    "TokenSource",
    "follow",
    "sign",
    "token_errors",
    "wire_clock",
]

Algorithm = Literal["RS256", "PS256", "ES256"]
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


_behind: list[timedelta] = [timedelta(0)]


def wire_clock() -> datetime:
    """Real time in UTC, for claims that a vendor checks against its own clock and for a token's expiry."""
    return datetime.now(UTC) + _behind[0]  # noqa: TID251  nothing recorded depends on it


def follow(at: datetime) -> None:
    """Go by another clock, the database's, which says `at` now: this machine's own may be hours off."""
    off = at - datetime.now(UTC)  # noqa: TID251  the clock that is corrected
    _behind[0] = off if abs(off) > JITTER else timedelta(0)


JITTER = timedelta(seconds=2)
"""What two sound clocks may differ by, the way of the answer included."""


class Anonymous:
    """No credential: token endpoints and public pages."""

    def headers(self, _ctx: CallContext, /) -> Mapping[str, str]:
        """Add nothing."""
        return {}

    def renew(self, _used: Mapping[str, str], _ctx: CallContext, /) -> bool:
        """Say that there is nothing to renew."""
        return False


@dataclass(frozen=True, slots=True)
class Bearer(Anonymous):
    """A token that a person put into the settings; a 401 needs that person again."""

    token: str = field(repr=False)

    def headers(self, _ctx: CallContext, /) -> Mapping[str, str]:
        """Give `Authorization: Bearer …`."""
        return {"authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Basic(Anonymous):
    """User and password (RFC 7617)."""

    user: str
    password: str = field(repr=False)

    def headers(self, _ctx: CallContext, /) -> Mapping[str, str]:
        """Give `Authorization: Basic …`."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"authorization": f"Basic {pair}"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A fetched token. `expires_at` None: good until a 401. `said` is the endpoint's whole answer."""

    value: str = field(repr=False)
    expires_at: datetime | None = None
    said: Mapping[str, Any] = field(default_factory=dict, repr=False)


class TokenSource(Protocol):
    """Fetches a new token; blocks; raises only VendorError (`AuthRevoked` when the credential is refused)."""

    def issue(self, ctx: CallContext, /) -> Token:
        """One call to the token endpoint."""


class CachedToken:
    """Keeps a token until it is nearly over; many threads that need a new one cause one fetch."""

    def __init__(
        self,
        source: TokenSource,
        *,
        clock: Callable[[], datetime] = wire_clock,
        margin: timedelta = timedelta(seconds=60),
    ) -> None:
        """`margin`: how long before its end a token counts as over."""
        self._source = source
        self._clock = clock
        self._margin = margin
        self._lock = threading.Lock()
        self._token: Token | None = None

    def headers(self, ctx: CallContext, /) -> Mapping[str, str]:
        """Give `Authorization: Bearer …`, fetched first when there is none or it is nearly over."""
        return {"authorization": f"Bearer {self.current(ctx).value}"}

    def current(self, ctx: CallContext) -> Token:
        """Give the token in use, fetching one when needed."""
        token = self._token
        return token if token and self._good(token) else self._replace(token, ctx)

    def renew(self, used: Mapping[str, str], ctx: CallContext, /) -> bool:
        """Drop the refused token, unless another thread has already replaced it."""
        token = self._token
        if token and used.get("authorization") == f"Bearer {token.value}":
            self._replace(token, ctx)
        return True

    def _good(self, token: Token) -> bool:
        return token.expires_at is None or self._clock() + self._margin < token.expires_at

    def _replace(self, stale: Token | None, ctx: CallContext) -> Token:
        with self._lock:
            if self._token is None or self._token is stale:
                safe = _safe(self._source)
                self._token = self._shared(safe, stale, ctx) if safe else self._source.issue(ctx)
            return self._token

    def _shared(self, safe: Safe, stale: Token | None, ctx: CallContext) -> Token:
        """Take what another process fetched, or fetch for all: kept before it is used."""

        def good(content: Mapping[str, Any]) -> bool:
            token = _token_of(content)
            return token is not None and token.value != (stale.value if stale else "") and self._good(token)

        def fetch(content: Mapping[str, Any]) -> Mapping[str, Any]:
            quick = replace(ctx, timeout=min(ctx.timeout, FETCH))
            if isinstance(self._source, RotatingRefresh):
                return self._source.rotate(content, quick)
            return _content(self._source.issue(quick))

        token = _token_of(safe.only_one(good, fetch, time.monotonic() + ctx.timeout))
        if token is None:
            raise Unavailable("The token endpoint answered without a token.")
        return token


FETCH = 10.0
"""Seconds of one call to a token endpoint, below the claim of who fetches."""


def _content(token: Token, **more: str) -> Mapping[str, Any]:
    until = token.expires_at.isoformat() if token.expires_at else None
    return {"access": token.value, "expires_at": until, "said": dict(token.said), **more}


def _token_of(content: Mapping[str, Any]) -> Token | None:
    if not content.get("access"):
        return None
    until = content.get("expires_at")
    at = datetime.fromisoformat(until) if until else None
    return Token(value=content["access"], expires_at=at, said=content.get("said") or {})


def _safe(source: TokenSource) -> Safe | None:
    """The credential's place among those that all processes share; None where nothing is shared."""
    vault = installed()
    if vault is None or not isinstance(source, _Endpoint):
        return None
    name = f"{source.http.connection}:{type(source).__name__}:{source.path}"
    return Safe(vault=vault, name=name, secret=source.secret())


def sign(claims: Mapping[str, Any], *, key: str, algorithm: Algorithm = "RS256", key_id: str = "") -> str:
    """Make a signed JWT. `key` is a private key in PEM. Raises `AuthRevoked` when the key cannot be used."""
    header = {"alg": algorithm, "typ": "JWT", **({"kid": key_id} if key_id else {})}
    try:
        private = ECKey.import_key(key) if algorithm == "ES256" else RSAKey.import_key(key)
        return jwt.encode(header, dict(claims), private, algorithms=[algorithm])
    except (ValueError, TypeError, JoseError) as error:
        raise AuthRevoked(f"The private key cannot sign {algorithm}: {type(error).__name__}") from error


def token_errors(answer: Answer, _write: bool, /) -> VendorError | None:  # noqa: FBT001  the shape of `Translate`
    """Read an OAuth error body (RFC 6749, 5.2): a refused credential needs a person, the rest is ordinary."""
    if answer.status not in {400, 401, 403} or not isinstance(answer.json, Mapping):
        return None
    code = str(answer.json.get("error", ""))
    says = answer.json.get("error_description") or code
    return AuthRevoked(f"The token was refused: {says}", code=code, status=answer.status)


@dataclass(frozen=True, kw_only=True)
class _Endpoint:
    """A token endpoint and what all grants share."""

    http: Http
    path: str
    clock: Callable[[], datetime] = wire_clock

    def secret(self) -> bytes:
        """What only those who are configured with this credential know."""
        raise NotImplementedError

    def issue(self, ctx: CallContext, /) -> Token:
        """One call to the token endpoint."""
        raise NotImplementedError

    def _ask(self, ctx: CallContext, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Token:
        answer = self.http.send(ctx, "POST", self.path, form=form, headers=headers, write=False)
        said = answer.json
        if not isinstance(said, Mapping) or not said.get("access_token"):
            raise Unavailable(f"{self.http.connection}: the token endpoint answered without a token")
        life = said.get("expires_in")
        until = self.clock() + timedelta(seconds=int(life)) if life else None
        return Token(value=str(said["access_token"]), expires_at=until, said=said)


@dataclass(frozen=True, kw_only=True)
class _Signed(_Endpoint):
    """An endpoint that wants a JWT signed with our key."""

    claims: Mapping[str, Any]
    key: str = field(repr=False)
    algorithm: Algorithm = "RS256"
    key_id: str = ""
    lifetime: timedelta = timedelta(minutes=3)

    def secret(self) -> bytes:
        """The private key, and for whom."""
        return f"{self.key}\x00{sorted(self.claims.items())}".encode()

    def _assertion(self) -> str:
        now = int(self.clock().timestamp())
        claims = {**self.claims, "iat": now, "exp": now + int(self.lifetime.total_seconds())}
        return sign(claims, key=self.key, algorithm=self.algorithm, key_id=self.key_id)


@dataclass(frozen=True, kw_only=True)
class JwtBearer(_Signed):
    """RFC 7523, 2.1: the JWT is the grant (Salesforce, DocuSign, Google)."""

    def issue(self, ctx: CallContext, /) -> Token:
        """Assert and receive."""
        return self._ask(ctx, {"grant_type": JWT_BEARER, "assertion": self._assertion()})


@dataclass(frozen=True, kw_only=True)
class ClientAssertion(_Signed):
    """RFC 7523, 2.2: client credentials, the JWT in place of a secret (NetSuite, Entra)."""

    extra: Mapping[str, str] = field(default_factory=dict)

    def issue(self, ctx: CallContext, /) -> Token:
        """Assert and receive."""
        assertion = {"client_assertion_type": JWT_ASSERTION, "client_assertion": self._assertion()}
        return self._ask(ctx, {"grant_type": "client_credentials", **assertion, **self.extra})


@dataclass(frozen=True, kw_only=True)
class ClientCredentials(_Endpoint):
    """RFC 6749, 4.4: client id and secret, in the header or in the form."""

    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    place: Literal["header", "form"] = "header"
    grant: Mapping[str, str] = field(default_factory=lambda: {"grant_type": "client_credentials"}, repr=False)

    def secret(self) -> bytes:
        """The client's secret, and the grant's."""
        return f"{self.client_id}\x00{self.client_secret}\x00{sorted(self.grant.items())}".encode()

    def issue(self, ctx: CallContext, /) -> Token:
        """Ask with the secret."""
        form = {**self.grant, **({"scope": self.scope} if self.scope else {})}
        if self.place == "header":
            return self._ask(ctx, form, Basic(self.client_id, self.client_secret).headers(ctx))
        return self._ask(ctx, {**form, "client_id": self.client_id, "client_secret": self.client_secret})


def RefreshToken(  # noqa: N802  reads as the grant beside its siblings
    *, http: Http, path: str, client_id: str, client_secret: str, refresh_token: str
) -> ClientCredentials:
    """RFC 6749, 6 with a refresh token that does not rotate (Workday's non-expiring kind)."""
    grant = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return ClientCredentials(http=http, path=path, client_id=client_id, client_secret=client_secret, grant=grant)


@dataclass(frozen=True, kw_only=True)
class RotatingRefresh(_Endpoint):
    """RFC 6749, 6 with a refresh token that each use replaces (RFC 9700, 2.2.2). `refresh_token` is the first one.

    What the vendor gives is kept before it is used, and the one before it for one retry: who dies between the vendor's
    answer and our keeping leaves the old one, which a vendor with a grace period still takes.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(repr=False)

    def secret(self) -> bytes:
        """The client's secret and the first refresh token."""
        return f"{self.client_id}\x00{self.client_secret}\x00{self.refresh_token}".encode()

    def issue(self, ctx: CallContext, /) -> Token:
        """Use the configured refresh token. Without a place to keep its successor this is refused: it would be lost."""
        raise AuthRevoked(
            f"{self.http.connection}: a rotating refresh token needs a place to be kept ({ctx.correlation_id})"
        )

    def rotate(self, kept: Mapping[str, Any], ctx: CallContext) -> Mapping[str, Any]:
        """Use the kept refresh token, else the one before it, else the configured one; give what is to be kept."""
        known = [str(kept[name]) for name in ("refresh", "previous") if kept.get(name)]
        tries = list(dict.fromkeys([*known, *([] if known else [self.refresh_token])]))
        for n, refresh in enumerate(tries):
            try:
                token = self._ask(ctx, self._form(refresh))
            except AuthRevoked:
                if n + 1 == len(tries):
                    raise
            else:
                return _content(token, refresh=str(token.said.get("refresh_token") or refresh), previous=refresh)
        raise AuthRevoked(f"{self.http.connection}: there is no refresh token")

    def _form(self, refresh: str) -> Mapping[str, str]:
        secret = {"client_secret": self.client_secret} if self.client_secret else {}
        return {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": self.client_id, **secret}
