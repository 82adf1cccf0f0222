"""The twin's token endpoint: JWT bearer and client credentials, as Salesforce answers them.

Sources: OAuth 2.0 JWT Bearer Flow (`sf.remoteaccess_oauth_jwt_flow`), simple-salesforce `login.py`. `exp`
may be text, as simple-salesforce sends it; a token has no `expires_in`; errors are `{"error",
"error_description"}`.
"""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from concordat.twins.base import Call, Refuse, Reply, Twin

__all__ = ["add_login"]

AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def add_login(twin: Twin) -> None:
    """Serve the token endpoint and the list of versions."""

    @twin.route("POST", "/services/oauth2/token", operation="token", open=True)
    def token(call: Call) -> Reply:
        form = call.form
        grant = form.get("grant_type")
        if grant == JWT_BEARER:
            _check_assertion(twin, call, form.get("assertion", ""))
        elif grant == "client_credentials":
            _check_client(twin, call, form)
        else:
            raise _refused("unsupported_grant_type", "grant type not supported")
        life = timedelta(seconds=int(twin.options.get("session_seconds", 7200)))
        here = _here(call)
        return Reply(
            {
                "access_token": twin.tokens.issue(prefix="00Dxx0000001gPL!AQ", lifetime=life),
                "instance_url": here,
                "id": f"{here}/id/00Dxx0000001gPLEAY/005xx000001Sv6AAAS",
                "scope": "api",
                "token_type": "Bearer",
            }
        )

    @twin.route("GET", "/services/data", open=True)
    def versions(call: Call) -> Reply:  # noqa: ARG001
        numbers = ("61.0", "62.0", "66.0")
        return Reply([{"label": n, "url": f"/services/data/v{n}", "version": n} for n in numbers])


def _check_assertion(twin: Twin, call: Call, assertion: str) -> None:
    claims = _claims(twin, assertion)
    now = twin.now().timestamp()
    if claims.get("iss") != twin.options.get("consumer_key", "concordat"):
        raise _refused("invalid_client_id", "client identifier invalid")
    if claims.get("aud") not in {*AUDIENCES, _here(call)}:
        raise _refused("invalid_grant", "audience is invalid")
    if not now < float(claims.get("exp", 0)) < now + 300:
        raise _refused("invalid_grant", "expired authorization code")
    if claims.get("sub") != twin.options.get("username", "integration@northbeam.example"):
        raise _refused("invalid_grant", "user hasn't approved this consumer")


def _claims(twin: Twin, assertion: str) -> dict[str, Any]:
    try:
        key = RSAKey.import_key(str(twin.options.get("public_key", "")))
        return dict(jwt.decode(assertion, key, algorithms=["RS256"]).claims)
    except (ValueError, TypeError, JoseError) as error:
        raise _refused("invalid_grant", "invalid assertion") from error


def _check_client(twin: Twin, call: Call, form: dict[str, str]) -> None:
    given = form.get("client_id", ""), form.get("client_secret", "")
    kind, _, pair = call.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            user, _, password = base64.b64decode(pair, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _refused("invalid_client", "invalid client credentials") from error
        given = user, password
    wanted = (
        twin.options.get("consumer_key", "concordat"),
        twin.options.get("consumer_secret", "concordat-secret"),
    )
    if given != wanted:
        raise _refused("invalid_client", "invalid client credentials")


def _here(call: Call) -> str:
    return f"http://{call.headers.get('host', 'localhost')}"


def _refused(error: str, description: str) -> Refuse:
    return Refuse(400, {"error": error, "error_description": description})
