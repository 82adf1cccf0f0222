"""Names that follow from business identity alone: record keys, write keys, digests."""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from collections.abc import Mapping
from typing import Any

import orjson

from concordat.errors import Bug

__all__ = ["LONGEST", "canonical", "digest", "fits", "record_key", "write_key"]

LONGEST = 35
"""Characters a key may have: the shortest limit of the targets' external-id and idempotency fields."""

_FITS = re.compile(rf"[A-Za-z0-9-]{{1,{LONGEST}}}")
_HIGHEST_GENERATION = 99_999


def record_key(connection: str, object_: str, owner: str, item: str = "") -> str:
    """Name one target object for ever: `CC-` and 26 characters of [A-Z2-7].

    The same four words always give the same key; 130 bits of SHA-256 keep different words apart.
    `owner` is what the object is made for (a client's or handoff's id), `item` a member of an `each:`.
    """
    identity = orjson.dumps([connection, object_, owner, item])
    return f"CC-{b32encode(hashlib.sha256(identity).digest()[:20])[:26].decode()}"


def write_key(record_key: str, generation: int) -> str:
    """Name one write of a record: a vendor's idempotency key, at most 35 characters.

    The same generation repeats the same write; a new desired document takes the next generation (0 to 99999).
    """
    key = f"{record_key}-{generation}"
    if not 0 <= generation <= _HIGHEST_GENERATION or not fits(key):
        raise Bug(f"No write key for {record_key!r} at generation {generation}.")
    return key


def fits(key: str) -> bool:
    """Say whether every target can hold this key: 1 to 35 of [A-Za-z0-9-]."""
    return _FITS.fullmatch(key) is not None


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Write plain JSON values with sorted keys, no spaces, UTF-8: equal values, equal bytes.

    A float is refused: amounts and hours are decimal text.
    """
    _refuse_floats(fields)
    return orjson.dumps(fields, option=_OPTIONS, default=_refuse)


def digest(fields: Mapping[str, Any]) -> str:
    """SHA-256 in hex of the canonical JSON: the version of a document."""
    return hashlib.sha256(canonical(fields)).hexdigest()


_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def _refuse(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no plain JSON value; normalise the fields first.")


def _refuse_floats(value: object) -> None:
    """Most values are text: the exact type is asked before anything that is slower."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return
    if isinstance(value, float):
        raise TypeError(f"{value!r} is a float; write it as decimal text.")
    if kind is dict or isinstance(value, Mapping):
        for member in value.values():  # type: ignore[attr-defined]
            if type(member) is not str:
                _refuse_floats(member)
    elif isinstance(value, list | tuple):
        for member in value:
            if type(member) is not str:
                _refuse_floats(member)
