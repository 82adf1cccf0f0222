"""Which of Tryton's identifier types a tax number is, such that it reads back exactly as it was written.

Tryton checks and reformats a typed identifier with python-stdnum (party 8.0.4, `preprocess_values`): a
British number loses its country letters, for instance. A number is typed only where that can be undone, so
that tax reports use it; any other is kept untyped, letter for letter.
"""

from __future__ import annotations

from typing import Any

import stdnum
import stdnum.eu.vat

from concordat.connectors.tryton.desk import Row

__all__ = ["shown", "tax_identifier", "type_of"]

_LOST_PREFIX = {"gb_vat": "GB"}
"""Types whose stored form drops the country letters that invoices print."""


def type_of(number: str, country: str | None) -> str | None:
    """Find the identifier type for a tax number, or None to keep it untyped."""
    return next((kind for kind in _candidates(number, country) if _survives(kind, number)), None)


def shown(kind: str | None, code: str, compact: str) -> str:
    """Give the number as it was written, from what Tryton stores."""
    prefix = _LOST_PREFIX.get(kind or "")
    return f"{prefix}{compact}" if prefix else code


def tax_identifier(party: Row) -> Row | None:
    """Pick the party's tax number: the one Tryton reports, else the first without a type."""
    chosen: Row | None = party["tax_identifier."]
    identifiers: list[Row] = party["identifiers."]
    if chosen is not None:
        return next(each for each in identifiers if each["id"] == chosen["id"])
    return next((each for each in identifiers if each["active"] and not each["type"]), None)


def _candidates(number: str, country: str | None) -> list[str]:
    letters = (country or number[:2]).lower()
    special = ["us_ein"] if letters == "us" else []
    return ["eu_vat", *special, f"{letters}_vat"]


def _survives(kind: str, number: str) -> bool:
    module = stdnum.eu.vat if kind == "eu_vat" else _module(kind)
    if module is None or not module.is_valid(number):
        return False
    stored = module.format(number) if hasattr(module, "format") else number
    compact = module.compact(number) if hasattr(module, "compact") else number
    return shown(kind, stored, compact) == number


def _module(kind: str) -> Any:
    country, name = kind.split("_", 1)
    return stdnum.get_cc_module(country, name)
