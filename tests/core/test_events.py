"""Events keep the rules of CloudEvents 1.0, and come back as they went out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordat.core.events import BadEvent, Event

pytestmark = pytest.mark.fast

WON = datetime(2026, 11, 30, 10, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PLAIN: dict[str, Any] = {
    "id": "0190-7f",
    "source": "/concordat/emea",
    "type": "concordat.project.activated.v1",
    "time": WON,
}
WIRE: dict[str, Any] = {**PLAIN, "specversion": "1.0", "time": "2026-11-30T10:00:00Z"}

texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20)
json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.from_regex(r"\A[a-z0-9]{1,20}\Z").filter(
    lambda name: name not in {"id", "source", "type", "time", "data", "subject", "specversion", "dataschema"}
)
events = st.builds(
    Event,
    id=texts,
    source=st.just("/concordat/emea"),
    type=texts,
    time=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
                      min_value=datetime(1970, 1, 2)),  # noqa: DTZ001
    subject=st.none() | texts,
    data=st.none() | json_values | st.binary(),
    correlationid=st.none() | texts,
    traceparent=st.none() | st.just(TRACE),
    extensions=st.dictionaries(names, st.booleans() | st.integers(-(2**31), 2**31 - 1) | texts, max_size=3),
)  # fmt: skip


@given(events)
def test_an_event_comes_back_as_it_went_out(event: Event):
    assert Event.of_json(event.to_json()) == event
    assert Event.of_bytes(event.to_bytes()) == event


def test_the_structured_form():
    event = Event(
        **PLAIN, subject="project/P-1", data={"number": "P-1"}, correlationid="c-1", traceparent=TRACE,
        dataschema="https://concordat.example/project.activated.v1.json", extensions={"partitionkey": "P-1"},
    )  # fmt: skip
    assert event.to_json() == {
        "specversion": "1.0",
        "id": "0190-7f",
        "source": "/concordat/emea",
        "type": "concordat.project.activated.v1",
        "time": "2026-11-30T10:00:00Z",
        "subject": "project/P-1",
        "datacontenttype": "application/json",
        "dataschema": "https://concordat.example/project.activated.v1.json",
        "correlationid": "c-1",
        "traceparent": TRACE,
        "partitionkey": "P-1",
        "data": {"number": "P-1"},
    }


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"id": ""}, "id is empty"),
        ({"id": 5}, "id is empty or not text"),
        ({"source": ""}, "source is empty"),
        ({"source": "a b"}, "source is not a URI reference"),
        ({"type": ""}, "type is empty"),
        ({"type": "a\nb"}, "not allowed"),
        ({"subject": ""}, "subject is empty"),
        ({"time": datetime(2026, 11, 30, 10)}, "time has no zone"),  # noqa: DTZ001
        ({"dataschema": "/relative"}, "absolute URI"),
        ({"datacontenttype": "json"}, "media type"),
        ({"traceparent": "x"}, "trace context"),
        ({"extensions": {"correlation_id": "x"}}, "not an attribute name"),
        ({"extensions": {"Upper": "x"}}, "not an attribute name"),
        ({"extensions": {"id": "x"}}, "of its own"),
        ({"extensions": {"size": 2**31}}, "32-bit"),
        ({"extensions": {"rate": 0.5}}, "neither text"),
        ({"extensions": {"list": []}}, "neither text"),
    ],
)
def test_a_wrong_event_is_never_made(wrong: dict[str, Any], says: str):
    with pytest.raises(BadEvent, match=says):
        Event(**{**PLAIN, **wrong})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"time": None}, "RFC 3339"),
        ({"time": "2026-11-30 10:00:00Z"}, "RFC 3339"),
        ({"time": "2026-11-30T10:00:00"}, "RFC 3339"),
        ({"time": "2026-13-30T10:00:00Z"}, "RFC 3339"),
        ({"data_base64": "?"}, "not base64"),
        ({"data_base64": 5}, "not base64"),
        ({"data": 1, "data_base64": "AA=="}, "both"),
        ({"camelCase": "x"}, "not an attribute name"),
    ],
)
def test_a_wrong_body_is_refused(wrong: dict[str, Any], says: str):
    with pytest.raises(BadEvent, match=says):
        Event.of_json({**WIRE, **wrong})


def test_all_faults_are_told_at_once():
    with pytest.raises(BadEvent) as caught:
        Event(**{**PLAIN, "id": "", "type": "", "subject": ""})
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"{}"])
def test_what_is_no_event_at_all(body: bytes):
    with pytest.raises(BadEvent):
        Event.of_bytes(body)


@pytest.mark.parametrize(
    "text", ["2026-11-30T10:00:00Z", "2026-11-30t10:00:00z", "2026-11-30T11:00:00.000000000+01:00"]
)
def test_times_of_rfc_3339(text: str):
    assert Event.of_json({**WIRE, "time": text}).time == WON


def test_an_event_does_not_change_with_what_it_was_made_from():
    extensions = {"partitionkey": "a"}
    event = Event(**PLAIN, extensions=extensions)
    extensions["partitionkey"] = "b"
    assert event.extensions["partitionkey"] == "a"
