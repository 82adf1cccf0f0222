"""What every connector does alike: refusing what is not declared, sorting what was found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from concordat.errors import Rejected
from concordat.sdk.serving import Settings, Unserved, by_key, judged, parts
from concordat.sdk.spec import CallContext, ObjectFacts, Observed, PromiseClass, SystemFacts, WriteIntent

pytestmark = pytest.mark.fast
CTX = CallContext(correlation_id="c-1")
FACTS = SystemFacts(
    system="shelf",
    title="Shelf",
    targets={
        "box": ObjectFacts(
            object="box",
            vendor_object="box",
            promise=PromiseClass.A,
            fields=frozenset({"name"}),
            operations=frozenset({"put", "archive"}),
        )
    },
)


class Shelf(Unserved):
    """A system that is only written."""

    facts = FACTS


def intent(**changes: Any) -> WriteIntent:
    return WriteIntent(**{"object": "box", "record_key": "CC-1", "write_key": "CC-1-1", "fields": {}, **changes})


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"object": "bag"}, "", "does not serve a bag"),
        ({"fields": {"name": "n", "colour": "red"}}, "colour", "holds no 'colour'"),
        ({"operation": "burn", "ref": "1"}, "", "has no 'burn'"),
        ({"operation": "archive"}, "", "needs the box's id"),
    ],
)
def test_what_is_not_declared_is_refused_by_name(changes: dict[str, Any], field: str, says: str):
    with pytest.raises(Rejected, match=says) as error:
        judged(FACTS, intent(**changes))
    assert error.value.field == field


def test_what_is_declared_is_judged_by_its_facts():
    assert judged(FACTS, intent(fields={"name": None})) is FACTS.targets["box"]
    assert judged(FACTS, intent(operation="archive", ref="1")).object == "box"


@pytest.mark.parametrize(
    "door",
    [
        lambda shelf: shelf.changes("box", None, CTX),
        lambda shelf: shelf.fetch_source("box", ["1"], CTX),
        lambda shelf: shelf.ask("usage", [], CTX),
        lambda shelf: shelf.decode_push({}, b"", datetime(2026, 11, 23, tzinfo=UTC)),
    ],
)
def test_a_door_that_a_system_lacks_is_refused(door: Callable[[Shelf], object]):
    with pytest.raises(Rejected, match="Shelf does not serve"):
        door(Shelf())


def test_every_hit_counts_and_strangers_do_not():
    seen = [Observed(ref="1", record_key="CC-1"), Observed(ref="2", record_key="CC-1"), Observed(ref="3")]
    assert {key: [one.ref for one in found] for key, found in by_key(seen, ["CC-1", "CC-2"]).items()} == {
        "CC-1": ["1", "2"]
    }


def test_lists_are_cut_and_nothing_is_lost():
    assert list(parts([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(parts([], 2)) == []


def test_settings_take_no_word_that_nobody_reads():
    with pytest.raises(ValidationError):
        Settings.model_validate({"url": "x"})
