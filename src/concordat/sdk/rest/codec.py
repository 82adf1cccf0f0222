"""JSON without floats: numbers with a point are Decimal on the way in, exact numbers on the way out."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

import orjson

__all__ = ["decode_json", "encode_json"]

LARGEST = 400
"""Powers of ten in a number; every double is within."""


def encode_json(value: Any) -> bytes:
    """JSON bytes. Decimal is written as an exact number; a float anywhere is a TypeError."""
    _refuse_floats(value)
    return orjson.dumps(value, default=_exact)


def decode_json(content: bytes) -> Any:
    """JSON with every number that has a point or an exponent as Decimal. Raises ValueError.

    A number that would take pages to write out, or a value nested without end, is no JSON of a vendor's.
    """
    try:
        return stdlib_json.loads(content, parse_float=_bounded, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested without end") from error


def _bounded(word: str) -> Decimal:
    number = Decimal(word)
    if abs(number.adjusted()) > LARGEST:
        raise ValueError(f"{word[:40]} is out of bounds")
    return number


def _refuse_floats(value: object) -> None:
    """Most values are text: the exact type is asked before anything that is slower."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return
    if isinstance(value, float):
        raise TypeError(f"a float has no place on the wire, use Decimal: {value!r}")
    if kind is dict or isinstance(value, Mapping):
        for member in value.values():  # type: ignore[attr-defined]
            if type(member) is not str:
                _refuse_floats(member)
    elif isinstance(value, list | tuple):
        for member in value:
            if type(member) is not str:
                _refuse_floats(member)


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f").encode())
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"not JSON: {value!r}")


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
