"""Do two documents agree? `disagreements(wrote, holds)` names each field that a target kept otherwise.

Pure. Values are compared by meaning: `1250.0` and `1250.00` are the same number, a reference agrees when the
target's id does (known by name alone, when the target's name does), a text agrees when it does after trimming outer
white space, null agrees with an empty field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

__all__ = ["agrees", "disagreements"]

_PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


def disagreements(wrote: Mapping[str, Any], holds: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Field → what we wrote and what the target holds; empty when they agree on every field we wrote."""
    return {
        key: {"ours": ours, "theirs": holds.get(key)} for key, ours in wrote.items() if not agrees(ours, holds.get(key))
    }


def agrees(ours: Any, theirs: Any) -> bool:
    """Whether two values mean the same."""
    if _blank(ours):
        return _blank(theirs) or theirs is False or _refers_to_nothing(theirs)
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, Mapping):
        return _agree_mappings(ours, theirs)
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(agrees(a, b) for a, b in zip(ours, theirs, strict=True))
    return _text(ours) == _text(theirs) or _number(ours) == _number(theirs) is not None


def _blank(value: Any) -> bool:
    """Nothing, as systems write it."""
    return value is None or (isinstance(value, str) and not value.strip())


def _refers_to_nothing(value: Any) -> bool:
    return isinstance(value, Mapping) and "ref" in value and not any(value.values())


def _agree_mappings(ours: Mapping[str, Any], theirs: Any) -> bool:
    if "ref" in ours and "name" in ours:
        if not ours["ref"]:
            return _agree_by_name(ours, theirs)
        return bool(isinstance(theirs, Mapping) and str(theirs.get("ref")) == str(ours["ref"])) or theirs == ours["ref"]
    return isinstance(theirs, Mapping) and not disagreements(ours, theirs)


def _agree_by_name(ours: Mapping[str, Any], theirs: Any) -> bool:
    """Known by name alone: another name is a disagreement; a target that says only an id cannot be contradicted."""
    name = theirs.get("name") if isinstance(theirs, Mapping) else None
    return _blank(name) or _blank(ours["name"]) or str(name).strip().casefold() == str(ours["name"]).strip().casefold()


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) else None if value is None else str(value)


def _number(value: Any) -> Decimal | None:
    """A number, or a text that is written like one; `0410` and `1E3` are codes, not 410 and 1000."""
    if isinstance(value, int | Decimal) or (isinstance(value, str) and _PLAIN.fullmatch(value.strip())):
        number = Decimal(str(value).strip())
        return number if number.is_finite() else None
    return None
