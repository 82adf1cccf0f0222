"""The connector for the lean system, over the same door for HTTP as every other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from concordat.connectors.kantata.facts import FACTS as KANTATA
from concordat.connectors.msgraph.facts import FACTS as MSGRAPH
from concordat.connectors.slack.facts import FACTS as SLACK
from concordat.connectors.tryton.facts import FACTS as TRYTON
from concordat.errors import Rejected
from concordat.sdk.rest import Http
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ChangePage,
    Hint,
    ObjectFacts,
    Observed,
    PromiseClass,
    Push,
    SourceRecord,
    SystemFacts,
    WriteIntent,
    WriteResult,
)

__all__ = ["BULK", "SHIPPED_WAYS", "SINGLE", "LeanConnector", "Way", "systems"]

TARGETS: Mapping[str, tuple[str, ...]] = {
    "erp": ("client", "project"),
    "psa": ("project",),
    "documents": ("workspace",),
    "chat": ("channel",),
}
QUIET = {"client", "contract", "opportunity"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """How much one call takes, and whether written objects are read back."""

    write_batch: int
    read_batch: int
    parallel: int


BULK = Way(write_batch=500, read_batch=500, parallel=1)
SINGLE = Way(write_batch=1, read_batch=0, parallel=16)


def _as_shipped(facts: SystemFacts) -> Way:
    """The limits of a shipped connector's projects, or of the first thing that it writes."""
    known = facts.targets.get("project") or next(iter(facts.targets.values()))
    return Way(write_batch=known.write_batch, read_batch=known.read_batch, parallel=known.parallel)


SHIPPED_WAYS: Mapping[str, Way] = {
    "erp": _as_shipped(TRYTON),
    "psa": _as_shipped(KANTATA),
    "documents": _as_shipped(MSGRAPH),
    "chat": _as_shipped(SLACK),
}


class _Nobody:
    """The lean system asks for no credential."""

    def headers(self, _ctx: CallContext, /) -> Mapping[str, str]:
        return {}

    def renew(self, _used: Mapping[str, str], _ctx: CallContext, /) -> bool:
        return False


class LeanConnector:
    """One connection to the lean system. Upserts by record key; finds at once."""

    def __init__(self, url: str, *, connection: str, way: Way) -> None:
        self.connection = connection
        self.way = way
        self._http = Http(url, _Nobody(), connection=connection, parallel=32)
        self.facts = SystemFacts(
            system="lean",
            title="Lean bulk system of the benchmarks",
            sources={"opportunity": timedelta(0)} if connection == "crm" else {},
            targets={object_: _facts(object_, way) for object_ in TARGETS.get(connection, ())},
            questions=frozenset({"availability"}),
            pushes=connection == "crm",
        )

    def ping(self, ctx: CallContext) -> None:
        """Prove that it answers."""
        self._call(ctx, "/count", {})

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """One page of deals, parents along."""
        page = self._call(ctx, "/source", {"after": cursor, "object": object_})
        records = [_record(row) for row in page["records"]]
        return ChangePage(records=records, cursor=page["cursor"], more=page["more"])

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """These deals, parents along."""
        return [_record(row) for row in self._call(ctx, "/source/read", list(refs))] if object_ in QUIET else []

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Upsert by record key, all in one call or one by one."""
        documents = [{"key": i.record_key, "fields": i.fields} for i in intents]
        object_ = f"{self.connection}.{intents[0].object}"
        if self.way.write_batch > 1:
            rows = self._call(ctx, f"/bulk/{object_}", documents, write=True)
        else:
            rows = [self._call(ctx, f"/one/{object_}", documents[0], write=True)]
        return [WriteResult(ref=row["ref"], disposition="created" if row["created"] else "updated") for row in rows]

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """By record key, at once."""
        rows = self._call(ctx, f"/bulk/{self.connection}.{object_}/find", list(record_keys))
        return {row["key"]: [_observed(row)] for row in rows if row}

    def match(self, object_: str, fields: Mapping[str, Any], ctx: CallContext) -> Sequence[Observed]:
        """Nothing was here before."""
        del object_, fields, ctx
        return ()

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read back by id, all in one call or one by one."""
        if self.way.read_batch > 1:
            rows = self._call(ctx, f"/bulk/{self.connection}.{object_}/read", list(refs))
        else:
            rows = [self._call(ctx, f"/one/{self.connection}.{object_}/read", {"ref": ref}) for ref in refs]
        return [_observed(row) for row in rows if row]

    def ask(self, question: str, questions: Sequence[Mapping[str, Any]], ctx: CallContext) -> Sequence[Answer]:
        """Everybody is available."""
        del question
        return [Answer(met=row["met"]) for row in self._call(ctx, "/ask", list(questions))]

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """A hint: `{"object": …, "ref": …}`."""
        del headers, now
        try:
            said = orjson.loads(body)
            return Push(hints=(Hint(object=said["object"], ref=said["ref"]),), key=said["ref"])
        except (ValueError, KeyError, TypeError) as error:
            raise Rejected("the push is no hint") from error

    def close(self) -> None:
        """Close the pool."""
        self._http.close()

    def _call(self, ctx: CallContext, path: str, body: Any, *, write: bool = False) -> Any:
        return self._http.send(ctx, "POST", path, json=body, write=write).json


def systems(url: str, way: Way | Mapping[str, Way]) -> dict[str, LeanConnector]:
    """All connections of a benchmark's firm, each to the lean system at `url`; ways by connection, else `BULK`."""
    ways = {} if isinstance(way, Way) else way
    usual = way if isinstance(way, Way) else BULK
    names = ("crm", "hr", *TARGETS)
    return {name: LeanConnector(url, connection=name, way=ways.get(name, usual)) for name in names}


def _facts(object_: str, way: Way) -> ObjectFacts:
    return ObjectFacts(
        object=object_,
        vendor_object=object_,
        promise=PromiseClass.A,
        upsert=True,
        unique_key=True,
        find="strong",
        write_batch=way.write_batch,
        read_batch=way.read_batch,
        parallel=way.parallel,
        note="Made for the benchmark: an upsert by key in memory.",
    )


def _record(row: Mapping[str, Any]) -> SourceRecord:
    changed = datetime(2026, 11, 30, 10, tzinfo=UTC)
    return SourceRecord(
        object=row["object"], ref=row["ref"], version=row["version"], changed_at=changed, fields=row["fields"]
    )


def _observed(row: Mapping[str, Any]) -> Observed:
    return Observed(ref=row["ref"], record_key=row["key"], fields=row["fields"])
