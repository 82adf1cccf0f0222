"""Translating a page of a vendor's records: one that cannot be translated stops itself, never the page.

records = each(rows, lambda row: record(kind, row), object_="client", ref=lambda row: row["id"])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from concordat.errors import Rejected
from concordat.sdk.spec import SourceRecord

__all__ = ["each"]

T = TypeVar("T")
POISON = (Rejected, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""What a translation raises over a record that is not as the vendor documents it."""


def each(
    rows: Sequence[T], translate: Callable[[T], SourceRecord], *, object_: str, ref: Callable[[T], Any]
) -> list[SourceRecord]:
    """Translate each row; one that fails is a record with a `fault`.

    When all of several fail it is not the records but their shape that changed: the first error is raised, and nothing
    of the page is taken. So is the error of a row that has not even an id.
    """
    faults: list[Exception] = []
    made = [_one(row, translate, (object_, ref), faults) for row in rows]
    if len(faults) == len(rows) > 1:
        raise faults[0]
    return made


def _one(
    row: T, translate: Callable[[T], SourceRecord], what: tuple[str, Callable[[T], Any]], faults: list[Exception]
) -> SourceRecord:
    try:
        return translate(row)
    except POISON as error:
        faults.append(error)
        try:
            id_ = str(what[1](row))
        except POISON:
            raise error from None
        return SourceRecord(object=what[0], ref=id_, version="", fault=f"{type(error).__name__}: {error}")
