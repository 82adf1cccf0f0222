"""One connection's calls to Salesforce: queries in pages, collections of records, the login."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concordat.connectors.salesforce.errors import login_errors, translate
from concordat.connectors.salesforce.facts import SalesforceSettings
from concordat.errors import Unavailable, UnknownOutcome
from concordat.sdk.auth import Anonymous, CachedToken, ClientCredentials, JwtBearer, TokenSource
from concordat.sdk.rest import Answer, Http
from concordat.sdk.spec import CallContext
from concordat.sdk.timing import left

__all__ = ["Desk", "Row", "listed", "quoted"]

Row = Mapping[str, Any]
LOGIN = "/services/oauth2/token"


class Desk:
    """The calls. All requests of one call share its time (see `sdk.timing`)."""

    def __init__(self, settings: SalesforceSettings, connection: str) -> None:
        self._tokens = Http(settings.token_url, Anonymous(), connection=connection, errors=login_errors)
        auth = CachedToken(_source(settings, self._tokens))
        self._http = Http(settings.url, auth, connection=connection, errors=translate)
        self._data = f"/services/data/v{settings.api_version}"

    def close(self) -> None:
        """Close the pools."""
        self._http.close()
        self._tokens.close()

    def ping(self, ctx: CallContext) -> None:
        """Ask for the limits: proves address, credentials and the API's permission."""
        self._http.send(left(ctx), "GET", f"{self._data}/limits", write=False)

    def query(self, soql: str, ctx: CallContext, *, deleted: bool) -> tuple[list[Row], str]:
        """Give every row, and the vendor's `Date`. Raises `Unavailable` where rows are missing."""
        path = f"{self._data}/{'queryAll' if deleted else 'query'}"
        answer = self._http.send(left(ctx), "GET", path, params={"q": soql}, write=False)
        rows, total = _rows(answer), answer.json.get("totalSize")
        while link := answer.json.get("nextRecordsUrl"):
            answer = self._http.send(left(ctx), "GET", self._http.origin + str(link), write=False)
            rows += _rows(answer)
        if not answer.json.get("done", True) or (isinstance(total, int) and len(rows) < total):
            raise Unavailable(f"Salesforce answered {len(rows)} of {total} records")
        return rows, answer.headers.get("date", "")

    def patch(self, path: str, records: Sequence[Row], ctx: CallContext) -> list[Any]:
        """Write a collection, each record for itself; give an answer for each, in order."""
        said = {"allOrNone": False, "records": list(records)}
        answer = self._http.send(left(ctx), "PATCH", self._data + path, json=said, write=True, idempotent=True)
        if not isinstance(answer.json, list) or len(answer.json) != len(records):
            raise UnknownOutcome(f"Salesforce did not answer for each of {len(records)} records", status=answer.status)
        return answer.json


def quoted(value: str) -> str:
    """Write a text as SOQL takes it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def listed(values: Sequence[str]) -> str:
    """Write texts as SOQL's IN takes them."""
    return f"({', '.join(map(quoted, values))})"


def _source(settings: SalesforceSettings, http: Http) -> TokenSource:
    if settings.private_key is None:
        secret = settings.consumer_secret.get_secret_value() if settings.consumer_secret else ""
        return ClientCredentials(http=http, path=LOGIN, client_id=settings.consumer_key, client_secret=secret)
    claims = {"iss": settings.consumer_key, "sub": settings.username, "aud": settings.audience}
    return JwtBearer(http=http, path=LOGIN, claims=claims, key=settings.private_key.get_secret_value())


def _rows(answer: Answer) -> list[Row]:
    rows = answer.json.get("records") if isinstance(answer.json, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Unavailable(f"This is no answer of Salesforce's: {answer.text[:80]!r}", status=answer.status)
    return list(rows)
