"""The connector: one NetSuite account, behind the seam."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from concordat.connectors.netsuite import feed
from concordat.connectors.netsuite.errors import translate
from concordat.connectors.netsuite.facts import FACTS, READ_BATCH, NetSuiteSettings
from concordat.connectors.netsuite.kinds import Kind, kinds
from concordat.errors import Rejected, Unavailable, VendorError
from concordat.sdk.auth import Anonymous, CachedToken, ClientAssertion, token_errors
from concordat.sdk.rest import Http
from concordat.sdk.serving import Unserved, by_key, judged, parts, served
from concordat.sdk.spec import (
    CallContext,
    ChangePage,
    JsonObject,
    Observed,
    SourceRecord,
    WriteIntent,
    WriteResult,
)
from concordat.sdk.timing import left, timed

__all__ = ["NetSuiteConnector", "connect"]

REST = "/services/rest"
TOKEN_PATH = f"{REST}/auth/oauth2/v1/token"
STRICT = {"X-NetSuite-PropertyNameValidation": "Error", "X-NetSuite-PropertyValueValidation": "Error"}
"""A field that is unknown (by default), or a value that is wrong (on demand), is else dropped in silence."""


def connect(settings: NetSuiteSettings, *, connection: str) -> NetSuiteConnector:
    """Make the connector; nothing is opened until its first call."""
    return NetSuiteConnector(settings, connection=connection)


class NetSuiteConnector(Unserved):
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
        asked = parts(list(dict.fromkeys(record_keys)), READ_BATCH)
        rows = (row for part in asked for row in self._select(kind, f"externalid IN ({_texts(part)})", ctx))
        return by_key(map(kind.observed, rows), record_keys)

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Find look-alikes by number, else by name (within its client or project)."""
        kind, ctx = self._kind(object_), timed(ctx)
        looks = (list(self._select(kind, where, ctx)) for where in _alike(object_, fields))
        return [kind.observed(row) for row in next(filter(None, looks), ())]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read records back by internal id."""
        kind, ctx = self._kind(object_), timed(ctx)
        return [kind.observed(row) for row in self._by_id(kind, refs, ctx)]

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()
        self._tokens.close()

    def _written(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        try:
            judged(FACTS, intent)
            kind = self._kind(intent.object)
            return self._sent(kind, intent, kind.acted(intent), ctx)
        except Rejected as error:
            field = self._kinds[intent.object].named(error.field) if intent.object in self._kinds else ""
            named = Rejected(error.message, code=error.code, field=field, status=error.status)
            return WriteResult(error=named)
        except VendorError as error:
            return WriteResult(error=error)

    def _sent(self, kind: Kind, intent: WriteIntent, body: Mapping[str, Any], ctx: CallContext) -> WriteResult:
        method = "PUT" if intent.ref is None else "PATCH"
        known = f"eid:{intent.record_key}" if intent.ref is None else intent.ref
        path = f"{REST}/record/v1/{kind.type}/{quote(known, safe=':')}"
        answer = self._http.send(left(ctx), method, path, json=body, headers=STRICT, write=True, idempotent=True)
        ref = intent.ref or answer.headers.get("location", "").rpartition("/")[2] or None
        disposition: Any = "updated" if intent.ref else "created"
        return WriteResult(ref=ref, disposition=disposition, url=kind.url(ref) if ref else "")

    def _by_id(self, kind: Kind, refs: Sequence[str], ctx: CallContext) -> list[Mapping[str, Any]]:
        numbers = [ref for ref in dict.fromkeys(refs) if ref.isdigit()]
        asked = parts(numbers, READ_BATCH)
        return [row for part in asked for row in self._select(kind, f"id IN ({', '.join(part)})", ctx)]

    def _select(self, kind: Kind, where: str, ctx: CallContext) -> Iterator[Mapping[str, Any]]:
        """Give every row: what one answer left out is asked for from the last id on."""
        after, more = 0, True
        while more:
            known = f" AND id > {after}" if after else ""
            sql = f"SELECT {kind.selected()} FROM {kind.type} WHERE {where}{known} ORDER BY id"  # noqa: S608  quoted
            page = self._query(sql, 1000, ctx)
            yield from page.rows
            more = page.more and bool(page.rows)
            after = int(page.rows[-1]["id"]) if more else after

    def _query(self, sql: str, most: int, ctx: CallContext) -> feed.Page:
        answer = self._http.send(
            left(ctx),
            "POST",
            f"{REST}/query/v1/suiteql",
            params={"limit": str(most)},
            json={"q": sql},
            headers={"Prefer": "transient"},
            write=False,
        )
        said = answer.json if isinstance(answer.json, Mapping) else {}
        if not isinstance(said.get("items"), list):
            raise Unavailable(f"{self._connection}: the answer to a query has no items", status=answer.status)
        return feed.Page(rows=said["items"], more=bool(said.get("hasMore")))

    def _kind(self, object_: str) -> Kind:
        return self._kinds[served(FACTS, object_).object]


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
    name = f"UPPER({column}) = UPPER({_texts([str(fields['name'])])})"
    above = {"project": ("client", "customer"), "contract_line": ("project", "project")}.get(object_)
    ref = str(((fields.get(above[0]) or {}) if above else {}).get("ref") or "")
    yield f"{name} AND {above[1]} = {ref}" if above and ref.isdigit() else name
