"""The connector: one NetSuite account, behind the seam."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import quote

from concordat.connectors.netsuite import feed
from concordat.connectors.netsuite.errors import translate
from concordat.connectors.netsuite.facts import FACTS, READ_BATCH, NetSuiteSettings
from concordat.connectors.netsuite.kinds import Kind, kinds
from concordat.errors import Rejected, Unavailable, VendorError
from concordat.sdk.auth import Anonymous, CachedToken, ClientAssertion, token_errors
from concordat.sdk.rest import Http
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ChangePage,
    JsonObject,
    Observed,
    Push,
    SourceRecord,
    WriteIntent,
    WriteResult,
)
from concordat.sdk.timing import left, timed

__all__ = ["NetSuiteConnector", "connect"]

REST = "/services/rest"
TOKEN_PATH = f"{REST}/auth/oauth2/v1/token"
STRICT = {"X-NetSuite-PropertyNameValidation": "Error"}
"""The default, Warning, drops an unknown field in silence."""


def connect(settings: NetSuiteSettings, *, connection: str) -> NetSuiteConnector:
    """Make the connector; nothing is opened until its first call."""
    return NetSuiteConnector(settings, connection=connection)


class NetSuiteConnector:
    """One connection to NetSuite. Keeps an access token, which it can win back."""

    facts = FACTS

    def __init__(self, settings: NetSuiteSettings, *, connection: str) -> None:
        self._connection = connection
        self._tokens = Http(settings.address, Anonymous(), connection=connection, errors=token_errors)
        claims = {
            "iss": settings.client_id,
            "scope": ["rest_webservices"],
            "aud": f"{settings.address}{TOKEN_PATH}",
        }
        source = ClientAssertion(
            http=self._tokens,
            path=TOKEN_PATH,
            claims=claims,
            key=settings.private_key.get_secret_value(),
            key_id=settings.certificate_id,
            algorithm=settings.algorithm,
        )
        self._http = Http(settings.address, CachedToken(source), connection=connection, errors=translate)
        self._kinds = kinds(settings)

    def ping(self, ctx: CallContext) -> None:
        """Prove address, certificate and the permission to query."""
        self._query("SELECT id FROM customer ORDER BY id", 1, ctx)

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """Give clients or projects changed since the cursor."""
        ctx = timed(ctx)
        return feed.changes(
            lambda sql, most: self._query(sql, most, ctx), self._kind(object_), self._connection, cursor
        )

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """Read source records by reference, `erp:1001` or plain `1001`."""
        kind, ctx = self._kind(object_), timed(ctx)
        rows = self._by_id(kind, [ref.rpartition(":")[2] for ref in refs], ctx)
        return feed.records_of(kind, self._connection, rows)

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Insert or update, one call per record; every failure is in its own result."""
        ctx = timed(ctx)
        return [self._written(intent, ctx) for intent in intents]

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Look record keys up among the external ids; inactive records count."""
        kind, ctx = self._kind(object_), timed(ctx)
        found: dict[str, list[Observed]] = {}
        for part in _parts(list(dict.fromkeys(record_keys))):
            for row in self._select(kind, f"externalid IN ({_texts(part)})", ctx):
                found.setdefault(str(row["externalid"]), []).append(kind.observed(row))
        return found

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Find look-alikes by number, else by name (within its client or project)."""
        kind = self._kind(object_)
        looks = (self._select(kind, where, ctx) for where in _alike(object_, fields))
        return [kind.observed(row) for row in next((rows for rows in looks if rows), ())]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read records back by internal id."""
        kind, ctx = self._kind(object_), timed(ctx)
        return [kind.observed(row) for row in self._by_id(kind, refs, ctx)]

    def ask(
        self,
        question: str,
        questions: Sequence[JsonObject],  # noqa: ARG002
        ctx: CallContext,  # noqa: ARG002
    ) -> Sequence[Answer]:
        """Refuse: NetSuite answers no questions here."""
        _unserved(f"the question {question!r}")

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:  # noqa: ARG002
        """Refuse: NetSuite sends nothing by itself without SuiteScript."""
        _unserved("pushes")

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()
        self._tokens.close()

    def _written(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        try:
            kind = self._kind(intent.object)
            body = kind.acted(intent.operation, intent.fields)
            return self._sent(kind, intent, body, ctx)
        except Rejected as error:
            field = self._kinds[intent.object].named(error.field) if intent.object in self._kinds else ""
            named = Rejected(error.message, code=error.code, field=field, status=error.status)
            return WriteResult(error=named)
        except VendorError as error:
            return WriteResult(error=error)

    def _sent(self, kind: Kind, intent: WriteIntent, body: Mapping[str, Any], ctx: CallContext) -> WriteResult:
        if intent.ref is None and intent.operation != "put":
            raise Rejected(f"{intent.operation} needs the record's id.")
        method = "PUT" if intent.ref is None else "PATCH"
        known = f"eid:{intent.record_key}" if intent.ref is None else intent.ref
        path = f"{REST}/record/v1/{kind.type}/{quote(known, safe=':')}"
        answer = self._http.send(left(ctx), method, path, json=body, headers=STRICT, write=True, idempotent=True)
        ref = intent.ref or answer.headers.get("location", "").rpartition("/")[2] or None
        disposition: Any = "updated" if intent.ref else "created"
        return WriteResult(ref=ref, disposition=disposition, url=kind.url(ref) if ref else "")

    def _by_id(self, kind: Kind, refs: Sequence[str], ctx: CallContext) -> list[Mapping[str, Any]]:
        numbers = [ref for ref in dict.fromkeys(refs) if ref.isdigit()]
        return [row for part in _parts(numbers) for row in self._select(kind, f"id IN ({', '.join(part)})", ctx)]

    def _select(self, kind: Kind, where: str, ctx: CallContext) -> Sequence[Mapping[str, Any]]:
        sql = f"SELECT {kind.selected()} FROM {kind.type} WHERE {where} ORDER BY id"  # noqa: S608  quoted by _texts
        return self._query(sql, 1000, ctx)

    def _query(self, sql: str, most: int, ctx: CallContext) -> Sequence[Mapping[str, Any]]:
        answer = self._http.send(
            left(ctx),
            "POST",
            f"{REST}/query/v1/suiteql",
            params={"limit": str(most)},
            json={"q": sql},
            headers={"Prefer": "transient"},
            write=False,
        )
        items = answer.json.get("items") if isinstance(answer.json, Mapping) else None
        if not isinstance(items, list):
            raise Unavailable(f"{self._connection}: the answer to a query has no items", status=answer.status)
        return items

    def _kind(self, object_: str) -> Kind:
        if object_ not in self._kinds:
            _unserved(f"a {object_}")
        return self._kinds[object_]


def _unserved(what: str) -> NoReturn:
    raise Rejected(f"NetSuite does not serve {what} here.")


def _parts(values: Sequence[str]) -> list[list[str]]:
    return [list(values[at : at + READ_BATCH]) for at in range(0, len(values), READ_BATCH)]


def _texts(values: Sequence[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def _alike(object_: str, fields: JsonObject) -> Iterator[str]:
    """Give conditions for records that look like a document, the surest first.

    What people made by hand bears NetSuite's own number as a rule, so a number that is not found says nothing.
    """
    if fields.get("number") and object_ != "contract_line":
        yield f"entityid = {_texts([str(fields['number'])])}"
    if not fields.get("name"):
        return
    column = "title" if object_ == "contract_line" else "companyname"
    name = f"UPPER({column}) = {_texts([str(fields['name']).upper()])}"
    above = {"project": ("client", "customer"), "contract_line": ("project", "project")}.get(object_)
    ref = str(((fields.get(above[0]) or {}) if above else {}).get("ref") or "")
    yield f"{name} AND {above[1]} = {ref}" if above and ref.isdigit() else name
