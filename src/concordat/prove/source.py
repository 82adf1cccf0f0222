"""The CRM of a run: what people do there, what it pushes, and the connector that reads it."""

# ruff: noqa: ARG002  the seam's own signatures

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from concordat.errors import AuthRevoked, Rejected
from concordat.prove.mishaps import before_call
from concordat.prove.scene import ENTITIES, Client, Deal, Event, Scene, dice
from concordat.prove.stage import Stage
from concordat.prove.target import REFUSED
from concordat.sdk.spec import CallContext, ChangePage, Hint, Push, SourceRecord, SystemFacts

__all__ = ["OBJECTS", "Crm", "Record"]

OBJECTS = ("client", "contract", "opportunity")
PAGE = 4
"""Records of one page of changes."""
FIRST_DAY = date(2026, 7, 1)
IMPOSSIBLE = "2026-13-45"


@dataclass(kw_only=True)
class Record:
    """One record of the CRM: its present fields, and every version that it ever had."""

    object: str
    ref: str
    fields: dict[str, Any]
    version: int
    revision: int = 0
    """Goes into what people see, so that a step back would show."""
    past: list[SourceRecord] = field(default_factory=list)


class Crm:
    """The source of all three contracts."""

    def __init__(self, scene: Scene, stage: Stage) -> None:
        self.stage = stage
        self.facts = SystemFacts(
            system="small", title="crm", sources=dict.fromkeys(OBJECTS, timedelta(0)), targets={}, pushes=True
        )
        self.records: dict[tuple[str, str], Record] = {}
        self.pushes: list[tuple[float, bytes]] = []
        """When each arrives at our door."""
        self.sent: list[bytes] = []
        self.down_until = self.quota_until = 0.0
        self.name = "crm"
        self._scene = scene
        self._version = 0
        self._chance = dice("crm", scene.seed)
        for client in scene.clients:
            self._open_client(client)
        for deal in scene.deals:
            self._open_deal(deal)

    # ── people ────────────────────────────────────────────────────────────────────────────────

    def happen(self, event: Event) -> None:
        """Somebody does this in the CRM; it pushes what it pushes."""
        self.stage.tell(f"crm: {event}")
        getattr(self, f"_{event.what}")(event)

    def _open_client(self, client: Client) -> None:
        _, currency, country = ENTITIES[client.entity]
        fields = {
            "name": f"Client {client.id} r0",
            "number": f"C-{client.id:04d}" if client.accepted else None,
            "country": country,
            "currency": currency,
            "tax_id": f"{country}{client.id:09d}",
            "tax_status": "registered",
            "payment_terms": "NET30",
            "phone": "+1 555 0000",
            "billing_email": f"billing{client.id}@client.example",
        }
        self._put("client", f"C{client.id}", fields)

    def _open_deal(self, deal: Deal) -> None:
        entity, currency, _ = ENTITIES[next(c.entity for c in self._scene.clients if c.id == deal.client)]
        agreed = {
            "number": f"K-{deal.id:04d}",
            "name": f"Deal {deal.id}",
            "client": f"crm:C{deal.client}",
            "start_date": str(FIRST_DAY),
            "end_date": str(FIRST_DAY + timedelta(days=200)),
            "currency": currency,
            "value": _money(deal.id, 0, currency),
            "billing_model": "time_and_material",
            "billing_terms": "monthly in arrears",
            "budget_hours": "800.0",
            "budget_cost": _money(deal.id, 0, currency),
            "entity": entity,
            "signed": True,
        }
        sold = {
            "name": f"Deal {deal.id} r0",
            "number": f"D-{deal.id:04d}",
            "stage": "prospecting",
            "kind": "extension" if deal.extends else "new",
            "amount": _money(deal.id, 0, currency),
            "client": f"crm:C{deal.client}",
            "contract": f"crm:K{deal.id}",
            "entity": entity,
            "extends": f"crm:O{deal.extends}" if deal.extends else None,
            "roles": [{"role": "Engineer", "hours": "80", "from": "2026-07-01", "to": "2026-09-01"}]
            if deal.roles
            else [],
        }
        self._put("contract", f"K{deal.id}", agreed)
        self._put("opportunity", f"O{deal.id}", sold)

    def _win(self, event: Event) -> None:
        old = next(d for d in self._scene.deals if d.id == event.deal).old
        won = "2025-05-05T10:00:00Z" if old else "2026-06-01T10:00:00Z"
        self._change("opportunity", f"O{event.deal}", stage="closed_won", won_at=won)

    def _lose(self, event: Event) -> None:
        self._leave(event, "closed_lost")

    def _negotiate(self, event: Event) -> None:
        self._leave(event, "negotiation")

    def _leave(self, event: Event, stage: str) -> None:
        """Only what was won is taken back; a deal that is still open stays so."""
        if self.records["opportunity", f"O{event.deal}"].fields["stage"] != "prospecting":
            self._change("opportunity", f"O{event.deal}", stage=stage)

    def _rename(self, event: Event) -> None:
        record = self.records["opportunity", f"O{event.deal}"]
        mark = f" {REFUSED}" if REFUSED in record.fields["name"] else ""
        self._change("opportunity", record.ref, name=f"Deal {event.deal} r{record.revision + 1}{mark}")

    def _refused(self, event: Event) -> None:
        record = self.records["opportunity", f"O{event.deal}"]
        self._change("opportunity", record.ref, name=f"Deal {event.deal} r{record.revision + 1} {REFUSED}")

    def _accepted(self, event: Event) -> None:
        record = self.records["opportunity", f"O{event.deal}"]
        self._change("opportunity", record.ref, name=f"Deal {event.deal} r{record.revision + 1}")

    def _price(self, event: Event) -> None:
        """The deal and its contract get a new price, one after the other."""
        for object_, ref, name in (
            ("contract", f"K{event.deal}", "value"),
            ("opportunity", f"O{event.deal}", "amount"),
        ):
            record = self.records[object_, ref]
            self._change(
                object_, ref, **{name: _money(event.deal, record.revision + 1, record.fields[name]["currency"])}
            )

    def _budget(self, event: Event) -> None:
        record = self.records["contract", f"K{event.deal}"]
        self._change("contract", record.ref, budget_hours=f"{800 + record.revision + 1}.0")

    def _dates(self, event: Event) -> None:
        record = self.records["contract", f"K{event.deal}"]
        if record.fields["end_date"] != IMPOSSIBLE:
            self._cure(event)

    def _poison(self, event: Event) -> None:
        self._change("contract", f"K{event.deal}", end_date=IMPOSSIBLE)

    def _cure(self, event: Event) -> None:
        record = self.records["contract", f"K{event.deal}"]
        self._change("contract", record.ref, end_date=str(FIRST_DAY + timedelta(days=201 + record.revision)))

    def _drop_terms(self, event: Event) -> None:
        self._change("contract", f"K{event.deal}", billing_terms=None)

    def _fill_terms(self, event: Event) -> None:
        self._change("contract", f"K{event.deal}", billing_terms="monthly in arrears")

    def _rename_client(self, event: Event) -> None:
        record = self.records["client", f"C{event.client}"]
        self._change("client", record.ref, name=f"Client {event.client} r{record.revision + 1}")

    def _terms(self, event: Event) -> None:
        record = self.records["client", f"C{event.client}"]
        self._change("client", record.ref, phone=f"+1 555 {record.revision + 1:04d}")

    def _drop_tax(self, event: Event) -> None:
        self._change("client", f"C{event.client}", tax_id=None)

    def _fill_tax(self, event: Event) -> None:
        country = self.records["client", f"C{event.client}"].fields["country"]
        self._change("client", f"C{event.client}", tax_id=f"{country}{event.client:09d}")

    def _accept(self, event: Event) -> None:
        self._change("client", f"C{event.client}", number=f"C-{event.client:04d}")

    def _junk(self, event: Event) -> None:
        self._arrive(b"\x00{ this is no push " + str(event.deal).encode())

    def _forged(self, event: Event) -> None:
        self._arrive(json.dumps({"id": "F", "hints": [["opportunity", f"O{event.deal}"]], "forged": True}).encode())

    # ── records and pushes ────────────────────────────────────────────────────────────────────

    def _put(self, object_: str, ref: str, fields: dict[str, Any]) -> Record:
        self._version += 1
        record = Record(object=object_, ref=ref, fields=fields, version=self._version)
        self.records[object_, ref] = record
        record.past.append(self._said(record))
        return record

    def _change(self, object_: str, ref: str, **fields: Any) -> None:
        record = self.records[object_, ref]
        if all(record.fields.get(name) == value for name, value in fields.items()):
            return
        self._version += 1
        record.fields = {**record.fields, **fields}
        record.version, record.revision = self._version, record.revision + 1
        record.past.append(self._said(record))
        self._push(record)

    def _said(self, record: Record) -> SourceRecord:
        fields = {name: value for name, value in deepcopy(record.fields).items() if value is not None}
        return SourceRecord(
            object=record.object,
            ref=record.ref,
            version=f"{record.version:06d}",
            changed_at=datetime.fromisoformat("2026-06-01T10:00:00+00:00"),
            fields=fields,
            numbers=[str(fields["number"])] if fields.get("number") else [],
        )

    def _push(self, record: Record) -> None:
        """Tell our door, with everything that goes wrong with pushes."""
        body = json.dumps({"id": f"P{self._version}", "hints": [[record.object, record.ref]]}).encode()
        often = self._scene.disorder
        if self._chance.random() < often.get("lost", 0.0):
            self.stage.tell(f"crm: the push of {record.ref} is lost")
            return
        self._arrive(body)
        if self._chance.random() < often.get("doubled", 0.0):
            self._arrive(body)

    def _arrive(self, body: bytes) -> None:
        often = self._scene.disorder
        late = self._chance.random() < often.get("late", 0.0)
        at = self.stage.now + (self._chance.uniform(1.0, 120.0) if late else 0.0)
        place = (
            self._chance.randrange(len(self.pushes) + 1)
            if self._chance.random() < often.get("reordered", 0.0)
            else None
        )
        self.pushes.insert(len(self.pushes) if place is None else place, (at, body))
        self.sent.append(body)

    # ── the seam ──────────────────────────────────────────────────────────────────────────────

    def ping(self, ctx: CallContext) -> None:
        """Nothing to prove."""

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """A page of what changed since, oldest first."""
        self._begin("changes")
        found = sorted(
            (r for r in self.records.values() if r.object == object_ and r.version > int(cursor or 0)),
            key=lambda r: r.version,
        )
        page = [self._said(record) for record in found[:PAGE]]
        self.stage.pause()
        return ChangePage(records=page, cursor=page[-1].version if page else cursor or "0", more=len(found) > PAGE)

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """The present state; a lagging read gives the state before."""
        stale = self._begin("fetch_source") == "stale_read"
        known = [self.records[object_, ref] for ref in refs if (object_, ref) in self.records]
        said = [record.past[max(len(record.past) - 2, 0)] if stale else self._said(record) for record in known]
        self.stage.pause()
        return said

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:
        """A push is JSON with an id and hints."""
        try:
            said = json.loads(body)
        except ValueError as error:
            raise Rejected("this is no push") from error
        if said.get("forged"):
            raise AuthRevoked("the signature is wrong", code="signature")
        return Push(hints=[Hint(object=o, ref=r) for o, r in said["hints"]], key=said["id"])

    def close(self) -> None:
        """Nothing to release."""

    def _begin(self, call: str) -> str:
        self.stage.place("call", "reading", "source")
        kind = self.stage.swarm.strike(call)
        if kind:
            self.stage.swarm.count(kind, "reading", "source")
            self.stage.tell(f"crm.{call}: {kind}")
        return before_call(self, call, kind)


def _money(deal: int, revision: int, currency: str) -> dict[str, str]:
    """A price whose cents tell its revision."""
    return {"amount": f"{deal * 1000}.{revision:02d}", "currency": currency}
