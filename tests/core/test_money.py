"""Money is exact, of one currency, and never a float."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from concordat.core.money import EXPONENTS, BadMoney, MixedCurrency, Money, Rounding, exponent_of, sum_money

pytestmark = pytest.mark.fast

currencies = st.sampled_from(sorted(EXPONENTS))
minors = st.integers(-(10**25), 10**25)
monies = st.builds(Money.of_minor, minors, currencies)
euros = st.builds(Money.of_minor, minors, st.just("EUR"))
modes = st.sampled_from(["half_up", "half_even"])
ADAPTER = TypeAdapter(Money)


def eur(text: str) -> Money:
    return Money(Decimal(text), "EUR")


@given(monies)
def test_every_form_leads_back(money: Money):
    assert Money.parse(str(money)) == money
    assert Money.of_json(money.to_json()) == money
    assert Money.of_minor(money.minor, money.currency) == money
    assert ADAPTER.validate_json(ADAPTER.dump_json(money)) == money
    assert "e" not in money.to_json()["amount"].lower()


@given(monies)
def test_equal_money_has_equal_text(money: Money):
    again = Money(money.amount.normalize(), money.currency)
    assert again.to_json() == money.to_json()
    assert hash(again) == hash(money)


@given(euros, euros)
def test_sums_are_exact(one: Money, two: Money):
    assert (one + two).minor == one.minor + two.minor
    assert (one - two).minor == one.minor - two.minor
    assert (-one).minor == -one.minor
    assert one.cmp(two) == (one.minor > two.minor) - (one.minor < two.minor)
    assert (one < two, one <= two) == (one.minor < two.minor, one.minor <= two.minor)


@given(euros, euros)
def test_a_callers_decimal_context_changes_nothing(one: Money, two: Money):
    with localcontext() as context:
        context.prec = 3
        assert (one + two).minor == one.minor + two.minor


@given(monies, st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any), modes)
def test_shares_of_all_parts_are_the_whole(money: Money, parts: list[int], mode: Rounding):
    shares = money.split(parts, mode=mode)
    assert sum_money(shares, money.currency) == money
    for share, part in zip(shares, parts, strict=True):
        assert abs(share.minor * sum(parts) - money.minor * part) <= sum(parts) * len(parts)


@given(monies, st.integers(0, 10**6), st.integers(0, 10**6), modes)
def test_a_share_and_its_remainder_are_the_whole(money: Money, part: int, more: int, mode: Rounding):
    whole = part + more
    if whole:
        share, remainder = money.share(part, whole, mode=mode)
        assert share + remainder == money
        assert abs(share.minor * whole - money.minor * part) * 2 <= whole


@given(st.floats())
def test_no_float_ever(number: Any):
    for build in (lambda: Money(number, "EUR"), lambda: Money.of_json({"amount": number, "currency": "EUR"})):
        with pytest.raises(BadMoney):
            build()
    with pytest.raises(BadMoney):
        eur("1.00").share(number, 2)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        (Decimal("0.001"), "EUR"),
        (Decimal("0.1"), "JPY"),
        (Decimal("0.0001"), "KWD"),
        (Decimal("NaN"), "EUR"),
        (Decimal("Infinity"), "EUR"),
        (Decimal("1e40"), "EUR"),
        (Decimal("1e-9999999"), "EUR"),
        (Decimal(1), "eur"),
        (Decimal(1), "XXX"),
        (Decimal(1), "XAU"),
        (Decimal(1), None),
        (1, "EUR"),
        (True, "EUR"),
        ("1.00", "EUR"),
    ],
)
def test_what_is_no_money(amount: Any, currency: Any):
    with pytest.raises(BadMoney):
        Money(amount, currency)


@pytest.mark.parametrize(
    "text", ["", "100", "EUR 100", "100.00EUR", "1,000.00 EUR", "1e3 EUR", ".5 EUR", "\u0661 EUR", 5]
)
def test_text_that_is_no_money(text: Any):
    with pytest.raises(BadMoney):
        Money.parse(text)


def test_currencies_do_not_mix():
    dollars = Money.parse("1.00 USD")
    for act in (
        lambda: eur("1") + dollars,
        lambda: eur("1") - dollars,
        lambda: eur("1") < dollars,
        lambda: eur("1").cmp(dollars),
        lambda: sum_money([dollars], "EUR"),
    ):
        with pytest.raises(MixedCurrency, match=r"EUR and USD|USD and EUR"):
            act()
    assert eur("1") != dollars


def test_every_minor_unit():
    assert [exponent_of(code) for code in ("JPY", "EUR", "KWD", "CLF")] == [0, 2, 3, 4]
    assert str(Money(Decimal("1E+3"), "JPY")) == "1000 JPY"
    assert str(Money(Decimal(5), "KWD")) == "5.000 KWD"
    assert len(EXPONENTS) > 160


def test_nothing_has_no_sign():
    assert str(-eur("0.00")) == str(eur("-0")) == "0.00 EUR"
    assert not eur("0")


@pytest.mark.parametrize(
    ("amount", "mode", "expected"),
    [
        ("2.345", "half_up", "2.35"),
        ("2.345", "half_even", "2.34"),
        ("-2.345", "half_up", "-2.35"),
        ("-2.345", "half_even", "-2.34"),
        ("2.3449999", "half_up", "2.34"),
        ("1e3", "half_up", "1000.00"),
    ],
)
def test_rounding_names_its_mode(amount: Any, mode: Rounding, expected: str):
    assert Money.rounded(Decimal(amount), "EUR", mode=mode) == eur(expected)


def test_shares_round_in_the_mode_asked_for():
    assert [s.minor for s in eur("100.00").split([1, 1, 1])] == [3333, 3334, 3333]
    assert eur("0.05").share(1, 2) == (eur("0.03"), eur("0.02"))
    assert eur("0.05").share(1, 2, mode="half_even") == (eur("0.02"), eur("0.03"))
    assert eur("-0.05").share(1, 2) == (eur("-0.03"), eur("-0.02"))


@pytest.mark.parametrize("parts", [[], [0, 0], [1, -1], [Decimal("NaN")], [True]])
def test_what_cannot_be_split(parts: list[int]):
    with pytest.raises(BadMoney):
        eur("1.00").split(parts)


@pytest.mark.parametrize(("part", "whole"), [(2, 1), (-1, 2), (0, 0)])
def test_what_is_no_share(part: int, whole: int):
    with pytest.raises(BadMoney):
        eur("1.00").share(part, whole)


class Invoice(BaseModel):
    net: Money


def test_money_is_a_field():
    invoice = Invoice.model_validate_json('{"net": {"amount": "1250.00", "currency": "EUR"}}')
    assert invoice.net == eur("1250.00")
    assert orjson.loads(invoice.model_dump_json()) == {"net": {"amount": "1250.00", "currency": "EUR"}}
    assert Invoice.model_validate(invoice.model_dump()) == invoice
    assert Invoice.model_json_schema()["properties"]["net"]["required"] == ["amount", "currency"]


@pytest.mark.parametrize(
    "net",
    [
        None,
        5,
        5.0,
        "5.00 EUR",
        {"amount": 5, "currency": "EUR"},
        {"amount": "5.001", "currency": "EUR"},
        {"amount": "5"},
    ],
)
def test_a_field_refuses_what_is_no_money(net: Any):
    with pytest.raises(ValidationError) as caught:
        Invoice(net=net)
    assert caught.value.errors()[0]["type"] == "money"
