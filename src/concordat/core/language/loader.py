"""Loads one contract from text: every fault at once, each with its place and what to write instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from concordat.core.contract import Contract, Overlay, apply_overlay
from concordat.core.expressions.kinds import nearest
from concordat.core.language.check import check
from concordat.core.language.fault import Fault, Loc, didyoumean
from concordat.core.language.mend import UNNAMED
from concordat.core.language.place import Desk
from concordat.core.language.shape import fit
from concordat.core.language.source import Source, read

__all__ = ["Loaded", "load_contract"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What became of a text. `contract` is there only if no fault but a warning was found."""

    contract: Contract | None
    faults: tuple[Fault, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the contract can run."""
        return self.contract is not None


def load_contract(
    text: str,
    *,
    file: str,
    systems: Collection[str] | None = None,
    bases: Mapping[str, Contract] | None = None,
    undoes: Mapping[tuple[str, str], Collection[str]] | None = None,
) -> Loaded:
    """Read and check a contract. Never raises for anything the text says.

    `systems` are the connections of the firm; None leaves the names of systems unchecked. A text with
    `extends` is an overlay: it is laid over the contract of that name in `bases`, and the result is checked.
    `undoes` says which words of `undo` each (connection, object) can do; what cannot be done is a remark.
    """
    source = read(text, file)
    if source.data is None:
        return Loaded(contract=None, faults=_sorted(source))
    overlaid = isinstance(source.data, dict) and "extends" in source.data
    contract = _overlaid(source, bases or {}) if overlaid else fit(source, Contract)
    if contract is not None:
        desk = Desk.of(contract, source, systems)
        desk.undoes = undoes or {}
        check(desk)
    blocked = any(fault.severity != "warning" for fault in source.faults)
    return Loaded(contract=None if blocked else contract, faults=_sorted(source))


def _overlaid(source: Source, bases: Mapping[str, Contract]) -> Contract | None:
    overlay = fit(source, Overlay)
    base = bases.get(overlay.extends)
    if base is None:
        if overlay.extends != UNNAMED:
            near = nearest(overlay.extends, tuple(bases)) or "Put that contract beside this one."
            _tell(source, ("extends",), "unknown-base", f"No contract `{overlay.extends}`", near)
        return None
    used = sorted({step.system for step in base.steps.values() if step.system})
    for system in overlay.connections:
        if system not in used:
            remedy = didyoumean(nearest(system, used), used)
            loc = ("connections", system)
            _tell(source, loc, "unknown-system", f"{base.key} does not use `{system}`", remedy)
    return apply_overlay(base, overlay)


def _tell(source: Source, loc: Loc, code: str, message: str, remedy: str) -> None:
    line, column = source.at(loc, key=True)
    fault = Fault(file=source.file, line=line, column=column, code=code, message=message, remedy=remedy)
    source.faults.append(fault)


def _sorted(source: Source) -> tuple[Fault, ...]:
    return tuple(sorted(set(source.faults)))
