"""Loads one contract from text: every fault at once, each with its place and what to write instead."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from concordat.core.contract import Contract
from concordat.core.language.check import check
from concordat.core.language.fault import Fault
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


def load_contract(text: str, *, file: str, systems: Collection[str] | None = None) -> Loaded:
    """Read and check a contract. Never raises for anything the text says.

    `systems` are the connections of the firm; None leaves the names of systems unchecked.
    """
    source = read(text, file)
    if source.data is None:
        return Loaded(contract=None, faults=_sorted(source))
    contract, _ = fit(source)
    check(Desk.of(contract, source, systems))
    blocked = any(fault.severity != "warning" for fault in source.faults)
    return Loaded(contract=None if blocked else contract, faults=_sorted(source))


def _sorted(source: Source) -> tuple[Fault, ...]:
    return tuple(sorted(set(source.faults)))
