"""A fault of a contract: where it is, what is wrong and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Fault", "Loc", "Severity", "didyoumean"]

Loc = tuple[str | int, ...]
"""Keys and positions from the top of the document."""
Severity = Literal["error", "later", "warning"]
"""`error` and `later` keep a contract from being loaded; a warning is advice."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Fault:
    """One fault. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    code: str
    message: str
    remedy: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message}. {self.remedy}".rstrip()

    def to_json(self) -> dict[str, str | int]:
        """Return the form that `check --report` writes."""
        return asdict(self)


def didyoumean(near: str, words: Sequence[str]) -> str:
    """Return the nearest-name hint, or the words there are to choose from."""
    return near or (f"Use one of {', '.join(words)}." if words else "")
