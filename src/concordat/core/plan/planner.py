"""Plans the subjects of a contract: its rules decide, its steps become desired effects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import Any

from concordat.core.contract import Contract, Requirement, Step
from concordat.core.expressions import Unknown, compile_rule
from concordat.core.keys import digest, record_key
from concordat.core.objects import OBJECTS, fields_of
from concordat.core.ownership import owned_fields
from concordat.core.plan.shape import Desired, Known, Missing, Plan, Stance

__all__ = ["Planner", "plan"]

Targets = Mapping[tuple[str, str], frozenset[str]]
"""(system, object) → canonical fields that the target holds; an absent pair takes every field."""

SUBJECT_DATES: Mapping[str, tuple[str, ...]] = {
    "opportunity": ("won_at", "close_date"),
    "client": ("created_at",),
    "time_entry": ("work_date",),
    "expense": ("spent_on",),
    "change_order": ("effective_from",),
    "invoice": ("issue_date",),
}
"""The date of the business fact that `since:` is compared with; without one, the day the source changed it."""

REF = "$ref"
LONGEST_ITEM = 100
"""Characters of an item's own key; a longer one is named by its digest."""
LONGEST_TITLE = 200

Records = Mapping[str, Known]
Fields = Mapping[str, Mapping[str, Any]]


def plan(
    contract: Contract, subject: Known, related: Mapping[str, Known | None], targets: Targets | None = None
) -> Plan:
    """The desired effects of `contract` for `subject`. `related` holds each name of `with`, None if unreadable."""
    return Planner(contract, targets or {}).plan(subject, related)


class Planner:
    """One contract made ready to plan many subjects."""

    def __init__(self, contract: Contract, targets: Targets) -> None:
        self.contract = contract
        self._when = compile_rule(contract.when)
        self._withdrawn = compile_rule(contract.withdrawn) if contract.withdrawn else None
        self._requirements = [_Requirement(contract, r) for r in contract.require]
        self._steps = [_PlannedStep(contract, name, targets) for name in contract.order()]

    def plan(self, subject: Known, related: Mapping[str, Known | None]) -> Plan:
        """See `plan`."""
        records: dict[str, Known] = {self.contract.subject: subject}
        records.update({name: known for name, known in related.items() if known is not None})
        fields: Fields = {name: known.fields for name, known in records.items()}
        title = str(subject.fields.get("name") or subject.fields.get("number") or subject.ref)[:LONGEST_TITLE]
        stance, reason = self._stance(subject, fields)
        worth = _worth(self.contract.value, fields)
        if stance not in (Stance.WANTED, Stance.ADOPTED):
            return Plan(stance=stance, reason=reason, value=worth, title=title)
        missing = self._missing(fields, related)
        try:
            effects = () if missing else tuple(e for step in self._steps for e in step.desired(records, fields))
        except _Unanswered as error:
            return Plan(stance=Stance.UNKNOWN, reason=str(error), value=worth, title=title)
        return Plan(stance=stance, missing=missing, value=worth, title=title, effects=effects)

    def _stance(self, subject: Known, fields: Fields) -> tuple[Stance, str]:
        if subject.deleted:
            return Stance.WITHDRAWN, "deleted at the source"
        if self._withdrawn is not None and self._withdrawn.evaluate(fields) is True:
            return Stance.WITHDRAWN, self.contract.withdrawn or ""
        answer = self._when.evaluate(fields)
        older = _older(subject, self.contract.since)
        if isinstance(answer, Unknown):  # ten years of old records with gaps are no cases of today
            return (Stance.IDLE if older else Stance.UNKNOWN), answer.reason
        if not answer:
            return Stance.IDLE, ""
        return (Stance.ADOPTED if older else Stance.WANTED), ""

    def _missing(self, fields: Fields, related: Mapping[str, Known | None]) -> tuple[Missing, ...]:
        absent = tuple(
            Missing(
                path=name,
                owner=self.contract.case_owner,
                says=f"{self.contract.with_[name].of} is not readable yet",
            )
            for name, known in related.items()
            if known is None
        )
        gone = {m.path for m in absent}
        found = (r.check(fields) for r in self._requirements if r.root not in gone)
        return absent + tuple(m for m in found if m is not None)


def _older(subject: Known, since: date) -> bool:
    for name in SUBJECT_DATES.get(subject.object, ()):
        text = subject.fields.get(name)
        if text:
            with suppress(ValueError):
                return date.fromisoformat(str(text)[:10]) < since
    return subject.changed_on is not None and subject.changed_on < since


def _worth(path: str | None, fields: Fields) -> tuple[str, str] | None:
    if path is None:
        return None
    found = compile_rule(path).value(fields)
    if isinstance(found, Mapping) and "amount" in found and "currency" in found:
        return str(found["amount"]), str(found["currency"])
    return None


class _Unanswered(Exception):  # noqa: N818 - control flow inside this file only
    """A rule of a step could not be answered."""


class _Requirement:
    """One `require` line made ready."""

    def __init__(self, contract: Contract, requirement: Requirement) -> None:
        self._unless = compile_rule(requirement.unless) if requirement.unless else None
        self._rule = compile_rule(requirement.rule or requirement.field or "")
        self._is_field = requirement.field is not None
        path = requirement.field or requirement.rule or ""
        self.root = path.split(".")[0]
        says = requirement.says or (f"{path} is missing" if self._is_field else f"{path} does not hold")
        self._missing = Missing(path=path, owner=contract.owner_of(requirement), says=says)

    def check(self, fields: Fields) -> Missing | None:
        """The missing field, or None when it is there or excused. An unknown answer does not excuse."""
        if self._unless is not None and self._unless.evaluate(fields) is True:
            return None
        if self._is_field:
            present = _known(self._rule.value(fields)) not in (None, "", [], {})
        else:
            present = self._rule.evaluate(fields) is True
        return None if present else self._missing


def _known(value: Any) -> Any:
    return None if isinstance(value, Unknown) else value


def _filled(value: Any) -> Any:
    """An empty text is an empty field, and says so: what a target holds from before must go."""
    return None if value == "" else value


Take = Callable[[Records, Fields], Any]


class _PlannedStep:
    """One step made ready: what it writes, from where."""

    def __init__(self, contract: Contract, name: str, targets: Targets) -> None:
        step = contract.steps[name]
        self.contract, self.name, self.step = contract, name, step
        self.kind, self.word = step.kind, step.word
        self._if = compile_rule(step.if_) if step.if_ else None
        self._record = contract.record_of(name) if step.kind == "put" else contract.subject
        self._allowed = targets.get((step.system, step.put or ""))
        self._kept = _kept(contract, step)
        self._takes: dict[str, Take] = {
            key: _take(contract, text, _refers(step, key))
            for key, text in _map_of(contract, name).items()
            if self._takes_field(key)
        }
        self._mapped = bool(_map_of(contract, name))
        self._due = step.due.span if step.due else None
        self._operation = {"put": "put", "check": "ask"}.get(self.kind, self.kind)
        self._owner = step.owner or contract.case_owner
        self._for = compile_rule(step.for_) if step.for_ else None
        self._each = compile_rule(step.each) if step.each else None

    def desired(self, records: Records, fields: Fields) -> Sequence[Desired]:
        """No effect when `if` does not hold, one per item with `each`, else one."""
        if self._if is not None:
            answer = self._if.evaluate(fields)
            if isinstance(answer, Unknown):
                raise _Unanswered(f"step {self.name}: {answer.reason}")
            if not answer:
                return ()
        if self._each is None:
            return (self._one(records, fields, ""),)
        items = self._each.value(fields)
        if isinstance(items, Unknown):
            raise _Unanswered(f"step {self.name}: {items.reason}")
        keys = _item_keys(items or ())
        return tuple(
            self._one(records, {**fields, "item": item}, key) for item, key in zip(items or (), keys, strict=True)
        )

    def _one(self, records: Records, fields: Fields, item: str) -> Desired:
        step = self.step
        owner = records[self._record]
        document = self._document(records, fields)
        place = "/".join(part for part in (step.as_ or "", item) if part)
        key = record_key(step.system, self.word, owner.ref, place) if self.kind == "put" else ""
        return Desired(
            step=self.name,
            item=item,
            kind=self.kind,
            system=step.system,
            object=self.word,
            operation=self._operation,
            owner_id=owner.id,
            place=place,
            record_key=key,
            fields=document,
            digest=digest({"for": key, "fields": {k: v for k, v in document.items() if k not in self._kept}}),
            after=step.after,
            optional=step.optional,
            owner=self._owner,
            due_span=self._due,
            if_unavailable=step.if_unavailable,
        )

    def _document(self, records: Records, fields: Fields) -> dict[str, Any]:
        if self.kind == "check":
            return {_last(self.step.for_): _known(self._for.value(fields))} if self._for else {}
        if self.kind == "emit":
            return {"event": self.word, "data": {name: known.ref for name, known in records.items()}}
        if not self._mapped:
            return self._whole(records[self._record].fields)
        return {key: _filled(take(records, fields)) for key, take in self._takes.items()}

    def _whole(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The record itself, as far as the target takes its fields; what it does not fill is empty, not unsaid."""
        names = fields if self._allowed is None else sorted(self._allowed)
        return {name: _filled(fields.get(name)) for name in names}

    def _takes_field(self, key: str) -> bool:
        return self._allowed is None or key in self._allowed


def _last(path: str | None) -> str:
    """A question is named by what it is about: `opportunity.roles` asks with `roles`."""
    return (path or "").rpartition(".")[2]


def _map_of(contract: Contract, name: str) -> Mapping[str, str]:
    """The step's own map; else that of the first step that puts the same object; else what the project is called.

    A step that puts a record of `with` or the subject itself needs no map: it takes the record's fields.
    """
    step = contract.steps[name]
    if step.kind != "put" or step.map or contract.object_of(contract.record_of(name)) == step.put:
        return step.map
    mapped = [other for other in contract.steps.values() if other.kind == "put" and other.map]
    same = [other.map for other in mapped if other.put == step.put]
    if same:
        return same[0]
    named = [{k: v for k, v in other.map.items() if k in ("name", "client")} for other in mapped]
    return next((m for m in named if m), {"name": f"{contract.subject}.name"})


@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    parts = tuple(text.split("."))
    return parts if all(part.isidentifier() for part in parts) else ()


def _take(contract: Contract, text: str, refers: str) -> Take:
    words = _words(text)
    if len(words) == 1 and words[0] in contract.records:
        return lambda records, _fields: _reference(records.get(words[0]), refers)
    if words and words[0] in contract.steps:
        return _output(contract, words[0], words[1] if len(words) > 1 else "")
    related = next((name for name, relation in contract.with_.items() if relation.of == text), None)
    if related is not None:
        return lambda records, _fields: _reference(records.get(related), refers)
    rule = compile_rule(text)

    return lambda _records, fields: _known(rule.value(fields))


def _refers(step: Step, key: str) -> str:
    """The object that a target field refers to: a line of an extension points at the project of the first deal."""
    fact = fields_of(step.put).get(key) if step.put and step.put in OBJECTS else None
    return (fact.refers if fact else None) or ""


def _reference(known: Known | None, refers: str) -> Mapping[str, Any] | None:
    if known is None:
        return None
    return {
        REF: {"object": refers or known.object, "owner": known.id},
        "name": known.fields.get("name"),
        "number": known.fields.get("number"),
    }


def _output(contract: Contract, name: str, part: str) -> Take:
    """A reference to what another step makes; the engine fills in the target's id when it sends."""
    step: Step = contract.steps[name]
    record = contract.record_of(name)

    def refer(records: Records, _fields: Fields) -> Any:
        owner = records[record]
        ref = {"object": step.put, "owner": owner.id, "item": step.as_ or "", "system": step.system}
        return {
            REF: {**ref, **({"part": part} if part else {})},
            "name": owner.fields.get("name"),
            "number": None,
        }

    return refer


def _item_keys(items: Sequence[Any]) -> list[str]:
    """A key for each member of `each`; a second one of the same key is told apart by its place among its equals."""
    seen: Counter[str] = Counter()
    keys = []
    for item in items:
        key = _item_key(item)
        seen[key] += 1
        keys.append(key if seen[key] == 1 else f"{key}~{seen[key]}")
    return keys


def _kept(contract: Contract, step: Step) -> frozenset[str]:
    """Fields that the step's own system owns: another value of them asks for no write there."""
    owned = owned_fields(contract.owns, step.put or "").items()
    return frozenset(name for name, rule in owned if rule.system == step.system and rule.others != "accept")


def _item_key(item: Any) -> str:
    """A stable key for a member of `each`: its own id, key or number, else a digest of it."""
    if not isinstance(item, Mapping):
        own = str(item)
    else:
        own = next((str(item[k]) for k in ("id", "key", "number") if item.get(k) not in (None, "")), "")
    return own if own and len(own) <= LONGEST_ITEM else digest({"item": item})[:16]
