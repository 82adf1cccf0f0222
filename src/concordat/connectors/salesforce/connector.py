"""The seam: Salesforce as the engine sees it.

Reading goes through `queryAll`, so deleted records come as tombstones, and by keyset (see `feed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from concordat.connectors.salesforce import hints
from concordat.connectors.salesforce.desk import Desk, Row, listed, quoted
from concordat.connectors.salesforce.facts import FACTS, SalesforceSettings
from concordat.connectors.salesforce.feed import Cursor
from concordat.connectors.salesforce.fields import OBJECTS, Mapper, full_id, instant
from concordat.connectors.salesforce.writes import Writes
from concordat.errors import Rejected
from concordat.sdk.records import each
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
from concordat.sdk.timing import timed

__all__ = ["SalesforceConnector", "connect"]

PARENTS: Mapping[str, Mapping[str, str]] = {
    "client": {},
    "contract": {"Account": "client"},
    "opportunity": {"Account": "client", "Contract": "contract"},
}
"""Object to its parents that ride along: relationship name to canonical object; parents first."""

NATURAL: Mapping[str, frozenset[str]] = {
    "client": frozenset({"name", "number", "tax_id"}),
    "opportunity": frozenset({"name", "number", "client"}),
}
"""Object to the fields by which people know one."""
READ_BATCH = 200
"""Ids in one query: an address may have 16,384 bytes (src: REST API Developer Guide, status codes)."""


def connect(settings: SalesforceSettings, *, connection: str) -> SalesforceConnector:
    """Make a connector; the first call opens the first socket."""
    return SalesforceConnector(settings, connection)


class SalesforceConnector:
    """One connection to one org."""

    def __init__(self, settings: SalesforceSettings, connection: str) -> None:
        self.facts = FACTS
        self._settings = settings
        self._mapper = Mapper(settings, connection)
        self._desk = Desk(settings, connection)
        self._writes = Writes(self._desk, self._mapper, settings)

    def ping(self, ctx: CallContext) -> None:
        """Ask for the limits."""
        self._desk.ping(ctx)

    def close(self) -> None:
        """Release sockets."""
        self._desk.close()

    # -- source ----------------------------------------------------------------------------------

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """One page of changes, oldest first, with parents before children and deleted records as tombstones."""
        _known(object_, FACTS.sources)
        here = Cursor.of(cursor).begun(timedelta(seconds=self._settings.overlap_seconds))
        size = self._settings.page
        soql = f"{self._select(object_)}{here.where()} ORDER BY SystemModstamp, Id LIMIT {size}"
        rows, date = self._desk.query(soql, timed(ctx), deleted=True)
        here = here.moved(rows, date)
        return ChangePage(records=self._records(object_, rows), cursor=here.text(), more=len(rows) == size)

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """Present state of these records, parents along, deleted ones as tombstones."""
        _known(object_, FACTS.sources)
        clocked, ids = timed(ctx), _ids(refs)
        rows: list[Row] = []
        for start in range(0, len(ids), READ_BATCH):
            some = listed(ids[start : start + READ_BATCH])
            rows += self._desk.query(f"{self._select(object_)} WHERE Id IN {some}", clocked, deleted=True)[0]
        return self._records(object_, rows)

    # -- target ----------------------------------------------------------------------------------

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Upsert by our key, or change by id, as collections."""
        return self._writes.write(intents, timed(ctx))

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Everything under these keys, by the External ID field; Salesforce's search by it is immediate."""
        if not record_keys:
            return {}
        key = self._settings.key_field
        wanted = {record_key.lower(): record_key for record_key in record_keys}
        found: dict[str, list[Observed]] = {}
        for seen in self._observe(object_, f"{key} IN {listed(record_keys)}", ctx):
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
        tests = " OR ".join(f"{api} = {quoted(value)}" for api, value in said.items())
        within = f" AND AccountId = {quoted(client)}" if client else ""
        return list(self._observe(object_, f"({tests}){within}", ctx))[:50]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read back by id, in the order of the vendor."""
        ids = _ids(refs)
        return list(self._observe(object_, f"Id IN {listed(ids)}", ctx)) if ids else []

    # -- what Salesforce does not do -----------------------------------------------------------------

    def ask(self, question: str, _questions: Sequence[JsonObject], _ctx: CallContext) -> Sequence[Answer]:
        """Refuse: no questions are declared."""
        raise Rejected(f"Salesforce is not asked {question!r}.")

    # -- hints -----------------------------------------------------------------------------------

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """Decode a hint signed with the shared secret; one older than 300 s is refused as a replay."""
        return hints.decode(headers, body, now, self._settings.push_secret)

    # -- parts -----------------------------------------------------------------------------------

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
        soql = f"SELECT {columns} FROM {OBJECTS[object_]} WHERE {where}"  # noqa: S608  quoted by `quoted`
        for row in self._desk.query(soql, timed(ctx), deleted=False)[0]:
            yield Observed(
                ref=row["Id"],
                record_key=row.get(self._settings.key_field) or "",
                fields=self._mapper.held(object_, row),
                version=instant(row["SystemModstamp"]),
                url=self._settings.page_of(row["Id"]),
            )

    def _select(self, object_: str) -> str:
        parents = [
            f"{relation}.{column}"
            for relation, parent in PARENTS[object_].items()
            for column in self._mapper.columns(parent)
        ]
        columns = ", ".join([*self._mapper.columns(object_), *parents])
        return f"SELECT {columns} FROM {OBJECTS[object_]}"  # noqa: S608  names of settings, no input

    def _records(self, object_: str, rows: Sequence[Row]) -> list[SourceRecord]:
        parents: dict[str, SourceRecord] = {}
        for relation, parent in PARENTS[object_].items():
            inside = (row.get(relation) for row in rows)
            parents |= {record.ref: record for record in self._each(parent, [row for row in inside if row])}
        return [*parents.values(), *self._each(object_, rows)]

    def _each(self, object_: str, rows: Sequence[Row]) -> list[SourceRecord]:
        return each(rows, lambda row: self._record(object_, row), object_=object_, ref=lambda row: row["Id"])

    def _record(self, object_: str, row: Row) -> SourceRecord:
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
            url=self._settings.page_of(row["Id"]),
            deleted=bool(row.get("IsDeleted")),
        )


def _known(object_: str, among: Mapping[str, object]) -> None:
    if object_ not in among:
        raise Rejected(f"Salesforce does not serve {object_!r} here; it serves: {', '.join(among)}.")


def _ids(refs: Sequence[str]) -> list[str]:
    """Give the vendor's ids; a text that is none would refuse the whole query (INVALID_QUERY_FILTER_OPERATOR)."""
    return list(dict.fromkeys(filter(None, map(full_id, refs))))
