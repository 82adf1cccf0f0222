"""CloudEvents 1.0 envelopes: what Concordat publishes and takes in, in structured JSON mode."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

import orjson

from concordat.errors import Invalid

__all__ = ["CONTENT_TYPE", "SPEC_VERSION", "BadEvent", "Event", "Extension"]

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/cloudevents+json"
"""Media type of one event in structured JSON mode."""

Extension = str | int | bool
"""What an extension attribute may hold in JSON."""

_NAME = re.compile(r"[a-z0-9]{1,20}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_URI_REFERENCE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+\s*(;.*)?")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_OPTIONAL = ("subject", "datacontenttype", "dataschema", "correlationid", "traceparent")
_OURS = frozenset({"specversion", "id", "source", "type", "time", "data", "data_base64", *_OPTIONAL})
_INTEGERS = range(-(2**31), 2**31)


class BadEvent(Invalid):
    """This is no CloudEvent; `faults` has a sentence for everything that is wrong."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("This is no CloudEvent: " + "; ".join(faults) + ".", remedy="See CloudEvents 1.0.2.")
        self.faults = faults


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One CloudEvent. `source` and `id` together name it for ever. Building a wrong one raises `BadEvent`.

    Source of the rules: CloudEvents 1.0.2, sections 3.1 (attributes) and 4 (size), and its JSON format.
    """

    id: str
    source: str
    """URI reference of where it happened: `/concordat/emea`."""
    type: str
    """What happened: `concordat.project.activated.v1`."""
    time: datetime
    """When it happened; aware, kept in UTC."""
    subject: str | None = None
    """What it happened to, inside the source."""
    datacontenttype: str | None = "application/json"
    dataschema: str | None = None
    """URI of the schema the data keeps to."""
    data: Any = None
    """Plain JSON, or bytes when the content type is not JSON."""
    correlationid: str | None = None
    traceparent: str | None = None
    """W3C trace context."""
    extensions: Mapping[str, Extension] = field(default_factory=lambda: MappingProxyType({}))
    """Other extension attributes, kept as they came."""

    def __post_init__(self) -> None:
        faults = tuple(_faults(self))
        if faults:
            raise BadEvent(faults)
        object.__setattr__(self, "time", self.time.astimezone(UTC))
        object.__setattr__(self, "extensions", MappingProxyType(dict(self.extensions)))

    def to_json(self) -> dict[str, Any]:
        """Write the structured form; absent attributes are left out, bytes become `data_base64`."""
        wire: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": self.time.isoformat().replace("+00:00", "Z"),
        }
        wire |= {name: value for name in _OPTIONAL if (value := getattr(self, name)) is not None}
        wire |= self.extensions
        if isinstance(self.data, bytes):
            return {**wire, "data_base64": base64.b64encode(self.data).decode()}
        return wire if self.data is None else {**wire, "data": self.data}

    def to_bytes(self) -> bytes:
        """Write the body to send with `CONTENT_TYPE`."""
        return orjson.dumps(self.to_json())

    @classmethod
    def of_json(cls, wire: object) -> Self:
        """Read the structured form; `BadEvent` tells all that is wrong."""
        if not isinstance(wire, Mapping):
            raise BadEvent(("it is not a JSON object",))
        faults: list[str] = []
        if wire.get("specversion") != SPEC_VERSION:
            faults.append(f"specversion is {wire.get('specversion')!r}, not {SPEC_VERSION!r}")
        moment, data = _time(wire.get("time"), faults), _data(wire, faults)
        if faults:
            raise BadEvent(tuple(faults))
        told = {name: wire.get(name) for name in ("id", "source", "type", *_OPTIONAL)}
        others = {name: value for name, value in wire.items() if name not in _OURS and value is not None}
        return cls(**told, time=moment, data=data, extensions=others)  # type: ignore[arg-type]

    @classmethod
    def of_bytes(cls, body: bytes) -> Self:
        """Read a body in structured mode."""
        try:
            return cls.of_json(orjson.loads(body))
        except orjson.JSONDecodeError as error:
            raise BadEvent((f"it is not JSON ({error})",)) from error


def _time(text: object, faults: list[str]) -> datetime | None:
    """Read RFC 3339; digits below a microsecond are cut off. The core never makes up a missing time."""
    if isinstance(text, str) and (found := _TIME.fullmatch(text)):
        fraction = found[1] or ""
        try:
            return datetime.fromisoformat(
                text.upper().replace(fraction, fraction[:7].ljust(7, "0") if fraction else "")
            )
        except ValueError:
            pass
    faults.append(f"time {text!r} is not RFC 3339")
    return None


def _data(wire: Mapping[str, Any], faults: list[str]) -> Any:
    if wire.get("data_base64") is None:
        return wire.get("data")
    if wire.get("data") is not None:
        faults.append("data and data_base64 are both there")
    try:
        return base64.b64decode(wire["data_base64"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        faults.append("data_base64 is not base64")
        return None


def _faults(event: Event) -> list[str]:
    faults = [f for name in ("id", "source", "type") for f in _text_faults(name, getattr(event, name), needed=True)]
    faults += [f for name in _OPTIONAL for f in _text_faults(name, getattr(event, name), needed=False)]
    faults += _form_faults(event)
    if not isinstance(event.time, datetime) or event.time.utcoffset() is None:
        faults.append("time has no zone")
    for name, value in event.extensions.items():
        faults += _extension_faults(name, value)
    return faults


def _text_faults(name: str, value: object, *, needed: bool) -> list[str]:
    if value is None and not needed:
        return []
    if not isinstance(value, str) or not value:
        return [f"{name} is empty or not text"]
    return [f"{name} holds a character that is not allowed"] if _CONTROL.search(value) else []


def _form_faults(event: Event) -> list[str]:
    forms = (
        ("source", _URI_REFERENCE, "is not a URI reference"),
        ("dataschema", _URI, "is not an absolute URI"),
        ("datacontenttype", _MEDIA_TYPE, "is not a media type"),
        ("traceparent", _TRACEPARENT, "is not a W3C trace context"),
    )
    return [
        f"{name} {says}"
        for name, form, says in forms
        if isinstance(value := getattr(event, name), str) and value and not form.fullmatch(value)
    ]


def _extension_faults(name: object, value: object) -> list[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return [f"{name!r} is not an attribute name: 1 to 20 of a-z and 0-9"]
    if name in _OURS:
        return [f"{name} is an attribute of its own, not an extension"]
    if isinstance(value, str):
        return _text_faults(name, value, needed=False) if value else []
    if isinstance(value, int) and (isinstance(value, bool) or value in _INTEGERS):
        return []
    return [f"{name} holds {value!r}, which is neither text, a 32-bit integer nor a boolean"]
