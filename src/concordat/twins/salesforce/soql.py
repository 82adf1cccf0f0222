"""The part of SOQL that the twin understands: parse once, then test and project records.

SELECT fields (parents by a dotted path) or COUNT() · FROM one object · WHERE with = != < <= > >= LIKE IN NOT,
AND, OR and brackets · ORDER BY · LIMIT · OFFSET. Text is compared without regard to case, as Salesforce
does (src: SOQL and SOSL Reference, comparison operators). Anything else is MALFORMED_QUERY.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from concordat.twins.salesforce.schema import Problem

__all__ = ["Order", "Query", "parse"]

Read = Callable[[str], Any]
"""Give a record's value by its dotted path."""
Test = Callable[[Read], bool]

WORDS = re.compile(
    r"\s*(?:(?P<text>'(?:\\.|[^'\\])*')|(?P<moment>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d))|(?P<day>\d{4}-\d\d-\d\d)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w.]*)|(?P<sign><=|>=|!=|<>|[=<>(),]))"
)


@dataclass(frozen=True, slots=True)
class Order:
    """One member of ORDER BY."""

    path: str
    down: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A parsed query. `narrow`: what must hold for an indexed path, if anything."""

    object: str
    fields: Sequence[str]
    count: bool
    test: Test
    paths: Sequence[str]
    narrow: Mapping[str, Sequence[Any]]
    order: Sequence[Order]
    limit: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class _Condition:
    test: Test
    narrow: Mapping[str, Sequence[Any]]


class _Parser:
    def __init__(self, soql: str) -> None:
        self.words: list[tuple[str, str]] = []
        self.paths: list[str] = []
        place = 0
        while place < len(soql.rstrip()):
            match = WORDS.match(soql, place)
            if match is None:
                raise _malformed(soql[place : place + 20])
            self.words.append((str(match.lastgroup), match[str(match.lastgroup)]))
            place = match.end()
        self.at = 0

    def peek(self) -> str:
        return self.words[self.at][1].upper() if self.at < len(self.words) else ""

    def take(self, kind: str = "") -> str:
        if self.at >= len(self.words) or (kind and self.words[self.at][0] != kind):
            raise _malformed(self.peek() or "the end")
        self.at += 1
        return self.words[self.at - 1][1]

    def accept(self, *words: str) -> bool:
        found = [self.words[self.at + i][1].upper() for i in range(len(words)) if self.at + i < len(self.words)]
        if found != list(words):
            return False
        self.at += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise _malformed(self.peek() or "the end")

    def path(self) -> str:
        name = self.take("name")
        self.paths.append(name)
        return name

    def query(self) -> Query:
        self.expect("SELECT")
        count, fields = self._fields()
        self.expect("FROM")
        object_ = self.take("name")
        where = self.either() if self.accept("WHERE") else _Condition(lambda _read: True, {})
        order = self._order() if self.accept("ORDER", "BY") else []
        limit = int(self.take("number")) if self.accept("LIMIT") else None
        offset = int(self.take("number")) if self.accept("OFFSET") else 0
        if self.at != len(self.words):
            raise _malformed(self.peek())
        return Query(
            object=object_, fields=fields, count=count, test=where.test, narrow=where.narrow,
            paths=self.paths, order=order, limit=limit, offset=offset,
        )  # fmt: skip

    def _fields(self) -> tuple[bool, list[str]]:
        if self.accept("COUNT", "(", ")"):
            return True, []
        fields = [self.path()]
        while self.accept(","):
            fields.append(self.path())
        return False, fields

    def _order(self) -> list[Order]:
        orders = []
        while True:
            path = self.path()
            down = self.accept("DESC") or (self.accept("ASC") and False)
            _ = self.accept("NULLS", "FIRST") or self.accept("NULLS", "LAST")
            orders.append(Order(path, down))
            if not self.accept(","):
                return orders

    def either(self) -> _Condition:
        sides = [self.both()]
        while self.accept("OR"):
            sides.append(self.both())
        if len(sides) == 1:
            return sides[0]
        tests = [side.test for side in sides]
        return _Condition(lambda read: any(test(read) for test in tests), {})

    def both(self) -> _Condition:
        sides = [self.one()]
        while self.accept("AND"):
            sides.append(self.one())
        tests = [side.test for side in sides]
        narrow = {path: values for side in sides for path, values in side.narrow.items()}
        return _Condition(lambda read: all(test(read) for test in tests), narrow)

    def one(self) -> _Condition:
        if self.accept("NOT"):
            inner = self.one().test
            return _Condition(lambda read: not inner(read), {})
        if self.accept("("):
            condition = self.either()
            self.expect(")")
            return condition
        return self._comparison(self.path())

    def _comparison(self, path: str) -> _Condition:
        if self.accept("NOT", "IN"):
            outside = _folded(self._values())
            return _Condition(lambda read: _fold(read(path)) not in outside, {})
        if self.accept("IN"):
            values = self._values()
            inside = _folded(values)
            return _Condition(lambda read: _fold(read(path)) in inside, {path: values})
        if self.accept("LIKE"):
            like = re.compile(_like(str(self._value())), re.IGNORECASE | re.DOTALL)
            return _Condition(lambda read: like.fullmatch(str(read(path) or "")) is not None, {})
        sign = self.take("sign")
        value = self._value()
        if sign not in SIGNS:
            raise _malformed(sign)
        test, wanted = SIGNS[sign], _fold(value)
        narrow = {path: [value]} if sign == "=" and value is not None else {}
        return _Condition(lambda read: test(_fold(read(path)), wanted), narrow)

    def _values(self) -> list[Any]:
        self.expect("(")
        values = [self._value()]
        while self.accept(","):
            values.append(self._value())
        self.expect(")")
        return values

    def _value(self) -> Any:
        kind, word = self.words[self.at] if self.at < len(self.words) else ("", "the end")
        self.at += 1
        if kind == "text":
            return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), word[1:-1])
        if kind == "number":
            return Decimal(word)
        if kind == "moment":
            return f"{word[:19]}.000+0000"
        if kind == "day":
            return word
        if word.upper() in CONSTANTS:
            return CONSTANTS[word.upper()]
        raise _malformed(word)


def parse(soql: str) -> Query:
    """Parse a query. Raises `Problem` MALFORMED_QUERY."""
    return _Parser(soql).query()


ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}
SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left is not None and left < right,
    "<=": lambda left, right: left is not None and left <= right,
    ">": lambda left, right: left is not None and left > right,
    ">=": lambda left, right: left is not None and left >= right,
}


def _fold(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _folded(values: Sequence[Any]) -> frozenset[Any]:
    return frozenset(_fold(value) for value in values)


def _like(pattern: str) -> str:
    return "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern)


def _malformed(near: str) -> Problem:
    return Problem("MALFORMED_QUERY", f"unexpected token: '{near}'")
