"""Who is right about a field: merging a change into a record by system of record.

Pure. A contract's `owns` names the system of record of each field and what becomes of anybody else's edit:

    owns:
      client.payment_terms: {system: erp, others: revert}     # the ERP's value is written back
      client.phone:         {system: crm, others: accept}     # the newest edit holds, whoever made it
      project.status:       {system: psa, others: raise}      # a person looks; until then the owner's value holds

A field that no contract speaks about takes the newest edit: nobody claimed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from concordat.core.agree import agrees
from concordat.core.contract import Ownership

__all__ = ["Conflict", "Merged", "merge", "owned_fields"]


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
