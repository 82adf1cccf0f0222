"""Reads YAML without implicit types, keeping the place of every key and value.

Every scalar is text: `0410` and `NO` stay what they are. Size, depth and the expansion of aliases are bounded
before anything is built, so a hostile file is a fault and not an outage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from concordat.core.language.fault import Fault, Loc

__all__ = ["Place", "Source", "read"]

MOST_CHARACTERS = 500_000
MOST_LEVELS = 20
MOST_NODES = 20_000

try:
    from yaml import CBaseLoader as _Loader
except ImportError:  # libyaml is absent: slower, the same meaning
    from yaml import BaseLoader as _Loader  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a key and its value stand; lines and columns count from 1."""

    key: tuple[int, int]
    value: tuple[int, int]
    text_at: int | None = None
    """Column at which the text itself begins, when it stands on one line as written."""


@dataclass(kw_only=True, slots=True)
class Source:
    """A document as plain data, and the place of everything in it."""

    file: str
    data: Any = None
    places: dict[Loc, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _nodes: int = 0

    def at(self, loc: Loc, *, key: bool = False) -> tuple[int, int]:
        """Return the place of `loc`, or of the nearest thing around it."""
        place = self.places[self.nearest(loc)]
        return place.key if key else place.value

    def nearest(self, loc: Loc) -> Loc:
        """Return the part of `loc` that the document has, leaving out what a model put in between."""
        found: Loc = ()
        for part in loc:
            if (*found, part) in self.places:
                found = (*found, part)
        return found


def read(text: str, file: str) -> Source:
    """Read one document. Faults of the YAML itself are in `faults`; then `data` may be None."""
    source = Source(file=file, places={(): Place(key=(1, 1), value=(1, 1))})
    node = _composed(text, source)
    if node is not None:
        source.data = _value(node, (), source, frozenset())
    return source


def _composed(text: str, source: Source) -> yaml.Node | None:
    if len(text) > MOST_CHARACTERS:
        _add(source, (1, 1), "yaml-too-large", f"The file has more than {MOST_CHARACTERS} characters")
        return None
    try:
        if _too_deep(text, source):
            return None
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        _add(source, _mark(error.problem_mark or error.context_mark), "yaml-syntax", _sentence(error))
        return None
    except (yaml.YAMLError, ValueError) as error:
        _add(source, (1, 1), "yaml-syntax", str(error).partition("\n")[0])
        return None
    if node is None:
        _add(source, (1, 1), "empty-file", "The file holds no contract", "Begin with `contract: <name>`.")
    return node


def _too_deep(text: str, source: Source) -> bool:
    """Walk the events first: building a tree of hostile depth would exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent))
        depth -= isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent))
        if depth > MOST_LEVELS:
            _add(source, _mark(event.start_mark), "yaml-too-deep", f"Nesting deeper than {MOST_LEVELS} levels")
            return True
    return False


def _value(node: yaml.Node, loc: Loc, source: Source, above: frozenset[int]) -> Any:
    source._nodes += 1  # noqa: SLF001 - the count belongs to this reading
    if source._nodes > MOST_NODES or id(node) in above:  # noqa: SLF001
        if not any(fault.code == "yaml-alias" for fault in source.faults):
            _add(source, _mark(node.start_mark), "yaml-alias", "Aliases repeat themselves or expand too far")
        return ""
    above |= {id(node)}
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, loc, source, above)
    if isinstance(node, yaml.SequenceNode):
        return [_item(item, (*loc, at), source, above) for at, item in enumerate(node.value)]
    return str(node.value)


def _item(node: yaml.Node, loc: Loc, source: Source, above: frozenset[int]) -> Any:
    start = _mark(node.start_mark)
    source.places[loc] = Place(key=start, value=start, text_at=_text_at(node))
    return _value(node, loc, source, above)


def _mapping(node: yaml.MappingNode, loc: Loc, source: Source, above: frozenset[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in _pairs(node, source):
        name = str(key.value)
        if name in found:
            _add(
                source,
                _mark(key.start_mark),
                "duplicate-key",
                f"`{name}` is there already",
                f"Merge it into line {source.places[(*loc, name)].key[0]}.",
            )
            continue
        source.places[(*loc, name)] = Place(
            key=_mark(key.start_mark), value=_mark(value.start_mark), text_at=_text_at(value)
        )
        found[name] = _value(value, (*loc, name), source, above)
    return found


def _pairs(node: yaml.MappingNode, source: Source) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield key, value
        else:
            _add(source, _mark(key.start_mark), "yaml-syntax", "A key is a word", "Quote the text in braces.")


def _text_at(node: yaml.Node) -> int | None:
    if not isinstance(node, yaml.ScalarNode) or node.start_mark.line != node.end_mark.line:
        return None
    column = node.start_mark.column + 1
    return column if node.style is None else column + 1


def _mark(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _sentence(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return ", ".join(parts)[:1].upper() + ", ".join(parts)[1:]


def _add(source: Source, at: tuple[int, int], code: str, message: str, remedy: str = "") -> None:
    advice = remedy or "Correct the YAML; nothing else was read."
    fault = Fault(file=source.file, line=at[0], column=at[1], code=code, message=message, remedy=advice)
    source.faults.append(fault)
