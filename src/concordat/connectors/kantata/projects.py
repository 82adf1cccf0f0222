"""Project and workspace, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from concordat.connectors.kantata.desk import Desk, Row, Sheet, need
from concordat.connectors.kantata.facts import SERVICE, KantataSettings
from concordat.connectors.kantata.groups import Groups
from concordat.connectors.kantata.values import (
    exact_price,
    instant,
    instant_text,
    money,
    price,
    reference,
    status_of,
    status_write,
)
from concordat.core.agree import disagreements
from concordat.core.money import BadMoney, Money
from concordat.errors import Duplicate, Rejected, Unavailable
from concordat.sdk.spec import CallContext, Observed, WriteIntent

__all__ = ["INCLUDE", "Projects", "key_of", "reference_body"]

INCLUDE = {
    "include": "external_references,custom_field_values,workspace_groups,primary_workspace_group",
    "include_archived": "true",
}
GROUPS = "workspace_groups,primary_workspace_group"
DIRECT: Mapping[str, str] = {"name": "title", "start_date": "start_date", "end_date": "due_date"}
MONEY = frozenset({"contract_value", "budget_cost"})
KEPT = ("contract_value", "budget_hours", "budget_cost", "number", "entity")
"""Fields that have no exact place of their own in a workspace."""
SHOWN = (*DIRECT.values(), "currency", "price_in_cents", "status", "archived", "updated_at")


def reference_body(object_: str, record_key: str) -> dict[str, str]:
    """Our key as an external reference."""
    return {"service_name": SERVICE, "service_model": object_, "service_model_ref": record_key}


def key_of(sheet: Sheet, row: Row, object_: str) -> str:
    """Read our key from the external references that came along.

    Raises `Unavailable` where one is named and not shown: an object without a key would be made again.
    """
    for ref in row.get("external_reference_ids") or ():
        if sheet.side("external_references", ref) is None:
            raise Unavailable(f"Kantata names external reference {ref} and does not show it")
    for side in sheet.sides(row, "external_reference_ids", "external_references"):
        if (side.get("service_name"), side.get("service_model")) == (SERVICE, object_):
            return str(side.get("service_model_ref") or "")
    return ""


class Projects:
    """The workspaces."""

    def __init__(self, desk: Desk, groups: Groups) -> None:
        self._desk = desk
        self._groups = groups
        self._settings: KantataSettings = desk.settings

    def observed(self, sheet: Sheet, row: Row) -> Observed:
        """Give a workspace in canonical names."""
        need(row, *SHOWN)
        cells = self._cells(sheet, row)
        names = self._settings.custom_fields
        kept = {field: cells.get(name) for field, name in names.items()}
        fields = {field: row.get(attribute) for field, attribute in DIRECT.items()}
        fields |= {
            "client": self._client(sheet, row),
            "currency": row.get("currency"),
            "contract_value": exact_price(row, kept.get("contract_value")),
            "status": status_of(row, self._settings.statuses),
            "budget_hours": kept.get("budget_hours"),
            "budget_cost": _parsed(kept.get("budget_cost")),
            "number": kept.get("number"),
            "entity": kept.get("entity"),
        }
        ref = str(row["id"])
        return Observed(
            ref=ref,
            record_key=key_of(sheet, row, "project") or cells.get(self._settings.key_field) or "",
            fields=fields,
            version=instant_text(instant(str(row["updated_at"]))),
            url=f"{self._settings.pages.rstrip('/')}/workspaces/{ref}",
            archived=bool(row.get("archived")),
        )

    def create(self, intent: WriteIntent, ctx: CallContext) -> Sheet:
        """Make the workspace in one call, our key inside it."""
        if not intent.fields.get("name"):
            raise Rejected("Kantata needs a project's name.", field="name")
        body = self._body(intent, ctx) | self._grouped(intent, ctx, ())
        body |= {"creator_role": "maven", "budgeted": True, "price": body.get("price") or 0}
        body["external_reference"] = reference_body("project", intent.record_key)
        with self._taken():
            return self._desk.create(ctx, "workspaces", {"workspace": body}, GROUPS)

    def update(self, intent: WriteIntent, sheet: Sheet, row: Row, ctx: CallContext) -> Sheet | None:
        """Change what differs; None when nothing does. A lost key is put back."""
        held = self.observed(sheet, row)
        body = self._body(intent, ctx)
        if row.get("rate_card_id") and body.get("currency", row["currency"]) != row["currency"]:
            says = f"The project's rate card counts in {row['currency']}; Kantata ignores {body['currency']}."
            raise Rejected(says, field="currency")
        groups = self._grouped(intent, ctx, row.get("workspace_group_ids") or (), held=held)
        if not (
            groups
            or self._lost(intent, sheet, row, ctx)
            or disagreements(_without(intent.fields, "client"), held.fields)
        ):
            return None
        if held.archived and "archived" not in body and "status" in intent.fields:
            body["archived"] = False
        body |= groups
        body["external_reference"] = reference_body("project", intent.record_key)
        with self._taken():
            written = self._desk.update(ctx, "workspaces", held.ref, {"workspace": body}, GROUPS)
        self._clear(intent, sheet, row, ctx)
        return written

    def dropped(self, intent: WriteIntent, written: Sheet) -> Rejected | None:
        """Say where Kantata took the project and not its client.

        A client that is known by name alone agrees with any group when it is read back: only here it is known which.
        """
        client, row = intent.fields.get("client"), written.side("workspaces", written.ref)
        if client is None or row is None or reference(client, "client"):
            return None
        kept = (self._client(written, row) or {}).get("name")
        if str(kept or "").strip().lower() == str(client.get("name")).strip().lower():
            return None
        return Rejected(f"Kantata took the project and keeps {kept!r} as its client.", field="client")

    def act(self, operation: str, ref: str, ctx: CallContext) -> None:
        """Archive, hold or reactivate: each sets a state, so a repeat changes nothing."""
        keys = self._settings.statuses
        bodies: Mapping[str, dict[str, Any]] = {
            "archive": {"archived": True},
            "hold": status_write("on_hold", keys),
            "reactivate": {"archived": False, **status_write("active", keys)},
        }
        self._desk.update(ctx, "workspaces", ref, {"workspace": bodies[operation]})

    @contextmanager
    def _taken(self) -> Iterator[None]:
        """Read a value that is taken: only our key's says that the project is there; another's is a case."""
        try:
            yield
        except Duplicate as error:
            if self._settings.key_field and self._settings.key_field in error.message:
                raise
            names = self._settings.custom_fields.items()
            field = next((field for field, name in names if name in error.message), error.field)
            raise Rejected(error.message, code=error.code, field=field, status=error.status) from error

    def _lost(self, intent: WriteIntent, sheet: Sheet, row: Row, ctx: CallContext) -> bool:
        """Say whether one of the two places where our key should be does not hold it."""
        if key_of(sheet, row, "project") != intent.record_key:
            return True
        name = self._settings.key_field
        asked = name and name in self._desk.custom_fields(ctx, name)
        return bool(asked) and self._cells(sheet, row).get(name) != intent.record_key

    # -- out -------------------------------------------------------------------------------------

    def _body(self, intent: WriteIntent, ctx: CallContext) -> dict[str, Any]:
        fields = intent.fields
        body = {attribute: fields[field] for field, attribute in DIRECT.items() if field in fields}
        if fields.get("status") is not None:
            body |= status_write(fields["status"], self._settings.statuses)
        body |= self._priced(fields)
        carried = self._carriers(intent)
        ids = self._desk.custom_fields(ctx, *carried) if carried else {}
        cells = [{"custom_field_id": ids[n], "value": text} for n, text in carried.items() if n in ids]
        self._must_fit(intent, ids)
        return {**body, "custom_fields": cells} if cells else body

    def _priced(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if fields.get("currency"):
            body["currency"] = fields["currency"]
        if "contract_value" in fields and fields["contract_value"] is None:
            body["price"] = 0
        elif "contract_value" in fields:
            value = money(fields["contract_value"], "contract_value")
            if body.setdefault("currency", value.currency) != value.currency:
                says = f"A project in {body['currency']} cannot have a value in {value.currency}."
                raise Rejected(says, field="contract_value")
            body["price"] = price(value)
        return body

    def _carriers(self, intent: WriteIntent) -> dict[str, str]:
        """Name each custom field that this intent fills, with its text; the key's among them."""
        names = self._settings.custom_fields
        texts = {self._settings.key_field: intent.record_key} if self._settings.key_field else {}
        for field, name in names.items():
            value = intent.fields.get(field)
            if value is not None:
                texts[name] = str(money(value, field)) if field in MONEY else _text(value, field)
        return texts

    def _must_fit(self, intent: WriteIntent, ids: Mapping[str, int]) -> None:
        """Refuse what the account has no field for; a price of whole units needs none."""
        for field in KEPT:
            name, value = self._settings.custom_fields.get(field, ""), intent.fields.get(field)
            if value is None or name in ids:
                continue
            if field == "contract_value" and money(value, field) and _whole(money(value, field)):
                continue
            says = f"Kantata has no project field {name!r} for {field}: an administrator adds it as text."
            raise Rejected(says, field=field)

    def _grouped(
        self, intent: WriteIntent, ctx: CallContext, present: Any, held: Observed | None = None
    ) -> dict[str, Any]:
        """Give the groups to set: the client's as primary beside those that people added; empty: no change."""
        if "client" not in intent.fields:
            return {}
        client = intent.fields["client"]
        now = (held.fields["client"] or {}).get("ref") if held else None
        if client is None:
            others = [int(ref) for ref in present if str(ref) != now]
            return {"workspace_group_ids": others, "primary_workspace_group_id": None} if now else {}
        group = self._groups.ensure(ctx, client)
        if now == group:
            return {}
        kept = [str(ref) for ref in present if str(ref) not in {now, group}]
        return {
            "workspace_group_ids": [int(ref) for ref in [*kept, group]],
            "primary_workspace_group_id": int(group),
        }

    def _clear(self, intent: WriteIntent, sheet: Sheet, row: Row, ctx: CallContext) -> None:
        """Take away custom values of fields that are to be empty."""
        names = {name for f, name in self._settings.custom_fields.items() if intent.fields.get(f, "") is None}
        for side in sheet.sides(row, "custom_field_value_ids", "custom_field_values"):
            if side.get("custom_field_name") in names:
                self._desk.clear(ctx, str(side["id"]))

    # -- in --------------------------------------------------------------------------------------

    def _cells(self, sheet: Sheet, row: Row) -> dict[str, str]:
        sides = sheet.sides(row, "custom_field_value_ids", "custom_field_values")
        return {str(s["custom_field_name"]): str(s["value"]) for s in sides if s.get("value") is not None}

    def _client(self, sheet: Sheet, row: Row) -> dict[str, Any] | None:
        groups = sheet.sides(row, "workspace_group_ids", "workspace_groups")
        primary = sheet.side("workspace_groups", row.get("primary_workspace_group_id"))
        companies = [group for group in groups if group.get("company")]
        group = primary or (companies[0] if len(companies) == 1 else None)
        return {"ref": str(group["id"]), "name": group.get("name")} if group else None


def _parsed(text: str | None) -> dict[str, str] | str | None:
    """Read money from a text field; what people wrote there stays as they wrote it."""
    try:
        return Money.parse(text).to_json() if text else None
    except BadMoney:
        return text


def _text(value: Any, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Rejected(f"{str(value)[:80]!r} is no text.", field=field)
    return str(value)


def _whole(value: Money) -> bool:
    return price(value) == value.amount


def _without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}
