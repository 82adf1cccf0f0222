"""A unit's changes to a shared contract: a few words laid over it, without a copy."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from concordat.core.contract.model import Channel, Contract, ErrorClass
from concordat.core.contract.parts import (
    Brake,
    Cases,
    LateChange,
    Ownership,
    Requirement,
    Retry,
    ServiceLevel,
    Undo,
)
from concordat.core.contract.step import Step
from concordat.core.contract.words import Civil, Code, Count, Name, Text, Texts, Word

__all__ = ["Overlay", "apply_overlay"]

_REPLACED = ("title", "owner", "approvers", "channel", "since", "cases", "brake")


class Overlay(Word):
    """What a unit changes in the contract that it extends; everything else stays as it is there."""

    contract: Code = Field(description="Name of the unit's contract.")
    version: Count = Field(description="Whole number from 1; a published version is never edited.")
    extends: Code = Field(description="Contract that is changed: `opportunity-to-project`.")
    title: Text | None = Field(None, description="One sentence for people, in place of the other.")
    owner: Code | None = Field(None, description="Team that answers for it, in place of the other.")
    approvers: Texts | None = Field(None, description="Teams that agree to a new version, in place of the others.")
    channel: Channel | None = Field(None, description="Urgency, in place of the other.")
    since: Civil | None = Field(None, description="Start of this unit, in place of the other.")
    connections: dict[Code, Code] = Field(
        default_factory=dict, description="Connection of the contract to connection of this unit."
    )
    value_maps: dict[Text, Code] = Field(default_factory=dict, description="Field to the value map it passes.")
    require: tuple[Requirement, ...] = Field((), description="Further mandatory fields and rules.")
    owns: dict[Text, Ownership] = Field(default_factory=dict, description="System of record, field by field.")
    late_change: dict[Name, LateChange] = Field(default_factory=dict, description="Reactions, step by step.")
    undo: dict[Name, Undo] = Field(default_factory=dict, description="Undoing, step by step.")
    service_levels: tuple[ServiceLevel, ...] = Field((), description="Promises, by name in place of the others.")
    retry: dict[ErrorClass, Retry] = Field(default_factory=dict, description="Policies, class by class.")
    cases: Cases | None = Field(None, description="Who works the cases, in place of the other.")
    brake: Brake | None = Field(None, description="The brake, in place of the other.")


def apply_overlay(base: Contract, overlay: Overlay) -> Contract:
    """Return the contract of the unit. Pure; the caller checks the result as it checks any contract."""
    replaced = {name: value for name in _REPLACED if (value := getattr(overlay, name)) is not None}
    levels = {level.name for level in overlay.service_levels}
    merged = {
        "contract": overlay.contract,
        "version": overlay.version,
        "extends": base.key,
        "require": (*overlay.require, *base.require),
        "owns": {**_moved_owners(base.owns, overlay.connections), **overlay.owns},
        "steps": {name: _moved(step, overlay.connections) for name, step in base.steps.items()},
        "late_change": {**base.late_change, **overlay.late_change},
        "undo": {**base.undo, **overlay.undo},
        "retry": {**base.retry, **overlay.retry},
        "service_levels": (
            *overlay.service_levels,
            *(level for level in base.service_levels if level.name not in levels),
        ),
    }
    return base.model_copy(update={**merged, **replaced})


def _moved(step: Step, connections: Mapping[str, str]) -> Step:
    return step.model_copy(update={"in_": connections.get(step.system, step.in_)})


def _moved_owners(owns: Mapping[str, Ownership], connections: Mapping[str, str]) -> dict[str, Ownership]:
    return {
        path: owner.model_copy(update={"system": connections.get(owner.system, owner.system)})
        for path, owner in owns.items()
    }
