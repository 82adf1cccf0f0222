"""The contract language as frozen values: every word of it, also those that a later release runs."""

from __future__ import annotations

from concordat.core.contract.model import Channel, Contract, ErrorClass
from concordat.core.contract.overlay import Overlay, apply_overlay
from concordat.core.contract.parts import (
    Brake,
    Cases,
    Document,
    Gate,
    Gather,
    LateChange,
    MoneyRules,
    Opens,
    Ownership,
    Price,
    Reaction,
    Reconcile,
    Relation,
    Requirement,
    Retry,
    Rounding,
    Scope,
    ServiceLevel,
    Tax,
    TieOut,
    Totals,
    Undo,
    Waive,
)
from concordat.core.contract.paths import LostPath, follow, object_behind
from concordat.core.contract.step import Approve, Kind, Step, Tier
from concordat.core.contract.words import Lasting

__all__ = [
    "Approve",
    "Brake",
    "Cases",
    "Channel",
    "Contract",
    "Document",
    "ErrorClass",
    "Gate",
    "Gather",
    "Kind",
    "Lasting",
    "LateChange",
    "LostPath",
    "MoneyRules",
    "Opens",
    "Overlay",
    "Ownership",
    "Price",
    "Reaction",
    "Reconcile",
    "Relation",
    "Requirement",
    "Retry",
    "Rounding",
    "Scope",
    "ServiceLevel",
    "Step",
    "Tax",
    "TieOut",
    "Tier",
    "Totals",
    "Undo",
    "Waive",
    "apply_overlay",
    "follow",
    "object_behind",
]
