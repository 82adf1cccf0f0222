"""The part of SuiteQL that the twin understands: parse a SELECT once, then test and project records.

SELECT columns or TO_CHAR(…) [AS name] FROM one table WHERE … AND … ORDER BY. Comparisons: = != < <= > >= IN,
LIKE, IS NULL, IS NOT NULL; UPPER(column) and SYS_EXTRACT_UTC(column) on the left; text, numbers and
TO_TIMESTAMP('…', '…') or UPPER('…') on the right. Column names in answers are lower case, nulls are left out, every
value is text, flags are T or F, dates come in the account's format unless TO_CHAR says otherwise
(src: cli.suiteportal.io SuiteQL gotchas; ns-online-help section_157909186990; vendors' public queries use
TO_CHAR(SYS_EXTRACT_UTC(lastmodifieddate), …)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from concordat.twins.netsuite.schema import RecordType, lowered, problem, record_type

__all__ = ["Query", "parse", "shown"]

WORDS = re.compile(
    r"\s*(?:(?P<text>'(?:''|[^'])*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)"
    r"|(?P<sign><=|>=|!=|<>|[=<>(),]))"
)
Read = Callable[[str], Any]
Test = Callable[[Read], bool]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the answer; `format` is TO_CHAR's."""

    name: str
    field: str
    format: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A parsed query. `narrow` gives, for an indexed field, the values that can match."""

    type: RecordType
    columns: Sequence[Column]
    tests: Sequence[Test]
    narrow: Mapping[str, Sequence[str]]
    order: Sequence[tuple[str, bool]]


class _Parser:
    def __init__(self, sql: str) -> None:
        self.words: list[tuple[str, str]] = []
        place, sql = 0, sql.strip()
        while place < len(sql):
            match = WORDS.match(sql, place)
            if match is None:
                raise _malformed(sql[place : place + 20])
            self.words.append((str(match.lastgroup), match[str(match.lastgroup)]))
            place = match.end()
        self.at = 0
        self.fields: Mapping[str, str] = {}
        self.narrow: dict[str, Sequence[str]] = {}

    def accept(self, *words: str) -> bool:
        found = [word.upper() for _, word in self.words[self.at : self.at + len(words)]]
        if found != list(words):
            return False
        self.at += len(words)
        return True

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise _malformed(self._here())

    def take(self, kind: str) -> str:
        if self.at >= len(self.words) or self.words[self.at][0] != kind:
            raise _malformed(self._here())
        self.at += 1
        return self.words[self.at - 1][1]

    def query(self) -> Query:
        self.expect("SELECT")
        chosen = self._list(self._column)
        self.expect("FROM")
        kind = _table(self.take("name"))
        self.fields = lowered(kind)
        columns = [Column(name, self._field(path), form) for name, path, form in chosen]
        tests = [self._condition()] if self.accept("WHERE") else []
        while tests and self.accept("AND"):
            tests.append(self._condition())
        order = self._list(self._order) if self.accept("ORDER", "BY") else []
        if self.at != len(self.words):
            raise _malformed(self._here())
        return Query(type=kind, columns=columns, tests=tests, narrow=self.narrow, order=order)

    def _column(self) -> tuple[str, str, str]:
        form = ""
        if self.accept("TO_CHAR", "("):
            path = self._path()
            self.expect(",")
            form = self.take("text")[1:-1]
            self.expect(")")
        else:
            path = self._path()
        name = self.take("name") if self.accept("AS") else path
        return name.lower(), path, form

    def _path(self) -> str:
        if self.accept("SYS_EXTRACT_UTC", "(") or self.accept("UPPER", "("):
            path = self.take("name")
            self.expect(")")
        else:
            path = self.take("name")
        return path.rpartition(".")[2].lower()

    def _condition(self) -> Test:
        upper = self.words[self.at : self.at + 1] == [("name", "UPPER")]
        field = self._field(self._path())
        left = (lambda read: _upper(str(read(field) or ""))) if upper else (lambda read: read(field))
        if self.accept("IS", "NOT", "NULL"):
            return lambda read: left(read) is not None
        if self.accept("IS", "NULL"):
            return lambda read: left(read) is None
        if self.accept("IN", "("):
            values = self._list(self._value)
            self.expect(")")
            inside = frozenset(values)
            self._narrows(field, values, upper=upper)
            return lambda read: left(read) in inside
        if self.accept("LIKE"):
            like = re.compile(_like(self._value()), re.DOTALL)
            return lambda read: like.fullmatch(str(left(read) or "")) is not None
        return self._comparison(field, left, upper=upper)

    def _comparison(self, field: str, left: Callable[[Read], Any], *, upper: bool) -> Test:
        sign, value = self.take("sign"), self._value()
        if sign not in SIGNS:
            raise _malformed(sign)
        if sign == "=":
            self._narrows(field, [value], upper=upper)
        test = SIGNS[sign]
        return lambda read: left(read) is not None and test(_alike(left(read), value))

    def _narrows(self, field: str, values: Sequence[str], *, upper: bool) -> None:
        if field in {"id", "externalId"} and not upper:
            if len(values) > 1000:
                raise _malformed("more than 1000 members of IN")
            self.narrow[field] = values

    def _order(self) -> tuple[str, bool]:
        field = self._field(self._path())
        down = self.accept("DESC")
        if not down:
            self.accept("ASC")
        return field, down

    def _value(self) -> str:
        if self.accept("TO_TIMESTAMP", "(") or self.accept("TO_DATE", "("):
            text = self.take("text")[1:-1]
            self.expect(",")
            self.take("text")
            self.expect(")")
            return text.replace(" ", "T") + ("Z" if " " in text else "")
        if self.accept("UPPER", "("):
            text = _upper(self._value())
            self.expect(")")
            return text
        kind = self.words[self.at][0] if self.at < len(self.words) else "text"
        word = self.take("number" if kind == "number" else "text")
        return word if kind == "number" else word[1:-1].replace("''", "'")

    def _list(self, member: Callable[[], Any]) -> list[Any]:
        members = [member()]
        while self.accept(","):
            members.append(member())
        return members

    def _field(self, path: str) -> str:
        if path not in self.fields:
            raise _malformed(f"Unknown identifier '{path}'")
        return self.fields[path]

    def _here(self) -> str:
        return self.words[self.at][1] if self.at < len(self.words) else "the end"


SIGNS: Mapping[str, Callable[[tuple[Any, Any]], bool]] = {
    "=": lambda pair: pair[0] == pair[1],
    "!=": lambda pair: pair[0] != pair[1],
    "<>": lambda pair: pair[0] != pair[1],
    "<": lambda pair: pair[0] < pair[1],
    "<=": lambda pair: pair[0] <= pair[1],
    ">": lambda pair: pair[0] > pair[1],
    ">=": lambda pair: pair[0] >= pair[1],
}


def parse(sql: str) -> Query:
    """Parse a query. Refuses INVALID_PARAMETER for what it cannot read."""
    return _Parser(sql).query()


def shown(kind: str, value: Any, form: str = "") -> str:
    """Give a value as SuiteQL's answer writes it."""
    if form and kind in {"day", "moment"}:
        at = datetime.fromisoformat(str(value))
        return at.strftime(re.sub("|".join(PARTS), lambda match: PARTS[match[0]], form).replace('"', ""))
    if kind in {"day", "moment"}:
        day = date.fromisoformat(str(value)[:10])
        return f"{day.month}/{day.day}/{day.year}"
    if kind == "flag":
        return "T" if value else "F"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


PARTS = {"YYYY": "%Y", "MM": "%m", "DD": "%d", "HH24": "%H", "MI": "%M", "SS": "%S"}


def _alike(left: Any, right: str) -> tuple[Any, Any]:
    if isinstance(left, bool):
        return ("T" if left else "F"), right
    if isinstance(left, str) and left.isdigit() and right.isdigit():
        return int(left), int(right)
    return (left, Decimal(right)) if isinstance(left, Decimal) else (str(left), right)


def _upper(text: str) -> str:
    """Make letters large as Oracle does: one for one, so ß stays."""
    return "".join(letter.upper() if len(letter.upper()) == 1 else letter for letter in text)


def _table(name: str) -> RecordType:
    try:
        return record_type(name)
    except Exception as error:
        raise _malformed(f"Record '{name}' was not found") from error


def _like(pattern: str) -> str:
    return "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)


def _malformed(near: str) -> Exception:
    detail = f"Invalid search query. Detailed unprocessed description follows. Search error occurred: {near}."
    return problem(400, "INVALID_PARAMETER", detail, query="q")
