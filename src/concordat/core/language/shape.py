"""Fits a document to the contract model, reporting every misfit, and keeps what fits for later checks."""

from __future__ import annotations

import re
import types
from copy import deepcopy
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from concordat.core.expressions.kinds import nearest
from concordat.core.language.fault import Fault, Loc, didyoumean
from concordat.core.language.mend import KINDS, STAND_INS, mend
from concordat.core.language.source import Source

__all__ = ["fit"]

_SHAPES = {
    "dict_type": "a mapping (`name: value` lines)",
    "model_type": "a mapping (`name: value` lines)",
    "model_attributes_type": "a mapping (`name: value` lines)",
    "tuple_type": "a list (`[a, b]` or lines that begin with `-`)",
    "string_type": "a text",
}
_EMPTY = ("empty-value", "There is no value", "Write one, or leave the key out.")
_LENGTHS = {
    "too_short": _EMPTY,
    "string_too_short": _EMPTY,
    "string_too_long": ("too-long", "The text is too long", "Shorten it."),
    "string_pattern_mismatch": (
        "bad-name",
        "This is no name",
        "Use letters, digits and underscores, no digit first.",
    ),
}
_NUMBERS = frozenset({"int_parsing", "int_type", "int_from_float", "greater_than_equal", "decimal_type", "bad-number"})
_QUOTED = re.compile(r"'([^']*)'")
_REMEDIES = {
    "bad-date": "Write it as 2026-11-30.",
    "bad-flag": "Write true or false.",
    "bad-number": "Write digits, from 1 upwards.",
    "bad-money": "Write amount, space, currency: 25000.00 EUR.",
    "bad-duration": "Write a number and a unit: 15 minutes, 4 business hours, 1 business day, 3 days.",
    "step-kind": "Keep one of them, and make two steps of the rest.",
    "step-system": "Add `in: <connection>`.",
    "one-of": "Write it that way.",
}
_CHOSEN = {
    "step-kind": KINDS,
    "step-system": ("in",),
    "one-of": ("field", "rule", "do", "by_state", "subjects", "money"),
}
_ROUNDS = 20

Model = TypeVar("Model", bound=BaseModel)


def fit(source: Source, model: type[Model]) -> Model:
    """Return what fits the model. Faults go to `source.faults`, each place once.

    With faults the result has stand-ins in it, and is good for checking only.
    """
    data = source.data
    if not isinstance(data, dict):
        source.faults.append(
            _fault(source, (), "wrong-shape", "A contract is a mapping", "Begin with `contract: <name>`.")
        )
        data = _stand_ins(model)
    told: set[Loc] = set()
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(data)
        except ValidationError as error:
            data = _without(data, error.errors(), source, told, model)
    return model.model_validate(_stand_ins(model))


def _stand_ins(model: type[BaseModel]) -> dict[str, Any]:
    return {name: deepcopy(word) for name, word in STAND_INS.items() if name in model.model_fields}


def _without(data: Any, errors: list[ErrorDetails], source: Source, told: set[Loc], model: type[BaseModel]) -> Any:
    """Report the errors and mend them, so that the next round sees what they hid."""
    rest = deepcopy(data)
    for detail in errors:
        loc = source.nearest(detail["loc"])
        missing = detail["type"] == "missing"
        spot = (*loc, str(detail["loc"][-1])) if missing else loc
        if spot not in told and not _follows(loc, detail["type"], told):
            told.add(spot)
            source.faults.append(_of_detail(source, loc, detail, model))
        if missing:
            spot = tuple(detail["loc"])
        mend(rest, spot, detail["type"])
    return rest


def _follows(loc: Loc, code: str, told: set[Loc]) -> bool:
    """Tell whether a misfit only follows from a word that was taken out before."""
    return any((*loc, word) in told for word in _CHOSEN.get(code, ()))


def _of_detail(source: Source, loc: Loc, detail: ErrorDetails, model: type[BaseModel]) -> Fault:
    kind = detail["type"]
    name = str(detail["loc"][-1])
    if kind == "missing":
        where = _shown(loc) or "The contract"
        return _fault(source, loc, "missing-key", f"{where} needs `{name}`", f"Add `{name}: …`.", key=True)
    if kind == "extra_forbidden":
        near = nearest(name, _keys_at(loc[:-1], model))
        return _fault(
            source,
            loc,
            "unknown-key",
            f"No key `{name}` here",
            didyoumean(near, _keys_at(loc[:-1], model)),
            key=True,
        )
    code, message, remedy = _wording(kind, detail)
    key = name == "[key]"
    return _fault(source, loc, code, f"{_shown(loc)}: {message}" if loc else message, remedy, key=key)


def _wording(kind: str, detail: ErrorDetails) -> tuple[str, str, str]:
    raw = detail["input"]
    if raw in ("", None):
        return _LENGTHS["too_short"]
    if kind == "literal_error":
        words = _QUOTED.findall(str(detail.get("ctx", {}).get("expected", "")))
        near = nearest(str(raw), words)
        return "unknown-word", f"{raw!r} has no meaning here", didyoumean(near, words)
    if kind in _SHAPES:
        return "wrong-shape", f"This is not {_SHAPES[kind]}", f"Write {_SHAPES[kind]}."
    if kind in _LENGTHS:
        return _LENGTHS[kind]
    code = "bad-number" if kind in _NUMBERS else "bad-date" if kind.startswith("date") else kind
    message = f"{raw!r} is not a number that fits" if code == "bad-number" else detail["msg"]
    return code, message, _REMEDIES.get(code, "Look the word up in the reference.")


def _fault(source: Source, loc: Loc, code: str, message: str, remedy: str, *, key: bool = False) -> Fault:
    line, column = source.at(loc, key=key)
    return Fault(file=source.file, line=line, column=column, code=code, message=message, remedy=remedy)


def _shown(loc: Loc) -> str:
    return f"`{'.'.join(str(part) for part in loc)}`" if loc else ""


def _keys_at(loc: Loc, model: type[BaseModel]) -> tuple[str, ...]:
    """Return the words that the model knows at a place."""
    below = _model_at(loc, model)
    if below is None:
        return ()
    return tuple(info.alias or name for name, info in below.model_fields.items())


def _model_at(loc: Loc, model: type[BaseModel]) -> type[BaseModel] | None:
    hint: Any = model
    for part in loc:
        hint = _inner(hint, part)
    return hint if isinstance(hint, type) and issubclass(hint, BaseModel) else None


def _inner(hint: Any, part: str | int) -> Any:
    """Return the type below a type: of a field, of a mapping's values, of a list's members."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        fields = hint.model_fields
        found = next((info.annotation for name, info in fields.items() if part in (name, info.alias)), None)
        return _plain(found)
    arguments = get_args(hint)
    if get_origin(hint) is dict:
        return _plain(arguments[1])
    return _plain(arguments[0]) if get_origin(hint) is tuple else None


def _plain(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return _plain(next(arg for arg in get_args(hint) if arg is not type(None)))
    return None if get_origin(hint) is Literal else hint
