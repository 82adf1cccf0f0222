"""What people do in a Kantata account: `POST /__twin/do`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concordat.core.money import exponent_of
from concordat.twins.base import Record, Twin
from concordat.twins.kantata.account import STATUSES, Account
from concordat.twins.kantata.writes import DEFAULTS

__all__ = ["add_acts"]

Said = Mapping[str, Any]


def add_acts(twin: Twin, account: Account) -> None:
    """Name the acts: change_project, archive_project, delete_project, log_time, approve_time."""
    desk = _Desk(twin, account)
    twin.seeded = desk.seeded
    for name in ("change_project", "archive_project", "delete_project", "log_time", "approve_time"):
        twin.action(name)(getattr(desk, name))


class _Desk:
    """One person at the screen."""

    def __init__(self, twin: Twin, account: Account) -> None:
        self.twin = twin
        self.account = account

    def change_project(self, said: Said) -> Any:
        """`{id, title?, price_in_cents?, start_date?, due_date?, description?, status_key?}`."""
        record = self._project(said)
        names = ("title", "price_in_cents", "start_date", "due_date", "description", "currency")
        fields = {name: said[name] for name in names if name in said}
        if "status_key" in said:
            color, message = STATUSES[said["status_key"]]
            fields["status"] = {"color": color, "key": said["status_key"], "message": message}
        exponent_of(str({**record.fields, **fields}["currency"]))
        self.twin.store.put("workspaces", record.ref, fields)
        return {"id": record.ref}

    def archive_project(self, said: Said) -> Any:
        """`{id, archived?}`."""
        record = self._project(said)
        self.twin.store.put("workspaces", record.ref, {"archived": bool(said.get("archived", True))})
        return {"id": record.ref}

    def delete_project(self, said: Said) -> Any:
        """`{id}`: gone for ever, with what hung on it."""
        record = self._project(said)
        for kind in ("external_references", "custom_field_values"):
            for child in list(self.account.children(kind, "workspaces", record.ref)):
                self.twin.store.remove(kind, child.ref)
        self.twin.store.remove("workspaces", record.ref)
        return {"id": record.ref}

    def log_time(self, said: Said) -> Any:
        """`{id, date, minutes, user?, notes?}` on a project."""
        record = self._project(said)
        fields = {
            "workspace_id": record.ref,
            "user_id": str(said.get("user", "1")),
            "date_performed": said["date"],
            "time_in_minutes": int(said["minutes"]),
            "notes": said.get("notes", ""),
            "billable": True,
            "approved": False,
            "is_invoiced": False,
            "currency": record.fields.get("currency", "USD"),
        }
        return {"id": self.twin.store.put("time_entries", self.twin.fresh("time_entries"), fields).ref}

    def approve_time(self, said: Said) -> Any:
        """`{ids, approved?}`."""
        for ref in said["ids"]:
            if self.twin.store.get("time_entries", str(ref)) is None:
                raise LookupError(f"no time entry {ref}")
            self.twin.store.put("time_entries", str(ref), {"approved": bool(said.get("approved", True))})
        return {"ids": said["ids"]}

    def seeded(self, collection: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in what a seeded record needs to be found again."""
        if collection == "workspace_groups":
            return {"company": True, **fields, "_name": str(fields["name"]).lower()}
        if collection != "workspaces":
            return {**DEFAULTS[collection], **fields} if collection == "stories" else fields
        color, message = STATUSES[401]
        blank = {
            "archived": False,
            "budgeted": True,
            "currency": "USD",
            "price_in_cents": None,
            "description": None,
        }
        status = {"color": color, "key": 401, "message": message}
        return {
            **blank,
            "start_date": None,
            "due_date": None,
            "workspace_group_ids": [],
            "status": status,
            **fields,
        }

    def _project(self, said: Said) -> Record:
        record = self.twin.store.get("workspaces", str(said["id"]))
        if record is None:
            raise LookupError(f"no project {said['id']}")
        return record
