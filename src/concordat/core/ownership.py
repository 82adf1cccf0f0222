"""Who is right about a field: merging a change into a record by system of record.

Pure. A contract's `owns` names the system of record of each field and what becomes of anybody else's edit:

    owns:
      client.payment_terms: {system: erp, others: revert}     # the ERP's value is written back
      client.phone:         {system: crm, others: accept}     # the newest edit holds, whoever made it
      project.status:       {system: psa, others: raise}      # a person looks; until then the owner's value holds

A field that no contract speaks about takes the newest edit: nobody claimed it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from concordat.core.agree import agrees
from concordat.core.contract import Ownership

__all__ = ["Conflict", "Edit", "Judged", "Member", "Merged", "judge", "merge", "owned_fields"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """An edit by a system that does not own the field."""

    field: str
    owner: str
    """System of record."""
    holds: Any
    """The value that stays."""
    asked: Any
    """The value that the other system holds now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """The record after a change, and what must happen elsewhere because of it."""

    fields: Mapping[str, Any]
    changed: frozenset[str] = frozenset()
    """Fields whose value is another one now."""
    reverted: Mapping[str, Conflict] = field(default_factory=dict)
    """Write the owner's value back to the system that edited."""
    raised: Mapping[str, Conflict] = field(default_factory=dict)
    """Open a case; the owner's value holds meanwhile."""


def owned_fields(owns: Mapping[str, Ownership], object_: str) -> dict[str, Ownership]:
    """The part of a contract's `owns` about one object: `client.phone` is `phone` of `client`."""
    prefix = f"{object_}."
    return {path.removeprefix(prefix): rule for path, rule in owns.items() if path.startswith(prefix)}


def merge(
    record: Mapping[str, Any], changes: Mapping[str, Any], from_system: str, owns: Mapping[str, Ownership]
) -> Merged:
    """The record with `changes` as `from_system` holds them, field by field.

    `owns` is by field name (see `owned_fields`). The owner's own edit always holds. A field that the record does not
    have yet is taken from anybody: there is nothing to lose. Values are compared by meaning, so `100.0` for `100.00`
    is no edit. Merging the same change again changes nothing more.
    """
    edits = {name: value for name, value in changes.items() if not _same(record, name, value)}
    taken = {name: value for name, value in edits.items() if _may(record, name, from_system, owns.get(name))}
    refused = {name: _conflict(record, name, value, owns[name]) for name, value in edits.items() if name not in taken}
    return Merged(
        fields={**record, **taken},
        changed=frozenset(taken),
        reverted={name: c for name, c in refused.items() if owns[name].others == "revert"},
        raised={name: c for name, c in refused.items() if owns[name].others == "raise"},
    )


def _same(record: Mapping[str, Any], name: str, value: Any) -> bool:
    return name in record and agrees(record[name], value) and agrees(value, record[name])


def _may(record: Mapping[str, Any], name: str, from_system: str, rule: Ownership | None) -> bool:
    if rule is None or rule.system == from_system or rule.others == "accept":
        return True
    return record.get(name) is None


def _conflict(record: Mapping[str, Any], name: str, value: Any, rule: Ownership) -> Conflict:
    return Conflict(field=name, owner=rule.system, holds=record[name], asked=value)


# ── one thing in several systems ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """What one system holds of a thing."""

    system: str
    fields: Mapping[str, Any]
    was: Mapping[str, Any] | None = None
    """What it held before, if it has changed just now. An edit is told by its value, never by its time."""
    touched: bool = False
    source: bool = False
    """It is the record that handoffs are planned from."""

    def edited(self, name: str) -> bool:
        """Whether it changed this field just now; a record that is seen for the first time says what it holds."""
        if not self.touched or name not in self.fields:
            return False
        return self.was is None or not _same(self.was, name, self.fields[name])


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A change by a system that does not own the field."""

    system: str
    conflict: Conflict
    fate: str
    """`revert`, `raise` or `accept`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """Who is right about each governed field of one thing, and what must happen because of it."""

    holds: Mapping[str, Any] = field(default_factory=dict)
    by: Mapping[str, str] = field(default_factory=dict)
    """The system whose value holds, by field."""
    owned: Mapping[str, Any] = field(default_factory=dict)
    """What the planner reads instead of the source's own values."""
    edits: tuple[Edit, ...] = ()
    settled: tuple[tuple[str, str], ...] = ()
    """(field, system) that agree with what holds."""
    carry: Mapping[str, Any] = field(default_factory=dict)
    """What the source holds otherwise though nobody edited it there: the value that holds is carried to it."""


def judge(
    members: Sequence[Member], owns: Mapping[str, Ownership], accepted: Mapping[str, Any] = MappingProxyType({})
) -> Judged:
    """Judge every governed field. `accepted` is what held of fields whose rule is `accept`, from the time before."""
    parts = [_judged(name, rule, members, accepted) for name, rule in owns.items()]
    return Judged(
        holds={k: v for part in parts for k, v in part.holds.items()},
        by={k: v for part in parts for k, v in part.by.items()},
        owned={k: v for part in parts for k, v in part.owned.items()},
        edits=tuple(edit for part in parts for edit in part.edits),
        settled=tuple(pair for part in parts for pair in part.settled),
        carry={k: v for part in parts for k, v in part.carry.items()},
    )


def _judged(name: str, rule: Ownership, members: Sequence[Member], accepted: Mapping[str, Any]) -> Judged:
    source = next((m for m in members if m.source), None)
    standing = _standing(name, rule, members, accepted)
    if standing is None:
        return Judged()
    value, by = standing
    others = [m for m in members if m.system != rule.system and m.edited(name)]
    edits = [edit for m in others if (edit := _edit(name, rule, value, m)) is not None]
    if edits and rule.others == "accept":
        value, by = edits[-1].conflict.asked, edits[-1].system
    differs = source is not None and not _same(source.fields, name, value)
    asking = {edit.system for edit in edits}
    quiet = source is not None and differs and source.system not in asking
    return Judged(
        holds={name: value},
        by={name: by},
        owned={name: value} if differs else {},
        edits=tuple(edits),
        settled=tuple((name, m.system) for m in members if _same(m.fields, name, value) and m.system not in asking),
        carry={name: value} if quiet else {},
    )


def _standing(
    name: str, rule: Ownership, members: Sequence[Member], accepted: Mapping[str, Any]
) -> tuple[Any, str] | None:
    """The value that held until now, and whose it is: the owner's; an accepted one until the owner edits."""
    owner = next((m for m in members if m.system == rule.system and m.fields.get(name) is not None), None)
    if rule.others == "accept" and name in accepted and not (owner and owner.edited(name)):
        return accepted[name], ""
    return (owner.fields[name], owner.system) if owner else None


def _edit(name: str, rule: Ownership, value: Any, member: Member) -> Edit | None:
    """The edit of one system that is not the owner; none when it says what holds anyway, as our own write does."""
    merged = merge({name: value}, {name: member.fields[name]}, member.system, {name: rule})
    refused = {**merged.reverted, **merged.raised}.get(name)
    if refused is not None:
        return Edit(system=member.system, conflict=refused, fate=rule.others)
    if name not in merged.changed:
        return None
    asked = Conflict(field=name, owner=rule.system, holds=value, asked=member.fields[name])
    return Edit(system=member.system, conflict=asked, fate="accept")
