"""The contract language as text: loading, checking, overlays, the schema for editors and the reference."""

from __future__ import annotations

from concordat.core.language.fault import Fault
from concordat.core.language.loader import Loaded, load_contract

__all__ = ["Fault", "Loaded", "load_contract"]
