"""The twin's org: checks and keeps records as Salesforce does, and answers queries over them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from concordat.twins.base import Record, Twin
from concordat.twins.salesforce.rules import check_copy, check_currency, check_lock, settled
from concordat.twins.salesforce.schema import OBJECTS, STAGES, Field, Problem, SObject, full_id, keep
from concordat.twins.salesforce.soql import Query, parse

__all__ = ["Ambiguous", "Org"]

Fields = dict[str, Any]
ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


class Ambiguous(Exception):  # noqa: N818  it is answered with 300
    """An external id matches several records."""

    def __init__(self, refs: Sequence[str]) -> None:
        super().__init__(len(refs))
        self.refs = refs


class Org:
    """All records of the twin. External ids are unique without regard to case, as the field's default is."""

    def __init__(self, twin: Twin, version: str = "v62.0") -> None:
        self.twin = twin
        self.version = version
        self.dry = False
        """Check writes without making them (allOrNone)."""
        self.copies = False
        """The caller acknowledges what a duplicate rule would say."""
        self._numbers = itertools.count(100)
        self._keys: dict[tuple[str, str], dict[str, list[str]]] = {}
        twin.make_ref = lambda object_, number: full_id(self.about(object_).prefix, number)
        twin.seeded = self.seeded

    def about(self, object_: str) -> SObject:
        """Give the object's description. Raises `Problem` NOT_FOUND."""
        if object_ not in OBJECTS:
            raise Problem("NOT_FOUND", "The requested resource does not exist")
        return OBJECTS[object_]

    def field(self, object_: str, name: str) -> Field:
        """Give a field's description; `schema_drift` hides some. Raises `Problem` INVALID_FIELD."""
        field = self.about(object_).fields.get(name)
        drift = self.twin.fault("schema_drift", object=object_, key=name)
        if field is None or (drift is not None and name in drift.args.get("fields", ())):
            raise Problem("INVALID_FIELD", f"No such column '{name}' on sobject of type {object_}", (name,))
        return field

    def find(self, object_: str, ref: str) -> Record:
        """Give a living record by its 15- or 18-character id. Raises `Problem`."""
        record = self.peek(object_, ref)
        if record is None:
            raise Problem("NOT_FOUND", "The requested resource does not exist")
        if record.fields.get("IsDeleted"):
            raise Problem("ENTITY_IS_DELETED", "entity is deleted")
        return record

    def peek(self, object_: str, ref: str) -> Record | None:
        """Give a record, deleted ones too."""
        return self.twin.store.get(object_, ref) or next((record for record in self._by_short(object_, ref)), None)

    def by_key(self, object_: str, name: str, value: str) -> str | None:
        """Give the id under an external id. Raises `Ambiguous`, or `Problem` when the field is none."""
        if not self.about(object_).fields.get(name, Field()).external_id:
            message = f"Provided external ID field does not exist or is not accessible: {name}"
            raise Problem("NOT_FOUND", message)
        refs = self._keys.get((object_, name), {}).get(value.lower(), [])
        alive = [ref for ref in refs if not self.twin.store.get(object_, ref).fields.get("IsDeleted")]  # type: ignore[union-attr]
        if len(alive) > 1:
            raise Ambiguous(alive)
        return alive[0] if alive else None

    # -- writes

    def create(self, object_: str, data: Mapping[str, Any]) -> str:
        """Insert; returns the id. Raises `Problem`."""
        check_lock(self.twin, object_, data)
        if not self.copies:
            check_copy(self.twin, object_, data)
        fields = settled(object_, {}, self._clean(object_, data, ref=None))
        ref = self.twin.fresh(object_)
        self._write(object_, "create", ref, {**self._born(object_, ref), **fields})
        return ref

    def update(self, object_: str, ref: str, data: Mapping[str, Any]) -> str:
        """Change; returns the 18-character id. Raises `Problem`."""
        record = self.find(object_, ref)
        check_lock(self.twin, object_, {**data, "Id": record.ref})
        fields = settled(object_, record.fields, self._clean(object_, data, ref=record.ref))
        self._write(object_, "update", record.ref, fields)
        return record.ref

    def upsert(self, object_: str, name: str, value: str, data: Mapping[str, Any]) -> tuple[str, bool]:
        """Insert or change by external id; returns the id and whether it was made."""
        if "Id" in data or name in data:
            wrong = "Id" if "Id" in data else name
            raise Problem("INVALID_FIELD", f"The {wrong} field should not be specified in the sobject data.", (wrong,))
        ref = self.by_key(object_, name, value)
        if ref is None:
            return self.create(object_, {**data, name: value}), True
        return self.update(object_, ref, data), False

    def delete(self, object_: str, ref: str) -> None:
        """Move into the recycle bin."""
        record = self.find(object_, ref)
        self._write(object_, "remove", record.ref, {"IsDeleted": True})

    def edit(self, object_: str, ref: str, data: Mapping[str, Any]) -> None:
        """Change as a person does: outside the ledger, with the same stamps."""
        record = self.find(object_, ref)
        fields = self._clean(object_, data, ref=record.ref)
        self._index(object_, record.ref, fields)
        self.twin.store.put(object_, record.ref, self._stamped(object_, record.fields, fields))

    def merge(self, object_: str, loser: str, winner: str) -> None:
        """Merge as a person does: the loser goes into the bin and names the winner, its children move over."""
        self.find(object_, winner)
        gone = {"IsDeleted": True, "MasterRecordId": winner}
        self.twin.store.put(object_, loser, self._stamped(object_, self.find(object_, loser).fields, gone))
        for child, name in (("Contract", "AccountId"), ("Opportunity", "AccountId"), ("Account", "ParentId")):
            for record in [r for r in self.twin.store.all(child) if r.fields.get(name) == loser]:
                self.twin.store.put(child, record.ref, self._stamped(child, record.fields, {name: winner}))

    def make(self, object_: str, data: Mapping[str, Any]) -> str:
        """Insert as a person does: outside the ledger."""
        fields = self.seeded(object_, self._clean(object_, data, ref=None))
        self.twin.store.put(object_, fields["Id"], fields)
        return str(fields["Id"])

    def deleted(self, object_: str, fields: Mapping[str, Any]) -> Fields:
        """Give the fields of a record that a person deletes."""
        return self._stamped(object_, fields, {"IsDeleted": True})

    def seeded(self, object_: str, fields: Fields) -> Fields:
        """Complete a record that is loaded: id, stamps, what the stage says, index."""
        ref = fields.get("Id") or self.twin.fresh(object_)
        typed = {
            name: keep(name, self.about(object_).fields.get(name, Field()), value) for name, value in fields.items()
        }
        whole = {**self._stamped(object_, {}, {**self._born(object_, ref), **typed}), **typed, "Id": ref}
        self._index(object_, ref, whole)
        return whole

    # -- reads

    def query(self, soql: str, *, deleted: bool) -> tuple[Query, list[Record]]:
        """Answer SOQL with the records in order. Raises `Problem`."""
        query = parse(soql)
        if query.object not in OBJECTS:
            raise Problem("INVALID_TYPE", f"sObject type '{query.object}' is not supported.")
        for path in query.paths:
            self._known(query.object, path)
        wrong = next((ref for ref in query.narrow.get("Id", ()) if not ID.fullmatch(str(ref))), None)
        if wrong is not None:
            raise Problem("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {wrong}")
        seen = self.twin.visible(query.object)
        rows = []
        for record in self._candidates(query):
            fields = seen(record)
            if fields is None or (fields.get("IsDeleted") and not deleted):
                continue
            if query.test(self._reader(query.object, fields)):
                rows.append(record)
        for order in reversed(query.order):
            rows.sort(key=self._sort_key(query.object, order.path), reverse=order.down)
        end = None if query.limit is None else query.offset + query.limit
        return query, rows[query.offset : end]

    def row(self, object_: str, record: Record, paths: Iterable[str]) -> dict[str, Any]:
        """Show a record as a query does: own fields flat, parents nested, each with `attributes`."""
        return self._nest(object_, self._seen(object_, record), [path.split(".") for path in paths])

    def url(self, object_: str, ref: str) -> str:
        """Where the API shows a record."""
        return f"/services/data/{self.version}/sobjects/{object_}/{ref}"

    def _nest(self, object_: str, fields: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> dict[str, Any]:
        out: dict[str, Any] = {"attributes": {"type": object_, "url": self.url(object_, fields["Id"])}}
        for head in dict.fromkeys(path[0] for path in paths):
            rest = [path[1:] for path in paths if path[0] == head and len(path) > 1]
            if not rest:
                out[head] = fields.get(head)
                continue
            parent, parent_fields = self._parent(object_, head, fields)
            out[head] = self._nest(parent, parent_fields, rest) if parent_fields else None
        return out

    def _seen(self, object_: str, record: Record) -> Fields:
        return self.twin.visible(object_)(record) or record.fields

    def _reader(self, object_: str, fields: Mapping[str, Any]) -> Callable[[str], Any]:
        def read(path: str) -> Any:
            at, inside = object_, fields
            *parents, last = path.split(".")
            for parent in parents:
                at, inside = self._parent(at, parent, inside)
            return inside.get(last) if inside else None

        return read

    def _parent(self, object_: str, relation: str, fields: Mapping[str, Any]) -> tuple[str, Fields]:
        name = self.about(object_).parents[relation]
        parent = self.about(object_).fields[name].to
        ref = fields.get(name)
        record = self.twin.store.get(parent, ref) if ref else None
        return parent, record.fields if record else {}

    def _known(self, object_: str, path: str) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            about = self.about(object_)
            if parent not in about.parents:
                message = f"Didn't understand relationship '{parent}' in field path."
                raise Problem("INVALID_FIELD", message, (path,))
            object_ = about.fields[about.parents[parent]].to
        self.field(object_, last)

    def _candidates(self, query: Query) -> Iterator[Record]:
        if "Id" in query.narrow:
            found = (self.peek(query.object, str(ref)) for ref in dict.fromkeys(query.narrow["Id"]))
            return (record for record in found if record)
        for (object_, name), index in self._keys.items():
            if object_ == query.object and name in query.narrow:
                values = dict.fromkeys(str(value).lower() for value in query.narrow[name])
                refs = [ref for value in values for ref in index.get(value, ())]
                return (record for ref in refs if (record := self.twin.store.get(object_, ref)))
        return self.twin.store.all(query.object)

    def _sort_key(self, object_: str, path: str) -> Callable[[Record], Any]:
        def key(record: Record) -> tuple[bool, Any]:
            value = self._reader(object_, record.fields)(path)
            return value is not None, value.lower() if isinstance(value, str) else value or 0

        return key

    def _by_short(self, object_: str, ref: str) -> Iterator[Record]:
        if len(ref) == 15:
            return (record for record in self.twin.store.all(object_) if record.ref.startswith(ref))
        return iter(())

    # -- rules

    def _clean(self, object_: str, data: Mapping[str, Any], *, ref: str | None) -> Fields:
        kept: Fields = {}
        for name, value in self._resolved(object_, data):
            field = self.field(object_, name)
            if field.read_only:
                message = f"Unable to create/update fields: {name}. Please check the security settings."
                raise Problem("INVALID_FIELD_FOR_INSERT_UPDATE", message, (name,))
            kept[name] = keep(name, field, value)
            self._check_reference(field, name, kept)
            self._check_unique(object_, name, field, kept[name], ref)
        self._check_required(object_, kept, creating=ref is None)
        check_currency(kept, creating=ref is None)
        return kept

    def _resolved(self, object_: str, data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in data.items():
            if name == "attributes":
                continue
            relation = self.about(object_).parents.get(name)
            if relation is None or not isinstance(value, Mapping):
                yield name, value
                continue
            target = self.about(object_).fields[relation].to
            key, key_value = next((k, v) for k, v in value.items() if k != "attributes")
            ref = self.by_key(target, key, str(key_value))
            if ref is None:
                message = f"Foreign key external ID: {key_value} not found for field {key} in entity {target}"
                raise Problem("INVALID_FIELD", message, ())
            yield relation, ref

    def _check_reference(self, field: Field, name: str, kept: Fields) -> None:
        if field.type != "reference" or kept[name] is None:
            return
        if not kept[name].startswith(self.about(field.to).prefix):
            raise Problem("MALFORMED_ID", f"{name}: id value of incorrect type: {kept[name]}", (name,))
        record = self.peek(field.to, kept[name])
        if record is None or record.fields.get("IsDeleted"):
            raise Problem("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (name,))
        kept[name] = record.ref

    def _check_unique(self, object_: str, name: str, field: Field, value: Any, ref: str | None) -> None:
        if not field.external_id or value is None:
            return
        held = self.by_key(object_, name, value)
        if held is not None and held != ref:
            message = f"duplicate value found: {name} duplicates value on record with id: {held[:15]}"
            raise Problem("DUPLICATE_VALUE", message, ())

    def _check_required(self, object_: str, kept: Fields, *, creating: bool) -> None:
        wanted = [name for name, field in self.about(object_).fields.items() if field.required]
        missing = [name for name in wanted if (creating or name in kept) and kept.get(name) is None]
        if missing:
            message = f"Required fields are missing: [{', '.join(missing)}]"
            raise Problem("REQUIRED_FIELD_MISSING", message, tuple(missing))

    def _write(self, object_: str, operation: str, ref: str, fields: Fields) -> None:
        if self.dry:
            return
        present = self.twin.store.get(object_, ref)
        stamped = self._stamped(object_, present.fields if present else {}, fields)
        key = fields.get("Concordat_Key__c") or (present.fields.get("Concordat_Key__c") if present else None)
        record = self.twin.commit(object_, operation, str(key or ""), stamped, ref=ref)
        self._index(object_, ref, record.fields)

    def _born(self, object_: str, ref: str) -> Fields:
        empty: Fields = dict.fromkeys(self.about(object_).fields)
        now = _moment(self.twin)
        born = {"Id": ref, "IsDeleted": False, "CreatedDate": now, "CurrencyIsoCode": self.currency}
        numbered = {"ContractNumber": f"{next(self._numbers):08d}"} if object_ == "Contract" else {}
        return {**empty, **born, **numbered}

    @property
    def currency(self) -> str:
        """The org's corporate currency."""
        return str(self.twin.options.get("currency", "USD"))

    def _stamped(self, object_: str, present: Mapping[str, Any], fields: Fields) -> Fields:
        now = _moment(self.twin)
        out = {**fields, "LastModifiedDate": now, "SystemModstamp": now}
        if object_ == "Opportunity" and fields.get("StageName"):
            closed, won, chance = STAGES.get(fields["StageName"], (False, False, 0))
            out |= {"IsClosed": closed, "IsWon": won}
            if fields["StageName"] != present.get("StageName"):
                out |= {"LastStageChangeDate": now} if present else {}
                if fields.get("Probability") is None:
                    out["Probability"] = Decimal(chance)
        return out

    def _index(self, object_: str, ref: str, fields: Mapping[str, Any]) -> None:
        for name, field in self.about(object_).fields.items():
            if field.external_id and name in fields:
                index = self._keys.setdefault((object_, name), {})
                before = self.twin.store.get(object_, ref)
                for value in (before.fields.get(name) if before else None, fields[name]):
                    if value and ref in index.get(value.lower(), ()) and value != fields[name]:
                        index[value.lower()].remove(ref)
                if fields[name] and ref not in index.setdefault(fields[name].lower(), []):
                    index[fields[name].lower()].append(ref)


def _moment(twin: Twin) -> str:
    return f"{twin.now():%Y-%m-%dT%H:%M:%S}.000+0000"
