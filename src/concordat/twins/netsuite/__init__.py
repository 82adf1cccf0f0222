"""A NetSuite account: REST record service, SuiteQL, asynchronous jobs, OAuth 2.0 M2M and token-based sign-in.

Options: `account` (1234567), `client_id`, `certificate_id`, `public_key` (PEM of the certificate's key),
`tba` (`consumer_key`, `consumer_secret`, `token_id`, `token_secret`), `concurrency` (15), `job_polls` (1),
`subsidiaries`, `currencies`, `terms` (id to name), `closed` (periods, `2026-10`), `page_most` (1000: most rows in a
page), `value_validation` (Error: what X-NetSuite-PropertyValueValidation is where a request does not say it).
Faults of its own: `quota_exhausted` (429), `lock_storm` (the record has been changed), `accepted_then_failed`,
`schema_drift`, `stale_read`, `silent_field_drop`, `token_expires_after`, `clock_skew`.
Acts: `close_period`, `open_period` {"period"}, `edit` {"object", "id", "fields"}, `expire_tokens`, `assign` {"id",
"hours": […]} (people to a project task).

Quirks, each with its source:
- unknown field names are dropped without a word unless X-NetSuite-PropertyNameValidation says Error
  (src: wsjmnh/netsuite-record-rest-docs, docs/overview.md: default Warning)
- with X-NetSuite-PropertyValueValidation Warning or Ignore a value that is wrong is dropped as well
  (src: REST API browser 2026.1, header of every write, in the same repository's docs/schemas)
- whoever saves a record that somebody else saved meanwhile gets "Record has been changed." (src: ns-online-help
  section_N2877583, optimistic locking; the code over REST is unsure)
- a company's name takes 83 characters (src: the schema browser's `companyName`; the error's text is unsure)
- a page that is not the last says `hasMore`, however many rows it has (src: ns-online-help section_157909186990)
- the estimated work of a task is what its assignees are estimated at; what is written to the field instead is taken
  and overwritten (src: ns-online-help section_N3184256)
- SuiteQL compares as Oracle does: UPPER leaves ß as it is (src: Oracle SQL reference, UPPER without linguistic sort)
- writes answer 204 with Location and no body; PUT by `eid:` inserts or updates (same, docs/records/job.md)
- an entity needs a subsidiary in OneWorld; project tasks live in a project (ns-online-help section_N3652149)
- more requests at once than the account may have: 429 (ns-online-help section_1525253248; the code's text is
  unsure); `concurrency` counts requests that are on this port at one moment
- access tokens end after 60 minutes of the twin's clock
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from concordat.twins.base import Call, Record, Reply, Twin
from concordat.twins.netsuite import suiteql
from concordat.twins.netsuite.jobs import BASE as JOBS
from concordat.twins.netsuite.jobs import Jobs, items
from concordat.twins.netsuite.proof import TOKEN_PATH, Proof
from concordat.twins.netsuite.records import Book
from concordat.twins.netsuite.schema import TYPES, RecordType, problem, record_type

__all__ = ["make"]

REST = "/services/rest"
RECORD = f"{REST}/record/v1"
SCHEMA_TYPES = {"number": "number", "money": "number", "flag": "boolean", "ref": "object", "enum": "object"}


def make(options: Mapping[str, Any]) -> Twin:
    """Build the account."""
    twin = Twin("netsuite", options)
    twin.make_ref = lambda _object, number: str(1000 + number)
    twin.no_route = lambda call: problem(404, "NONEXISTENT_ID", f"Invalid path {call.path}.").reply
    twin.bad_json = lambda _call: problem(400, "INVALID_CONTENT", "Invalid content in the request body.").reply
    twin.seeded = lambda _object, fields: {
        "isInactive": False,
        "lastModifiedDate": f"{twin.now():%Y-%m-%dT%H:%M:%SZ}",
        **fields,
    }
    proof = Proof(twin)
    twin.route("POST", TOKEN_PATH, operation="token", open=True)(proof.token)
    twin.guard(partial(_guard, twin, proof))
    account = _Account(twin)
    account.serve()
    return twin


def _guard(twin: Twin, proof: Proof, call: Call) -> None:
    crowded = twin.traffic.running > int(twin.options.get("concurrency", 15))
    if crowded or twin.fault("quota_exhausted", call):
        raise problem(429, "CONCURRENCY_LIMIT_EXCEEDED", "Concurrent request limit exceeded. Request blocked.")
    proof.check(call)


class _Account:
    """The routes, and what they share."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.book = Book(twin)
        self.book.closed.update(twin.options.get("closed", ()))
        self.jobs = Jobs(twin)

    def serve(self) -> None:
        """Put every path in place."""
        route = self.twin.route
        route("GET", f"{RECORD}/metadata-catalog", operation="read")(self.catalogue)
        route("GET", f"{RECORD}/metadata-catalog/{{name}}", operation="read")(self.schema)
        route("GET", f"{RECORD}/{{object}}", operation="search")(self.collection)
        route("POST", f"{RECORD}/{{object}}", operation="create")(self.post)
        route("PUT", f"{RECORD}/{{object}}", operation="upsert")(self.batch)
        route("PATCH", f"{RECORD}/{{object}}", operation="update")(self.batch)
        route("GET", f"{RECORD}/{{object}}/{{id}}", operation="read")(self.get)
        route("PATCH", f"{RECORD}/{{object}}/{{id}}", operation="update")(self.patch)
        route("PUT", f"{RECORD}/{{object}}/{{id}}", operation="upsert")(self.put)
        route("DELETE", f"{RECORD}/{{object}}/{{id}}", operation="delete")(self.remove)
        route("POST", f"{REST}/query/v1/suiteql", object="suiteql", operation="search")(self.query)
        route("GET", f"{JOBS}/{{id}}", object="job status", operation="read")(self.jobs.status)
        route("GET", f"{JOBS}/{{id}}/task", object="job status", operation="read")(self.jobs.tasks)
        route("GET", f"{JOBS}/{{id}}/task/{{task}}", object="job status", operation="read")(self.jobs.task)
        path = f"{JOBS}/{{id}}/task/{{task}}/result"
        route("GET", path, object="job status", operation="read")(self.jobs.result)
        route("GET", f"{REST}/system/v1/governanceLimits", operation="read")(self.limits)
        for name in ("close_period", "open_period", "edit", "expire_tokens", "assign"):
            self.twin.action(name)(getattr(self, name))

    # -- records

    def post(self, call: Call) -> Reply:
        """Insert a record, or a list of them as a job."""
        kind, said = record_type(call.params["object"]), call.json
        if _asynchronous(call):
            members = said["items"] if isinstance(said, Mapping) and "items" in said else [said]
            works = [partial(self._located, call, kind, partial(self.book.create, kind, one, call)) for one in members]
            return self.jobs.accept(call, works)
        return self._located(call, kind, partial(self.book.create, kind, said, call))

    def put(self, call: Call) -> Reply:
        """Insert or update by external id."""
        kind, id_ = record_type(call.params["object"]), call.params["id"]
        if not id_.startswith("eid:") or len(id_) == 4:
            raise problem(400, "INVALID_ID", "PUT needs an external ID: eid:….", path="id")
        write = partial(self.book.upsert, kind, id_[4:], call.json, call)
        return self._maybe_later(call, kind, write)

    def patch(self, call: Call) -> Reply:
        """Change a record."""
        kind = record_type(call.params["object"])
        record = self.book.at(kind, call.params["id"])
        return self._maybe_later(call, kind, partial(self.book.update, kind, record, call.json, call))

    def remove(self, call: Call) -> Reply:
        """Delete a record."""
        kind = record_type(call.params["object"])
        self.book.delete(kind, self.book.at(kind, call.params["id"]))
        return Reply(None, 204)

    def batch(self, call: Call) -> Reply:
        """Upsert or update a list; only as a job (src: docs/records/job.md, `Prefer` required)."""
        kind = record_type(call.params["object"])
        if not _asynchronous(call):
            raise problem(400, "INVALID_HEADER", "The Prefer header must be respond-async.", header="Prefer")
        works = [partial(self._located, call, kind, partial(self._one, call, kind, one)) for one in items(call.json)]
        return self.jobs.accept(call, works)

    def _one(self, call: Call, kind: RecordType, said: Mapping[str, Any]) -> Record:
        fields = {name: value for name, value in said.items() if name not in {"id", "externalId"}}
        external = said.get("externalId")
        if call.method == "PUT" and external:
            return self.book.upsert(kind, external, fields, call)
        record = self.book.at(kind, f"eid:{external}" if external else str(said.get("id", "")))
        return self.book.update(kind, record, fields, call)

    def _maybe_later(self, call: Call, kind: RecordType, write: Any) -> Reply:
        if _asynchronous(call):
            return self.jobs.accept(call, [partial(self._located, call, kind, write)])
        return self._located(call, kind, write)

    def _located(self, call: Call, kind: RecordType, write: Any) -> Reply:
        place = f"http://{call.headers.get('host', '')}{RECORD}/{kind.name}/{write().ref}"
        return Reply(None, 204, {"Location": place})

    def get(self, call: Call) -> Reply:
        """Show one record."""
        kind = record_type(call.params["object"])
        whole = self.book.render(kind, self.book.at(kind, call.params["id"]), call.headers.get("host", ""))
        wanted = call.query.get("fields")
        if wanted:
            whole = {name: value for name, value in whole.items() if name in {"id", "links", *wanted.split(",")}}
        return Reply(whole)

    def collection(self, call: Call) -> Reply:
        """List ids, by `ids=` or `q=`; `expandRecords` shows the records of `ids`."""
        kind, host, query = record_type(call.params["object"]), call.headers.get("host", ""), call.query
        if "ids" in query:
            found = [self.book.at(kind, id_.strip()) for id_ in query["ids"].split(",")]
        else:
            seen = self.twin.visible(kind.name)
            meets = _filter(kind, query.get("q", ""))
            found = [
                r for r in self.twin.store.all(kind.name) if (fields := seen(r)) is not None and meets(r.ref, fields)
            ]
        limit, offset = _window(query)
        show = query.get("expandRecords") == "true"
        members = [
            self.book.render(kind, r, host)
            if show
            else {"id": r.ref, "links": self.book.render(kind, r, host)["links"]}
            for r in found[offset : offset + limit]
        ]
        return Reply(self.book.page(members, f"{host}{call.path}", offset, len(found)))

    # -- queries

    def query(self, call: Call) -> Reply:
        """Answer SuiteQL; `Prefer: transient` is mandatory (src: ns-online-help section_157909186990)."""
        if "transient" not in call.headers.get("prefer", ""):
            raise problem(
                400,
                "INVALID_HEADER",
                "The required request header 'Prefer' is missing: transient.",
                header="Prefer",
            )
        query = suiteql.parse(str((call.json or {}).get("q", "")))
        rows = self._rows(query)
        for field, down in reversed(query.order):
            rows.sort(key=lambda row, name=field: _sortable(row[1].get(name)), reverse=down)  # type: ignore[misc]
        limit, offset = _window(call.query)
        limit = min(limit, int(self.twin.options.get("page_most", 1000)))
        items_ = [self._projected(query, ref, fields) for ref, fields in rows[offset : offset + limit]]
        return Reply(self.book.page(items_, f"{call.headers.get('host', '')}{call.path}", offset, len(rows)))

    def _rows(self, query: suiteql.Query) -> list[tuple[str, dict[str, Any]]]:
        seen = self.twin.visible(query.type.name)
        rows = []
        for record in self._candidates(query):
            fields = seen(record)
            if fields is not None:
                whole = {**fields, "id": record.ref}
                if all(test(whole.get) for test in query.tests):
                    rows.append((record.ref, whole))
        return rows

    def _candidates(self, query: suiteql.Query) -> Sequence[Record]:
        store, name = self.twin.store, query.type.name
        if "id" in query.narrow:
            found = [store.get(name, str(ref)) for ref in query.narrow["id"]]
            return [record for record in found if record is not None]
        if "externalId" in query.narrow:
            return [
                r for value in dict.fromkeys(query.narrow["externalId"]) for r in store.where(name, "externalId", value)
            ]
        return list(store.all(name))

    def _projected(self, query: suiteql.Query, ref: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        drift = self.twin.fault("schema_drift", object=query.type.name, operation="search")
        gone = set(drift.args.get("fields", ())) if drift else set()
        row: dict[str, Any] = {"links": []}
        for column in query.columns:
            value = ref if column.field == "id" else fields.get(column.field)
            if value is not None and column.field not in gone:
                spec = query.type.fields.get(column.field)
                row[column.name] = suiteql.shown(spec.kind if spec else "text", value, column.format)
        return row

    # -- the rest

    def catalogue(self, call: Call) -> Reply:
        """List the record types."""
        host = call.headers.get("host", "")
        members = [
            {
                "name": name,
                "links": [{"rel": "canonical", "href": f"http://{host}{RECORD}/metadata-catalog/{name}"}],
            }
            for name in TYPES
        ]
        return Reply({"items": members})

    def schema(self, call: Call) -> Reply:
        """Give one record type as JSON Schema."""
        kind = record_type(call.params["name"])
        properties = {name: {"type": SCHEMA_TYPES.get(spec.kind, "string")} for name, spec in kind.fields.items()}
        return Reply(
            {
                "type": "object",
                "properties": properties,
                "$schema": "http://json-schema.org/draft-06/hyper-schema#",
            }
        )

    def limits(self, _call: Call) -> Reply:
        """Give the account's concurrency limits (shape unsure)."""
        limit = int(self.twin.options.get("concurrency", 15))
        return Reply({"accountConcurrencyLimit": limit, "accountUnallocatedConcurrencyLimit": limit})

    # -- what a person does

    def close_period(self, said: Mapping[str, Any]) -> Any:
        """Close an accounting period."""
        self.book.closed.add(str(said["period"]))
        return sorted(self.book.closed)

    def open_period(self, said: Mapping[str, Any]) -> Any:
        """Open it again."""
        self.book.closed.discard(str(said["period"]))
        return sorted(self.book.closed)

    def edit(self, said: Mapping[str, Any]) -> Any:
        """Change a record by hand; not in the ledger, which counts calls."""
        kind = record_type(str(said["object"]))
        stamp = {"lastModifiedDate": f"{self.twin.now():%Y-%m-%dT%H:%M:%SZ}"}
        self.twin.store.put(kind.name, str(said["id"]), {**said["fields"], **stamp})
        return {"id": said["id"]}

    def assign(self, said: Mapping[str, Any]) -> Any:
        """Assign people to a task: their hours are its estimated work from now on."""
        hours = sum((Decimal(str(each)) for each in said["hours"]), Decimal(0))
        self.twin.store.put("projectTask", str(said["id"]), {"assigned": hours, "estimatedWork": hours})
        return {"id": said["id"]}

    def expire_tokens(self, _said: Mapping[str, Any]) -> Any:
        """End every access token."""
        self.twin.tokens.revoke()
        return {}


def _asynchronous(call: Call) -> bool:
    return "respond-async" in call.headers.get("prefer", "")


def _window(query: Mapping[str, str]) -> tuple[int, int]:
    limit, offset = int(query.get("limit", "1000")), int(query.get("offset", "0"))
    if not 1 <= limit <= 1000 or offset % limit:
        detail = "limit must be between 1 and 1000, and offset divisible by it."
        raise problem(400, "INVALID_PARAMETER", detail, query="limit")
    return limit, offset


def _sortable(value: Any) -> tuple[int, Any]:
    if isinstance(value, str) and value.isdigit():
        return 1, (int(value), "")
    return (0, (0, "")) if value is None else (1, (0, str(value)))


CONDITION = re.compile(
    r'\s*(\w+)\s+(IS|START_WITH|CONTAIN|AFTER|ON_OR_AFTER|ANY_OF)\s+("[^"]*"|\[[^\]]*\]|\S+)\s*',
    re.IGNORECASE,
)
OPERATORS: Mapping[str, Any] = {
    "IS": lambda left, right: left == right,
    "START_WITH": lambda left, right: left.startswith(right),
    "CONTAIN": lambda left, right: right in left,
    "AFTER": lambda left, right: left > right,
    "ON_OR_AFTER": lambda left, right: left >= right,
    "ANY_OF": lambda left, right: left in [member.strip() for member in right.strip("[]").split(",")],
}


def _filter(kind: RecordType, said: str) -> Any:
    """Read the filter language, conditions joined by AND (src: ns-online-help section_156414087576)."""
    tests = []
    for part in re.split(r"\s+AND\s+", said) if said.strip() else []:
        match = CONDITION.fullmatch(part)
        if match is None or (match[1] not in kind.fields and match[1] != "id"):
            raise problem(400, "INVALID_PARAMETER", f"Invalid query filter: {part}", query="q")
        tests.append((match[1], OPERATORS[match[2].upper()], match[3].strip('"')))
    return lambda ref, fields: all(
        test(str(({**fields, "id": ref}).get(name) or ""), value) for name, test, value in tests
    )
