"""The functions a rule may call: exact, total and bounded; those for money never touch a float."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from concordat.core.money import Money
from concordat.errors import Invalid

__all__ = ["FUNCTIONS", "RUN", "Function", "canonical", "is_money"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """One function: how many arguments, what it gives, and its sentence for the reference."""

    least: int
    most: int
    gives: str
    """Kind of the result: bool, int, text, money, date, instant, list, double, bytes, or any."""
    says: str
    run: Callable[..., Any] | None = None
    """Ours; None for what CEL brings itself."""
    later: bool = False
    """Known to the language, not to this release."""


def is_money(value: object) -> bool:
    """Tell whether a value is money in JSON form."""
    return isinstance(value, Mapping) and value.keys() == {"amount", "currency"}


def canonical(value: object) -> dict[str, str]:
    """Return money in its one JSON form: all minor digits, no exponent. Raises `Invalid`."""
    return dict(value.to_json() if isinstance(value, Money) else Money.of_json(value).to_json())


def _money(text: str) -> dict[str, str]:
    return Money.parse(text).to_json()


def _add(left: object, right: object) -> dict[str, str]:
    return (Money.of_json(left) + Money.of_json(right)).to_json()


def _sub(left: object, right: object) -> dict[str, str]:
    return (Money.of_json(left) - Money.of_json(right)).to_json()


def _share(whole: object, part: int, parts: int) -> dict[str, str]:
    return Money.of_json(whole).share(part, parts)[0].to_json()


def _cmp(left: object, right: object) -> int:
    """Compare two amounts of one currency, or two decimal numbers."""
    if is_money(left) or is_money(right):
        return Money.of_json(left).cmp(Money.of_json(right))
    one, other = _number(left), _number(right)
    return (one > other) - (one < other)


def _sum(items: Sequence[Mapping[str, Any]], field: str, currency: str = "") -> dict[str, str]:
    """Add up one money field; the sum of nothing needs a currency."""
    amounts = [Money.of_json(item[field]) for item in items]
    if not amounts and not currency:
        raise Invalid("The sum of nothing has no currency.", remedy='Write sum(list, "field", "EUR").')
    total = Money.zero(currency or amounts[0].currency)
    for amount in amounts:
        total += amount
    return total.to_json()


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Invalid(f"{value!r} is not a decimal number.")
    return Decimal(value)


def _cel(gives: str, least: int, most: int, says: str) -> Function:
    return Function(least=least, most=most, gives=gives, says=says)


def _later(gives: str, least: int, most: int, says: str) -> Function:
    return Function(least=least, most=most, gives=gives, says=says, later=True)


FUNCTIONS: Mapping[str, Function] = {
    "money": Function(least=1, most=1, gives="money", run=_money, says='`money("100.00 EUR")`: an amount.'),
    "add": Function(least=2, most=2, gives="money", run=_add, says="Sum of two amounts of one currency."),
    "sub": Function(least=2, most=2, gives="money", run=_sub, says="Difference of two amounts of one currency."),
    "share": Function(
        least=3,
        most=3,
        gives="money",
        run=_share,
        says="`share(a, 1, 3)`: a part of an amount, rounded half up.",
    ),
    "sum": Function(
        least=2,
        most=3,
        gives="money",
        run=_sum,
        says='`sum(list, "field")`; a third argument names the currency.',
    ),
    "cmp": Function(
        least=2,
        most=2,
        gives="int",
        run=_cmp,
        says="-1, 0 or 1: two amounts of one currency, or two decimals.",
    ),
    "has": _cel("bool", 1, 1, "Whether a field is filled."),
    "size": _cel("int", 1, 1, "Length of a text, list or map."),
    "all": _cel("bool", 3, 3, "`list.all(x, rule)`: every member meets the rule."),
    "exists": _cel("bool", 3, 3, "`list.exists(x, rule)`: some member meets the rule."),
    "exists_one": _cel("bool", 3, 3, "`list.exists_one(x, rule)`: exactly one member meets the rule."),
    "filter": _cel("list", 3, 3, "`list.filter(x, rule)`: the members that meet the rule."),
    "map": _cel("list", 3, 4, "`list.map(x, value)`: one value per member."),
    "startsWith": _cel("bool", 2, 2, "`text.startsWith(beginning)`."),
    "endsWith": _cel("bool", 2, 2, "`text.endsWith(end)`."),
    "contains": _cel("bool", 2, 2, "`text.contains(part)`."),
    "matches": _cel("bool", 2, 2, "`text.matches(pattern)`: RE2."),
    "int": _cel("int", 1, 1, "A whole number."),
    "uint": _cel("any", 1, 1, "A whole number without sign."),
    "double": _cel("double", 1, 1, "A floating-point number; never for money."),
    "string": _cel("text", 1, 1, "A text."),
    "bool": _cel("bool", 1, 1, "True or false."),
    "min": _cel("any", 1, 16, "The least."),
    "max": _cel("any", 1, 16, "The greatest."),
    "timestamp": _cel("any", 1, 1, "An instant for CEL's own arithmetic."),
    "duration": _cel("any", 1, 1, "A length of time for CEL's own arithmetic."),
    "balance": _later("money", 1, 1, "What a client order has left."),
    "in_currency": _later("money", 3, 3, "An amount in another currency at a named rate."),
    "period_of": _later("any", 2, 2, "Accounting period of a date in an entity."),
    "period_state": _later("text", 2, 2, "State of a period in a subledger."),
    "cut_off": _later("instant", 1, 1, "Instant at which a period is cut off, in its entity's zone."),
    "business_days_after": _later("date", 3, 3, "A date some business days later."),
    "delegate_of": _later("any", 2, 2, "Who stands in for a person on a date."),
}
"""Every function of the language."""

RUN: Mapping[str, Callable[..., Any]] = {
    name: function.run for name, function in FUNCTIONS.items() if function.run is not None
}
"""What is handed to the interpreter."""
