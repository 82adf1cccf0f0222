"""The language described from its own declarations: JSON Schema for editors, tables for the reference."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import models_json_schema

from concordat.core.contract import Contract, Lasting, Overlay
from concordat.core.expressions import FUNCTIONS
from concordat.core.language.later import LATER
from concordat.core.money import Money

__all__ = ["json_schema", "tables"]

_PLAIN = {"str": "text", "int": "whole number", "bool": "true or false", "date": "date", "Decimal": "number"}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a contract file: an overlay where it says `extends`, else a contract."""
    refs, schema = models_json_schema([(Contract, "validation"), (Overlay, "validation")], by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Concordat contract",
        "if": {"required": ["extends"]},
        "then": refs[(Overlay, "validation")],
        "else": refs[(Contract, "validation")],
        **schema,
    }


def tables() -> str:
    """Return the reference of every word and function, as Markdown."""
    parts = [_table(title, model) for title, model in _models()]
    return "\n\n".join([*parts, _functions()]) + "\n"


def _models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield every mapping of the language once, outermost first."""
    seen: dict[type[BaseModel], str] = {}
    ahead: list[tuple[str, type[BaseModel]]] = [("Contract", Contract), ("Overlay", Overlay)]
    while ahead:
        title, model = ahead.pop(0)
        if model in seen or issubclass(model, Lasting):
            continue
        seen[model] = title
        yield title, model
        for name, info in model.model_fields.items():
            ahead += [(_title(model, info.alias or name), inner) for inner in _inner(info.annotation)]


def _title(model: type[BaseModel], word: str) -> str:
    return f"`{word}`" if model in (Contract, Overlay) else f"`{word}` of a {_said(model.__name__)}"


def _said(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


def _inner(hint: Any) -> Iterator[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for argument in get_args(hint):
        yield from _inner(argument)


def _table(title: str, model: type[BaseModel]) -> str:
    rows = [_row(title, name, info) for name, info in model.model_fields.items()]
    head = "| word | holds | meaning |\n|---|---|---|"
    return f"### {title}\n\n{(model.__doc__ or '').strip()}\n\n{head}\n" + "\n".join(rows)


def _row(title: str, name: str, info: FieldInfo) -> str:
    word = info.alias or name
    must = " *" if info.is_required() else ""
    later = " (not yet)" if _is_later(title, word) else ""
    return f"| `{word}`{must} | {_holds(info.annotation)} | {info.description or ''}{later} |"


def _is_later(title: str, word: str) -> bool:
    place = () if title in ("Contract", "Overlay") else (title.strip("`"),)
    return any(tuple(part for part in pattern if part != "*") == (*place, word) for pattern in LATER)


def _holds(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _holds(arguments[0])
    if origin in (Union, types.UnionType):
        return _holds(next(arg for arg in arguments if arg is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    if origin is tuple:
        return f"list of {_holds(arguments[0])}"
    if origin is dict:
        return f"name: {_holds(arguments[1])}"
    return _named(hint)


def _named(hint: Any) -> str:
    if hint is Lasting:
        return "length of time"
    if hint is Money:
        return "amount"
    name = getattr(hint, "__name__", str(hint))
    return _PLAIN.get(name, _said(name))


def _functions() -> str:
    rows = [
        f"| `{name}` | {function.gives} | {function.says}{' (not yet)' if function.later else ''} |"
        for name, function in FUNCTIONS.items()
    ]
    return "### Functions\n\n| function | gives | meaning |\n|---|---|---|\n" + "\n".join(rows)
