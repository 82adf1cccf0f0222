"""The story is the same for the same seed, and has every part."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concordat.northbeam.deals import Part, plot

pytestmark = pytest.mark.fast


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.1, 1.0, 2.0]))
def test_every_seed_gives_a_whole_story(seed: int, scale: float):
    story = plot(seed, scale=scale)
    parts = Counter(deal.part for deal in story.deals)
    assert [parts[part] for part in (Part.LOST, Part.INCOMPLETE, Part.AGAIN, Part.BEFORE)] == [1, 1, 1, 1]
    assert parts[Part.OUTAGE] == 3
    assert parts[Part.TRIPLED] >= 1
    assert len(story.won) == max(8, round(12 * scale))
    assert len(story.clients) == len(story.won) - 1
    assert len({deal.name for deal in story.deals}) == len(story.deals)


def test_the_same_seed_tells_the_same_story():
    assert plot(7) == plot(7)
    assert plot(7) != plot(8)


def test_what_is_filled_in_was_missing():
    story = plot(3)
    crm = story.seeds["salesforce"]
    rows = {row["Id"]: row for row in (*crm["Account"], *crm["Contract"])}
    for _object, id_, fields in story.filled:
        assert all(rows[id_][name] is None and value for name, value in fields.items())
