"""The door itself: one pool per connection, one way through it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol

import httpx

from concordat.errors import AuthRevoked, Rejected, Unavailable, UnknownOutcome, VendorError
from concordat.sdk.rest.answer import Answer, Translate, status_error, transport_error
from concordat.sdk.rest.codec import decode_json, encode_json
from concordat.sdk.rest.meter import meter_of
from concordat.sdk.spec import CallContext
from concordat.sdk.timing import left, timed

__all__ = ["Auth", "Http", "WireCall", "observe"]

MOST = 256 * 1024 * 1024
"""Bytes of one answer; a larger one is no answer."""
Params = Mapping[str, str] | Sequence[tuple[str, str]]


class Auth(Protocol):
    """Who we are, for one connection; the kinds are in `concordat.sdk.auth`."""

    def headers(self, ctx: CallContext, /) -> Mapping[str, str]:
        """Give the headers that prove it; may fetch a token first. Raises only VendorError."""

    def renew(self, used: Mapping[str, str], ctx: CallContext, /) -> bool:
        """Act on a 401 to `used`: True when a repeat with fresh headers makes sense."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WireCall:
    """One exchange with a vendor, as observers see it: no body, no query, no credential."""

    connection: str
    method: str
    path: str
    write: bool
    idempotent: bool
    correlation_id: str
    traceparent: str
    seconds: float
    status: int | None = None
    error: str = ""
    """Name of the VendorError's class, or empty."""


Observer = Callable[[WireCall], None]
_observers: list[Observer] = []


def observe(observer: Observer) -> Callable[[], None]:
    """Call `observer` after every exchange of every connection; returns what removes it again."""
    _observers.append(observer)
    return lambda: _observers.remove(observer)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """One exchange before it is made."""

    method: str
    path: str
    write: bool
    idempotent: bool
    expect: Literal["json", "bytes"]
    options: dict[str, Any] = field(repr=False)


class Http:
    """The pool of one connection. Safe to call from several threads; opens nothing until the first call."""

    def __init__(
        self,
        base_url: str,
        auth: Auth,
        *,
        connection: str,
        errors: Translate | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        parallel: int = 32,
    ) -> None:
        """`errors` is the connector's table; `headers` go with every call; `parallel` bounds the pool."""
        self.base_url = httpx.URL(base_url.rstrip("/"))
        self.connection = connection
        self._auth = auth
        self._errors = errors
        self._client = httpx.Client(
            verify=_authorities(),
            transport=transport,
            headers={"user-agent": "Concordat", "accept": "application/json", **(headers or {})},
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel, keepalive_expiry=15),
        )

    @property
    def origin(self) -> str:
        """Scheme, host and port: join a vendor's rooted link to this (`http.origin + "/services/…"`)."""
        return f"{self.base_url.scheme}://{self.base_url.netloc.decode()}"

    def send(
        self,
        ctx: CallContext,
        method: str,
        path: str,
        *,
        write: bool,
        params: Params | None = None,
        json: Any = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = False,
        expect: Literal["json", "bytes"] = "json",
        allow: Collection[int] = (),
    ) -> Answer:
        """Make one call; return its 2xx answer, or one whose status is in `allow`; raise anything else.

        `path` is joined to the base address, or is a whole address of the same origin; its parts must be
        percent-encoded already. `write` says that the vendor may change something, whatever the method;
        `idempotent` that it absorbs a repeat of this very call (observers see it; the door never repeats for
        it). With `expect="json"` a 2xx body that is not JSON is no answer. Blocks some `ctx.timeout` seconds in
        all: a fresh credential and the repeat after it come out of the same time.
        """
        body = _body(json, content, form)
        plan = _Plan(
            method=method,
            path=path,
            write=write,
            idempotent=idempotent,
            expect=expect,
            options={"params": params, **body, "headers": {**body.get("headers", {}), **(headers or {})}},
        )
        answer = self._authorised(plan, timed(ctx))
        if answer.ok or answer.status in allow:
            return answer
        raise self._error(answer, write=write)

    def close(self) -> None:
        """Close the pool."""
        self._client.close()

    def _authorised(self, plan: _Plan, ctx: CallContext) -> Answer:
        proof = self._auth.headers(ctx)
        answer = self._exchange(plan, ctx, proof)
        if answer.status != 401:
            return answer
        if not self._auth.renew(proof, ctx):
            raise self._revoked(answer)
        answer = self._exchange(plan, ctx, self._auth.headers(ctx))
        if answer.status == 401:
            raise self._revoked(answer)
        return answer

    def _exchange(self, plan: _Plan, ctx: CallContext, proof: Mapping[str, str]) -> Answer:
        ctx = left(ctx)
        with self._metered(ctx) as told, self._observed(plan, ctx) as seen:
            ctx = left(ctx)
            try:
                answer = self._receive(plan, self._request(plan, ctx, proof), ctx.timeout)
            except httpx.RequestError as error:
                raise transport_error(error, connection=self.connection, write=plan.write) from error
            except httpx.InvalidURL as error:
                raise Rejected(f"{self.connection}: the address cannot be used: {error}") from error
            seen.append(answer.status)
            told.append(answer)
            return answer

    @contextmanager
    def _metered(self, ctx: CallContext) -> Iterator[list[Answer]]:
        """Let the connection's meter hold this exchange back, and tell it how it went."""
        told: list[Answer] = []
        meter = meter_of(self.connection)
        if meter is None:
            yield told
            return
        meter.begin(ctx)
        error: VendorError | None = None
        try:
            yield told
            if told and not told[0].ok:
                error = self._error(told[0], write=False)
        except VendorError as failure:
            error = failure
            raise
        finally:
            answer = told[0] if told else None
            meter.end(answer.status if answer else None, answer.headers if answer else {}, error)

    def _request(self, plan: _Plan, ctx: CallContext, proof: Mapping[str, str]) -> httpx.Request:
        headers = {"x-correlation-id": ctx.correlation_id, **plan.options["headers"], **proof}
        if ctx.traceparent:
            headers["traceparent"] = ctx.traceparent
        return self._client.build_request(
            plan.method,
            self._url(plan.path),
            params=plan.options["params"],
            content=plan.options.get("content"),
            headers=headers,
            timeout=httpx.Timeout(ctx.timeout),
        )

    def _url(self, path: str) -> httpx.URL:
        if "://" not in path.split("?", 1)[0]:
            return httpx.URL(f"{self.base_url}/{path.lstrip('/')}")
        url = httpx.URL(path)
        if (url.scheme, url.netloc) != (self.base_url.scheme, self.base_url.netloc):
            raise Rejected(f"{self.connection}: {url.host} is not the configured address {self.base_url.host}")
        return url

    def _receive(self, plan: _Plan, request: httpx.Request, timeout: float) -> Answer:
        until = time.monotonic() + timeout
        response = self._client.send(request, stream=True)
        try:
            chunks, size = [], 0
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("the answer drips", request=request)
                if size > MOST:
                    raise self._endless(plan)
        finally:
            response.close()
        return self._decoded(plan, response, b"".join(chunks))

    def _endless(self, plan: _Plan) -> VendorError:
        kind = UnknownOutcome if plan.write else Unavailable
        return kind(f"{self.connection}: the answer is larger than {MOST:,} bytes")

    def _decoded(self, plan: _Plan, response: httpx.Response, content: bytes) -> Answer:
        headers = dict(response.headers)
        answer = Answer(status=response.status_code, headers=headers, content=content)
        if not content.strip() or (plan.expect == "bytes" and answer.ok):
            return answer
        try:
            return Answer(status=answer.status, headers=headers, content=content, json=decode_json(content))
        except ValueError as error:
            if not answer.ok:
                return answer
            kind = UnknownOutcome if plan.write else Unavailable
            message = f"{self.connection}: the answer is no JSON: {answer.text[:80]!r}"
            raise kind(message, status=answer.status) from error

    def _error(self, answer: Answer, *, write: bool) -> VendorError:
        own = self._errors(answer, write) if self._errors else None
        return own or status_error(answer, connection=self.connection, write=write)

    def _revoked(self, answer: Answer) -> AuthRevoked:
        own = self._error(answer, write=False)
        return AuthRevoked(own.message, code=own.code, status=401)

    @contextmanager
    def _observed(self, plan: _Plan, ctx: CallContext) -> Iterator[list[int]]:
        seen: list[int] = []
        error = ""
        started = time.monotonic()
        try:
            yield seen
        except VendorError as failure:
            error = type(failure).__name__
            raise
        finally:
            call = WireCall(
                connection=self.connection,
                method=plan.method,
                path=plan.path.split("?", 1)[0],
                write=plan.write,
                idempotent=plan.idempotent,
                correlation_id=ctx.correlation_id,
                traceparent=ctx.traceparent,
                seconds=time.monotonic() - started,
                status=seen[0] if seen else None,
                error=error,
            )
            for observer in tuple(_observers):
                observer(call)


def _body(json: Any, content: bytes | None, form: Mapping[str, str] | None) -> dict[str, Any]:
    if form is not None:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return {"content": str(httpx.QueryParams(form)).encode(), "headers": kind}
    if json is not None:
        return {"content": encode_json(json), "headers": {"content-type": "application/json"}}
    return {} if content is None else {"content": content}


@cache
def _authorities() -> ssl.SSLContext:
    """Read the trusted authorities once: that is most of what a client costs."""
    return httpx.create_ssl_context(trust_env=False)
