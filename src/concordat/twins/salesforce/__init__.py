"""Salesforce's REST API as far as Concordat uses it, and as far as `simple-salesforce` needs to be at home.

Sources: vendors' REST API Developer Guide (`resources_*`, `dome_upsert`), the object reference,
simple-salesforce 1.12 (`api.py`, `login.py`), the `salesforce` notes of docs/reference/connectors.
Behaviour that bites, on by default:

* SystemModstamp has whole seconds, so many records share one (src: API date-times carry `.000`).
* Text loses surrounding blanks; an empty text is null; SOQL and external ids fold case.
* A PATCH upsert over an existing record answers 200 with a body from v46 on, before that 204 without one.
* Every write, also our own, causes a hint (an automation sees an API client's writes, too): `echo`, default
true.
* Sessions end after `session_seconds` (7200); 401 INVALID_SESSION_ID.
* LastStageChangeDate is null until the stage changes: a deal that was made as won never has one [unsure].
* An id that is none in a filter refuses the query (INVALID_QUERY_FILTER_OPERATOR).
* An address of more than 16,384 bytes is a 414 (src: REST API Developer Guide, status codes).
* What the org does to a write by itself, with its sources: `rules`. Merged accounts: the act `merge`.

Options: `consumer_key`, `consumer_secret`, `public_key` (PEM, for the JWT flow), `username`, `currency`,
`daily_limit`, `batch_size`, `session_seconds`, `echo`, `hooks`.
Faults of its own: `lock_storm` (UNABLE_TO_LOCK_ROW per record; `inside`: true, wrapped by a trigger),
`duplicate_rule` (DUPLICATES_DETECTED for a new record whose name is there), `quota_exhausted` (403
REQUEST_LIMIT_EXCEEDED; `retry_after`: seconds, as a gateway adds), `partial_batch` (`members` of a collection
fail with `code` and `message`; `over`: all of one with more records, in a trigger that runs out of limits),
`schema_drift` (`fields` do not exist), `stale_read`, `token_expires_after`, `silent_field_drop`, `clock_skew`
(stamps and JWT times). Hints: `POST {"event", "object", "ids", "at"}` with `X-Concordat-Timestamp` and
`X-Concordat-Signature: sha256=hex(HMAC-SHA256(secret, timestamp + "." + body))`.
This stands for a small Apex or Flow callout, or a relay of change events: the format is Concordat's own, as
Salesforce has no signed webhook.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from email.utils import format_datetime
from typing import Any

from concordat.twins.base import Call, Refuse, Reply, Twin
from concordat.twins.salesforce.acts import add_acts, hint
from concordat.twins.salesforce.login import add_login
from concordat.twins.salesforce.org import Ambiguous, Org
from concordat.twins.salesforce.rules import check_parsed, refusals
from concordat.twins.salesforce.schema import OBJECTS, Problem

__all__ = ["make"]

DATA = "/services/data/{version}"
MOST = 200
LONGEST = 16_384
"""Bytes of an address."""
STATUS = {
    "NOT_FOUND": 404,
    "ENTITY_IS_DELETED": 404,
    "INVALID_SESSION_ID": 401,
    "REQUEST_LIMIT_EXCEEDED": 403,
    "INVALID_TYPE": 400,
}


def make(options: Mapping[str, Any]) -> Twin:
    """Build the twin."""
    twin = Twin("salesforce", options)
    org = Org(twin)
    served = _Served(twin, org)
    twin.guard(served.guard)
    twin.no_route = lambda _call: Reply([_row("NOT_FOUND", "The requested resource does not exist")], 404)
    twin.bad_json = lambda _call: Reply([_row("JSON_PARSER_ERROR", "Unexpected character")], 400)
    add_login(twin)
    served.add_reads()
    served.add_writes()
    served.add_collections()
    add_acts(twin, org)
    return twin


def _row(code: str, message: str) -> dict[str, Any]:
    return {"message": message, "errorCode": code}


class _Served:
    """The REST resources over one org."""

    def __init__(self, twin: Twin, org: Org) -> None:
        self.twin = twin
        self.org = org
        self.used = 0
        self.limit = int(twin.options.get("daily_limit", 100_000))
        self.cursors: dict[str, tuple[list[dict[str, Any]], int]] = {}
        self.numbers = itertools.count(1)

    def guard(self, call: Call) -> None:
        """Session first, then the org's daily budget."""
        if not self.twin.tokens.good(self.twin.bearer(call)):
            raise Refuse(401, [_row("INVALID_SESSION_ID", "Session expired or invalid")])
        self.used += 1
        if len(call.path) + len(call.query_string) > LONGEST:
            raise Refuse(414, b"<html><body><h1>414 Request-URI Too Large</h1></body></html>")
        fault = self.twin.fault("quota_exhausted", call)
        if self.used > self.limit or fault:
            wait = str(fault.args.get("retry_after", "")) if fault else ""
            headers = {"Retry-After": wait, "Date": format_datetime(self.twin.now(), usegmt=True)} if wait else {}
            raise Refuse(403, [_row("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")], headers)

    def reply(self, data: Any, status: int = 200) -> Reply:
        """Answer with the usage header."""
        usage, date = f"api-usage={self.used}/{self.limit}", format_datetime(self.twin.now(), usegmt=True)
        return Reply(data, status, {"Date": date, "Sforce-Limit-Info": usage})

    def route(self, method: str, path: str, operation: str) -> Callable[[Callable[[Call], Reply]], None]:
        """Serve a path; a `Problem` becomes the error array, an ambiguous key a 300."""

        def add(handler: Callable[[Call], Reply]) -> None:
            def guarded(call: Call) -> Reply:
                self.org.version = call.params.get("version", self.org.version)
                self.org.copies = "allowsave=true" in call.headers.get("sforce-duplicate-rule-header", "").lower()
                try:
                    return handler(call)
                except Problem as problem:
                    return self.reply([problem.row()], STATUS.get(problem.code, 400))
                except Ambiguous as ambiguous:
                    return self.reply([self.org.url(call.params["object"], ref) for ref in ambiguous.refs], 300)

            self.twin.route(method, DATA + path, operation=operation)(guarded)

        return add

    # -- reads

    def add_reads(self) -> None:
        """Query, record, describe, limits, changes of a time."""
        self.route("GET", "/query", "search")(lambda call: self._query(call, deleted=False))
        self.route("GET", "/query/", "search")(lambda call: self._query(call, deleted=False))
        self.route("GET", "/queryAll", "search")(lambda call: self._query(call, deleted=True))
        self.route("GET", "/queryAll/", "search")(lambda call: self._query(call, deleted=True))
        self.route("GET", "/query/{cursor}", "search")(self._more)
        self.route("GET", "/limits", "read")(self._limits)
        self.route("GET", "/limits/", "read")(self._limits)
        self.route("GET", "/sobjects", "read")(self._objects)
        self.route("GET", "/sobjects/{object}/describe", "read")(self._describe)
        self.route("GET", "/sobjects/{object}/updated/", "search")(self._updated)
        self.route("GET", "/sobjects/{object}/deleted/", "search")(self._deleted)
        self.route("GET", "/sobjects/{object}/{id}", "read")(self._read)
        self.route("GET", "/sobjects/{object}/{field}/{value}", "read")(self._read_by_key)

    def _query(self, call: Call, *, deleted: bool) -> Reply:
        query, records = self.org.query(call.query.get("q", ""), deleted=deleted)
        if query.count:
            return self.reply({"totalSize": len(records), "done": True, "records": []})
        rows = [self.org.row(query.object, record, query.fields) for record in records]
        said = call.headers.get("sforce-query-options", "").partition("batchSize=")[2]
        size = int(said) if said.isdigit() else int(self.twin.options.get("batch_size", 2000))
        cursor = f"01g{next(self.numbers):015d}"
        self.cursors[cursor] = rows, max(1, size)
        return self._page(cursor, 0)

    def _more(self, call: Call) -> Reply:
        cursor, _, start = call.params["cursor"].partition("-")
        if cursor not in self.cursors or not start.isdigit():
            raise Problem("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(cursor, int(start))

    def _page(self, cursor: str, start: int) -> Reply:
        rows, size = self.cursors[cursor]
        done = start + size >= len(rows)
        page: dict[str, Any] = {"totalSize": len(rows), "done": done, "records": rows[start : start + size]}
        if done:
            del self.cursors[cursor]
        else:
            page["nextRecordsUrl"] = f"/services/data/{self.org.version}/query/{cursor}-{start + size}"
        return self.reply(page)

    def _limits(self, _call: Call) -> Reply:
        left = max(0, self.limit - self.used)
        return self.reply({"DailyApiRequests": {"Max": self.limit, "Remaining": left}})

    def _objects(self, _call: Call) -> Reply:
        rows = [{"name": name, "keyPrefix": about.prefix} for name, about in OBJECTS.items()]
        return self.reply({"encoding": "UTF-8", "maxBatchSize": MOST, "sobjects": rows})

    def _describe(self, call: Call) -> Reply:
        about = self.org.about(call.object)
        fields = [
            {
                "name": name,
                "type": field.type,
                "length": field.length,
                "externalId": field.external_id,
                "unique": field.external_id,
                "nillable": not field.required,
                "updateable": not field.read_only,
                "referenceTo": [field.to] if field.to else [],
            }
            for name, field in about.fields.items()
        ]
        return self.reply({"name": call.object, "keyPrefix": about.prefix, "fields": fields})

    def _updated(self, call: Call) -> Reply:
        return self.reply(
            {
                "ids": [row[0] for row in self._changed(call, deleted=False)],
                "latestDateCovered": call.query["end"],
            }
        )

    def _deleted(self, call: Call) -> Reply:
        rows = [{"id": ref, "deletedDate": at} for ref, at in self._changed(call, deleted=True)]
        return self.reply({"deletedRecords": rows, "latestDateCovered": call.query["end"]})

    def _changed(self, call: Call, *, deleted: bool) -> list[tuple[str, str]]:
        start, end = call.query["start"][:19], call.query["end"][:19]
        records = [r.fields for r in self.twin.store.all(call.object) if r.fields["IsDeleted"] is deleted]
        return [(f["Id"], f["SystemModstamp"]) for f in records if start <= f["SystemModstamp"][:19] < end]

    def _read(self, call: Call) -> Reply:
        record = self.org.find(call.object, call.params["id"])
        wanted = call.query.get("fields")
        names = wanted.split(",") if wanted else list(self.org.about(call.object).fields)
        return self.reply(self.org.row(call.object, record, names))

    def _read_by_key(self, call: Call) -> Reply:
        ref = self.org.by_key(call.object, call.params["field"], call.params["value"])
        if ref is None:
            raise Problem("NOT_FOUND", "The requested resource does not exist")
        record = self.org.find(call.object, ref)
        return self.reply(self.org.row(call.object, record, self.org.about(call.object).fields))

    # -- single writes

    def add_writes(self) -> None:
        """Create, change, upsert, delete one record."""
        self.route("POST", "/sobjects/{object}", "create")(self._create)
        self.route("POST", "/sobjects/{object}/", "create")(self._create)
        self.route("PATCH", "/sobjects/{object}/{id}", "update")(self._update)
        self.route("PATCH", "/sobjects/{object}/{field}/{value}", "upsert")(self._upsert)
        self.route("DELETE", "/sobjects/{object}/{id}", "delete")(self._delete)

    def _create(self, call: Call) -> Reply:
        ref = self.org.create(call.object, call.json)
        hint(self.twin, call.object, [ref])
        return self.reply({"id": ref, "success": True, "errors": []}, 201)

    def _update(self, call: Call) -> Reply:
        hint(self.twin, call.object, [self.org.update(call.object, call.params["id"], call.json)])
        return self.reply(None, 204)

    def _upsert(self, call: Call) -> Reply:
        ref, made = self.org.upsert(call.object, call.params["field"], call.params["value"], call.json)
        hint(self.twin, call.object, [ref])
        if not made and float(self.org.version.strip("v")) < 46:
            return self.reply(None, 204)
        return self.reply({"id": ref, "success": True, "errors": [], "created": made}, 201 if made else 200)

    def _delete(self, call: Call) -> Reply:
        self.org.delete(call.object, call.params["id"])
        hint(self.twin, call.object, [call.params["id"]])
        return self.reply(None, 204)

    # -- collections of 200

    def add_collections(self) -> None:
        """`composite/sobjects`: one SaveResult per record, mixed unless `allOrNone`."""
        self.route("POST", "/composite/sobjects", "create")(self._create_all)
        self.route("PATCH", "/composite/sobjects", "update")(self._update_all)
        self.route("PATCH", "/composite/sobjects/{object}/{field}", "upsert")(self._upsert_all)
        self.route("POST", "/composite/sobjects/{object}", "search")(self._retrieve)

    def _create_all(self, call: Call) -> Reply:
        def save(record: Mapping[str, Any]) -> dict[str, Any]:
            return {"id": self.org.create(_type(record), record), "success": True, "errors": []}

        return self._save_all(call, save)

    def _update_all(self, call: Call) -> Reply:
        def save(record: Mapping[str, Any]) -> dict[str, Any]:
            ref = str(record.get("id") or record.get("Id") or "")
            rest = {name: value for name, value in record.items() if name not in {"id", "Id"}}
            return {"id": self.org.update(_type(record), ref, rest), "success": True, "errors": []}

        return self._save_all(call, save)

    def _upsert_all(self, call: Call) -> Reply:
        name = call.params["field"]
        values = Counter(str(record.get(name) or "").lower() for record in call.json["records"])

        def save(record: Mapping[str, Any]) -> dict[str, Any]:
            value = str(record.get(name) or "")
            if values[value.lower()] > 1:
                raise Problem("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", (name,))
            rest = {field: member for field, member in record.items() if field != name}
            ref, made = self.org.upsert(call.object, name, value, rest)
            return {"id": ref, "success": True, "errors": [], "created": made}

        return self._save_all(call, save)

    def _save_all(self, call: Call, save: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Reply:
        said = call.json
        records: Sequence[Mapping[str, Any]] = said["records"]
        if len(records) > MOST:
            message = f"record limit reached. cannot submit more than {MOST} records in this operation"
            raise Problem("INVALID_INPUT", message)
        for record in records:
            check_parsed(call.object or _type(record), record)
        fault = self.twin.fault("partial_batch", call)
        fail = refusals(fault.args, len(records)) if fault else {}
        asked = [(record, fail.get(number)) for number, record in enumerate(records)]
        self.org.dry = bool(said.get("allOrNone"))
        results = [_try(save, record, failing) for record, failing in asked]
        if self.org.dry:
            self.org.dry = False
            good = all(result["success"] for result in results)
            results = [_try(save, *one) for one in asked] if good else [_rolled_back(r) for r in results]
        done = [str(result["id"]) for result in results if result["success"]]
        if done:
            hint(self.twin, call.object or _type(records[0]), done)
        return self.reply(results)

    def _retrieve(self, call: Call) -> Reply:
        said = call.json
        rows = []
        for ref in said["ids"]:
            record = self.org.peek(call.object, ref)
            gone = record is None or record.fields["IsDeleted"]
            rows.append(None if gone or record is None else self.org.row(call.object, record, said["fields"]))
        return self.reply(rows)


def _try(
    save: Callable[[Mapping[str, Any]], dict[str, Any]], record: Mapping[str, Any], failing: Problem | None
) -> dict[str, Any]:
    if failing:
        return {"success": False, "errors": [failing.item()]}
    try:
        return save(record)
    except Problem as problem:
        return {"success": False, "errors": [problem.item()]}
    except Ambiguous:
        message = "user-specified external id matches more than one record during an upsert"
        return {"success": False, "errors": [Problem("DUPLICATE_EXTERNAL_ID", message).item()]}


def _rolled_back(result: dict[str, Any]) -> dict[str, Any]:
    if not result["success"]:
        return result
    message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
    return {"success": False, "errors": [Problem("ALL_OR_NONE_OPERATION_ROLLED_BACK", message).item()]}


def _type(record: Mapping[str, Any]) -> str:
    return str(record.get("attributes", {}).get("type", ""))
