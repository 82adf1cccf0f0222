"""Rules answer true, false or unknown; money and dates keep their order; nothing else is raised."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from concordat.core.expressions import FUNCTIONS, BadExpression, Unknown, compile_rule, examine
from concordat.core.expressions.kinds import Known
from concordat.core.expressions.syntax import MOST_CHARACTERS
from concordat.core.money import Money

pytestmark = pytest.mark.fast

EUR = {"amount": "1250.00", "currency": "EUR"}
RECORDS: dict[str, dict[str, Any]] = {
    "o": {
        "stage": "won",
        "amount": EUR,
        "other": {"amount": "1250", "currency": "EUR"},
        "usd": {"amount": "1.00", "currency": "USD"},
        "money": Money.parse("5.00 EUR"),
        "day": "2026-11-30",
        "at": "2026-11-30T10:00:00Z",
        "zoned": "2026-11-30T12:00:00.25+02:00",
        "hours": "120.0",
        "empty": None,
        "nothing": [],
        "flag": True,
        "one": 1,
        "lines": [{"net": EUR, "kind": "a"}, {"net": EUR, "kind": None}],
    },
    "c": {},
}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('o.stage == "won"', True),
        ('o.stage in ["lost", "open"]', False),
        ('o.stage == "won" && o.flag', True),
        ("has(o.stage)", True),
        ("has(o.missing)", False),
        ("has(o.empty)", False),
        ("has(c.x)", False),
        ('o.day < "2026-12-01"', True),
        ('o.day >= "2026-12-01"', False),
        ('"2026-12-01" > o.day', True),
        ("o.at == o.zoned", True),
        ('o.at > "2026-11-30T09:59:59Z"', True),
        ('cmp(o.amount, money("100.00 EUR")) > 0', True),
        ("o.amount == o.other", True),
        ('o.amount.currency == "EUR"', True),
        ('o.money.currency == "EUR"', True),
        ('cmp(o.money, money("5.00 EUR")) == 0', True),
        ('add(o.amount, money("0.01 EUR")) == money("1250.01 EUR")', True),
        ('sub(o.amount, money("0.01 EUR")) == money("1249.99 EUR")', True),
        ('sum(o.lines, "net") == money("2500.00 EUR")', True),
        ('sum(o.nothing, "net", "EUR") == money("0.00 EUR")', True),
        ('share(money("100.00 EUR"), 1, 3) == money("33.33 EUR")', True),
        ('cmp(o.hours, "99") > 0', True),
        ('o.lines.exists(x, has(x.kind) && x.kind == "a")', True),
        ("o.lines.all(x, has(x.kind))", False),
        ('o.stage == "won" || o.missing == 1', True),
        ('o.missing == 1 || o.stage == "won"', True),
        ('o.missing == 1 && o.stage == "lost"', False),
        ('o.stage == "a.b" || o.stage == "won"', True),
    ],
)
def test_a_rule_answers_true_or_false(text: str, answer: bool) -> None:  # noqa: FBT001
    assert compile_rule(text).evaluate(RECORDS) is answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("o.missing == 1", "o.missing is missing"),
        ('o.empty == "x"', "o.empty is missing"),
        ("has(gone.x)", "gone.x is missing"),
        ("gone.x == 1", "gone.x is missing"),
        ("o.missing == o.empty", "o.missing, o.empty are missing"),
        ("1 / 0 == 1", "division by zero"),
        ("o.stage > 5", "No such overload"),
        ("cmp(o.amount, o.usd) > 0", "EUR and USD"),
        ('sum(o.nothing, "net") == o.amount', "no currency"),
        ('sum(o.lines, "gone") == o.amount', "gone"),
        ('money("1 XX") == o.amount', "not money"),
        ("o.stage", "neither true nor false"),
        ("o.stage.matches('(')", "regex"),
    ],
)
def test_what_cannot_be_answered_is_unknown_and_says_why(text: str, reason: str) -> None:
    found = compile_rule(text).evaluate(RECORDS)
    assert isinstance(found, Unknown)
    assert reason in found.reason


def test_unknown_is_no_truth_value() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(Unknown("a field is missing"))


def test_a_failing_function_writes_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        compile_rule("cmp(o.amount, o.usd) == 1").evaluate(RECORDS)
    assert not caplog.records


def test_a_pure_path_hands_the_value_through_untouched() -> None:
    amount = {"amount": "1250.0", "currency": "EUR"}
    rule = compile_rule("o.amount")
    assert rule.pure
    assert rule.value({"o": {"amount": amount}}) is amount
    assert rule.value({"o": {"amount": None}}) is None
    assert rule.value({"o": {}}) == Unknown("o.amount is missing")
    assert rule.value({}) == Unknown("o.amount is missing")
    assert rule.value({"o": {"amount": "text"}}) == "text"
    assert compile_rule("o.amount.currency").value({"o": {"amount": Money.parse("5.00 EUR")}}) == "EUR"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"Project of " + o.stage', "Project of won"),
        ('"active"', "active"),
        ("7", 7),
        ('add(o.amount, money("1.00 EUR"))', {"amount": "1251.00", "currency": "EUR"}),
        ("o.lines.map(x, x.net.currency)", ["EUR", "EUR"]),
        ('o.flag ? "yes" : "no"', "yes"),
        ('timestamp("2026-11-30T10:00:00Z")', "2026-11-30T10:00:00Z"),
    ],
)
def test_a_value_is_a_json_value(text: str, value: object) -> None:
    assert compile_rule(text).value(RECORDS) == value


@pytest.mark.parametrize("text", ["1.5", "double(o.hours)", 'b"abc"', 'duration("1h")'])
def test_floats_bytes_and_durations_are_no_values(text: str) -> None:
    assert isinstance(compile_rule(text).value(RECORDS), Unknown)


@pytest.mark.parametrize(
    ("text", "paths", "functions"),
    [
        (
            'opportunity.stage == "x.y" && !client.po_required',
            ("opportunity.stage", "client.po_required"),
            (),
        ),
        ("has(a.b) && size(c.d) > 0", ("a.b", "c.d"), ("has", "size")),
        ("a.b.exists(x, x.c == d.e)", ("a.b", "d.e"), ("exists",)),
        ("a.b.startsWith('x.y') // a.c", ("a.b",), ("startsWith",)),
        ("cut_off(billing_period)", ("billing_period",), ("cut_off",)),
        ("x.all(x, x > 1) && x.y", ("x", "x.y"), ("all",)),
        ("a.b == a.b", ("a.b",), ()),
        ("[a.b, r'c.d'][0] == {'k': e.f}['k']", ("a.b", "e.f"), ()),
        ("true && a", ("a",), ()),
    ],
)
def test_paths_and_functions_are_found(text: str, paths: tuple[str, ...], functions: tuple[str, ...]) -> None:
    rule = compile_rule(text)
    assert rule.paths == paths
    assert rule.functions == functions


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "rule-syntax"),
        ("a ==", "rule-syntax"),
        ("a..b", "rule-syntax"),
        ("a b", "rule-syntax"),
        ('"open', "rule-syntax"),
        ("日本", "rule-syntax"),
        ("a ? b", "rule-syntax"),
        ("in", "rule-syntax"),
        ("x" * (MOST_CHARACTERS + 1), "rule-too-long"),
        ("(" * 40 + "1" + ")" * 40, "rule-too-deep"),
        ("[" * 40 + "]" * 40, "rule-too-deep"),
        ("!" * 40 + "a", "rule-too-deep"),
        ("a[" * 40 + "0" + "]" * 40, "rule-too-deep"),
    ],
)
def test_a_bad_expression_has_a_code(text: str, code: str) -> None:
    with pytest.raises(BadExpression) as caught:
        compile_rule(text)
    assert caught.value.code == code


def test_true_and_one_are_not_confused_by_memory() -> None:
    rule = compile_rule("o.flag == true")
    assert rule.evaluate({"o": {"flag": True}}) is True
    assert isinstance(rule.evaluate({"o": {"flag": 1}}), Unknown) or rule.evaluate({"o": {"flag": 1}}) is False
    assert rule.evaluate({"o": {"flag": True}}) is True


def test_an_answer_is_remembered_by_the_values_it_depends_on() -> None:
    rule = compile_rule('m.stage == "won" && m.kind == "new"')
    for at in range(50):
        assert rule.evaluate({"m": {"stage": "won", "kind": "new", "noise": at}}) is True
    assert rule._answer.cache_info().misses == 1


LOOK = {
    "o.amount": Known(kind="money"),
    "o.day": Known(kind="date"),
    "o.at": Known(kind="instant"),
    "o.hours": Known(kind="decimal"),
    "o.stage": Known(kind="text", choices=("closed_won", "closed_lost")),
    "o.flag": Known(kind="bool"),
}


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("o.amount + o.amount", ["money-arithmetic"]),
        ("-o.amount", ["money-arithmetic"]),
        ('add(o.amount, o.amount) * 2 == money("1.00 EUR")', ["money-arithmetic"]),
        ("o.amount > 5", ["money-comparison"]),
        ("5 < o.amount", ["money-comparison"]),
        ("o.amount == 5", ["money-comparison"]),
        ('o.amount >= money("5.00 EUR")', ["money-comparison"]),
        ('o.hours > "5"', ["decimal-comparison"]),
        ("o.hours + 1", ["decimal-comparison"]),
        ("cmp(o.amount, 5) > 0", ["money-comparison"]),
        ("add(o.amount, o.hours) == o.amount", ["money-comparison"]),
        ("o.x == null", ["null-comparison"]),
        ('o["x"] == 1', ["rule-index"]),
        ("o.x < 1.5", ["rule-float"]),
        ("o.x < 1e5", ["rule-float"]),
        ("cmmp(o.amount, o.amount) == 1", ["unknown-function"]),
        ("cmp(o.amount) == 1", ["wrong-arguments"]),
        ("cmp(o.amount, balance(o)) == 1", ["not-yet"]),
        ('cmp(o.amount, money("5 XX")) == 1', ["bad-money"]),
        ("o.stage", ["not-a-rule"]),
        ("o.flag && o.stage", ["not-a-rule"]),
        ("!o.stage", ["not-a-rule"]),
        ('"text"', ["not-a-rule"]),
        ('o.flag ? "a" : "b"', ["not-a-rule"]),
        ('o.stage == "closedwon"', ["unknown-word"]),
        ('"closedwon" == o.stage', ["unknown-word"]),
        ('o.stage in ["closed_won", "lost"]', ["unknown-word"]),
        ('o.day > "1.1.2026"', ["bad-date"]),
        ('o.at > "2026-11-30"', ["bad-date"]),
        ('o.stage == "closed_won" && o.day < "2026-11-30"', []),
        ('o.at < "2026-11-30T10:00:00Z" || o.flag', []),
        ('cmp(o.amount, money("5.00 EUR")) > 0 && cmp(o.hours, "5") > 0', []),
        ('o.amount == money("5.00 EUR") ? o.flag : !o.flag', []),
        ("o.unknown", []),
        ("o.x > 0x1E", []),
    ],
)
def test_problems_are_found_before_any_record(text: str, codes: list[str]) -> None:
    problems = examine(compile_rule(text), lambda path: LOOK.get(path, Known()), truth=True)
    assert [problem.code for problem in problems] == codes
    assert all(problem.message and problem.remedy for problem in problems)


def test_every_function_has_a_sentence_and_sane_bounds() -> None:
    for name, function in FUNCTIONS.items():
        assert function.says, name
        assert 0 < function.least <= function.most
        assert not (function.later and function.run)


PIECES = st.sampled_from(
    [
        "o",
        ".",
        "stage",
        "amount",
        "==",
        "&&",
        "||",
        "!",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        '"a"',
        "1",
        "1.5",
        "-",
        "+",
        "<",
        "in",
        "has(",
        "cmp(",
        "money(",
        ",",
        "?",
        ":",
        "true",
        "null",
        ".all(x,",
        "'\\x00'",
        "//",
        "size(",
        "b'a'",
        'r"\\"',
        "o.amount",
        "item",
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map("".join))


@given(TEXTS)
@example("a.b" * 600)
@example('"\\u00"')
@example("'\\400'")
@example("9999999999999999999999")
@example("-9223372036854775808 - 1 == 2")
@example('"a".matches("' + "(a+)+" * 20 + '")')
@example("1 + " * 400 + "1 == 2")
@example("o.stage" + " && o.stage" * 150)
def test_no_text_raises_anything_but_the_declared_fault(text: str) -> None:
    try:
        rule = compile_rule(text)
    except BadExpression:
        return
    answer = rule.evaluate(RECORDS)
    assert answer is True or answer is False or isinstance(answer, Unknown)
    rule.value(RECORDS)
    examine(rule, lambda path: LOOK.get(path, Known()), truth=True)


@given(
    st.dictionaries(
        st.sampled_from(["stage", "amount", "day"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["amount", "currency", "x"]), inner)
            ),
            max_leaves=6,
        ),
    )
)
def test_no_record_raises(fields: dict[str, Any]) -> None:
    for text in (
        'o.stage == "won"',
        "cmp(o.amount, o.amount) == 0",
        "has(o.day) && o.day < o.stage",
        "o.stage.x.y",
    ):
        answer = compile_rule(text).evaluate({"o": fields})
        assert answer is True or answer is False or isinstance(answer, Unknown)


@given(st.dates(), st.dates())
def test_dates_compare_as_dates(one: Any, other: Any) -> None:
    records = {"o": {"one": one.isoformat(), "other": other.isoformat()}}
    assert compile_rule("o.one < o.other").evaluate(records) is (one < other)
    assert compile_rule("o.one == o.other").evaluate({"o": {"one": one, "other": other}}) is (one == other)
