"""Credentials: what is sent, when a token is fetched, and that many threads fetch it once."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from concordat.errors import AuthRevoked, Unavailable
from concordat.sdk.auth import (
    Algorithm,
    Anonymous,
    Basic,
    Bearer,
    CachedToken,
    ClientAssertion,
    ClientCredentials,
    JwtBearer,
    RefreshToken,
    Token,
    sign,
    token_errors,
    wire_clock,
)
from concordat.sdk.rest import Http
from concordat.sdk.spec import CallContext
from concordat.twins import server
from concordat.twins.base import Call, Reply, Twin
from concordat.twins.proxy import InProcess
from concordat.twins.server import TwinHandle, Twins

CTX = CallContext(correlation_id="c")
NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)


def pem(key: Any) -> str:
    plain = serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode())


RSA = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
EC = pem(ec.generate_private_key(ec.SECP256R1()))


class Counting:
    """A source that counts, and waits until all who might fetch are there."""

    def __init__(self, life: timedelta | None = None) -> None:
        self.issued = 0
        self.life = life
        self.gate = threading.Event()
        self.gate.set()

    def issue(self, _ctx: CallContext, /) -> Token:
        self.gate.wait(5)
        self.issued += 1
        return Token(value=f"t{self.issued}", expires_at=NOW + self.life if self.life else None)


def test_fixed_credentials():
    assert Anonymous().headers(CTX) == {}
    assert Bearer("x").headers(CTX) == {"authorization": "Bearer x"}
    assert Basic("u", "p:é").headers(CTX) == {"authorization": "Basic " + base64.b64encode("u:p:é".encode()).decode()}
    assert not Basic("u", "p").renew({}, CTX)


def test_a_secret_is_never_shown():
    shown = repr(Bearer("hush")) + repr(Basic("u", "hush")) + repr(Token(value="hush", said={"t": "hush"}))
    assert "hush" not in shown


def test_a_token_is_kept_until_its_margin():
    source, now = Counting(timedelta(minutes=10)), [NOW]
    token = CachedToken(source, clock=lambda: now[0], margin=timedelta(seconds=60))
    assert [token.headers(CTX)["authorization"] for _ in range(3)] == ["Bearer t1"] * 3
    now[0] += timedelta(minutes=9)
    assert token.headers(CTX) == {"authorization": "Bearer t2"}


def test_many_threads_fetch_one_token():
    source = Counting()
    token = CachedToken(source)
    source.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(token.headers, CTX) for _ in range(8)]
        source.gate.set()
        assert {future.result()["authorization"] for future in futures} == {"Bearer t1"}
    assert source.issued == 1


def test_many_threads_that_met_a_401_renew_once():
    source = Counting()
    token = CachedToken(source)
    used = token.headers(CTX)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: token.renew(used, CTX), range(8)))
    assert source.issued == 2
    assert token.headers(CTX) == {"authorization": "Bearer t2"}


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("PS256", RSA), ("ES256", EC)])
def test_a_jwt_is_signed_and_verifies(algorithm: Algorithm, key: str):
    token = sign({"iss": "me"}, key=key, algorithm=algorithm, key_id="k1")
    kind = ECKey if algorithm == "ES256" else RSAKey
    read = jwt.decode(token, kind.import_key(key), algorithms=[algorithm])
    assert (read.claims, read.header["kid"], read.header["alg"]) == ({"iss": "me"}, "k1", algorithm)


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", "nonsense"), ("ES256", RSA), ("RS256", EC), ("RS256", "")])
def test_a_key_that_cannot_sign_is_one_sentence_without_the_key(algorithm: Algorithm, key: str):
    with pytest.raises(AuthRevoked, match="cannot sign") as refused:
        sign({}, key=key, algorithm=algorithm)
    assert len(str(refused.value)) < 80


def endpoint(options: Mapping[str, Any]) -> Twin:
    twin = Twin("login", options)

    @twin.route("POST", "/token", open=True)
    def token(call: Call) -> Reply:
        if call.form.get("client_secret") == "wrong":
            return Reply({"error": "invalid_client", "error_description": "no such client"}, 401)
        if call.form.get("scope") == "nothing":
            return Reply({"hello": 1})
        said = {"form": call.form, "authorization": call.headers.get("authorization", "")}
        return Reply({"access_token": "good", "expires_in": 3600, **said})

    return twin


@pytest.fixture
def login() -> Iterator[TwinHandle]:
    with Twins([server._door(made := endpoint({}), InProcess(made), "127.0.0.1", 0)]) as twins:
        yield twins["login"]


@pytest.fixture
def http(login: TwinHandle) -> Iterator[Http]:
    http = Http(login.url, Anonymous(), connection="psa", errors=token_errors)
    yield http
    http.close()


def test_jwt_bearer_asserts_and_reads_the_life(http: Http):
    source = JwtBearer(http=http, path="/token", claims={"iss": "app"}, key=RSA, clock=lambda: NOW)
    token = source.issue(CTX)
    claims = jwt.decode(token.said["form"]["assertion"], RSAKey.import_key(RSA), algorithms=["RS256"]).claims
    assert claims == {"iss": "app", "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 180}
    assert token.said["form"]["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (token.value, token.expires_at) == ("good", NOW + timedelta(hours=1))


def test_client_assertion_takes_the_place_of_a_secret(http: Http):
    source = ClientAssertion(
        http=http, path="/token", claims={"iss": "app"}, key=EC, algorithm="ES256", extra={"scope": "rest"}
    )
    form = source.issue(CTX).said["form"]
    assert (form["grant_type"], form["scope"]) == ("client_credentials", "rest")
    assert form["client_assertion_type"].endswith("jwt-bearer")


def test_client_credentials_in_header_or_form(http: Http):
    header = ClientCredentials(http=http, path="/token", client_id="a", client_secret="b").issue(CTX).said
    form = ClientCredentials(http=http, path="/token", client_id="a", client_secret="b", place="form").issue(CTX)
    assert header["authorization"] == "Basic YTpi"
    assert form.said["form"] == {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}


def test_a_refresh_token_is_exchanged(http: Http):
    source = RefreshToken(http=http, path="/token", client_id="a", client_secret="b", refresh_token="r")
    assert source.issue(CTX).said["form"] == {"grant_type": "refresh_token", "refresh_token": "r"}


def test_a_refused_client_needs_a_person(http: Http):
    source = ClientCredentials(http=http, path="/token", client_id="a", client_secret="wrong", place="form")
    with pytest.raises(AuthRevoked, match="no such client"):
        source.issue(CTX)


def test_an_answer_without_token_or_a_dead_endpoint_is_unavailable(http: Http, login: TwinHandle):
    source = ClientCredentials(http=http, path="/token", client_id="a", client_secret="b", scope="nothing")
    with pytest.raises(Unavailable, match="without a token"):
        source.issue(CTX)
    login.fault(kind="status", status=503)
    with pytest.raises(Unavailable):
        source.issue(CTX)


def test_the_wire_clock_is_aware():
    assert wire_clock().utcoffset() == timedelta(0)
