"""Contract line and story, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from concordat.connectors.kantata.desk import Desk, Row, Sheet, need
from concordat.connectors.kantata.projects import key_of, reference_body
from concordat.connectors.kantata.values import hours, instant, instant_text, minutes, money, reference, shown
from concordat.core.agree import disagreements
from concordat.errors import Missing, Rejected
from concordat.sdk.spec import CallContext, Observed, WriteIntent

__all__ = ["INCLUDE", "Lines"]

INCLUDE = {"include": "external_references,workspace", "show_archived": "true"}
DIRECT: Mapping[str, str] = {"name": "title", "start_date": "start_date", "end_date": "due_date"}
SHOWN = (*DIRECT.values(), "workspace_id", "budget_estimate_in_cents", "time_estimate_in_minutes", "updated_at")


class Lines:
    """The stories that stand for contract lines."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def observed(self, sheet: Sheet, row: Row) -> Observed:
        """Give a story in canonical names; its money is in the currency of its workspace."""
        need(row, *SHOWN)
        workspace = sheet.side("workspaces", row["workspace_id"])
        fields = {field: row.get(attribute) for field, attribute in DIRECT.items()}
        fields |= {
            "project": {"ref": str(row["workspace_id"]), "name": (workspace or {}).get("title")},
            "amount": _amount(row, workspace),
            "budget_hours": hours(row.get("time_estimate_in_minutes")),
        }
        return Observed(
            ref=str(row["id"]),
            record_key=key_of(sheet, row, "contract_line"),
            fields=fields,
            version=instant_text(instant(str(row["updated_at"]))),
            url=f"{self._desk.settings.pages.rstrip('/')}/workspaces/{row['workspace_id']}",
            archived=bool(row.get("archived")),
        )

    def unmarked(self, intent: WriteIntent, ctx: CallContext) -> list[tuple[Sheet, Row]]:
        """Give the lines that hold this very document and no key of ours.

        A line has one place for its key. Where Kantata dropped it, and the answer was lost, this keeps the line from
        being made twice; the next write puts the key back.
        """
        project = reference(intent.fields.get("project"), "project")
        if not project:
            return []
        sheets = self._desk.all(ctx, "stories", {**INCLUDE, "workspace_id": project})
        seen = ((sheet, row, self.observed(sheet, row)) for sheet in sheets for row in sheet.rows)
        alike = ((sheet, row) for sheet, row, held in seen if not held.record_key and _same(intent, held))
        return list(alike)

    def create(self, intent: WriteIntent, ctx: CallContext) -> Sheet:
        """Make the story in one call, our key inside it."""
        project = reference(intent.fields.get("project"), "project")
        if not project:
            raise Rejected("A contract line needs its project in Kantata.", field="project")
        if not intent.fields.get("name"):
            raise Rejected("Kantata needs a contract line's name.", field="name")
        body = self._body(intent, self._workspace(project, ctx))
        body |= {"workspace_id": int(project), "story_type": self._desk.settings.line_type}
        return self._desk.create(ctx, "stories", {"story": body})

    def update(self, intent: WriteIntent, sheet: Sheet, row: Row, ctx: CallContext) -> Sheet | None:
        """Change what differs; None when nothing does. A lost key is put back."""
        held = self.observed(sheet, row)
        project = reference(intent.fields.get("project"), "project")
        if project and project != str(row["workspace_id"]):
            raise Rejected("Kantata does not move a task to another project.", field="project")
        if held.record_key == intent.record_key and not disagreements(intent.fields, held.fields):
            return None
        workspace = sheet.side("workspaces", row["workspace_id"])
        return self._desk.update(ctx, "stories", held.ref, {"story": self._body(intent, workspace)})

    def dropped(self, _intent: WriteIntent, _written: Sheet) -> Rejected | None:
        """Say nothing: all that a line has is read back by the caller."""
        return None

    def act(self, operation: str, ref: str, ctx: CallContext) -> None:
        """Archive or reactivate."""
        self._desk.update(ctx, "stories", ref, {"story": {"archived": operation == "archive"}})

    def _body(self, intent: WriteIntent, workspace: Row | None) -> dict[str, Any]:
        fields = intent.fields
        body = {attribute: fields[field] for field, attribute in DIRECT.items() if field in fields}
        if "budget_hours" in fields:
            body["time_estimate_in_minutes"] = minutes(fields["budget_hours"])
        if "amount" in fields:
            body["budget_estimate_in_cents"] = _minor(fields["amount"], workspace or {})
        body["external_reference"] = reference_body("contract_line", intent.record_key)
        return body

    def _workspace(self, ref: str, ctx: CallContext) -> Row:
        rows = self._desk.read(ctx, "workspaces", {"only": ref, "include_archived": "true"}).rows
        if not rows:
            raise Missing(f"Kantata shows no project {ref}.", field="project")
        return rows[0]


def _same(intent: WriteIntent, held: Observed) -> bool:
    return not held.archived and not disagreements(intent.fields, held.fields)


def _minor(value: Any, workspace: Row) -> int | None:
    """Give money in the minor units of the workspace's currency. Raises `Rejected` for another currency."""
    if value is None:
        return None
    amount = money(value, "amount")
    if amount.currency != workspace.get("currency"):
        says = f"The project counts in {workspace.get('currency')}, the line in {amount.currency}."
        raise Rejected(says, field="amount")
    units = amount.amount * int(workspace.get("currency_base_unit") or 100)
    if units != int(units):
        raise Rejected(f"Kantata does not count {amount} in whole units of its own.", field="amount")
    return int(units)


def _amount(row: Row, workspace: Row | None) -> dict[str, str] | None:
    cents = row.get("budget_estimate_in_cents")
    if cents is None or workspace is None or not workspace.get("currency"):
        return None
    base = int(workspace.get("currency_base_unit") or 100)
    return shown(Decimal(int(cents)) / base, str(workspace["currency"]))
