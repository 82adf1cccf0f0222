"""The account's records: what a write is refused for, what it keeps, and how a record is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from concordat.twins.base import Call, Record, Refuse, Twin
from concordat.twins.netsuite.schema import LISTS, TYPES, Field, RecordType, keep, problem

__all__ = ["Book"]

OPTIONS = {"subsidiary": "subsidiaries", "currency": "currencies", "term": "terms"}


class Book:
    """Reads and writes the twin's store by NetSuite's rules."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self.closed: set[str] = set()
        """Closed accounting periods, `2026-10`."""
        given = {name: twin.options.get(option) for name, option in OPTIONS.items()}
        self.lists = {name: given.get(name) or known for name, known in LISTS.items()}

    # -- finding

    def at(self, kind: RecordType, id_: str) -> Record:
        """Find by internal id, or by `eid:…`. Refuses NONEXISTENT_ID."""
        found = self.by_external(kind, id_[4:]) if id_.startswith("eid:") else self._twin.store.get(kind.name, id_)
        if found is None:
            detail = f"The record instance does not exist. Provide a valid record instance ID. ({id_})"
            raise problem(404, "NONEXISTENT_ID", detail, path="id")
        return found

    def by_external(self, kind: RecordType, external: str) -> Record | None:
        """Find by external id, always as it is now: this is a unique index, not a search."""
        found = self._twin.store.where(kind.name, "externalId", external)
        return found[0] if found else None

    # -- writing

    def create(self, kind: RecordType, said: Mapping[str, Any], call: Call) -> Record:
        """Insert; an external id that is there already is refused (src: SuiteTalk upsert errors)."""
        fields = self._checked(kind, said, call)
        external = fields.get("externalId")
        if external and self.by_external(kind, external):
            raise problem(400, "USER_ERROR", "Error while accessing a resource. This record already exists.")
        return self._insert(kind, fields)

    def update(self, kind: RecordType, record: Record, said: Mapping[str, Any], call: Call) -> Record:
        """Change what is said; the rest stays."""
        if self._twin.fault("lock_storm", call):
            raise problem(400, "USER_ERROR", "Error while accessing a resource. Record has been changed.")
        fields = self._checked(kind, said, call)
        self._refuse(kind, {**record.fields, **fields}, record.ref)
        planned = {"estimatedWork": record.fields["assigned"]} if "assigned" in record.fields else {}
        return self._commit(kind, "update", {**fields, **planned, "lastModifiedDate": self._now()}, record)

    def upsert(self, kind: RecordType, external: str, said: Mapping[str, Any], call: Call) -> Record:
        """Insert or update by external id; two of these at once make one record (src: overview.md, PUT)."""
        record = self.by_external(kind, external)
        if record is not None:
            return self.update(kind, record, said, call)
        return self._insert(kind, {**self._checked(kind, said, call), "externalId": external})

    def delete(self, kind: RecordType, record: Record) -> None:
        """Remove."""
        self._commit(kind, "delete", {}, record)

    def _insert(self, kind: RecordType, fields: dict[str, Any]) -> Record:
        whole: dict[str, Any] = {"isInactive": False, "dateCreated": self._now(), **fields}
        whole = {name: value for name, value in whole.items() if name in kind.fields}
        self._refuse(kind, whole, "")
        if kind.entity and not whole.get("entityId"):
            number = sum(1 for _ in self._twin.store.all(kind.name)) + 1
            whole["entityId"] = f"{'CUST' if kind.name == 'customer' else 'PRJ'}{number:05d}"
        return self._commit(kind, "create", {**whole, "lastModifiedDate": self._now()}, None)

    def _commit(self, kind: RecordType, operation: str, fields: dict[str, Any], record: Record | None) -> Record:
        known = fields.get("externalId") or (record.fields.get("externalId") if record else "") or ""
        ref = record.ref if record else None
        return self._twin.commit(kind.name, operation, known, fields, ref=ref)

    def _now(self) -> str:
        return f"{self._twin.now():%Y-%m-%dT%H:%M:%SZ}"

    # -- refusing

    def _checked(self, kind: RecordType, said: Mapping[str, Any], call: Call) -> dict[str, Any]:
        if not isinstance(said, Mapping):
            raise problem(400, "INVALID_CONTENT", "Invalid content in the request body.")
        strict = call.headers.get("x-netsuite-propertynamevalidation", "Warning").lower()
        unknown = [name for name in said if name not in kind.fields and name not in {"id", "links", "refName"}]
        if unknown and strict == "error":
            detail = f"Error while accessing a resource. Unknown reference or field '{unknown[0]}'."
            raise problem(400, "INVALID_CONTENT", detail, path=unknown[0])
        known = {n: v for n, v in said.items() if n in kind.fields and not kind.fields[n].read_only}
        default = self._twin.options.get("value_validation", "Error")
        careful = call.headers.get("x-netsuite-propertyvaluevalidation", default).lower() == "error"
        return dict(self._valued(kind, known, careful=careful))

    def _valued(self, kind: RecordType, said: Mapping[str, Any], *, careful: bool) -> Iterator[tuple[str, Any]]:
        """Give what is kept; who does not ask for care loses a value that is wrong without a word."""
        for name, value in said.items():
            try:
                yield name, self._value(name, kind.fields[name], value)
            except Refuse:
                if careful:
                    raise

    def _value(self, name: str, spec: Field, value: Any) -> Any:
        if spec.kind == "ref":
            return self._reference(name, spec, value)
        kept = keep(name, spec, value)
        if spec.kind == "enum" and spec.to and kept is not None and kept not in self.lists[spec.to]:
            raise _invalid(name, kept)
        return kept

    def _reference(self, name: str, spec: Field, value: Any) -> str | None:
        if value in (None, "", {}):
            return None
        said = value if isinstance(value, Mapping) else {"id": value}
        id_ = f"eid:{said['externalId']}" if said.get("externalId") else str(said.get("id", ""))
        if spec.to in self.lists:
            if id_ not in self.lists[spec.to]:
                raise _invalid(name, id_)
            return id_
        kind = TYPES[spec.to]
        external = id_.startswith("eid:")
        found = self.by_external(kind, id_[4:]) if external else self._twin.store.get(kind.name, id_)
        if found is None:
            raise _invalid(name, id_)
        return found.ref

    def _refuse(self, kind: RecordType, whole: Mapping[str, Any], ref: str) -> None:
        missing = [name for name in kind.required if whole.get(name) is None]
        if missing:
            detail = f"Error while accessing a resource. Please enter value(s) for: {', '.join(missing)}."
            raise problem(400, "USER_ERROR", detail, path=missing[0])
        if kind.entity and whole.get("entityId"):
            self._refuse_taken(kind, str(whole["entityId"]), ref)
        period = str(whole.get(kind.dated) or "")[:7] if kind.dated else ""
        if period in self.closed:
            detail = (
                "Error while accessing a resource. This transaction cannot be saved: the accounting period of"
                f" {period} is closed."
            )
            raise problem(400, "USER_ERROR", detail, path=kind.dated)

    def _refuse_taken(self, kind: RecordType, number: str, ref: str) -> None:
        others = [
            other
            for each in TYPES.values()
            if each.entity
            for other in self._twin.store.where(each.name, "entityId", number)
            if (each.name, other.ref) != (kind.name, ref)
        ]
        if others:
            detail = (
                f"Error while accessing a resource. A {kind.name} record with this ID already exists. You"
                f" must enter a unique {kind.name} ID for each record you create."
            )
            raise problem(400, "USER_ERROR", detail, path="entityId")

    # -- showing

    def render(self, kind: RecordType, record: Record, host: str) -> dict[str, Any]:
        """Show a record as GET does: nulls left out, references with id and name, enumerations likewise."""
        out: dict[str, Any] = {"links": _links(host, kind, record.ref), "id": record.ref}
        for name, value in record.fields.items():
            spec = kind.fields.get(name)
            if spec is not None and value is not None:
                out[name] = self._shown(spec, value) if spec.kind in {"ref", "enum"} else value
        return out

    def name_of(self, spec: Field, value: str) -> str:
        """Give the name of what a reference or an enumeration points at."""
        if spec.to in self.lists:
            return str(self.lists[spec.to].get(value, value))
        found = self._twin.store.get(spec.to, value) if spec.to else None
        return str(found.fields.get(TYPES[spec.to].title) or value) if found else value

    def _shown(self, spec: Field, value: str) -> dict[str, str]:
        return {"id": value, "refName": self.name_of(spec, value)}

    @staticmethod
    def page(items: Sequence[Any], host: str, offset: int, total: int) -> dict[str, Any]:
        """Wrap one page of a collection."""
        return {
            "links": [{"rel": "self", "href": f"http://{host}"}],
            "count": len(items),
            "hasMore": offset + len(items) < total,
            "items": list(items),
            "offset": offset,
            "totalResults": total,
        }


def _links(host: str, kind: RecordType, ref: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"http://{host}/services/rest/record/v1/{kind.name}/{ref}"}]


def _invalid(name: str, value: Any) -> Exception:
    detail = (
        f"Error while accessing a resource. You have entered an Invalid Field Value {value} for the following"
        f" field: {name}"
    )
    return problem(400, "INVALID_CONTENT", detail, path=name)
