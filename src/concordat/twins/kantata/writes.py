"""Kantata's writes: what each object takes, what it refuses, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from concordat.core.money import BadMoney, exponent_of
from concordat.twins.base import Call, Record, Reply
from concordat.twins.kantata.account import SINGULAR, STATUSES, SUBJECTS, TYPE, Account, invalid, problem
from concordat.twins.kantata.lists import include_of

__all__ = ["DEFAULTS", "READERS", "Writes"]

Row = dict[str, Any]
Faults = list[tuple[str, str]]
Reader = Callable[[Account, Row, Row], tuple[Row, Faults]]

INT32 = 2_147_483_647
REFERENCE = ("service_name", "service_model", "service_model_ref")
PLAIN: Mapping[str, tuple[str, ...]] = {
    "workspaces": ("title", "description", "budgeted", "archived", "access_level", "change_orders_enabled"),
    "stories": ("title", "description", "story_type", "archived", "state", "billable", "parent_id"),
    "workspace_groups": (
        "name",
        "company",
        "contact_name",
        "email",
        "phone_number",
        "address",
        "website",
        "notes",
    ),
    "time_entries": ("notes", "billable", "location", "story_id", "user_id", "role_id"),
    "workspace_resources": ("user_id", "role_id", "label"),
}
"""Attributes taken as they are. What is in no table is ignored [unsure]."""

DEFAULTS: Mapping[str, Row] = {
    "workspaces": {
        "account_id": 4986335,
        "archived": False,
        "description": None,
        "start_date": None,
        "due_date": None,
        "budgeted": True,
        "change_orders_enabled": True,
        "access_level": "invitation",
        "currency": "USD",
        "price_in_cents": None,
        "percentage_complete": 0,
        "workspace_group_ids": [],
        "primary_workspace_group_id": None,
    },
    "stories": {
        "archived": False,
        "description": None,
        "start_date": None,
        "due_date": None,
        "state": "not started",
        "billable": True,
        "parent_id": None,
        "budget_estimate_in_cents": None,
        "time_estimate_in_minutes": None,
    },
    "workspace_groups": {"company": False},
    "time_entries": {
        "billable": True,
        "approved": False,
        "is_invoiced": False,
        "notes": "",
        "story_id": None,
    },
    "workspace_resources": {"role_id": None},
}


class Writes:
    """Create, update, delete, and the three calls with a shape of their own."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.twin = account.twin

    def create(self, collection: str, call: Call) -> Reply:
        """Make one object from the body under its singular key."""
        said = self._said(collection, call)
        fields, faults = READERS[collection](self.account, said, {})
        faults += self._common(collection, said, None)
        if faults:
            raise invalid(*faults)
        made = {
            **DEFAULTS[collection],
            **({"budgeted": _budgeted(self.account)} if collection == "workspaces" else {}),
            **({"creator_id": "1"} if collection in {"workspaces", "stories"} else {}),
        }
        record = self._commit(collection, "create", said, {**made, **fields})
        return self.account.envelope(collection, [(record, record.fields)], include_of(call))

    def update(self, collection: str, call: Call) -> Reply:
        """Change what the body names; an archived object can be changed, too."""
        record = self._there(collection, call)
        said = self._said(collection, call)
        fields, faults = READERS[collection](self.account, said, record.fields)
        faults += self._common(collection, said, record.ref)
        if faults:
            raise invalid(*faults)
        record = self._commit(collection, "update", said, fields, ref=record.ref)
        return self.account.envelope(collection, [(record, record.fields)], include_of(call))

    def delete(self, collection: str, call: Call) -> Reply:
        """Delete for ever: there is no restore (src: API reference)."""
        record = self._there(collection, call)
        self.twin.commit(collection, "delete", record.ref, {}, ref=record.ref)
        for kind in ("external_references", "custom_field_values"):
            for child in list(self.account.children(kind, collection, record.ref)):
                self.twin.store.remove(kind, child.ref)
        return Reply(None, 204)

    def refer(self, call: Call) -> Reply:
        """POST external_references/create_or_update: one reference per service name and subject."""
        said = self._said("external_references", call)
        faults = [(name, "can't be blank") for name in (*REFERENCE, "subject_type", "subject_id") if not said.get(name)]
        collection = SUBJECTS.get(str(said.get("subject_type")), "")
        if not faults and not self.twin.store.get(collection, str(said["subject_id"])):
            faults = [("subject", "can't be blank")]
        if faults:
            raise invalid(*faults)
        record = self._reference(collection, str(said["subject_id"]), said, noted=True)
        return self.account.envelope("external_references", [(record, record.fields)], include_of(call))

    def value(self, call: Call) -> Reply:
        """POST custom_field_values: create, or override what is there; every value gets a new id."""
        said = self._said("custom_field_values", call)
        collection, ref = SUBJECTS.get(str(said.get("subject_type")), ""), str(said.get("subject_id", ""))
        faults = self._cells([said], ref)
        if not self.twin.store.get(collection, ref):
            faults.append(("subject", "can't be blank"))
        if faults:
            raise invalid(*faults)
        record = self._value(collection, ref, said, noted=True)
        return self.account.envelope("custom_field_values", [(record, record.fields)], include_of(call))

    # -- parts -----------------------------------------------------------------------------------

    def _said(self, collection: str, call: Call) -> Row:
        body = call.json
        said = body.get(SINGULAR[collection]) if isinstance(body, dict) else None
        if not isinstance(said, dict):
            raise problem(400, "system", f"param is missing or the value is empty: {SINGULAR[collection]}")
        if self.twin.fault("lock_storm", call):
            raise invalid((SINGULAR[collection], "is locked by another change"))
        return said

    def _there(self, collection: str, call: Call) -> Record:
        record = self.twin.store.get(collection, call.params["id"].removesuffix(".json"))
        if record is None:
            raise problem(404, "system", "The record could not be found.")
        return record

    def _common(self, collection: str, said: Row, ref: str | None) -> Faults:
        reference = said.get("external_reference")
        faults = [
            ("external_reference", f"{n} can't be blank") for n in REFERENCE if reference and not reference.get(n)
        ]
        return faults + (self._cells(said.get("custom_fields") or [], ref) if collection == "workspaces" else [])

    def _cells(self, cells: list[Row], ref: str | None) -> Faults:
        """Check custom values; a field with `unique_constraint` refuses a value that another object has."""
        faults: Faults = []
        for cell in cells:
            field = self.twin.store.get("custom_fields", str(cell.get("custom_field_id")))
            if field is None or field.fields.get("subject_type") != cell.get("subject_type", "Workspace"):
                faults.append(("custom_field_id", "is not a custom field of this object"))
                continue
            same = self.twin.store.where("custom_field_values", "_cell", f"{field.ref}:{cell.get('value')}")
            if field.fields.get("unique_constraint") and any(str(c.fields["subject_id"]) != ref for c in same):
                faults.append((str(field.fields["name"]), "has already been taken"))
        return faults

    def _commit(self, collection: str, operation: str, said: Row, fields: Row, *, ref: str | None = None) -> Record:
        inline = {name: said[name] for name in ("external_reference", "custom_fields") if said.get(name)}
        key = str((said.get("external_reference") or {}).get("service_model_ref") or "")
        record = self.twin.commit(collection, operation, key, {**fields, **inline}, ref=ref)
        if inline.get("external_reference") and record.fields.get("external_reference") == inline["external_reference"]:
            self._reference(collection, record.ref, inline["external_reference"])
        if inline.get("custom_fields") and record.fields.get("custom_fields") == inline["custom_fields"]:
            for cell in inline["custom_fields"]:
                self._value(collection, record.ref, cell)
        return record

    def _reference(self, collection: str, ref: str, said: Row, *, noted: bool = False) -> Record:
        names = (*REFERENCE, "status", "external_link", "external_status", "external_message", "locked")
        fields = {name: said.get(name) for name in names} | self._subject(collection, ref)
        fields |= {name: str(said[name]) for name in REFERENCE}
        old = self.account.children("external_references", collection, ref)
        same = next((row for row in old if row.fields["service_name"] == fields["service_name"]), None)
        return self._keep("external_references", fields, same, noted=noted)

    def _value(self, collection: str, ref: str, said: Row, *, noted: bool = False) -> Record:
        field = self.twin.store.get("custom_fields", str(said["custom_field_id"]))
        old = self.account.children("custom_field_values", collection, ref)
        for row in (row for row in old if field and row.fields["custom_field_id"] == field.ref):
            self.twin.store.remove("custom_field_values", row.ref)
        value = said.get("value")
        fields = {
            "custom_field_id": field.ref if field else None,
            "custom_field_name": field.fields["name"] if field else None,
            "type": field.fields["value_type"] if field else "string",
            "value": value,
            "display_value": str(value),
            "_cell": f"{said['custom_field_id']}:{value}",
        }
        return self._keep("custom_field_values", fields | self._subject(collection, ref), None, noted=noted)

    def _subject(self, collection: str, ref: str) -> Row:
        kind = TYPE.get(collection, "")
        return {"subject_type": kind, "subject_id": int(ref), "_subject": f"{kind}:{ref}"}

    def _keep(self, collection: str, fields: Row, old: Record | None, *, noted: bool) -> Record:
        ref = old.ref if old else self.twin.fresh(collection)
        if noted:
            key = str(fields.get("service_model_ref", ""))
            return self.twin.commit(collection, "update" if old else "create", key, fields, ref=ref)
        return self.twin.store.put(collection, ref, fields)


# -- readers: body to stored fields, and what is wrong with it -------------------------------------


def _plain(collection: str, said: Row) -> Row:
    return {name: said[name] for name in PLAIN[collection] if name in said}


def _dates(said: Row, *names: str) -> tuple[Row, Faults]:
    fields: Row = {}
    faults: Faults = []
    for name in (n for n in names if n in said):
        try:
            fields[name] = date.fromisoformat(said[name]).isoformat() if said[name] else None
        except (ValueError, TypeError):
            faults.append((name, "is not a valid date"))
    return fields, faults


def _workspace(account: Account, said: Row, now: Row) -> tuple[Row, Faults]:
    """Read a project. `price` is whole base units (350000 dollars), while answers give `price_in_cents`.

    Source: OpenAPI, PUT /workspaces/{id}: "in base units of the currency (e.g. dollars for USD)", an integer.
    """
    fields, faults = _dates(said, "start_date", "due_date")
    fields |= _plain("workspaces", said)
    if (not now and not said.get("title")) or ("title" in said and not said["title"]):
        faults.append(("title", "Please give your project a title"))
    if said.get("creator_role") not in {None, "maven", "buyer", "client", "consultant"}:
        faults.append(("creator_role", "Please select a role for this project"))
    faults += _currency(said, fields)
    if now.get("rate_card_id"):
        fields.pop("currency", None)
    currency = fields.get("currency") or now.get("currency") or "USD"
    budgeted = said.get("budgeted", now.get("budgeted", _budgeted(account)))
    if budgeted and said.get("price") is None and (not now or "price" in said):
        faults.append(("price", "can't be blank"))
    if not budgeted:
        fields.pop("currency", None)
    elif not faults and "price" in said:
        faults += _price(said["price"], currency, fields)
    if "status_key" in said or not now:
        faults += _status(said.get("status_key", 401), fields)
    faults += _groups(account, said, fields)
    return fields, faults


def _budgeted(account: Account) -> bool:
    return bool(account.twin.options.get("budgeted", True))


def _currency(said: Row, fields: Row) -> Faults:
    if not said.get("currency"):
        return []
    try:
        exponent_of(said["currency"])
    except BadMoney:
        return [("currency", "is not included in the list")]
    fields["currency"] = said["currency"]
    return []


def _price(value: Any, currency: str, fields: Row) -> Faults:
    if isinstance(value, bool) or not isinstance(value, int | None):
        return [("price", "must be an integer")]
    if value is not None and abs(value) > INT32:
        return [("price", "is out of range")]
    fields["price_in_cents"] = None if value is None else int(value) * 10 ** exponent_of(currency)
    return []


def _status(key: Any, fields: Row) -> Faults:
    if key not in STATUSES:
        return [("status_key", "is not included in the list")]
    color, message = STATUSES[key]
    fields["status"] = {"color": color, "key": key, "message": message}
    return []


def _groups(account: Account, said: Row, fields: Row) -> Faults:
    known = account.twin.store
    if "workspace_group_ids" in said:
        fields["workspace_group_ids"] = [str(ref) for ref in said["workspace_group_ids"] or []]
    if "primary_workspace_group_id" in said:
        primary = said["primary_workspace_group_id"]
        fields["primary_workspace_group_id"] = str(primary) if primary else None
    asked = [*fields.get("workspace_group_ids", []), fields.get("primary_workspace_group_id")]
    missing = [ref for ref in asked if ref and not known.get("workspace_groups", ref)]
    return [("workspace_group_ids", "includes a group that does not exist")] if missing else []


def _story(account: Account, said: Row, now: Row) -> tuple[Row, Faults]:
    """Read a task. Budgets are minor units, unlike a project's price (src: mavenlink_gem specification)."""
    fields, faults = _dates(said, "start_date", "due_date")
    fields |= _plain("stories", said)
    if ("title" in said or not now) and not said.get("title"):
        faults.append(("title", "can't be blank"))
    if not now and said.get("story_type", "task") not in {"task", "deliverable", "milestone", "issue"}:
        faults.append(("story_type", "is not included in the list"))
    workspace = account.twin.store.get("workspaces", str(said.get("workspace_id") or now.get("workspace_id")))
    if workspace is None:
        return fields, [*faults, ("workspace_id", "can't be blank")]
    for name in ("budget_estimate_in_cents", "time_estimate_in_minutes"):
        if said.get(name) is not None and not workspace.fields.get("budgeted"):
            faults.append((name, "is only allowed in budgeted projects"))
        elif name in said and (isinstance(said[name], bool) or not isinstance(said[name], int | None)):
            faults.append((name, "must be an integer"))
        elif name in said:
            fields[name] = said[name]
    return {**fields, "workspace_id": workspace.ref}, faults


def _group(account: Account, said: Row, now: Row) -> tuple[Row, Faults]:
    """Read a group. Names are unique, whatever their case (src: OpenAPI, POST /workspace_groups)."""
    fields = _plain("workspace_groups", said)
    name = str(said.get("name") or now.get("name") or "").strip()
    if not name:
        return fields, [("name", "can't be blank")]
    folded = name.lower()
    same = account.twin.store.where("workspace_groups", "_name", folded)
    if any(group.fields is not now for group in same):
        return fields, [("name", "has already been taken")]
    return {**fields, "name": name, "_name": folded}, []


def _entry(account: Account, said: Row, now: Row) -> tuple[Row, Faults]:
    """Read a time entry: workspace, day and minutes are required (src: mavenlink_gem specification)."""
    fields, faults = _dates(said, "date_performed")
    fields |= _plain("time_entries", said)
    merged = {**now, **said}
    needed = ("workspace_id", "date_performed", "time_in_minutes")
    faults += [(name, "can't be blank") for name in needed if merged.get(name) in {None, ""}]
    workspace = account.twin.store.get("workspaces", str(merged.get("workspace_id")))
    if merged.get("workspace_id") and workspace is None:
        faults.append(("workspace_id", "does not exist"))
    for name in ("time_in_minutes", "rate_in_cents", "cost_rate_in_cents"):
        if name in said:
            fields[name] = said[name]
    if workspace:
        fields |= {"workspace_id": workspace.ref, "currency": workspace.fields.get("currency", "USD")}
    return {"user_id": "1", **fields}, faults


def _resource(account: Account, said: Row, now: Row) -> tuple[Row, Faults]:
    """Read a member of a project."""
    workspace = account.twin.store.get("workspaces", str(said.get("workspace_id") or now.get("workspace_id")))
    if workspace is None:
        return {}, [("workspace_id", "can't be blank")]
    return {**_plain("workspace_resources", said), "workspace_id": workspace.ref}, []


READERS: Mapping[str, Reader] = {
    "workspaces": _workspace,
    "stories": _story,
    "workspace_groups": _group,
    "time_entries": _entry,
    "workspace_resources": _resource,
}
"""What can be created and changed."""
