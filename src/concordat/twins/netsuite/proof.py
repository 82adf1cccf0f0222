"""Who may call: OAuth 2.0 with a certificate (M2M), and OAuth 1.0a tokens (TBA).

Sources: ns-online-help section_162755359851 and section_162790605110 (M2M: PS256 or ES256 and stronger,
`kid`, `exp` less than an hour after `iat`, access token of 60 minutes); RFC 5849, 3.4 (signature); the realm
is the account id in upper case (src: jacobsvante/netsuite, rest_api_base.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from concordat.twins.base import Call, Refuse, Reply, Twin
from concordat.twins.netsuite.schema import problem
from concordat.twins.store import Clock

__all__ = ["TOKEN_PATH", "Proof"]

TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"  # noqa: S105  an address
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ["PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
LIFETIME = timedelta(minutes=60)


class Proof:
    """The integration record of the account: one certificate, one client, one TBA token."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._options = twin.options
        self._wall = Clock()
        """An assertion's times are read on the wall clock: a caller cannot follow a clock that was moved."""
        self._nonces: set[str] = set()

    def token(self, call: Call) -> Reply:
        """Answer the token endpoint."""
        form = call.form
        if form.get("grant_type") != "client_credentials":
            raise Refuse(400, {"error": "unsupported_grant_type"})
        if form.get("client_assertion_type") != ASSERTION or not form.get("client_assertion"):
            raise Refuse(400, {"error": "invalid_request"})
        why = self._fault_of(form["client_assertion"])
        if why:
            raise Refuse(400, {"error": "invalid_client", "error_description": why})
        token = self._twin.tokens.issue(prefix="ns", lifetime=LIFETIME)
        said = {
            "access_token": token,
            "expires_in": str(int(LIFETIME.total_seconds())),
            "token_type": "Bearer",
        }
        return Reply(said)

    def check(self, call: Call) -> None:
        """Turn away whoever is neither a good bearer nor signs well."""
        kind = call.headers.get("authorization", "").partition(" ")[0].lower()
        good = self._signed(call) if kind == "oauth" else self._twin.tokens.good(self._twin.bearer(call))
        if not good:
            detail = (
                "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI at"
                " Setup > Users/Roles > User Management > View Login Audit Trail."
            )
            raise problem(401, "INVALID_LOGIN", detail)

    def _fault_of(self, assertion: str) -> str:
        try:
            decoded = jwt.decode(assertion, self._key(), algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError):
            return "the signature does not verify"
        header, claims, now = decoded.header, decoded.claims, self._wall.now().timestamp()
        scope = claims.get("scope", "")
        scopes = scope if isinstance(scope, list) else str(scope).replace(",", " ").split()
        faults = {
            "kid": header.get("kid") != self._options.get("certificate_id", "cert-1"),
            "iss": claims.get("iss") != self._options.get("client_id", "concordat"),
            "aud": not str(claims.get("aud", "")).endswith(TOKEN_PATH),
            "exp": not self._timely(claims, now),
            "scope": "rest_webservices" not in scopes,
        }
        return ", ".join(name for name, wrong in faults.items() if wrong)

    @staticmethod
    def _timely(claims: Mapping[str, Any], now: float) -> bool:
        issued, until = int(claims.get("iat", 0)), int(claims.get("exp", 0))
        return issued - 300 <= now < until <= issued + LIFETIME.total_seconds()

    def _key(self) -> RSAKey | ECKey:
        pem = str(self._options.get("public_key", ""))
        try:
            return ECKey.import_key(pem)
        except (JoseError, ValueError, TypeError):
            return RSAKey.import_key(pem)

    def _signed(self, call: Call) -> bool:
        said = dict(re.findall(r'(\w+)="([^"]*)"', call.headers["authorization"]))
        said = {name: unquote(value) for name, value in said.items()}
        secrets = self._options.get("tba") or {}
        known = (
            said.get("realm") == str(self._options.get("account", "1234567")).upper()
            and said.get("oauth_consumer_key") == secrets.get("consumer_key")
            and said.get("oauth_token") == secrets.get("token_id")
            and said.get("oauth_signature_method") == "HMAC-SHA256"
            and said.get("oauth_nonce") not in self._nonces
        )
        if not known or not hmac.compare_digest(_signature(call, said, secrets), said.get("oauth_signature", "")):
            return False
        self._nonces.add(said["oauth_nonce"])
        return True


def _signature(call: Call, said: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    signed = [(name, value) for name, value in said.items() if name not in {"realm", "oauth_signature"}]
    signed += parse_qsl(call.query_string, keep_blank_values=True)
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in signed)
    url = f"http://{call.headers.get('host', '').lower()}{call.path}"
    base = "&".join([call.method, _quoted(url), _quoted("&".join(f"{name}={value}" for name, value in pairs))])
    key = f"{_quoted(secrets['consumer_secret'])}&{_quoted(secrets['token_secret'])}"
    return base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha256).digest()).decode()


def _quoted(text: str) -> str:
    return quote(text, safe="~")
