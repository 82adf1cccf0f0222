"""The seam: Salesforce as the engine sees it.

Reading goes through `queryAll`, so deleted records come as tombstones, and by keyset (see `feed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from concordat.connectors.salesforce import hints
from concordat.connectors.salesforce.errors import translate, verdict
from concordat.connectors.salesforce.facts import FACTS, SalesforceSettings
from concordat.connectors.salesforce.feed import Cursor, soql_time, vendor_now
from concordat.connectors.salesforce.fields import ID, OBJECTS, Mapper, instant
from concordat.errors import Rejected, Unavailable, UnknownOutcome, VendorError
from concordat.sdk.auth import Anonymous, CachedToken, ClientCredentials, JwtBearer, TokenSource, token_errors
from concordat.sdk.records import each
from concordat.sdk.rest import Answer as HttpAnswer
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

__all__ = ["Salesforce", "connect"]

PARENTS: Mapping[str, Mapping[str, str]] = {
    "client": {},
    "contract": {"Account": "client"},
    "opportunity": {"Account": "client", "Contract": "contract"},
}
"""Object to its parents that ride along: relationship name to canonical object; parents first."""


UNPARSED = "JSON_PARSER_ERROR"
READ_BATCH = 200
"""Ids in one query: an address may have 16,384 bytes (src: REST API Developer Guide, status codes)."""


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
        _known(object_, FACTS.sources)
        here = Cursor.of(cursor).begun(timedelta(seconds=self._settings.overlap_seconds))
        size = self._settings.page
        soql = f"{self._select(object_)}{here.where()} ORDER BY SystemModstamp, Id LIMIT {size}"
        rows, date = self._query(soql, ctx, deleted=True)
        now = vendor_now(date) or here.now
        here = replace(here, now=now, swept=here.swept or now)
        if rows:
            last = rows[-1]
            here = replace(here, at=soql_time(datetime.fromisoformat(last["SystemModstamp"])), id=last["Id"])
        return ChangePage(records=self._records(object_, rows), cursor=here.text(), more=len(rows) == size)

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """Present state of these records, parents along, deleted ones as tombstones."""
        _known(object_, FACTS.sources)
        rows: list[Mapping[str, Any]] = []
        ids = _ids(refs)
        for start in range(0, len(ids), READ_BATCH):
            some = _list(ids[start : start + READ_BATCH])
            rows += self._query(f"{self._select(object_)} WHERE Id IN {some}", ctx, deleted=True)[0]
        return self._records(object_, rows)

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Everything under these keys, by the External ID field; Salesforce's search by it is immediate."""
        if not record_keys:
            return {}
        key = self._settings.key_field
        wanted = {record_key.lower(): record_key for record_key in record_keys}
        found: dict[str, list[Observed]] = {}
        for seen in self._observe(object_, f"{key} IN {_list(record_keys)}", ctx):
            found.setdefault(wanted.get(seen.record_key.lower(), seen.record_key), []).append(seen)
        return found

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Records with the same tax number, number or name (a deal's name counts within its client alone)."""
        said = self._natural(object_, fields)
        client = said.pop("AccountId", None)
        if object_ == "opportunity" and client is None:
            said.pop("Name", None)
        if not said:
            return []
        tests = " OR ".join(f"{api} = {_text(value)}" for api, value in said.items())
        within = f" AND AccountId = {_text(client)}" if client else ""
        return list(self._observe(object_, f"({tests}){within}", ctx))[:50]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read back by id, in the order of the vendor."""
        ids = _ids(refs)
        return list(self._observe(object_, f"Id IN {_list(ids)}", ctx)) if ids else []

    def ask(self, question: str, questions: Sequence[JsonObject], ctx: CallContext) -> Sequence[Answer]:
        """Answer nothing: the facts declare no question."""
        raise Rejected(f"Salesforce cannot answer {question!r} ({len(questions)} asked, {ctx.correlation_id}).")

    def _natural(self, object_: str, fields: JsonObject) -> dict[str, str]:
        """Give what can be searched for, by API name."""
        _known(object_, FACTS.targets)
        body: dict[str, Any] = {}
        for name in sorted(NATURAL[object_] & fields.keys()):
            try:
                body |= self._mapper.write(object_, {name: fields[name]})
            except Rejected:
                continue
        return {api: value.strip() for api, value in body.items() if isinstance(value, str) and value.strip()}

    def _observe(self, object_: str, where: str, ctx: CallContext) -> Iterator[Observed]:
        _known(object_, FACTS.targets)
        columns = ", ".join(self._mapper.columns(object_))
        soql = f"SELECT {columns} FROM {OBJECTS[object_]} WHERE {where}"  # noqa: S608  quoted by `_text`
        for row in self._query(soql, ctx, deleted=False)[0]:
            yield Observed(
                ref=row["Id"],
                record_key=row.get(self._settings.key_field) or "",
                fields=self._mapper.held(object_, row),
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

    def _query(self, soql: str, ctx: CallContext, *, deleted: bool) -> tuple[list[Mapping[str, Any]], str]:
        """Give every row, and the vendor's `Date`. Raises `Unavailable` where rows are missing."""
        path = f"{self._data}/{'queryAll' if deleted else 'query'}"
        answer = self._http.send(ctx, "GET", path, params={"q": soql}, write=False)
        rows, total = _rows(answer), answer.json.get("totalSize")
        while link := answer.json.get("nextRecordsUrl"):
            answer = self._http.send(ctx, "GET", self._http.origin + str(link), write=False)
            rows += _rows(answer)
        if not answer.json.get("done", True) or (isinstance(total, int) and len(rows) < total):
            raise Unavailable(f"Salesforce answered {len(rows)} of {total} records")
        return rows, answer.headers.get("date", "")

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
        if "roles" in fields:
            fields["roles"] = fields["roles"] or []
        return SourceRecord(
            object=object_,
            ref=row["Id"],
            version=instant(row["SystemModstamp"]),
            changed_at=datetime.fromisoformat(row["SystemModstamp"]).astimezone(UTC),
            fields=fields,
            extra=self._mapper.unread(object_, row),
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
        _known(intent.object, FACTS.targets)
        if intent.operation not in FACTS.targets[intent.object].operations:
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
        """One call. Where the parser refuses it nothing was written: it is halved until the culprit stands alone."""
        if not bodies:
            return {}
        said = {"allOrNone": False, "records": list(bodies.values())}
        try:
            answer = self._http.send(ctx, "PATCH", self._data + path, json=said, write=True, idempotent=True)
            results = _results(answer, len(bodies))
        except VendorError as error:
            if isinstance(error, Rejected) and error.code == UNPARSED and len(bodies) > 1:
                halves = _halves(bodies)
                return {
                    k: v for half in halves for k, v in self._collection(path, half, intents, ctx, alone=False).items()
                }
            if alone:
                raise
            return dict.fromkeys(bodies, WriteResult(error=error))
        pairs = zip(bodies, results, strict=True)
        return {place: self._result(intents[place], row) for place, row in pairs}

    def _result(self, intent: WriteIntent, row: Mapping[str, Any]) -> WriteResult:
        if not isinstance(row, Mapping):
            return WriteResult(error=UnknownOutcome(f"Salesforce answered {row!r} for a record"))
        if not row.get("success"):
            error = (row.get("errors") or [{}])[0]
            code = str(error.get("statusCode", "UNKNOWN"))
            return WriteResult(error=verdict(code, error, canonical=lambda api: self._name(intent, api)))
        ref = str(row.get("id") or intent.ref or "")
        if not ref:
            return WriteResult(error=UnknownOutcome("Salesforce saved the record and did not say which"))
        made = "created" if row.get("created") else "updated"
        return WriteResult(ref=ref, disposition=made, url=f"{self._settings.url}/{ref}")  # type: ignore[arg-type]

    def _name(self, intent: WriteIntent, api: str) -> str:
        return self._mapper.canonical(intent.object, api)

    # -- hints

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """Decode a hint signed with the shared secret; one older than 300 s is refused as a replay."""
        return hints.decode(headers, body, now, self._settings.push_secret)


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


def _known(object_: str, among: Mapping[str, object]) -> None:
    if object_ not in among:
        raise Rejected(f"Salesforce does not serve {object_!r} here; it serves: {', '.join(among)}.")


def _rows(answer: HttpAnswer) -> list[Mapping[str, Any]]:
    rows = answer.json.get("records") if isinstance(answer.json, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Unavailable(f"This is no answer of Salesforce's: {answer.text[:80]!r}", status=answer.status)
    return list(rows)


def _results(answer: HttpAnswer, wanted: int) -> list[Mapping[str, Any]]:
    if not isinstance(answer.json, list) or len(answer.json) != wanted:
        raise UnknownOutcome(f"Salesforce did not answer for each of {wanted} records", status=answer.status)
    return answer.json


def _halves(bodies: Mapping[int, dict[str, Any]]) -> list[dict[int, dict[str, Any]]]:
    members = list(bodies.items())
    middle = len(members) // 2
    return [dict(members[:middle]), dict(members[middle:])]


def _ids(refs: Sequence[str]) -> list[str]:
    """Give the vendor's ids; a text that is none would refuse the whole query (INVALID_QUERY_FILTER_OPERATOR)."""
    bare = (ref.rpartition(":")[2] for ref in refs)
    return list(dict.fromkeys(ref for ref in bare if ID.fullmatch(ref)))


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _list(values: Sequence[str]) -> str:
    return f"({', '.join(map(_text, values))})"
