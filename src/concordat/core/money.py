"""Exact money: a decimal amount in one ISO 4217 currency."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction
from math import floor
from typing import Any, Literal, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from concordat.errors import Invalid

__all__ = ["EXPONENTS", "BadMoney", "MixedCurrency", "Money", "Rounding", "exponent_of", "sum_money"]

Rounding = Literal["half_up", "half_even"]
"""Ties away from zero, or ties to the even neighbour."""

_MODES = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN}

_TWO = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ
GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD
MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG ZWL
"""
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

EXPONENTS: Mapping[str, int] = {
    code: exponent for exponent, codes in ((0, _NONE), (2, _TWO), (3, _THREE), (4, _FOUR)) for code in codes.split()
}
"""Minor units of every ISO 4217 currency in use, and of those retired since 2020.

Books keep retired currencies. Metals, units of account and test codes (XAU, XDR, XXX) have no minor unit:
they are not here.
Source: ISO 4217 list one, as published by SIX.
"""

_TEXT = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ([A-Z]{3})")
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_DIGITS = 30
_EXACT = Context(prec=3 * _DIGITS, traps=[Inexact, InvalidOperation])
_WIDE = Context(prec=3 * _DIGITS, traps=[InvalidOperation])


class BadMoney(Invalid):
    """This is no amount of money."""


class MixedCurrency(Invalid):
    """Two currencies met in one sum or comparison; `left` and `right` name them."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(
            f"{left} and {right} cannot be added or compared.", remedy="Convert one at a named rate first."
        )
        self.left = left
        self.right = right


def exponent_of(currency: str) -> int:
    """Digits after the point of this currency's minor unit: JPY 0, EUR 2, KWD 3."""
    found = EXPONENTS.get(currency) if isinstance(currency, str) else None
    if found is None:
        raise BadMoney(f"{currency!r} is no ISO 4217 currency.", remedy="Write its three capital letters: EUR.")
    return found


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in whole minor units of `currency`, at most 30 digits before the point.

    The amount always carries the currency's own number of decimals, so equal money has equal text.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        exponent = exponent_of(self.currency)
        object.__setattr__(self, "amount", _exact(self.amount, exponent, self.currency))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"100.00 EUR"`: digits with a point, one space, the currency."""
        found = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise BadMoney(f"{text!r} is not money.", remedy='Write amount, space, currency: "100.00 EUR".')
        return cls(Decimal(found[1]), found[2])

    @classmethod
    def of_json(cls, value: object) -> Self:
        """Read `{"amount": "100.00", "currency": "EUR"}`; the amount is text, never a number."""
        if not isinstance(value, dict | Mapping) or len(value) != 2 or "amount" not in value or "currency" not in value:
            raise BadMoney(f"{value!r} is not money.", remedy='Write {"amount": "100.00", "currency": "EUR"}.')
        amount, currency = value["amount"], value["currency"]
        found = _AMOUNT.fullmatch(amount) if isinstance(amount, str) else None
        if found is None:
            raise BadMoney(f"{amount!r} is not an amount.", remedy='Write it as decimal text: "100.00".')
        if len(amount) <= _DIGITS and len(found[1] or ".") - 1 == exponent_of(currency):
            return cls._made(abs(made) if not (made := Decimal(amount)) else made, currency)
        return cls(Decimal(amount), currency)

    @classmethod
    def _made(cls, amount: Decimal, currency: str) -> Self:
        """Skip the checks for an amount known to be exact: intake reads millions of them."""
        money = object.__new__(cls)
        object.__setattr__(money, "amount", amount)
        object.__setattr__(money, "currency", currency)
        return money

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> Self:
        """So many whole minor units: 10000 of EUR are 100.00 EUR."""
        if type(minor) is not int:
            raise BadMoney(f"{minor!r} is not a whole number of minor units.")
        return cls(Decimal(minor).scaleb(-exponent_of(currency), _WIDE), currency)

    @classmethod
    def rounded(cls, amount: Decimal, currency: str, *, mode: Rounding) -> Self:
        """Round an unrounded amount to the currency's minor unit, once, in the mode the contract names."""
        if not isinstance(amount, Decimal) or not amount.is_finite():
            raise BadMoney(f"{amount!r} is not a finite Decimal.")
        step = Decimal(1).scaleb(-exponent_of(currency))
        return cls(amount.quantize(step, rounding=_MODES[mode], context=_WIDE), currency)

    @classmethod
    def zero(cls, currency: str) -> Self:
        """Nothing, in this currency."""
        return cls(Decimal(0), currency)

    @property
    def minor(self) -> int:
        """The amount in whole minor units: cents of EUR, fils of KWD, yen of JPY."""
        return int(self.amount.scaleb(EXPONENTS[self.currency], _EXACT))

    def to_json(self) -> dict[str, str]:
        """Write `{"amount": "100.00", "currency": "EUR"}`."""
        return {"amount": format(self.amount, "f"), "currency": self.currency}

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(_EXACT.add(self.amount, other.amount), self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(_EXACT.subtract(self.amount, other.amount), self.currency)

    def __neg__(self) -> Money:
        return Money(self.amount.copy_negate(), self.currency)

    def __abs__(self) -> Money:
        return Money(self.amount.copy_abs(), self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def __gt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount > other.amount

    def __ge__(self, other: Money) -> bool:
        self._same(other)
        return self.amount >= other.amount

    def cmp(self, other: Money) -> int:
        """-1, 0 or 1, within one currency only (`==` between currencies is plainly false)."""
        self._same(other)
        return (self.amount > other.amount) - (self.amount < other.amount)

    def share(self, part: int | Decimal, whole: int | Decimal, *, mode: Rounding = "half_up") -> tuple[Money, Money]:
        """Take `part` of `whole` of this money; answer the share and the rest; both add up to it.

        Shares of all parts add up to the whole when each is taken from the rest before it.
        """
        top, bottom = _count(part, "part"), _count(whole, "whole")
        if not 0 <= top <= bottom or not bottom:
            raise BadMoney(f"{part} of {whole} is no share.", remedy="A part lies between 0 and its whole.")
        taken = Money.of_minor(_round(self.minor * top / bottom, mode), self.currency)
        return taken, self - taken

    def split(self, parts: Sequence[int | Decimal], *, mode: Rounding = "half_up") -> tuple[Money, ...]:
        """Divide this money in proportion to `parts`; the shares add up to it to the last minor unit."""
        counts = [_count(part, "part") for part in parts]
        shares: list[Money] = []
        rest: Money = self
        if not counts or not all(c >= 0 for c in counts) or not any(counts):
            raise BadMoney("Nothing to divide by.", remedy="Give parts of 0 or more, at least one above 0.")
        for place, part in enumerate(counts):
            left = sum(counts[place:], Fraction(0))
            taken = Money.of_minor(_round(rest.minor * part / left, mode) if left else 0, self.currency)
            rest -= taken
            shares.append(taken)
        return tuple(shares)

    def _same(self, other: Money) -> None:
        if not isinstance(other, Money):
            raise BadMoney(f"{other!r} is not money.", remedy="Only money can be added to or compared with money.")
        if self.currency != other.currency:
            raise MixedCurrency(self.currency, other.currency)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a Pydantic field hold money."""
        return core_schema.no_info_plain_validator_function(
            _of_field,
            serialization=core_schema.plain_serializer_function_ser_schema(cls.to_json),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the JSON form."""
        return {
            "type": "object",
            "title": "Money",
            "properties": {
                "amount": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            },
            "required": ["amount", "currency"],
            "additionalProperties": False,
        }


def sum_money(items: Iterable[Money], currency: str) -> Money:
    """Add up money of one currency; nothing at all is zero of `currency`."""
    total = Money.zero(currency)
    for item in items:
        total += item
    return total


def _of_field(value: object) -> Money:
    if isinstance(value, Money):
        return value
    try:
        return Money.of_json(value)
    except Invalid as error:
        raise PydanticCustomError("money", "{message}", {"message": error.message, "remedy": error.remedy}) from error


def _exact(amount: object, exponent: int, currency: str) -> Decimal:
    if not isinstance(amount, Decimal):
        raise BadMoney(f"{amount!r} is not a Decimal.", remedy="A float is never money; build from decimal text.")
    if not amount.is_finite() or amount.adjusted() >= _DIGITS:
        raise BadMoney(f"{amount} is not a finite amount of at most {_DIGITS} digits before the point.")
    try:
        exact = amount.quantize(Decimal(1).scaleb(-exponent), context=_EXACT)
    except (Inexact, InvalidOperation) as error:
        message = f"{amount} {currency} has more decimals than the {exponent} of its minor unit."
        raise BadMoney(message, remedy="Round it first, in the mode the contract names.") from error
    return exact or exact.copy_abs()


def _count(value: object, what: str) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadMoney(f"The {what} {value!r} is neither a whole number nor a Decimal.")
    if isinstance(value, Decimal) and not value.is_finite():
        raise BadMoney(f"The {what} {value!r} is not finite.")
    return Fraction(value)


def _round(value: Fraction, mode: Rounding) -> int:
    if mode == "half_even":
        return round(value)
    size = floor(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size
