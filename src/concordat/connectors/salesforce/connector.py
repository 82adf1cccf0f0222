"""Reads, writes and hints of one Salesforce org.

Reading is keyset paging on (SystemModstamp, Id) through `queryAll`, so deleted records come as tombstones.
A record may become visible after a later one (a long transaction), so the poll sweeps: from time to time it
goes back by the overlap, judged by the vendor's own clock. The cursor is JSON: `at`, `id` (where we are),
`now` (the vendor's clock), `swept` (when the last sweep began).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from concordat.connectors.salesforce.errors import translate, verdict
from concordat.connectors.salesforce.facts import FACTS, SalesforceSettings
from concordat.connectors.salesforce.fields import OBJECTS, PREFIXES, Mapper, instant
from concordat.errors import AuthRevoked, Rejected, UnknownOutcome, VendorError
from concordat.sdk.auth import Anonymous, CachedToken, ClientCredentials, JwtBearer, TokenSource, token_errors
from concordat.sdk.records import each
from concordat.sdk.rest import Answer as HttpAnswer
from concordat.sdk.rest import Http
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ChangePage,
    Hint,
    JsonObject,
    Observed,
    Push,
    SourceRecord,
    WriteIntent,
    WriteResult,
)

__all__ = ["Salesforce", "connect"]

STALE = timedelta(seconds=300)
PARENTS: Mapping[str, Mapping[str, str]] = {
    "client": {},
    "contract": {"Account": "client"},
    "opportunity": {"Account": "client", "Contract": "contract"},
}
"""Object to its parents that ride along: relationship name to canonical object; parents first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cursor:
    at: str = ""
    id: str = ""
    now: str = ""
    swept: str = ""

    @classmethod
    def of(cls, text: str | None) -> _Cursor:
        return cls(**json.loads(text)) if text else cls()

    def text(self) -> str:
        return json.dumps({"at": self.at, "id": self.id, "now": self.now, "swept": self.swept})

    def begun(self, overlap: timedelta) -> _Cursor:
        """Go back by the overlap when half of it has passed since the last sweep began."""
        if not self.at or not self.swept:
            return self
        now, swept = datetime.fromisoformat(self.now), datetime.fromisoformat(self.swept)
        if now - swept < overlap / 2:
            return self
        back = _soql_time(swept - overlap)
        moved = {"at": back, "id": ""} if back < self.at else {}
        return replace(self, swept=self.now, **moved)


class Salesforce:
    """One connection to one org. See `concordat.sdk.spec.Connector` for what each method promises."""

    facts = FACTS

    def __init__(
        self,
        settings: SalesforceSettings,
        *,
        connection: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._mapper = Mapper(settings, connection)
        self._tokens = Http(
            settings.token_url, Anonymous(), connection=connection, errors=token_errors, transport=transport
        )
        auth = CachedToken(_source(settings, self._tokens))
        self._http = Http(settings.url, auth, connection=connection, errors=translate, transport=transport)
        self._data = f"/services/data/v{settings.api_version}"

    def ping(self, ctx: CallContext) -> None:
        """Ask for the limits: proves address, credentials and the API's permission."""
        self._http.send(ctx, "GET", f"{self._data}/limits", write=False)

    def close(self) -> None:
        """Release sockets."""
        self._http.close()
        self._tokens.close()

    # -- reads

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """One page of changes, oldest first, with parents before children and deleted records as tombstones."""
        here = _Cursor.of(cursor).begun(timedelta(seconds=self._settings.overlap_seconds))
        where = ""
        if here.at:
            tie = f" OR (SystemModstamp = {here.at} AND Id > '{here.id}')" if here.id else ""
            sign = ">" if here.id else ">="
            where = f" WHERE SystemModstamp {sign} {here.at}{tie}"
        size = self._settings.page
        soql = f"{self._select(object_)}{where} ORDER BY SystemModstamp, Id LIMIT {size}"
        answer = self._query(soql, ctx, deleted=True)
        rows = answer.json["records"]
        more = len(rows) == size
        now = _vendor_now(answer) or here.now
        here = replace(here, now=now, swept=here.swept or now)
        if rows:
            last = rows[-1]
            here = replace(here, at=_soql_time(datetime.fromisoformat(last["SystemModstamp"])), id=last["Id"])
        return ChangePage(records=self._records(object_, rows), cursor=here.text(), more=more)

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """Present state of these records, parents along, deleted ones as tombstones."""
        rows: list[Mapping[str, Any]] = []
        ids = [ref.rpartition(":")[2] for ref in refs]
        for start in range(0, len(ids), 200):
            some = _list(ids[start : start + 200])
            rows += self._query(f"{self._select(object_)} WHERE Id IN {some}", ctx, deleted=True).json["records"]
        return self._records(object_, rows)

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Everything under these keys, by the External ID field; Salesforce's search by it is immediate."""
        key = self._settings.key_field
        wanted = {record_key.lower(): record_key for record_key in record_keys}
        found: dict[str, list[Observed]] = {}
        for seen in self._observe(object_, f"{key} IN {_list(record_keys)}", ctx):
            found.setdefault(wanted.get(seen.record_key.lower(), seen.record_key), []).append(seen)
        return found

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Records with the same tax number, number or name (a deal's name counts within its client)."""
        body = self._mapper.write(object_, {name: v for name, v in fields.items() if name in NATURAL[object_]})
        said = {api: value for api, value in body.items() if isinstance(value, str) and value}
        client = said.pop("AccountId", None)
        if not said:
            return []
        tests = " OR ".join(f"{api} = {_text(value)}" for api, value in said.items())
        within = f" AND AccountId = {_text(client)}" if client else ""
        return list(self._observe(object_, f"({tests}){within}", ctx))[:50]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read back by id, in the order of the vendor."""
        return list(self._observe(object_, f"Id IN {_list(refs)}", ctx))

    def ask(self, question: str, questions: Sequence[JsonObject], ctx: CallContext) -> Sequence[Answer]:
        """Answer nothing: the facts declare no question."""
        raise Rejected(f"Salesforce cannot answer {question!r} ({len(questions)} asked, {ctx.correlation_id}).")

    def _observe(self, object_: str, where: str, ctx: CallContext) -> Iterator[Observed]:
        columns = ", ".join(self._mapper.columns(object_))
        soql = f"SELECT {columns} FROM {OBJECTS[object_]} WHERE {where}"  # noqa: S608  quoted by `_text`
        for row in self._query(soql, ctx, deleted=False).json["records"]:
            yield Observed(
                ref=row["Id"],
                record_key=row.get(self._settings.key_field) or "",
                fields=self._mapper.read(object_, row),
                version=instant(row["SystemModstamp"]),
                url=f"{self._settings.url}/{row['Id']}",
            )

    def _select(self, object_: str) -> str:
        parents = [
            f"{relation}.{column}"
            for relation, parent in PARENTS[object_].items()
            for column in self._mapper.columns(parent)
        ]
        columns = ", ".join([*self._mapper.columns(object_), *parents])
        return f"SELECT {columns} FROM {OBJECTS[object_]}"  # noqa: S608  names of settings, no input

    def _query(self, soql: str, ctx: CallContext, *, deleted: bool) -> HttpAnswer:
        path = f"{self._data}/{'queryAll' if deleted else 'query'}"
        answer = self._http.send(ctx, "GET", path, params={"q": soql}, write=False)
        rows, link = list(answer.json["records"]), answer.json.get("nextRecordsUrl")
        while link:
            page = self._http.send(ctx, "GET", self._http.origin + link, write=False).json
            rows += page["records"]
            link = page.get("nextRecordsUrl")
        return replace(answer, json={**answer.json, "records": rows})

    def _records(self, object_: str, rows: Sequence[Mapping[str, Any]]) -> list[SourceRecord]:
        parents: dict[str, SourceRecord] = {}
        for relation, parent in PARENTS[object_].items():
            inside = (row.get(relation) for row in rows)
            parents |= {record.ref: record for record in self._each(parent, [row for row in inside if row])}
        return [*parents.values(), *self._each(object_, rows)]

    def _each(self, object_: str, rows: Sequence[Mapping[str, Any]]) -> list[SourceRecord]:
        return each(rows, lambda row: self._record(object_, row), object_=object_, ref=lambda row: row["Id"])

    def _record(self, object_: str, row: Mapping[str, Any]) -> SourceRecord:
        fields = self._mapper.read(object_, row)
        return SourceRecord(
            object=object_,
            ref=row["Id"],
            version=instant(row["SystemModstamp"]),
            changed_at=datetime.fromisoformat(row["SystemModstamp"]).astimezone(UTC),
            fields=fields,
            numbers=[fields["number"]] if fields.get("number") else [],
            url=f"{self._settings.url}/{row['Id']}",
            deleted=bool(row.get("IsDeleted")),
        )

    # -- writes

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Upsert by our key in one collection; records that are known by id are changed by id in another."""
        results: dict[int, WriteResult] = {}
        by_key: dict[int, dict[str, Any]] = {}
        by_id: dict[int, dict[str, Any]] = {}
        for place, intent in enumerate(intents):
            try:
                (by_id if intent.ref else by_key)[place] = self._body(intent)
            except VendorError as error:
                results[place] = WriteResult(error=error)
        if by_key or by_id:
            sobject = OBJECTS[intents[0].object]
            upsert = f"/composite/sobjects/{sobject}/{self._settings.key_field}"
            both = bool(by_key) and bool(by_id)
            results |= self._collection(upsert, by_key, intents, ctx, alone=not both)
            results |= self._collection("/composite/sobjects", by_id, intents, ctx, alone=not both)
        return [results[place] for place in range(len(intents))]

    def _body(self, intent: WriteIntent) -> dict[str, Any]:
        if intent.operation != "put":
            raise Rejected(f"Salesforce cannot {intent.operation} a {intent.object}.", code="OPERATION")
        body = self._mapper.write(intent.object, intent.fields)
        known = {"id": intent.ref} if intent.ref else {}
        kind = {"attributes": {"type": OBJECTS[intent.object]}}
        return {**kind, **known, self._settings.key_field: intent.record_key, **body}

    def _collection(
        self,
        path: str,
        bodies: Mapping[int, dict[str, Any]],
        intents: Sequence[WriteIntent],
        ctx: CallContext,
        *,
        alone: bool,
    ) -> dict[int, WriteResult]:
        if not bodies:
            return {}
        said = {"allOrNone": False, "records": list(bodies.values())}
        try:
            answer = self._http.send(ctx, "PATCH", self._data + path, json=said, write=True, idempotent=True)
            rows = self._rows(answer, len(bodies))
        except VendorError as error:
            if alone:
                raise
            return dict.fromkeys(bodies, WriteResult(error=error))
        pairs = zip(bodies, rows, strict=True)
        return {place: self._result(intents[place], row) for place, row in pairs}

    @staticmethod
    def _rows(answer: HttpAnswer, wanted: int) -> list[Mapping[str, Any]]:
        if not isinstance(answer.json, list) or len(answer.json) != wanted:
            raise UnknownOutcome(f"Salesforce did not answer for each of {wanted} records", status=answer.status)
        return answer.json

    def _result(self, intent: WriteIntent, row: Mapping[str, Any]) -> WriteResult:
        if not row.get("success"):
            error = (row.get("errors") or [{}])[0]
            code = str(error.get("statusCode", "UNKNOWN"))
            return WriteResult(error=verdict(code, error, canonical=lambda api: self._name(intent, api)))
        ref = str(row.get("id") or intent.ref or "")
        made = "created" if row.get("created") else "updated"
        return WriteResult(ref=ref, disposition=made, url=f"{self._settings.url}/{ref}")  # type: ignore[arg-type]

    def _name(self, intent: WriteIntent, api: str) -> str:
        return self._mapper.canonical(intent.object, api)

    # -- hints

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """Decode a hint signed with the shared secret; one older than 300 s is refused as a replay."""
        given = {name.lower(): value for name, value in headers.items()}
        stamp = given.get("x-concordat-timestamp", "")
        secret = self._settings.push_secret
        if secret is None:
            raise AuthRevoked("A hint came, but the connection has no push_secret.")
        digest = hmac.new(secret.get_secret_value().encode(), stamp.encode() + b"." + body, hashlib.sha256)
        signature = f"sha256={digest.hexdigest()}".encode()
        if not hmac.compare_digest(signature, given.get("x-concordat-signature", "").encode()):
            raise AuthRevoked("The hint's signature is not ours.")
        if not stamp.isdecimal() or abs(now - datetime.fromtimestamp(int(stamp), UTC)) > STALE:
            raise AuthRevoked("The hint is older than 300 seconds.")
        return _push(body)


def connect(settings: SalesforceSettings, *, connection: str) -> Salesforce:
    """Make the connection; opens nothing until the first call."""
    return Salesforce(settings, connection=connection)


NATURAL: Mapping[str, frozenset[str]] = {
    "client": frozenset({"name", "number", "tax_id"}),
    "opportunity": frozenset({"name", "number", "client"}),
}


def _source(settings: SalesforceSettings, http: Http) -> TokenSource:
    path = "/services/oauth2/token"
    if settings.private_key is None:
        secret = settings.consumer_secret.get_secret_value() if settings.consumer_secret else ""
        return ClientCredentials(http=http, path=path, client_id=settings.consumer_key, client_secret=secret)
    claims = {"iss": settings.consumer_key, "sub": settings.username, "aud": settings.audience}
    return JwtBearer(http=http, path=path, claims=claims, key=settings.private_key.get_secret_value())


def _push(body: bytes) -> Push:
    try:
        said = json.loads(body)
        object_, refs = PREFIXES.get(said["object"]), [str(ref) for ref in said["ids"]]
        key = str(said.get("event") or hashlib.sha256(body).hexdigest())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Rejected(f"The hint cannot be read: {type(error).__name__}", code="MALFORMED") from error
    return Push(hints=[Hint(object=object_, ref=ref) for ref in refs] if object_ else [], key=key)


def _vendor_now(answer: HttpAnswer) -> str:
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).isoformat()
    except (ValueError, TypeError):
        return ""


def _soql_time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _list(values: Sequence[str]) -> str:
    return f"({', '.join(map(_text, values))})"
