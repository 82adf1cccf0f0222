"""Keys are the same for ever, differ when anything differs, and fit every target."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concordat.core.keys import canonical, digest, fits, record_key, write_key
from concordat.errors import Bug

pytestmark = pytest.mark.fast

words = st.text(max_size=20)
identity = st.tuples(words, words, words, words)


def test_a_record_key_is_a_published_name_that_never_changes():
    assert record_key("psa", "project", "0190-7f") == "CC-Z2GCFRJKBRYLBZOCKSMJQQRSGH"


@given(identity)
def test_a_record_key_fits(four: tuple[str, str, str, str]):
    key = record_key(*four)
    assert re.fullmatch(r"CC-[A-Z2-7]{26}", key)
    assert fits(key)
    assert fits(write_key(key, 99_999))


@given(identity, identity)
def test_other_words_give_another_key(one: tuple[str, str, str, str], two: tuple[str, str, str, str]):
    assert (record_key(*one) == record_key(*two)) == (one == two)


def test_words_do_not_run_together():
    assert record_key("erp", "client", "a", "b") != record_key("erp", "client", "ab", "")
    assert record_key("erp", "client", "a:b") != record_key("erp", "client:a", "b")


def test_a_generation_is_in_the_write_key():
    key = record_key("erp", "client", "1")
    assert write_key(key, 0) != write_key(key, 1)


@pytest.mark.parametrize("generation", [-1, 100_000])
def test_a_generation_that_does_not_fit_is_a_bug(generation: int):
    with pytest.raises(Bug):
        write_key(record_key("erp", "client", "1"), generation)


@pytest.mark.parametrize("key", ["", "x" * 36, "a b", "ä", "a_b", "a\n"])
def test_what_does_not_fit(key: str):
    assert not fits(key)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_a_digest_does_not_see_the_order_of_fields(fields: dict[str, Any]):
    assert digest(fields) == digest(dict(reversed(fields.items())))
    assert re.fullmatch(r"[0-9a-f]{64}", digest(fields))


def test_canonical_text():
    assert canonical({"b": "ä", "a": [{"z": 1, "y": None}]}) == '{"a":[{"y":null,"z":1}],"b":"ä"}'.encode()


@pytest.mark.parametrize("value", [1.0, [0.5], {"x": float("nan")}, Decimal(1), date(2026, 1, 1), object()])
def test_what_is_not_plain_json_is_refused(value: object):
    with pytest.raises(TypeError):
        digest({"field": value})
