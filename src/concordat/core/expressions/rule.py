"""Compiles and evaluates the rules and values of a contract; the answer is true, false or unknown."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import orjson

from concordat.core.expressions.functions import RUN, canonical, is_money
from concordat.core.expressions.interpreter import cel
from concordat.core.expressions.syntax import BadExpression, parse, walk
from concordat.core.money import Money
from concordat.errors import Invalid

__all__ = ["Outcome", "Rule", "Unknown", "compile_rule"]

_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}.*")
_OURS = re.compile(r"Python function call failed: \w+: (.*?)\.?\. Check function arguments")
_REMEMBERED = 4_096

logging.getLogger("cel").setLevel(logging.CRITICAL)
# The interpreter would log each failing call with its values; here a failure is an answer, `Unknown`.


@dataclass(frozen=True, slots=True)
class Unknown:
    """Neither true nor false, and why: a field is missing, or the expression failed on this record."""

    reason: str

    def __bool__(self) -> bool:
        raise TypeError(f"unknown is neither true nor false: {self.reason}")


Outcome: TypeAlias = bool | Unknown
"""Everything a rule can answer. Compare with `is True`, `is False`."""


class _Gone(NamedTuple):
    """A path that leads nowhere: how many of its parts are there."""

    depth: int


class _Frozen(NamedTuple):
    """A list or mapping as text, so that it can be a key."""

    json: bytes


class _Amount(NamedTuple):
    """Money as a key."""

    amount: str
    currency: str


_DEEPEST = 63
_GONE = tuple(_Gone(depth) for depth in range(_DEEPEST + 1))
_PLAIN = frozenset({str, int, bool})


class Rule:
    """A compiled expression. Immutable and safe to share between threads."""

    __slots__ = ("_answer", "_parts", "_program", "functions", "paths", "pure", "text", "tree")

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = parse(text)
        self.pure = _PATH.fullmatch(text.strip()) is not None and self.tree.kind == "path"
        """A path alone: its value is handed through untouched."""
        nodes = tuple(walk(self.tree))
        self.paths = tuple(dict.fromkeys(node.word for node in nodes if node.kind == "path"))
        """Every dotted reference, in order of appearance."""
        self.functions = tuple(dict.fromkeys(node.word for node in nodes if node.kind == "call"))
        self._parts = tuple(tuple(path.split(".")) for path in self.paths)
        self._program = None if self.pure else _program(text)
        self._answer = lru_cache(maxsize=_REMEMBERED, typed=True)(self._compute)

    def __repr__(self) -> str:
        return f"Rule({self.text!r})"

    def evaluate(self, records: Mapping[str, Mapping[str, Any]]) -> Outcome:
        """Answer for these records. A missing field or a failure is `Unknown`, never false."""
        answer = self._answer(*[_key(records, parts) for parts in self._parts])
        if answer is True or answer is False or isinstance(answer, Unknown):
            return answer
        return Unknown(f"`{self.text}` gives {_shown(answer)}, neither true nor false")

    def value(self, records: Mapping[str, Mapping[str, Any]]) -> Any:
        """Return the value for these records, or `Unknown`; a pure path hands it through untouched."""
        if self.pure:
            return _fetch(records, self._parts[0], self.text)
        return self._answer(*[_key(records, parts) for parts in self._parts])

    def _compute(self, *keys: object) -> object:
        context = _context(self._parts, keys)
        if self._program is None:
            return _fetch(context, self._parts[0], self.text)
        try:
            answer = self._program.execute(cel.Context(variables=context, functions=dict(RUN)))
        except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
            return Unknown(self._reason(keys, error))
        return _given(answer)

    def _reason(self, keys: tuple[object, ...], error: Exception) -> str:
        gone = [path for path, key in zip(self.paths, keys, strict=True) if isinstance(key, _Gone)]
        if gone:
            return f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} missing"
        return f"`{self.text}` failed: {_said(error)}"


@lru_cache(maxsize=_REMEMBERED)
def compile_rule(text: str) -> Rule:
    """Compile once per text. Raises `BadExpression` and nothing else."""
    return Rule(text)


def _program(text: str) -> Any:
    try:
        return cel.compile(text)
    except ValueError as error:
        said = str(error).split("ERROR: <input>:")[-1].splitlines()[0]
        raise BadExpression(
            "rule-syntax", f"The expression cannot be read: {said}", remedy="Write the rule in CEL."
        ) from error


def _key(records: Mapping[str, Any], parts: tuple[str, ...]) -> object:
    """Return the value at a path in a form that can be looked up; empty counts as missing."""
    value: Any = records
    try:
        for part in parts:
            value = value[part]
    except (KeyError, TypeError):
        return _odd_path(records, parts)
    if value.__class__ in _PLAIN:
        return value
    return _odd_path(records, parts) if value is None else _odd_key(value)


def _odd_path(records: Mapping[str, Any], parts: tuple[str, ...]) -> object:
    """Walk a path that leads through money, or nowhere."""
    value: Any = records
    for depth, part in enumerate(parts):
        if isinstance(value, Money):
            value = value.to_json()
        value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return _GONE[min(depth, _DEEPEST)]
    return _odd_key(value)


def _odd_key(value: Any) -> object:
    if isinstance(value, Money):
        return _Amount(*value.to_json().values())
    if is_money(value):
        return _Amount(str(value["amount"]), str(value["currency"]))
    if isinstance(value, (Mapping, list, tuple)):
        return _Frozen(_text(value))
    return value


def _text(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, keys that are no text
        return json.dumps(value, default=_plain).encode()


def _plain(value: object) -> object:
    if isinstance(value, Money):
        return value.to_json()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def _context(parts: tuple[tuple[str, ...], ...], keys: tuple[object, ...]) -> dict[str, Any]:
    """Rebuild the records as far as the rule looks at them."""
    context: dict[str, Any] = {}
    for path, key in sorted(zip(parts, keys, strict=True), key=lambda pair: len(pair[0])):
        _place(context, path, key)
    return context


def _place(context: dict[str, Any], path: tuple[str, ...], key: object) -> None:
    known = path[: key.depth] if isinstance(key, _Gone) else path[:-1]
    place: Any = context
    for part in known:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            return
    if not isinstance(key, _Gone) and path[-1] not in place:
        place[path[-1]] = _thawed(key)


def _thawed(key: object) -> object:
    if isinstance(key, _Amount):
        return _money(key._asdict())
    if isinstance(key, _Frozen):
        return _encoded(json.loads(key.json))
    return _encoded(key)


def _encoded(value: Any) -> Any:
    """Return what CEL may see: money in one form, dates and instants as text that sorts, nothing empty."""
    if isinstance(value, str):
        return _instant(value) if _INSTANT.fullmatch(value) else value
    if isinstance(value, dict):
        if is_money(value):
            return _money(value)
        return {name: _encoded(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_encoded(inner) for inner in value]
    if isinstance(value, datetime):
        return _instant(value.isoformat())
    return str(value) if isinstance(value, (date, Decimal)) else value


def _money(value: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return canonical(value)
    except Invalid:
        return dict(value)


def _instant(text: str) -> str:
    """Return an instant in UTC to the second, so that instants of one form compare as text."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return text
    if instant.tzinfo is None:
        return text
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fetch(records: Mapping[str, Any], parts: tuple[str, ...], path: str) -> Any:
    value: Any = records
    for part in parts:
        if isinstance(value, Money):
            value = value.to_json()
        if not isinstance(value, Mapping) or part not in value:
            return Unknown(f"{path} is missing")
        value = value[part]
    return value


def _given(answer: object) -> object:
    """Return a result as a JSON value; a float is refused, because no figure here may be one."""
    if isinstance(answer, float):
        return Unknown("the expression gives a floating-point number")
    if isinstance(answer, datetime):
        return _instant(answer.isoformat())
    if isinstance(answer, (bytes, timedelta)):
        return Unknown(f"the expression gives {_shown(answer)}, which is no JSON value")
    return answer


def _said(error: Exception) -> str:
    """Return the sentence of our own function, or the first one of the interpreter."""
    first = str(error).partition("\n")[0] or type(error).__name__
    ours = _OURS.search(first)
    return ours[1] if ours else first.partition(". ")[0]


def _shown(value: object) -> str:
    return repr(value)[:80]
