"""Finds what is wrong with an expression before any record is seen: kinds, functions, money, dates, words."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz import process

from concordat.core.expressions.functions import FUNCTIONS
from concordat.core.expressions.rule import Rule
from concordat.core.expressions.syntax import Node, walk
from concordat.core.money import Money
from concordat.errors import Invalid

__all__ = ["Known", "Look", "Problem", "examine", "nearest"]

_ORDER = ("<", "<=", ">", ">=")
_ARITHMETIC = ("+", "-", "*", "/", "%")
_LITERALS = {"text": "text", "number": "int", "bool": "bool", "null": "null", "list": "list"}
_MONEY_PAIRS = ("cmp", "add", "sub")
_PAIR = 2
_LOGIC = ("&&", "||")
_FLOAT = re.compile(r"[0-9]*(?:\.[0-9]+(?:[eE].*)?|[eE].*)")
_CIVIL = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_FORMS = {"date": (_CIVIL, "2026-11-30"), "instant": (_INSTANT, "2026-11-30T10:00:00Z")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known about a path: its kind, and the words it may hold when they are a closed set."""

    kind: str = "any"
    """text, int, bool, money, decimal, date, instant, ref, list, record, or any."""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong, at an offset of the text."""

    code: str
    message: str
    remedy: str
    at: int


Look = Callable[[str], Known]


def nearest(word: str, words: Sequence[str]) -> str:
    """Return `Did you mean x?` for the nearest of some words, or an empty text."""
    found = process.extractOne(word, words, score_cutoff=65)
    return f"Did you mean `{found[0]}`?" if found else ""


def examine(rule: Rule, look: Look, *, truth: bool) -> tuple[Problem, ...]:
    """Return every problem of an expression; with `truth` it must answer true or false."""
    problems = [problem for node in walk(rule.tree) for problem in _of_node(node, look)]
    kind = _kind(rule.tree, look)
    if truth and not problems and kind not in ("bool", "any"):
        problems.append(_wrong(rule.tree, kind))
    return tuple(problems)


def _wrong(node: Node, kind: str) -> Problem:
    return Problem(
        code="not-a-rule",
        message=f"This gives {kind}, not true or false",
        remedy="Compare it with something, for instance with ==.",
        at=node.at,
    )


def _of_node(node: Node, look: Look) -> Iterator[Problem]:
    if node.kind == "call":
        yield from _of_call(node)
        yield from _of_amounts(node, look)
    elif node.kind == "binary":
        yield from _of_binary(node, look)
    elif node.kind == "unary":
        yield from _of_arithmetic(node, look) if node.word == "-" else _of_logic(node, look)
    elif node.kind == "index" and node.args[0].kind == "path" and node.args[1].kind == "text":
        path = f"{node.args[0].word}.{_text(node.args[1])}"
        yield Problem(code="rule-index", message="A field is read by its name", remedy=f"Write `{path}`.", at=node.at)
    elif node.kind == "number" and _FLOAT.fullmatch(node.word):
        yield Problem(
            code="rule-float",
            message=f"{node.word} is a floating-point number",
            remedy='Compare decimals with cmp(a, "1.5"), amounts with cmp(a, money("1.50 EUR")).',
            at=node.at,
        )


def _of_call(node: Node) -> Iterator[Problem]:
    function = FUNCTIONS.get(node.word)
    if function is None:
        hint = nearest(node.word, tuple(FUNCTIONS))
        remedy = hint or f"Use one of {', '.join(FUNCTIONS)}."
        yield Problem(code="unknown-function", message=f"No function `{node.word}`", remedy=remedy, at=node.at)
    elif function.later:
        yield Problem(
            code="not-yet",
            message=f"The function `{node.word}` is known and runs in a later release",
            remedy="Keep it; the contract is checked and not loaded.",
            at=node.at,
        )
    elif not function.least <= len(node.args) <= function.most:
        yield Problem(
            code="wrong-arguments",
            message=f"`{node.word}` has {len(node.args)} arguments",
            remedy=function.says,
            at=node.at,
        )
    elif node.word == "money" and node.args[0].kind == "text":
        yield from _of_amount(node.args[0])


def _of_amounts(node: Node, look: Look) -> Iterator[Problem]:
    """Check that money meets money: `cmp(amount, 5)` has no answer."""
    if node.word not in _MONEY_PAIRS or len(node.args) != _PAIR:
        return
    kinds = {_kind(arg, look) for arg in node.args}
    if not kinds <= {"money", "any"} and ("money" in kinds or node.word != "cmp"):
        yield _amounts(node)


def _of_amount(literal: Node) -> Iterator[Problem]:
    try:
        Money.parse(_text(literal))
    except Invalid as error:
        yield Problem(code="bad-money", message=error.message, remedy=error.remedy, at=literal.at)


def _of_binary(node: Node, look: Look) -> Iterator[Problem]:
    if node.word in _LOGIC:
        yield from _of_logic(node, look)
    elif node.word in _ARITHMETIC:
        yield from _of_arithmetic(node, look)
    else:
        yield from _of_comparison(node, look)


def _of_logic(node: Node, look: Look) -> Iterator[Problem]:
    for arg in node.args:
        kind = _kind(arg, look)
        if kind not in ("bool", "any"):
            yield _wrong(arg, kind)


def _of_arithmetic(node: Node, look: Look) -> Iterator[Problem]:
    kinds = [_kind(arg, look) for arg in node.args]
    if "money" in kinds:
        yield Problem(
            code="money-arithmetic",
            message=f"`{node.word}` is not allowed on money",
            remedy="Use add(a, b), sub(a, b), sum(list, field) or share(a, part, whole).",
            at=node.at,
        )
    elif "decimal" in kinds:
        yield _decimal(node)


def _of_comparison(node: Node, look: Look) -> Iterator[Problem]:
    left, right = node.args
    kinds = (_kind(left, look), _kind(right, look))
    if "null" in kinds:
        yield Problem(
            code="null-comparison",
            message="An empty field is missing, never null",
            remedy="Write has(record.field) or !has(record.field).",
            at=node.at,
        )
    elif "money" in kinds and (node.word in _ORDER or not set(kinds) <= {"money", "any", "list"}):
        yield _amounts(node)
    elif "decimal" in kinds and node.word in _ORDER:
        yield _decimal(node)
    else:
        yield from _of_words(left, right, look)
        yield from _of_words(right, left, look)


def _amounts(node: Node) -> Problem:
    return Problem(
        code="money-comparison",
        message=f"`{node.word}` does not compare money",
        remedy='Write cmp(a, money("100.00 EUR")) > 0.',
        at=node.at,
    )


def _decimal(node: Node) -> Problem:
    return Problem(
        code="decimal-comparison",
        message=f"`{node.word}` would compare a decimal number as text",
        remedy='Write cmp(a, "120.0") > 0.',
        at=node.at,
    )


def _of_words(path: Node, other: Node, look: Look) -> Iterator[Problem]:
    """Check literals against the closed set or the form of the field beside them."""
    if path.kind != "path":
        return
    known = look(path.word)
    literals = other.args if other.kind == "list" else (other,)
    for literal in literals:
        if literal.kind == "text":
            yield from _of_literal(path.word, known, literal)


def _of_literal(path: str, known: Known, literal: Node) -> Iterator[Problem]:
    word = _text(literal)
    if known.choices and word not in known.choices:
        remedy = nearest(word, known.choices) or f"It is one of {', '.join(known.choices)}."
        yield Problem(code="unknown-word", message=f"`{path}` is never {word!r}", remedy=remedy, at=literal.at)
    form = _FORMS.get(known.kind)
    if form and not form[0].fullmatch(word):
        yield Problem(
            code="bad-date",
            message=f"{word!r} is not written as `{path}` is",
            remedy=f'Write it as "{form[1]}".',
            at=literal.at,
        )


def _kind(node: Node, look: Look) -> str:
    if node.kind == "path":
        return look(node.word).kind
    if node.kind == "call":
        function = FUNCTIONS.get(node.word)
        return function.gives if function else "any"
    if node.kind == "choice":
        kinds = {_kind(arg, look) for arg in node.args[1:]}
        return kinds.pop() if len(kinds) == 1 else "any"
    if node.kind in ("unary", "binary"):
        return "any" if node.word in _ARITHMETIC else "bool"
    return _LITERALS.get(node.kind, "any")


def _text(literal: Node) -> str:
    """Return what a text literal says; an unusual spelling is returned as written."""
    try:
        said = ast.literal_eval(literal.word.lstrip("rRbB"))
    except (ValueError, SyntaxError):
        return literal.word
    return said if isinstance(said, str) else literal.word
