"""Do two documents agree? `disagreements(wrote, holds)` names each field that a target kept otherwise.

Pure. Values are compared by meaning: `1250.0` and `1250.00` are the same number, a reference agrees when the
target's id does, a text agrees when it does after trimming outer white space.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["agrees", "disagreements"]


def disagreements(wrote: Mapping[str, Any], holds: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Field → what we wrote and what the target holds; empty when they agree on every field we wrote."""
    return {
        key: {"ours": ours, "theirs": holds.get(key)}
        for key, ours in wrote.items()
        if not agrees(ours, holds.get(key))
    }


def agrees(ours: Any, theirs: Any) -> bool:
    """Whether two values mean the same."""
    if ours == theirs:
        return True
    if isinstance(ours, Mapping):
        return _agree_mappings(ours, theirs)
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(agrees(a, b) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return False
    return _text(ours) == _text(theirs) or _number(ours) == _number(theirs) is not None


def _agree_mappings(ours: Mapping[str, Any], theirs: Any) -> bool:
    if "ref" in ours and "name" in ours:
        if not ours["ref"]:
            return True
        return (
            bool(isinstance(theirs, Mapping) and str(theirs.get("ref")) == str(ours["ref"]))
            or theirs == ours["ref"]
        )
    return isinstance(theirs, Mapping) and not disagreements(ours, theirs)


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) else None if value is None else str(value)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, int | Decimal | str) and value != "":
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            return None
        return number if number.is_finite() else None
    return None
