"""Puts harmless words where a document is faulty, so that one fault does not hide another."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from concordat.core.language.fault import Loc

__all__ = ["KINDS", "STAND_INS", "UNNAMED", "mend"]

UNNAMED = "unnamed"
"""A name that no check looks at."""

STAND_INS: Mapping[str, Any] = {
    "contract": UNNAMED,
    "version": "1",
    "title": UNNAMED,
    "owner": UNNAMED,
    "subject": UNNAMED,
    "since": "2000-01-01",
    "when": "true",
    "steps": {UNNAMED: {"emit": UNNAMED}},
    "extends": UNNAMED,
}
"""What takes the place of a missing or faulty mandatory word of the top."""

_FILL: Mapping[str, Any] = {
    "others": "accept",
    "else": "warn",
    "at": "line",
    "mode": "half_up",
    "do": "hold",
    "within": "1 day",
    "every": "1 day",
    "above": "1.00 EUR",
    "rule": "true",
    "where": "true",
    "until": "true",
    "of": "true",
    "per": "true",
    "ours": "true",
    "theirs": "true",
}
_ITEMS: Mapping[str, Any] = {
    "require": {"rule": "true"},
    "gate": {"rule": "true", "says": UNNAMED, "owner": UNNAMED, "else": "warn"},
    "service_levels": {"name": UNNAMED, "until": "true", "within": "1 day"},
    "tiers": {"above": "1.00 EUR", "by": UNNAMED},
    "tie_out": {"ours": "true", "theirs": "true", "account": UNNAMED},
}
KINDS = ("put", "check", "await", "emit", "act")


def mend(data: Any, loc: Loc, code: str) -> None:
    """Change `data` in place so that the fault at `loc` is gone and everything else keeps its position."""
    place = _above(data, loc)
    if place is None or not loc:
        return
    last = loc[-1]
    if code == "missing":
        place[last] = _stand_in(loc)
    elif code in ("step-kind", "step-system", "one-of") and isinstance(_get(place, last), dict):
        _mend_inside(place, last, code)
    else:
        _remove(place, loc)


def _above(data: Any, loc: Loc) -> Any:
    place = data
    for part in loc[:-1]:
        place = _get(place, part)
    return place if isinstance(place, (dict, list)) else None


def _get(place: Any, part: str | int) -> Any:
    if isinstance(place, list):
        return place[part] if isinstance(part, int) and part < len(place) else None
    return place.get(part) if isinstance(place, dict) else None


def _stand_in(loc: Loc) -> Any:
    name = str(loc[-1])
    return deepcopy(STAND_INS.get(name, UNNAMED) if len(loc) == 1 else _FILL.get(name, UNNAMED))


def _mend_inside(place: Any, last: str | int, code: str) -> None:
    inside = place[last]
    if code == "step-system":
        inside["in"] = UNNAMED
    elif code == "step-kind":
        kinds = [kind for kind in KINDS if kind in inside]
        for kind in kinds[1:]:
            del inside[kind]
        if not kinds:
            inside["emit"] = UNNAMED
    elif isinstance(place, list):
        inside.pop("field", None)
        inside.setdefault("rule", "true")
    else:
        del place[last]


def _remove(place: Any, loc: Loc) -> None:
    """Take out a value; a mandatory word of the top, or a member of a list, gets its stand-in."""
    last = loc[-1]
    if isinstance(place, list):
        place[int(last)] = deepcopy(_ITEMS.get(str(loc[-2]), UNNAMED))
    elif len(loc) == 1 and last in STAND_INS:
        place[last] = _stand_in(loc)
    else:
        place.pop(last, None)
