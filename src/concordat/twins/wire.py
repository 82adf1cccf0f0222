"""What a twin is asked and what it answers: plain values, free of any socket."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import orjson

__all__ = ["Call", "Refuse", "Reply", "dump"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One HTTP request. Header names are lower case; `path` is percent-encoded still, `params` are not."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)
    object: str = ""
    operation: str = ""

    @property
    def query(self) -> dict[str, str]:
        """The query, last value of a name wins."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body as JSON, numbers with a point as Decimal. Raises ValueError; empty is None."""
        return stdlib_json.loads(self.body, parse_float=Decimal) if self.body.strip() else None

    @property
    def text(self) -> str:
        """Path, query and body: what a fault's `key` is searched in."""
        return f"{self.path}?{self.query_string}\n{self.body.decode('utf-8', 'replace')}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. `data` is sent as JSON unless it is bytes (sent as they are) or None (no body)."""

    data: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The bytes on the wire."""
        if self.data is None:
            return b""
        return self.data if isinstance(self.data, bytes) else dump(self.data)

    @property
    def content_type(self) -> str:
        """JSON, unless a header says otherwise."""
        return "application/octet-stream" if isinstance(self.data, bytes) else "application/json;charset=UTF-8"


class Refuse(Exception):  # noqa: N818  it is an answer, not a failure of the twin
    """Raised in a handler: answer this instead."""

    def __init__(self, status: int, data: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.reply = Reply(data, status, headers or {})


def dump(value: Any) -> bytes:
    """JSON as vendors write it: Decimal as a number."""
    return orjson.dumps(value, default=_exact, option=orjson.OPT_NON_STR_KEYS)


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f").encode())
    raise TypeError(f"not JSON: {type(value).__name__}")
