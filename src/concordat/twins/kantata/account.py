"""What a Kantata account holds: objects, how they hang together, and how a row looks on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from concordat.core.money import exponent_of
from concordat.twins.base import Record, Refuse, Reply, Twin

__all__ = ["ASSOCIATIONS", "SINGULAR", "STATUSES", "SUBJECTS", "TYPE", "Account", "invalid", "problem"]

Row = dict[str, Any]

SINGULAR: Mapping[str, str] = {
    "workspaces": "workspace",
    "stories": "story",
    "workspace_groups": "workspace_group",
    "users": "user",
    "external_references": "external_reference",
    "custom_fields": "custom_field",
    "custom_field_values": "custom_field_value",
    "time_entries": "time_entry",
    "workspace_resources": "workspace_resource",
}
"""Collection to the key that wraps one object in a request."""

SUBJECTS: Mapping[str, str] = {
    "Workspace": "workspaces",
    "Story": "stories",
    "WorkspaceGroup": "workspace_groups",
    "TimeEntry": "time_entries",
    "User": "users",
    "WorkspaceResource": "workspace_resources",
}
"""`subject_type` to the collection (src: OpenAPI, external_references and custom_field_values)."""

TYPE = {collection: kind for kind, collection in SUBJECTS.items()}

STATUSES: Mapping[int, tuple[str, str]] = {
    100: ("grey", "Not Started"),
    400: ("yellow", "On Hold"),
    401: ("yellow", "Active"),
    500: ("red", "Late"),
    600: ("blue", "Completed"),
}
"""Status key to colour and message. 401 is from a published answer; the others [unsure]: tenants differ."""


@dataclass(frozen=True, slots=True)
class Association:
    """One name that `include=` takes: the attribute with the ids, and the collection they are of."""

    attribute: str
    collection: str
    shown: bool = False
    """The attribute is there without `include`, too."""


OF_SUBJECT = {
    "external_references": Association("external_reference_ids", "external_references"),
    "custom_field_values": Association("custom_field_value_ids", "custom_field_values"),
}
ASSOCIATIONS: Mapping[str, Mapping[str, Association]] = {
    "workspaces": {
        **OF_SUBJECT,
        "workspace_groups": Association("workspace_group_ids", "workspace_groups"),
        "primary_workspace_group": Association("primary_workspace_group_id", "workspace_groups"),
        "workspace_resources": Association("workspace_resource_ids", "workspace_resources"),
        "creator": Association("creator_id", "users", shown=True),
        "primary_maven": Association("primary_maven_id", "users", shown=True),
    },
    "stories": {
        **OF_SUBJECT,
        "workspace": Association("workspace_id", "workspaces", shown=True),
        "creator": Association("creator_id", "users", shown=True),
    },
    "workspace_groups": {
        "external_references": OF_SUBJECT["external_references"],
        "workspaces": Association("workspace_ids", "workspaces"),
    },
    "time_entries": {
        "external_references": OF_SUBJECT["external_references"],
        "workspace": Association("workspace_id", "workspaces", shown=True),
        "story": Association("story_id", "stories", shown=True),
        "user": Association("user_id", "users", shown=True),
    },
    "workspace_resources": {
        "workspace": Association("workspace_id", "workspaces", shown=True),
        "user": Association("user_id", "users", shown=True),
    },
    "custom_field_values": {"custom_field": Association("custom_field_id", "custom_fields", shown=True)},
    "external_references": {},
    "custom_fields": {},
    "users": {},
}
"""What `include=` knows per collection (src: OpenAPI, `include` of each list). Unknown names are ignored."""

OFFICE = ZoneInfo("America/Los_Angeles")
"""Instants carry an offset, of the account's zone (src: published answer of /workspaces)."""

SETUP = frozenset({"users", "custom_fields"})
"""What administrators set up long ago: no search lags behind it."""

SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


def problem(status: int, type_: str, message: str, *, field: str = "") -> Refuse:
    """Make a refusal in Kantata's envelope: no machine code, only type, message and perhaps a field."""
    row = {"type": type_, "message": message, **({"field": field} if field else {})}
    return Refuse(status, {"errors": [row]})


def invalid(*faults: tuple[str, str]) -> Refuse:
    """Make a 422 with all validation errors at once: `(field, message)` each (src: API reference, Errors)."""
    rows = [{"type": "validation", "message": message, "field": field} for field, message in faults]
    return Refuse(422, {"errors": rows})


class Account:
    """Reads over the twin's store."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.lag = timedelta(seconds=float(twin.options.get("search_lag", 0)))

    def seen(self, collection: str) -> Callable[[Record], Row | None]:
        """Say what lists see of a record: the option `search_lag` and the fault `stale_read` hold it back."""
        if collection in SETUP:
            return lambda record: record.fields
        visible = self.twin.visible(collection)
        if not self.lag:
            return visible
        edge = self.twin.clock.now() - self.lag

        def see(record: Record) -> Row | None:
            if record.changed_at <= edge:
                return visible(record)
            return record.before if record.created_at <= edge else None

        return see

    def children(self, collection: str, owner: str, ref: str) -> Iterator[Record]:
        """Give references or custom values of one object."""
        return iter(self.twin.store.where(collection, "_subject", f"{TYPE.get(owner, '')}:{ref}"))

    def ids(self, collection: str, record: Record, name: str) -> list[str]:
        """Give the ids that an association leads to."""
        association = ASSOCIATIONS[collection][name]
        if name in OF_SUBJECT:
            return [child.ref for child in self.children(name, collection, record.ref)]
        if collection == "workspace_groups":
            return [w.ref for w in self.twin.store.all("workspaces") if record.ref in _groups(w)]
        if name == "workspace_resources":
            return [r.ref for r in self.twin.store.where(name, "workspace_id", record.ref)]
        value = record.fields.get(association.attribute)
        return list(value) if isinstance(value, list) else [value] if value else []

    def row(self, collection: str, record: Record, fields: Row, include: tuple[str, ...]) -> Row:
        """Show one record as the API does."""
        known = ASSOCIATIONS[collection]
        hidden = {a.attribute for n, a in known.items() if not a.shown and n not in include}
        made = {**fields, **_priced(collection, fields)}
        for name in include:
            if name in known and not known[name].shown and known[name].attribute.endswith("_ids"):
                made[known[name].attribute] = self.ids(collection, record, name)
        shown = {k: v for k, v in made.items() if k not in hidden | INPUT and not k.startswith("_")}
        stamps = {"created_at": _stamp(record.created_at), "updated_at": _stamp(record.changed_at)}
        return {**shown, **stamps, "id": record.ref}

    def envelope(
        self,
        collection: str,
        found: list[tuple[Record, Row]],
        include: tuple[str, ...],
        meta: Mapping[str, int] | None = None,
    ) -> Reply:
        """Wrap rows: count, results, maps by id with side-loads mixed in, meta."""
        known = ASSOCIATIONS[collection]
        maps: dict[str, dict[str, Row]] = {collection: {}}
        for record, fields in found:
            maps[collection][record.ref] = self.row(collection, record, fields, include)
            for name in (name for name in include if name in known):
                self._side_load(maps, known[name].collection, self.ids(collection, record, name))
        for name in (name for name in include if name in known):
            maps.setdefault(known[name].collection, {})
        total = meta["count"] if meta else len(found)
        numbers = meta or {"count": total, "page_count": 1, "page_number": 1, "page_size": 20}
        results = [{"key": collection, "id": record.ref} for record, _ in found]
        return Reply({"count": total, "results": results, **maps, "meta": dict(numbers)})

    def _side_load(self, maps: dict[str, dict[str, Row]], collection: str, refs: list[str]) -> None:
        rows = maps.setdefault(collection, {})
        for ref in refs:
            record = self.twin.store.get(collection, ref)
            if record is not None and ref not in rows:
                rows[ref] = self.row(collection, record, record.fields, ())


INPUT = frozenset({"external_reference", "custom_fields"})
"""Kept on the record as they came in, so that a dropped field is really dropped; never shown."""


def _groups(record: Record) -> list[str]:
    return list(record.fields.get("workspace_group_ids") or [])


def _stamp(at: datetime) -> str:
    return at.astimezone(OFFICE).isoformat(timespec="seconds")


def _priced(collection: str, fields: Row) -> Row:
    """Show the price as Kantata does: minor units, and a text with a symbol that is good for eyes only."""
    if collection not in {"workspaces", "time_entries"}:
        return {}
    currency = fields.get("currency") or "USD"
    base = 10 ** exponent_of(currency)
    shown: Row = {"currency_base_unit": base, "currency_symbol": SYMBOLS.get(currency, currency)}
    if collection == "workspaces":
        cents = fields.get("price_in_cents")
        whole = "TBD" if cents is None else f"{shown['currency_symbol']}{cents // base:,}"
        shown |= {"price_in_cents": cents, "price": whole}
    return shown
