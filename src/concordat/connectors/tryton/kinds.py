"""The three canonical objects as one shape: where they live in Tryton and how a document becomes values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from concordat.connectors.tryton import clients, works
from concordat.connectors.tryton.desk import Desk, Row
from concordat.connectors.tryton.directory import Company, Directory
from concordat.connectors.tryton.facts import FACTS, MODELS
from concordat.errors import Rejected
from concordat.sdk.serving import holding
from concordat.sdk.spec import JsonObject, Observed, WriteIntent

__all__ = ["Kind"]

Parents = Mapping[int, int]
"""Company of each project that a batch's lines hang under."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One canonical object of one connection."""

    object: str
    directory: Directory
    pages: str
    """Address of the web client with the database, or empty."""

    @property
    def model(self) -> str:
        """Tryton's model."""
        return MODELS[self.object]

    @property
    def key(self) -> str:
        """The unique field that carries our record key."""
        return "code" if self.object == "client" else "number"

    @property
    def fields(self) -> list[str]:
        """What is read of a record."""
        return clients.FIELDS if self.object == "client" else works.FIELDS

    def read(self, desk: Desk, *domain: Any, limit: int | None = None) -> list[Row]:
        """Read records that meet a domain, archived ones too."""
        return desk.read(self.model, domain, self.fields, limit)

    def document(self, desk: Desk, row: Row) -> JsonObject:
        """Read a record in canonical names."""
        if self.object == "client":
            return clients.client(row)
        if self.object == "contract_line":
            return works.contract_line(self.directory, row)
        return works.project(desk, self.directory, row)

    def observed(self, desk: Desk, row: Row) -> Observed:
        """Read a record as the seam wants it."""
        return Observed(
            ref=str(row["id"]),
            record_key=row[self.key] or "",
            fields=self.document(desk, row),
            version=row["_timestamp"],
            url=self.url(row["id"]),
            archived=self._archived(row),
        )

    def url(self, number: int) -> str:
        """Where a person sees the record, if the web client is served."""
        return f"{self.pages}/model/{self.model}/{number}" if self.pages else ""

    def parents(self, desk: Desk, intents: Sequence[WriteIntent]) -> Parents:
        """Look up, in one read, the companies of the projects that new lines belong to."""
        if self.object != "contract_line":
            return {}
        found = (works.target_id(intent.fields.get("project")) for intent in intents)
        refs = sorted({number for number in found if number is not None})
        rows = desk.read(self.model, [["id", "in", refs]], ["company"]) if refs else []
        return {row["id"]: row["company"] for row in rows}

    def creation(self, desk: Desk, intent: WriteIntent, parents: Parents) -> dict[str, Any]:
        """Give the values of a new record. `Rejected` names what Tryton cannot hold."""
        fields = holding(FACTS, FACTS.targets[self.object], intent.fields)
        return {self.key: intent.record_key, **self._values(desk, fields, None, parents)}

    def change(self, desk: Desk, intent: WriteIntent, row: Row) -> dict[str, Any]:
        """Give the values that make the record agree with the document; none when it agrees already."""
        if intent.operation != "put":
            return self._moved(desk, intent.operation, row)
        present = self.document(desk, row)
        wanted = holding(FACTS, FACTS.targets[self.object], intent.fields)
        differing = {name: value for name, value in wanted.items() if not _same(name, value, present[name])}
        return self._values(desk, differing, row, {}) if differing else {}

    def _values(self, desk: Desk, fields: JsonObject, row: Row | None, parents: Parents) -> dict[str, Any]:
        if self.object == "client":
            return clients.values(desk, self.directory, fields, row)
        company = self._company(desk, fields, row, parents)
        return works.values(self.object, fields, row, company, partial(self.directory.status, desk))

    def _company(self, desk: Desk, fields: JsonObject, row: Row | None, parents: Parents) -> Company:
        if fields.get("entity"):
            return self.directory.company(desk, fields["entity"])
        if row is not None:
            return self.directory.company_by_id(desk, row["company"])
        if self.object == "project":
            raise Rejected("A project in Tryton needs the entity whose books it belongs to.", field="entity")
        parent = works.target_id(fields.get("project"))
        if parent is not None and parent in parents:
            return self.directory.company_by_id(desk, parents[parent])
        raise Rejected("The line's project is not in Tryton.", field="project")

    def _moved(self, desk: Desk, operation: str, row: Row) -> dict[str, Any]:
        if self.object == "client":
            active = operation == "reactivate"
            return {} if row["active"] == active else {"active": active}
        status = self.directory.status(desk, _STATUS_AFTER[operation])
        return {} if row["status."]["id"] == status else {"status": status}

    def _archived(self, row: Row) -> bool:
        if self.object == "client":
            return not row["active"]
        return bool(row["status."]["name"] == self.directory.status_names["archived"])


_STATUS_AFTER = {"hold": "on_hold", "reactivate": "active", "archive": "archived"}


def _same(name: str, wanted: Any, present: Any) -> bool:
    if isinstance(wanted, Mapping) and isinstance(present, Mapping) and "ref" in wanted:
        return bool(wanted["ref"] == present["ref"])
    if name == "budget_hours" and wanted is not None and present is not None:
        return works.hours(wanted, field=name) == works.hours(present, field=name)
    return bool((wanted or None) == (present or None))
