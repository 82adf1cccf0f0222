"""What the world's script says every target must hold, worked out without the engine: from the CRM's records alone.

It knows the three contracts as a person would tell them, and finds target objects by the numbers and names that people
know them by, never by the engine's keys or links. What the engine says of itself is read for one thing only: whether
somebody was told (an open case) where the world leaves a question to people.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from concordat.prove.source import IMPOSSIBLE
from concordat.prove.stage import Broken
from concordat.prove.target import REFUSED, Held, Target

if TYPE_CHECKING:
    from concordat.prove.run import Run

__all__ = ["Truth", "judge", "revision"]

TAXLESS = ("exempt", "not_registered")
DEAL = re.compile(r"(Deal \d+) ")
REVISION = re.compile(r" r(\d+)")
DONE = ("in_step", "adopted", "withdrawn", "cancelled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One live object that a target must hold: by what it is known, and with which values."""

    system: str
    object: str
    known_by: str
    fields: Mapping[str, Any]
    handoffs: frozenset[tuple[str, str]]
    """Contract and source record of the handoffs that put it."""


@dataclass(kw_only=True)
class Truth:
    """The CRM at the end, in the words of the contracts."""

    run: Run
    wanted: list[Wanted] = field(default_factory=list)
    tolerated: dict[tuple[str, str, str], frozenset[tuple[str, str]]] = field(default_factory=dict)
    """Objects that may stand though they are not wanted, if one of these handoffs has an open case."""
    either: set[tuple[str, str, str]] = field(default_factory=set)
    """Lines whose project does not stand: made while it stood, or waiting for it."""
    stays: set[tuple[str, str, str]] = field(default_factory=set)
    """What no contract takes back: a customer may have open invoices."""

    def record(self, ref: str) -> dict[str, Any]:
        """The present fields of `crm:…`."""
        own = ref.removeprefix("crm:")
        kind = {"C": "client", "K": "contract", "O": "opportunity"}[own[0]]
        return self.run.crm.records[kind, own].fields

    def work_out(self) -> Truth:
        """Go through clients and deals."""
        for (object_, ref), record in self.run.crm.records.items():
            if object_ == "client":
                self._client(ref, record.fields)
            elif object_ == "opportunity":
                self._deal(ref, record.fields)
        return self

    # ── the three contracts, as people tell them ──────────────────────────────────────────────

    def _client(self, ref: str, client: Mapping[str, Any]) -> None:
        """An accepted client, complete, is a customer in the ERP; so is the client of a won deal."""
        deals = [
            r for (o, r), d in self.run.crm.records.items() if o == "opportunity" and d.fields["client"] == f"crm:{ref}"
        ]
        users = frozenset(("opportunity-to-project", r) for r in deals if self._new(r)) | {("client-onboarding", ref)}
        sold = any(self._new(r) and self._stands(r) for r in deals)
        onboarded = bool(client["number"] and client["billing_email"] and client["payment_terms"] and _taxed(client))
        names = ("name", "number", "country", "currency", "tax_id", "payment_terms", "phone", "billing_email")
        if sold or onboarded:
            fields = {name: client[name] for name in names}
            self._want("erp", "client", f"C{ref[1:]}", fields, users)
        else:
            self._tolerate("erp", "client", f"C{ref[1:]}", users)
            self.stays.add(("erp", "client", f"C{ref[1:]}"))

    def _deal(self, ref: str, deal: Mapping[str, Any]) -> None:
        contract = self.record(deal["contract"])
        if deal["kind"] == "extension":
            self._extension(ref, deal, contract)
            return
        client = self.record(deal["client"])
        whose = frozenset({("opportunity-to-project", ref)})
        project = {
            "name": deal["name"],
            "number": deal["number"],
            "contract_value": contract["value"],
            "budget_hours": contract["budget_hours"],
            "budget_cost": contract["budget_cost"],
            "currency": contract["currency"],
            "start_date": contract["start_date"],
            "end_date": contract["end_date"],
            "entity": contract["entity"],
            "status": "active",
        }
        mine = f"Deal {ref[1:]}"
        room = {"name": deal["name"], "client_name": client["name"], "project_name": deal["name"]}
        channel = {"name": deal["name"], "topic": f"Project for {client['name']}"}
        parts = (
            ("psa", "project", {**project, "client": {"name": client["name"]}}),
            (
                "erp",
                "project",
                {**project, "client": {"live": ("erp", "client", f"C{deal['client'].removeprefix('crm:C')}")}},
            ),
            ("documents", "workspace", room),
            ("chat", "channel", channel),
        )
        for system, object_, fields in parts:
            if self._stands(ref):
                self._want(system, object_, mine, fields, whose)
            else:
                self._tolerate(system, object_, mine, whose)

    def _extension(self, ref: str, deal: Mapping[str, Any], contract: Mapping[str, Any]) -> None:
        whose = frozenset({("opportunity-extension", ref)})
        line = {
            "name": deal["name"],
            "amount": deal["amount"],
            "start_date": contract["start_date"],
            "end_date": contract["end_date"],
            "budget_hours": contract["budget_hours"],
        }
        first = deal["extends"].removeprefix("crm:O")
        for system in ("psa", "erp"):
            fields = {**line, "project": {"live": (system, "project", f"Deal {first}")}}
            if self._extends(deal, contract) and not self._stands(f"O{first}"):
                self.either.add((system, "contract_line", f"Deal {ref[1:]}"))
            elif self._extends(deal, contract):
                self._want(system, "contract_line", f"Deal {ref[1:]}", fields, whose)
            else:
                self._tolerate(system, "contract_line", f"Deal {ref[1:]}", whose)

    def _new(self, ref: str) -> bool:
        return bool(self.run.crm.records["opportunity", ref].fields["kind"] == "new")

    def _stands(self, ref: str) -> bool:
        """A deal of new work that is won, complete, and not older than the contract."""
        deal = self.run.crm.records["opportunity", ref].fields
        contract, client = self.record(deal["contract"]), self.record(deal["client"])
        won = deal["stage"] == "closed_won" and deal["won_at"] >= "2026"
        return bool(won and _agreed(contract) and _taxed(client) and REFUSED not in deal["name"])

    def _extends(self, deal: Mapping[str, Any], contract: Mapping[str, Any]) -> bool:
        original = self.record(deal["extends"])
        return bool(
            deal["stage"] == "closed_won"
            and deal["won_at"] >= "2026"
            and original["stage"] == "closed_won"
            and _agreed(contract)
            and REFUSED not in deal["name"]
        )

    def _want(self, system: str, object_: str, known_by: str, fields: Mapping[str, Any], whose: Any) -> None:
        self.wanted.append(Wanted(system=system, object=object_, known_by=known_by, fields=fields, handoffs=whose))

    def _tolerate(self, system: str, object_: str, known_by: str, whose: Any) -> None:
        self.tolerated[system, object_, known_by] = whose


def _agreed(contract: Mapping[str, Any]) -> bool:
    return bool(contract["billing_terms"] and contract["end_date"] != IMPOSSIBLE)


def _taxed(client: Mapping[str, Any]) -> bool:
    return bool(client["country"] and (client["tax_id"] or client["tax_status"] in TAXLESS))


# ── judging ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What people were told: the open cases, by handoff and by record."""

    handoffs: frozenset[tuple[str, str]]
    records: frozenset[str]

    def about(self, whose: frozenset[tuple[str, str]]) -> bool:
        """Whether somebody was told of one of these handoffs."""
        return bool(self.handoffs & whose)


CASES = """
SELECT c.kind, c.subject, h.contract, r.ref FROM "case" c LEFT JOIN handoff h ON h.id = c.handoff_id
LEFT JOIN record r ON r.id = h.subject_id WHERE c.state <> 'resolved' ORDER BY c.id"""
HANDOFFS = """
SELECT h.id, h.contract, h.state, h.waits_for, r.ref
FROM handoff h JOIN record r ON r.id = h.subject_id ORDER BY h.id"""
DELIVERIES = "SELECT key, state, count(*) AS times FROM delivery GROUP BY key, state ORDER BY key, state"
LOOKS = {"cases": CASES, "handoffs": HANDOFFS, "deliveries": DELIVERIES}


def judge(run: Run) -> None:
    """Raises `Broken` with the first promise that the world and the targets disagree on."""
    truth = Truth(run=run).work_out()
    with run.db.quiet() as conn:
        rows = {name: conn.execute(sql).fetchall() for name, sql in LOOKS.items()}
    told = _told(rows["cases"], rows["handoffs"])
    live = _live(run.targets)
    for wanted in truth.wanted:
        _exactly_one(run, wanted, live, told)
    _nothing_else(run, truth, live, told)
    for target in run.targets.values():
        steps_back(target)
    _poison(run, told)
    _ends(run, rows, told)


def _told(cases: Sequence[Mapping[str, Any]], handoffs: Sequence[Mapping[str, Any]]) -> Told:
    """A handoff that waits says for what, until when and whose: that tells people too."""
    waiting = {(h["contract"], h["ref"]) for h in handoffs if h["state"] == "waiting" and h["waits_for"]}
    return Told(
        handoffs=frozenset({(c["contract"], c["ref"]) for c in cases if c["contract"]} | waiting),
        records=frozenset(c["subject"].rpartition(":")[2] for c in cases if c["kind"] == "unreadable"),
    )


Live = Mapping[tuple[str, str, str], Sequence[Held]]


def _live(targets: Mapping[str, Target]) -> Live:
    found: dict[tuple[str, str, str], list[Held]] = defaultdict(list)
    for name, target in targets.items():
        for held in target.held.values():
            found[name, held.object, _known_by(held)].append(held)
    return found


def _known_by(held: Held) -> str:
    """The number or name that people know it by."""
    if held.object == "client":
        return "C" + REVISION.sub("", str(held.fields.get("name"))).removeprefix("Client ")
    found = DEAL.match(f"{held.fields.get('name')} ")
    return found[1] if found else str(held.fields.get("name"))


def _exactly_one(run: Run, wanted: Wanted, live: Live, told: Told) -> None:
    there = live.get((wanted.system, wanted.object, wanted.known_by), ())
    where = f"{wanted.object} {wanted.known_by} in {wanted.system}"
    promise = run.scene.classes.get(wanted.system, "A")
    flagged = told.about(wanted.handoffs)
    if len(there) > 1 and not (flagged and (promise == "B" or _shared(run, wanted.object, promise))):
        raise Broken("twice", f"{where} is there {len(there)} times")
    if not there and not flagged:
        raise Broken("missing", f"{where} is not there, and nobody was told")
    if not there and promise in ("A", "B") and not _excused(run, wanted):
        raise Broken("missing", f"{where} is not there")
    for held in there:
        differs = {
            n: (w, held.fields.get(n)) for n, w in wanted.fields.items() if not _same(w, held.fields.get(n), live)
        }
        excused = flagged and (promise == "D" or bool(held.dropped) or _excused(run, wanted))
        if differs and not excused:
            raise Broken("stale" if _older(differs) else "wrong", f"{where} holds {differs}")


def _shared(run: Run, object_: str, promise: str) -> bool:
    """Exempt, and counted: two handoffs write one object of a class D system, and one of them is in doubt about it."""
    if promise != "D" or object_ != "client":
        return False
    run.watch.counts["exempt: a class D object of two handoffs"] += 1
    return True


def _excused(run: Run, wanted: Wanted) -> bool:
    """A person must decide because a target silently dropped a field of something that this one waits for."""
    refs = {ref for _, ref in wanted.handoffs}
    numbers = {ref[1:] for ref in refs}
    return any(
        held.dropped or target.promise == "D"
        for target in run.targets.values()
        for held in target.held.values()
        if _known_by(held).removeprefix("Deal ").removeprefix("C") in numbers or held.object in ("client", "project")
    )


def _nothing_else(run: Run, truth: Truth, live: Live, told: Told) -> None:
    asked = {(w.system, w.object, w.known_by) for w in truth.wanted}
    for place, there in live.items():
        if place in asked or place in truth.either:
            continue
        system, object_, name = place
        whose = truth.tolerated.get(place)
        if whose is None:
            raise Broken("unwanted", f"{object_} {name} in {system} belongs to nothing")
        standing = [held for held in there if not held.state and place not in truth.stays]
        promise = run.scene.classes[system]
        if len(there) > 1 and not (told.about(whose) and (promise == "B" or _shared(run, object_, promise))):
            raise Broken("twice", f"{object_} {name} in {system} is there {len(there)} times")
        if standing and not told.about(whose) and not _unreadable(truth, whose, told):
            raise Broken("unwanted", f"{object_} {name} in {system} stands, its deal does not, and nobody was told")


def _unreadable(truth: Truth, whose: frozenset[tuple[str, str]], told: Told) -> bool:
    """Whether a record that one of these handoffs reads cannot be taken, and somebody was told."""
    for _, ref in whose:
        fields = truth.record(ref)
        read = {ref, *(str(fields.get(name)).removeprefix("crm:") for name in ("contract", "client", "extends"))}
        if read & told.records:
            return True
    return False


def _same(want: Any, have: Any, live: Live) -> bool:
    if want is None or want == "":
        return have in (None, "")
    if isinstance(want, Mapping) and "live" in want:
        known = live.get(want["live"], ())
        return isinstance(have, Mapping) and any(have.get("ref") == held.ref for held in known)
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        return all(have.get(name) == value or value is None for name, value in want.items())
    return bool(want == have)


def _older(differs: Mapping[str, tuple[Any, Any]]) -> bool:
    return any((revision(want) or 0) > (revision(have) or 0) for want, have in differs.values())


def revision(value: Any) -> int | None:
    """The revision that a name or a price carries."""
    if isinstance(value, Mapping):
        amount = str(value.get("amount", ""))
        return int(amount.rpartition(".")[2]) if "." in amount else None
    found = REVISION.search(str(value))
    return int(found[1]) if found else None


def steps_back(target: Target) -> None:
    """P6: no field of an object ever shows an older revision after a newer one."""
    newest: dict[tuple[str, str], int] = {}
    for entry in target.ledger:
        for name, value in entry.fields.items():
            shown = revision(value) if name in ("name", "contract_value", "amount", "client_name", "topic") else None
            if shown is None:
                continue
            if shown < newest.get((entry.ref, name), 0):
                where = f"{entry.object} {entry.ref} of {target.name}"
                raise Broken("step-back", f"{where} shows {name} r{shown} after r{newest[entry.ref, name]}")
            newest[entry.ref, name] = shown


def _poison(run: Run, told: Told) -> None:
    """P7: a record that cannot be taken is a case of somebody's, as long as it is so and no longer."""
    for (object_, ref), record in run.crm.records.items():
        bad = object_ == "contract" and record.fields["end_date"] == IMPOSSIBLE
        if bad != (ref in told.records):
            says = "cannot be taken, and nobody was told" if bad else "was mended, and its case stays"
            raise Broken("poison-told", f"{object_} {ref} {says}")


def _ends(run: Run, rows: Mapping[str, Sequence[Mapping[str, Any]]], told: Told) -> None:
    """P2 and P11: every input and every handoff has an end."""
    left = run.watch.left_over()
    if left:
        raise Broken("stray-work", f"left over at rest: {left[:4]}")
    for row in rows["handoffs"]:
        waits = row["state"] == "waiting" and row["waits_for"]
        if row["state"] not in DONE and not waits and (row["contract"], row["ref"]) not in told.handoffs:
            raise Broken("ends-flagged", f"{row['contract']} of {row['ref']} ends {row['state']}, and nobody was told")
    kept = sum(row["times"] for row in rows["deliveries"])
    taken = sum(1 for _, status in run.watch.acked if status == 202)
    endless = [row["key"] for row in rows["deliveries"] if row["state"] == "received"]
    if endless and not told.records:
        raise Broken("input-ends", f"{len(endless)} pushes were taken and have no end: {endless[:3]}")
    if kept < taken:
        raise Broken("input-durable", f"{taken} pushes were taken, {kept} are kept")
