"""What a target holds and what we wrote are compared by meaning, and codes are not numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordat.core.agree import agrees, disagreements

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("1250.0", "1250.00", True),
        ({"amount": "350000.00", "currency": "USD"}, {"amount": "350000", "currency": "USD"}, True),
        ({"amount": "350000.00", "currency": "USD"}, {"amount": "350000.00", "currency": "EUR"}, False),
        ("0410", "410", False),
        ("1E3", "1000", False),
        ("Infinity", "Infinity", True),
        (" Acme ", "Acme", True),
        (120, "120.0", True),
        (1, True, False),
        ([1], [True], False),
        (None, "", True),
        (None, False, True),
        (None, True, False),
        (False, None, False),
        (None, "0", False),
        (None, {"ref": None, "name": None}, True),
        ("", None, True),
        ("x", None, False),
        ({"ref": "7", "name": "A", "number": None}, {"ref": 7}, True),
        ({"ref": "7", "name": "A", "number": None}, "7", True),
        ({"ref": "7", "name": "A", "number": None}, {"ref": "8"}, False),
        ({"ref": None, "name": "A", "number": None}, {"ref": "8"}, True),
        ({"ref": None, "name": "A", "number": None}, {"ref": "8", "name": "a "}, True),
        ({"ref": None, "name": "A", "number": None}, {"ref": "8", "name": "B"}, False),
        (["a", "b"], ["b", "a"], False),
        (["a"], ["a", "b"], False),
    ],
)
def test_meaning(ours: Any, theirs: Any, same: bool) -> None:  # noqa: FBT001
    assert agrees(ours, theirs) is same


@given(PLAIN)
def test_everything_agrees_with_itself(value: Any) -> None:
    assert agrees(value, value)


@given(PLAIN, PLAIN)
def test_any_two_values_can_be_compared(ours: Any, theirs: Any) -> None:
    assert agrees(ours, theirs) in (True, False)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
)
def test_amounts_agree_exactly_when_they_are_equal(a: Decimal, b: Decimal) -> None:
    assert agrees(f"{a:f}", f"{b:f}") == (a == b)


@given(st.dictionaries(st.sampled_from("abcd"), PLAIN), st.dictionaries(st.sampled_from("abcd"), PLAIN))
def test_every_field_we_wrote_is_looked_at_and_no_other(wrote: dict[str, Any], holds: dict[str, Any]) -> None:
    found = disagreements(wrote, holds)
    assert found.keys() <= wrote.keys()
    assert disagreements(wrote, {**holds, **wrote}) == {}
