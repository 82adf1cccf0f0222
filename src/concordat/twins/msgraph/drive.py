"""The items of one document library: a tree of folders, its rules for names, and how an item is shown."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from concordat.twins.base import Record, Twin
from concordat.twins.wire import Refuse

__all__ = ["ITEMS", "Drive", "problem"]

ITEMS = "driveItems"
ROOT = "01ROOT0000000000000000000000000000"
FORBIDDEN = re.compile(r'["*:<>?/\\|\x00-\x1f]')
RESERVED = re.compile(r"\.lock|con|prn|aux|nul|com\d|lpt\d|desktop\.ini|~\$.*|~.*|.*_vti_.*", re.IGNORECASE)
LONGEST_NAME, LONGEST_PATH = 255, 400


def problem(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Refuse:
    """Make Graph's error (src: learn.microsoft.com/graph/errors)."""
    inner = {"request-id": "00000000-0000-0000-0000-000000000000", "date": "2026-01-01T00:00:00"}
    return Refuse(status, {"error": {"code": code, "message": message, "innerError": inner}}, headers)


class Drive:
    """One library. Names are compared without regard to case, as SharePoint does."""

    def __init__(self, twin: Twin, drive_id: str) -> None:
        self._twin = twin
        self.id = drive_id
        self.changes: list[str] = []
        """Ids in the order of their changes, for delta."""
        twin.store.put(ITEMS, ROOT, {"name": "root", "parent": None, "place": "", "permissions": []})

    # -- finding

    def at(self, ref: str) -> Record:
        """Find by id; `root` is the root. Refuses itemNotFound."""
        record = self._twin.store.get(ITEMS, ROOT if ref == "root" else ref)
        if record is None:
            raise problem(404, "itemNotFound", "The resource could not be found.")
        return record

    def by_path(self, path: str) -> Record:
        """Find by path from the root, always as it is now."""
        record: Record | None = self.at(ROOT)
        for name in filter(None, path.split("/")):
            record = self.child(record.ref, name) if record else None
        if record is None:
            raise problem(404, "itemNotFound", "The resource could not be found.")
        return record

    def child(self, parent: str, name: str) -> Record | None:
        """Find a child by its name."""
        found = self._twin.store.where(ITEMS, "place", _place(parent, name))
        return found[0] if found else None

    def children(self, parent: str) -> Iterator[tuple[Record, Mapping[str, Any]]]:
        """List children as a listing sees them (`stale_read` works)."""
        seen = self._twin.visible(ITEMS)
        for record in self._twin.store.where(ITEMS, "parent", parent):
            fields = seen(record)
            if fields is not None:
                yield record, fields

    # -- changing

    def create(self, parent: Record, said: Mapping[str, Any]) -> tuple[Record, int]:
        """Make a folder; conflictBehavior decides about a name that is taken."""
        if "folder" not in said:
            raise problem(400, "invalidRequest", "Only folders can be created here.")
        name, way = str(said.get("name", "")), said.get("@microsoft.graph.conflictBehavior", "fail")
        self._judge(parent, name)
        taken = self.child(parent.ref, name)
        if taken and way == "replace":
            return taken, 200
        if taken and way != "rename":
            raise problem(409, "nameAlreadyExists", "An item with the same name already exists under the parent")
        name = self._free(parent.ref, name) if taken else name
        fields = {"name": name, "parent": parent.ref, "place": _place(parent.ref, name), "permissions": []}
        return self._commit("create", name, fields, None), 201

    def change(self, record: Record, said: Mapping[str, Any], *, etag: str = "") -> Record:
        """Rename or move. `etag` is If-Match: 412 when the item is another one by now."""
        if etag and etag not in {"*", self.etag(record)}:
            raise problem(412, "resourceModified", "ETag does not match current item's value")
        parent = self._parent(said.get("parentReference"), record)
        name = str(said.get("name", record.fields["name"]))
        self._judge(parent, name)
        taken = self.child(parent.ref, name)
        if taken and taken.ref != record.ref:
            raise problem(409, "nameAlreadyExists", "An item with the same name already exists under the parent")
        operation = "move" if parent.ref != record.fields["parent"] else "update"
        fields = {"name": name, "parent": parent.ref, "place": _place(parent.ref, name)}
        return self._commit(operation, name, fields, record)

    def permit(self, record: Record, permissions: Sequence[Mapping[str, Any]]) -> Record:
        """Set who may do what."""
        return self._beside("permissions", {"permissions": list(permissions)}, record)

    def column(self, record: Record, columns: Mapping[str, Any]) -> Record:
        """Set what the columns of the library say of it."""
        return self._beside("listItems", {"columns": dict(columns)}, record)

    def _beside(self, object_: str, fields: Mapping[str, Any], record: Record) -> Record:
        """Change what belongs to an item and is a thing of its own; the ledger names it so."""
        written = self._twin.store.put(ITEMS, record.ref, fields)
        self._twin.store.note(
            object_, "update", key=str(record.fields["name"]), ref=record.ref, fields=fields, idempotency_key=""
        )
        self.changes.append(record.ref)
        return written

    def delete(self, record: Record) -> None:
        """Take an item away, with all below it."""
        for child, _ in list(self.children(record.ref)):
            self.delete(child)
        self._commit("delete", record.fields["name"], {}, record)

    def seed(self, path: str) -> Record:
        """Make sure of a folder and those above it, without the ledger."""
        parent = self.at(ROOT)
        for name in filter(None, path.split("/")):
            found = self.child(parent.ref, name)
            place = _place(parent.ref, name)
            fields = {"name": name, "parent": parent.ref, "place": place, "permissions": []}
            parent = found or self._twin.store.put(ITEMS, self._twin.fresh(ITEMS), fields)
        return parent

    def _commit(self, operation: str, key: str, fields: dict[str, Any], record: Record | None) -> Record:
        written = self._twin.commit(ITEMS, operation, key, fields, ref=record.ref if record else None)
        self.changes.append(written.ref)
        return written

    def _parent(self, said: Any, record: Record) -> Record:
        if not isinstance(said, Mapping):
            return self.at(str(record.fields["parent"] or ROOT))
        if said.get("id"):
            return self.at(str(said["id"]))
        return self.by_path(str(said.get("path", "")).partition("root:")[2])

    def _free(self, parent: str, name: str) -> str:
        number = 1
        while self.child(parent, f"{name} {number}"):
            number += 1
        return f"{name} {number}"

    def _judge(self, parent: Record, name: str) -> None:
        """Refuse a name that SharePoint does not allow (src: support.microsoft.com, restrictions and limits)."""
        wrong = not name or name != name.strip() or name.endswith(".") or FORBIDDEN.search(name)
        if wrong or RESERVED.fullmatch(name):
            raise problem(400, "invalidRequest", "The provided name cannot be used.")
        if len(name) > LONGEST_NAME or len(self.path(parent)) + 1 + len(name) > LONGEST_PATH:
            raise problem(400, "pathIsTooLong", "The path is longer than allowed.")

    # -- showing

    def path(self, record: Record) -> str:
        """Give the path from the root, without encoding."""
        names = []
        while record.fields.get("parent"):
            names.append(record.fields["name"])
            record = self.at(record.fields["parent"])
        return "/" + "/".join(reversed(names)) if names else ""

    @staticmethod
    def etag(record: Record) -> str:
        """Give the version tag."""
        return f'"{{{uuid.uuid5(uuid.NAMESPACE_OID, record.ref)}}},{record.version}"'

    def show(self, record: Record, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Show an item (src: learn.microsoft.com/graph/api/resources/driveitem)."""
        kept = fields or record.fields
        changed, made = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (record.changed_at, record.created_at))
        out: dict[str, Any] = {
            "id": record.ref,
            "name": kept["name"],
            "eTag": self.etag(record),
            "createdDateTime": made,
            "lastModifiedDateTime": changed,
            "size": 0,
            "webUrl": f"https://contoso.sharepoint.com/sites/projects/Documents{quote(self.path(record))}",
            "folder": {"childCount": len(self._twin.store.where(ITEMS, "parent", record.ref))},
        }
        if kept.get("parent"):
            above = self.at(kept["parent"])
            place = quote(f"/drives/{self.id}/root:{self.path(above)}", safe="/:!")
            out["parentReference"] = {
                "driveId": self.id,
                "driveType": "documentLibrary",
                "id": above.ref,
                "path": place,
            }
        else:
            out["root"] = {}
        return out


def _place(parent: str, name: str) -> str:
    return f"{parent}/{name.casefold()}"
