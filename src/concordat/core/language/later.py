"""The one table of what the language knows and this release does not run yet.

`check` reports such a word as `not-yet`: the contract is read and checked, and not loaded.
A release that runs a word takes its line out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from concordat.core.language.fault import Loc

__all__ = ["LATER", "later"]

ANY = "*"

LATER: Mapping[tuple[str, ...], str] = {
    ("opens",): "A calendar that creates the subject",
    ("gather",): "A frozen collection",
    ("gate",): "A check with a fate",
    ("document",): "Grouping into documents and lines",
    ("price",): "The comparison of prices",
    ("money",): "Rounding, tax and rate rules",
    ("value_maps",): "A value map",
    ("with", ANY, "as_of"): "A relation as of a business date",
    ("with", ANY, "match"): "A relation as of a business date",
    ("steps", ANY, "await"): "A step that waits for a fact, an approval, a decision or a handoff",
    ("steps", ANY, "act"): "A step that posts, sends or voids",
    ("steps", ANY, "approve"): "An approval",
    ("steps", ANY, "choices"): "A decision that is not yes or no",
    ("steps", ANY, "allows"): "A review that changes lines",
    ("steps", ANY, "fact"): "A step that waits for a fact",
    ("steps", ANY, "handoff"): "A step that waits for a handoff",
    ("steps", ANY, "guard"): "The guard of an act",
    ("steps", ANY, "entity"): "The books of a legal entity",
    ("steps", ANY, "ledger"): "A subledger's lock",
    ("steps", ANY, "book"): "An accounting basis",
    ("steps", ANY, "dated"): "A business date of posting",
    ("steps", ANY, "if_different"): "A check that compares",
    ("steps", ANY, "if_found"): "A check that proposes",
    ("steps", ANY, "to"): "A proposal of a step",
    ("steps", ANY, "reverses"): "A reversal",
    ("steps", ANY, "accounts"): "A check of balances",
    ("steps", ANY, "keep_until"): "Retention",
    ("steps", ANY, "share"): "A split",
    ("steps", ANY, "mirror"): "A document that mirrors another",
    ("late_change", ANY, "by_state"): "A reaction per state of the target document",
    ("service_levels", ANY, "pauses_while"): "A clock that stands still",
    ("cases", "fixed_fields"): "Fields that nobody may type in a case",
    ("reconcile", "totals"): "Control totals",
    ("reconcile", "tie_out"): "Subledger against ledger",
}
"""Place of the word, and what it is for people."""

_WORDS: Mapping[tuple[str, ...], Mapping[str, str]] = {
    ("undo", ANY): {
        "propose": "An undo that proposes",
        "reverse": "A reversal",
        "delete_draft": "Deleting a draft",
        "reopen": "Re-opening",
        "unlock": "Unlocking",
        "cancel": "Cancelling",
    },
    ("late_change", ANY): {"wait": "A late change that waits"},
}
"""Words that may stand in a place and do not run yet, written short or under `do`."""

QUESTIONS = frozenset({"availability"})
"""What a `check` step can ask in this release."""


def later(data: Any) -> Iterator[tuple[Loc, str]]:
    """Yield the place and the purpose of every word in `data` that does not run yet."""
    for pattern, purpose in LATER.items():
        yield from ((loc, purpose) for loc, _ in _matches(data, pattern, ()))
    for pattern, words in _WORDS.items():
        for loc, value in _matches(data, pattern, ()):
            word = value.get("do") if isinstance(value, dict) else value
            if isinstance(word, str) and word in words:
                yield loc, words[word]
    for loc, question in _matches(data, ("steps", ANY, "check"), ()):
        if isinstance(question, str) and question not in QUESTIONS:
            yield loc, "This question"


def _matches(data: Any, pattern: tuple[str, ...], loc: Loc) -> Iterator[tuple[Loc, Any]]:
    if not pattern:
        yield loc, data
        return
    head, *tail = pattern
    for key, value in _members(data):
        if head in (ANY, key):
            yield from _matches(value, tuple(tail), (*loc, key))


def _members(data: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(data, dict):
        yield from data.items()
    elif isinstance(data, list):
        yield from enumerate(data)
