"""What the semantic checks of one contract share: its names, its objects, and where to report."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concordat.core.contract import Contract, LostPath, follow, object_behind
from concordat.core.expressions import BadExpression, Rule, compile_rule, examine
from concordat.core.expressions.kinds import Known, nearest
from concordat.core.language.fault import Fault, Loc, Severity, didyoumean
from concordat.core.language.mend import UNNAMED
from concordat.core.language.source import Source
from concordat.core.objects import OBJECTS, FieldFact

__all__ = ["Desk"]

_KINDS = {"number": "decimal", "whole": "int", "flag": "bool", "choice": "text"}


@dataclass(kw_only=True)
class Desk:
    """One contract on the table: names as written, also of parts that did not fit the model."""

    contract: Contract
    source: Source
    systems: Collection[str] | None
    records: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    undoes: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict)
    """(connection, object) to the words of `undo` that its target can do, where the firm's systems are known."""
    _told: set[tuple[Loc, str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, contract: Contract, source: Source, systems: Collection[str] | None) -> Desk:
        """Lay out the names of a contract."""
        data = source.data if isinstance(source.data, dict) else {}
        return cls(
            contract=contract,
            source=source,
            systems=systems,
            records=_either(contract.records, _names(data, "with")),
            steps=_either(contract.steps, _names(data, "steps")),
            collections=(*_either(contract.gather, _names(data, "gather")), *_documents(contract)),
        )

    def tell(
        self,
        loc: Loc,
        code: str,
        message: str,
        remedy: str = "",
        *,
        key: bool = False,
        offset: int = 0,
        severity: Severity = "error",
    ) -> None:
        """Report a fault at a place; `offset` is the position inside an expression."""
        if (loc, code, message) in self._told:
            return
        self._told.add((loc, code, message))
        line, column = self.source.at(loc, key=key)
        place = self.source.places.get(loc)
        if place and place.text_at is not None and not key and offset:
            column = place.text_at + offset
        self.source.faults.append(
            Fault(
                file=self.source.file,
                line=line,
                column=column,
                code=code,
                message=message,
                remedy=remedy,
                severity=severity,
            )
        )

    def silent(self, loc: Loc) -> bool:
        """Tell whether nothing was reported at this place yet."""
        return all(told != loc for told, _, _ in self._told)

    def named(self, loc: Loc, name: str, names: Sequence[str], code: str, what: str, *, key: bool = False) -> bool:
        """Check that a name is one of `names`."""
        if name in names or name == UNNAMED:
            return True
        self.tell(loc, code, f"No {what} `{name}`", didyoumean(nearest(name, names), names), key=key)
        return False

    def object(self, loc: Loc, name: str) -> bool:
        """Check that a canonical object exists."""
        if name in OBJECTS or name == UNNAMED:
            return True
        near = nearest(name, tuple(OBJECTS)) or "The reference lists the canonical objects."
        self.tell(loc, "unknown-object", f"No canonical object `{name}`", near)
        return False

    def system(self, loc: Loc, name: str) -> None:
        """Check that a connection exists, when the connections are known."""
        if self.systems is not None:
            self.named(loc, name, sorted(self.systems), "unknown-system", "connection")

    def rule(self, loc: Loc, text: str, *, more: Sequence[str] = (), truth: bool = True) -> Rule | None:
        """Check an expression and everything it refers to."""
        try:
            rule = compile_rule(text)
        except BadExpression as error:
            self.tell(loc, error.code, error.message, error.remedy, offset=error.at)
            return None
        for path in rule.paths:
            self._path(loc, path, rule, more)
        for problem in examine(rule, lambda path: self.known(path, more), truth=truth):
            severity: Severity = "later" if problem.code == "not-yet" else "error"
            self.tell(loc, problem.code, problem.message, problem.remedy, offset=problem.at, severity=severity)
        return rule

    def field(self, loc: Loc, text: str) -> None:
        """Check that a text is the path of a field, nothing else."""
        rule = self.rule(loc, text, truth=False)
        if rule is not None and not (rule.pure and "." in text):
            self.tell(loc, "not-a-field", f"`{text}` is not the path of a field", "Write `record.field`.")

    def known(self, path: str, more: Sequence[str] = ()) -> Known:
        """Return kind and choices of a path; what cannot be known is `any`."""
        fact = self.fact(path, more)
        if fact is None:
            return Known()
        return Known(kind=_KINDS.get(fact.kind, fact.kind), choices=fact.choices)

    def fact(self, path: str, more: Sequence[str] = ()) -> FieldFact | None:
        """Return the canonical field at a path, or None."""
        root, *parts = path.split(".")
        object_ = self.object_at(root, more)
        if object_ is None or not parts:
            return None
        try:
            return follow(object_, parts)
        except LostPath:
            return None

    def object_at(self, root: str, more: Sequence[str] = ()) -> str | None:
        """Return the canonical object behind the first word of a path."""
        if root in more and root in OBJECTS:
            return root
        found = object_behind(root, self.contract.subject, self.contract.with_)
        return found if found in OBJECTS else None

    def _path(self, loc: Loc, path: str, rule: Rule, more: Sequence[str]) -> None:
        root, *parts = path.split(".")
        roots = (*self.records, *self.collections, *more)
        offset = max(rule.text.find(path), 0)
        if self.contract.subject not in OBJECTS or root in ("true", "false"):
            return
        if root not in roots:
            near = nearest(root, roots) or f"Rules here start with {', '.join(roots)}."
            self.tell(loc, "unknown-record", f"No record `{root}`", near, offset=offset)
            return
        object_ = self.object_at(root, more)
        if object_ is None or not parts:
            return
        try:
            follow(object_, parts)
        except LostPath as error:
            self.tell(loc, "unknown-field", error.message, self._remedy(object_, root, parts, error), offset=offset)

    def _remedy(self, object_: str, root: str, parts: Sequence[str], error: LostPath) -> str:
        before = parts[: parts.index(error.word)]
        through = self.fact(".".join((root, *before))) if before else None
        if through is not None and through.kind == "reference":
            name, path = before[-1], ".".join((root, *before))
            return f"That is a reference: write `{name}: {path}` under `with` and `{name}.{error.word}` here."
        return nearest(error.word, error.words) or f"`{object_}` is described in the reference."


def _documents(contract: Contract) -> tuple[str, ...]:
    return ("document",) if contract.document is not None else ()


def _either(fit: Iterable[str], written: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys((*fit, *written)) if name != UNNAMED)


def _names(data: dict[str, Any], word: str) -> tuple[str, ...]:
    under = data.get(word)
    return tuple(under) if isinstance(under, dict) else ()
