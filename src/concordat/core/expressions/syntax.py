"""Reads a CEL expression into a small tree, so that `check` can see its paths, functions and operators.

The interpreter decides what an expression means; this tree only says what it touches. Bounds come first:
text of at most 2,000 characters, nesting of at most 30 levels, so that no expression can exhaust a stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from concordat.errors import Invalid

__all__ = ["MOST_CHARACTERS", "MOST_LEVELS", "BadExpression", "Node", "parse", "walk"]

MOST_CHARACTERS = 2_000
MOST_LEVELS = 30

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
      | (?P<text>[rRbB]{0,2}(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''
                              |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
      | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
_WORDS = {"true": "bool", "false": "bool", "null": "null"}
_BINDING = frozenset({"all", "exists", "exists_one", "map", "filter"})


class BadExpression(Invalid):
    """This is no expression. `code` names the fault, `at` its offset in the text."""

    def __init__(self, code: str, message: str, *, remedy: str = "", at: int = 0) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code
        self.at = at


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One piece of an expression.

    `kind` is path, local, text, number, bool, null, call, binary, unary, index, select, choice, list or map.
    """

    kind: str
    word: str = ""
    """The path, the literal as written, the function's name or the operator."""
    args: tuple[Node, ...] = ()
    """Operands; the receiver of a method call is the first."""
    at: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    kind: str
    word: str
    at: int


def parse(text: str) -> Node:
    """Return the tree of `text`, or raise `BadExpression`."""
    if len(text) > MOST_CHARACTERS:
        raise BadExpression(
            "rule-too-long",
            f"The expression has {len(text)} characters; at most {MOST_CHARACTERS} are read",
            remedy="Split it into several rules.",
        )
    return _Reader(tuple(_tokens(text)), len(text)).whole()


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and everything below it, in reading order."""
    yield node
    for arg in node.args:
        yield from walk(arg)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise BadExpression(
                "rule-syntax", f"{text[at]!r} has no meaning here", remedy="Write the rule in CEL.", at=at
            )
        kind = found.lastgroup or "space"
        if kind != "space":
            yield _Token(kind=kind, word=found[0], at=at)
        at = found.end()


class _Reader:
    """Precedence climbing over the tokens, with the names that macros bind."""

    def __init__(self, tokens: tuple[_Token, ...], end: int) -> None:
        self._tokens = tokens
        self._end = end
        self._next = 0
        self._depth = 0
        self._bound: list[str] = []

    def whole(self) -> Node:
        node = self._expression()
        if self._next < len(self._tokens):
            raise self._unexpected()
        return node

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MOST_LEVELS:
            raise BadExpression(
                "rule-too-deep",
                f"The expression nests deeper than {MOST_LEVELS} levels",
                remedy="Split it into several rules.",
                at=self._at(),
            )
        node = self._choice()
        self._depth -= 1
        return node

    def _choice(self) -> Node:
        condition = self._binary(0)
        at = self._at()
        if not self._take("?"):
            return condition
        yes = self._expression()
        self._want(":")
        return Node(kind="choice", args=(condition, yes, self._expression()), at=at)

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while (token := self._peek()) and token.kind != "text" and token.word in _LEVELS[level]:
            self._next += 1
            right = self._binary(level + 1)
            left = Node(kind="binary", word=token.word, args=(left, right), at=token.at)
        return left

    def _unary(self) -> Node:
        token = self._peek()
        if token and token.word in ("!", "-"):
            self._next += 1
            self._depth += 1
            if self._depth > MOST_LEVELS:
                raise BadExpression("rule-too-deep", "Too many signs in a row", at=token.at)
            operand = self._unary()
            self._depth -= 1
            return Node(kind="unary", word=token.word, args=(operand,), at=token.at)
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        while True:
            at = self._at()
            if self._take("."):
                node = self._selected(node, at)
            elif self._take("["):
                index = self._expression()
                self._want("]")
                node = Node(kind="index", args=(node, index), at=at)
            else:
                return node

    def _selected(self, node: Node, at: int) -> Node:
        name = self._name()
        if self._take("("):
            return Node(kind="call", word=name.word, args=(node, *self._arguments(name.word)), at=name.at)
        if node.kind in ("path", "local"):
            return Node(kind=node.kind, word=f"{node.word}.{name.word}", at=node.at)
        return Node(kind="select", word=name.word, args=(node,), at=at)

    def _primary(self) -> Node:
        token = self._peek()
        if token is None:
            raise self._unexpected()
        self._next += 1
        if token.kind in ("text", "number"):
            return Node(kind=token.kind, word=token.word, at=token.at)
        if token.kind == "name":
            return self._named(token)
        if token.word == "(":
            node = self._expression()
            self._want(")")
            return node
        if token.word == "[":
            return Node(kind="list", args=self._listed("]"), at=token.at)
        if token.word == "{":
            return Node(kind="map", args=self._entries(), at=token.at)
        self._next -= 1
        raise self._unexpected()

    def _named(self, token: _Token) -> Node:
        if token.word in _WORDS:
            return Node(kind=_WORDS[token.word], word=token.word, at=token.at)
        if token.word == "in":
            self._next -= 1
            raise self._unexpected()
        if self._take("("):
            return Node(kind="call", word=token.word, args=self._listed(")"), at=token.at)
        kind = "local" if token.word in self._bound else "path"
        return Node(kind=kind, word=token.word, at=token.at)

    def _arguments(self, method: str) -> tuple[Node, ...]:
        """Read a method's arguments; a macro's first one names the member in the others."""
        token = self._peek()
        if method not in _BINDING or token is None or token.kind != "name":
            return self._listed(")")
        self._bound.append(token.word)
        args = self._listed(")")
        self._bound.pop()
        return args

    def _listed(self, close: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(close):
            items.append(self._expression())
            if not self._take(","):
                self._want(close)
                break
        return tuple(items)

    def _entries(self) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take("}"):
            items.append(self._expression())
            self._want(":")
            items.append(self._expression())
            if not self._take(","):
                self._want("}")
                break
        return tuple(items)

    def _name(self) -> _Token:
        token = self._peek()
        if token is None or token.kind != "name":
            raise self._unexpected()
        self._next += 1
        return token

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _at(self) -> int:
        token = self._peek()
        return token.at if token else self._end

    def _take(self, sign: str) -> bool:
        token = self._peek()
        if token is None or token.kind != "sign" or token.word != sign:
            return False
        self._next += 1
        return True

    def _want(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected(f"; {sign} is missing")

    def _unexpected(self, hint: str = "") -> BadExpression:
        token = self._peek()
        found = f"{token.word} is not expected here" if token else "The expression ends too early"
        return BadExpression("rule-syntax", f"{found}{hint}", remedy="Write the rule in CEL.", at=self._at())
