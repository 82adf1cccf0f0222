"""Collections of records and what became of each.

Two refusals are the call's and not the record's, and wrote nothing: a value that the parser cannot take refuses
every record with it, and a trigger that runs out of Apex limits fails every record of its chunk (src: issue
SFDO-Community/declarative-lookup-rollup-summaries 615). Such records are sent again in halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concordat.connectors.salesforce.desk import Desk, listed
from concordat.connectors.salesforce.errors import verdict
from concordat.connectors.salesforce.facts import FACTS, SalesforceSettings
from concordat.connectors.salesforce.fields import OBJECTS, Mapper
from concordat.errors import Duplicate, Rejected, UnknownOutcome, VendorError
from concordat.sdk.spec import CallContext, WriteIntent, WriteResult

__all__ = ["Writes"]

Bodies = Mapping[int, Mapping[str, Any]]
"""Records by the place of their intent."""
UNPARSED = "JSON_PARSER_ERROR"
OVERBURDENED = "System.LimitException"
FEW = 10
"""So many records are not too many for a trigger: it fails for another reason."""


class Writes:
    """Upserts by our key, and changes by id."""

    def __init__(self, desk: Desk, mapper: Mapper, settings: SalesforceSettings) -> None:
        self._desk = desk
        self._mapper = mapper
        self._settings = settings

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> list[WriteResult]:
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
            self._spare({**by_key, **by_id}, intents, ctx)
            upsert = f"/composite/sobjects/{OBJECTS[intents[0].object]}/{self._settings.key_field}"
            alone = not (by_key and by_id)
            results |= self._collection(upsert, by_key, intents, ctx, alone=alone)
            results |= self._collection("/composite/sobjects", by_id, intents, ctx, alone=alone)
        return [results[place] for place in range(len(intents))]

    def _spare(self, bodies: Mapping[int, dict[str, Any]], intents: Sequence[WriteIntent], ctx: CallContext) -> None:
        """Leave a stage alone that means already what is wanted: people choose among several words for it."""
        object_, key = intents[0].object, self._settings.key_field
        places = [place for place in bodies if self._mapper.several(object_, intents[place].fields)]
        if not places:
            return
        known = {place: intents[place].ref or intents[place].record_key for place in places}
        refs = [known[place] for place in places if intents[place].ref]
        keys = [known[place] for place in places if not intents[place].ref]
        sides = [f"{name} IN {listed(some)}" for name, some in (("Id", refs), (key, keys)) if some]
        columns = ", ".join(["Id", key, *self._mapper.worded(object_)])
        soql = f"SELECT {columns} FROM {OBJECTS[object_]} WHERE {' OR '.join(sides)}"  # noqa: S608  quoted
        rows, _ = self._desk.query(soql, ctx, deleted=False)
        held = {str(row.get(name) or "").lower(): row for name in ("Id", key) for row in rows}
        for place in places:
            for api in self._mapper.meant(object_, intents[place].fields, held.get(known[place].lower(), {})):
                bodies[place].pop(api, None)

    def _body(self, intent: WriteIntent) -> dict[str, Any]:
        if intent.object not in FACTS.targets or intent.operation not in FACTS.targets[intent.object].operations:
            raise Rejected(f"Salesforce cannot {intent.operation} a {intent.object}.", code="OPERATION")
        body = self._mapper.write(intent.object, intent.fields)
        known = {"id": intent.ref} if intent.ref else {}
        kind = {"attributes": {"type": OBJECTS[intent.object]}}
        return {**kind, **known, self._settings.key_field: intent.record_key, **body}

    def _collection(
        self, path: str, bodies: Bodies, intents: Sequence[WriteIntent], ctx: CallContext, *, alone: bool
    ) -> dict[int, WriteResult]:
        """One call, and more for those whom only the call's size or company refused; `alone`: its failure is raised."""
        if not bodies:
            return {}
        try:
            rows = self._desk.patch(path, list(bodies.values()), ctx)
        except VendorError as error:
            if isinstance(error, Rejected) and error.code == UNPARSED and len(bodies) > 1:
                return self._halved(path, bodies, intents, ctx)
            if alone:
                raise
            return dict.fromkeys(bodies, WriteResult(error=error))
        results = {place: self._result(intents[place], row) for place, row in zip(bodies, rows, strict=True)}
        over = {place: bodies[place] for place, result in results.items() if _overburdened(result)}
        if len(bodies) > FEW:
            results |= self._halved(path, over, intents, ctx)
        return results

    def _halved(
        self, path: str, bodies: Bodies, intents: Sequence[WriteIntent], ctx: CallContext
    ) -> dict[int, WriteResult]:
        members = list(bodies.items())
        middle = (len(members) + 1) // 2
        first = self._collection(path, dict(members[:middle]), intents, ctx, alone=False)
        return first | self._collection(path, dict(members[middle:]), intents, ctx, alone=False)

    def _result(self, intent: WriteIntent, row: Any) -> WriteResult:
        if not isinstance(row, Mapping):
            return WriteResult(error=UnknownOutcome(f"Salesforce answered {row!r} for a record"))
        if not row.get("success"):
            return WriteResult(error=self._refused(intent, (row.get("errors") or [{}])[0]))
        ref = str(row.get("id") or intent.ref or "")
        if not ref:
            return WriteResult(error=UnknownOutcome("Salesforce saved the record and did not say which"))
        made = "created" if row.get("created") else "updated"
        return WriteResult(ref=ref, disposition=made, url=self._settings.page_of(ref))  # type: ignore[arg-type]

    def _refused(self, intent: WriteIntent, row: Mapping[str, Any]) -> VendorError:
        """Read a record's refusal. A value that is taken is our record only where it is our key."""
        error = verdict(
            str(row.get("statusCode", "UNKNOWN")),
            row,
            canonical=lambda api: self._mapper.canonical(intent.object, api),
        )
        if not isinstance(error, Duplicate) or self._settings.key_field in f"{error.message} {row.get('fields')}":
            return error
        return Rejected(error.message, code=error.code, field=self._mapper.named(intent.object, error.message))


def _overburdened(result: WriteResult) -> bool:
    return isinstance(result.error, Rejected) and OVERBURDENED in result.error.message
