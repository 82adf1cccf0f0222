"""Canonical objects: every fault told, nothing lost, one canonical form, quick enough for a backlog."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from time import process_time
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from concordat.core.keys import digest
from concordat.core.money import EXPONENTS, Money
from concordat.core.objects import (
    OBJECTS,
    FieldFact,
    TargetRef,
    fields_of,
    json_schema,
    normalise,
    parse,
    part_fields,
    validate_many,
)
from concordat.core.objects.parties import Client
from concordat.core.objects.sales import Opportunity
from concordat.errors import Invalid, NotFound

pytestmark = pytest.mark.fast

WON: dict[str, Any] = {
    "name": "Northwind rollout",
    "number": "0410",
    "stage": "closed_won",
    "kind": "new",
    "amount": {"amount": "1250.00", "currency": "EUR"},
    "probability": 100,
    "close_date": "2026-11-30",
    "won_at": "2026-11-30T11:00:00+01:00",
    "client": "crm:001xx0000003DGb",
    "contract": "crm:800xx0000001",
    "entity": "NB-US",
    "owner_name": "Ada",
    "roles": [
        {
            "role": "consultant",
            "hours": "120.0",
            "from": "2026-12-01",
            "to": "2026-12-31",
            "location": "Berlin",
        },
        {"role": "architect", "hours": "40", "from": "2026-12-01", "to": "2026-12-15", "location": "Berlin"},
    ],
}

DESIGN = """
legal_entity accounting_period exchange_rate client contact opportunity agreement contract
contract_line performance_obligation client_po rate_card rate_line project task resource_request
assignment worker delegation time_entry expense charge milestone retainer change_order
billing_period invoice invoice_line revenue_event payment application intercompany_charge
purchase_order service_item write_off workspace channel message incident
"""

# What the connectors and the engine agreed to call things.
SHARED = {
    "client": """name number country currency tax_id tax_status payment_terms phone billing_email parent""",
    "contract": """number name client start_date end_date currency value billing_model
        billing_terms budget_hours budget_cost entity signed""",
    "opportunity": """name number stage kind amount probability close_date won_at client contract extends
        entity owner_name roles""",
    "project": """name number client contract_value budget_hours budget_cost currency start_date end_date
        status entity""",
    "contract_line": "name project amount start_date end_date budget_hours",
    "workspace": "name client_name project_name",
    "channel": "name topic",
    "message": "channel text",
    "worker": """number name email kind grade role entity location cost_centre active
        available_minutes_per_week""",
}


def test_every_object_of_the_model_is_there():
    assert set(OBJECTS) >= set(DESIGN.split())


@pytest.mark.parametrize("name", SHARED)
def test_the_shared_words_are_fields(name: str):
    assert set(SHARED[name].split()) <= set(fields_of(name))


def everything(facts: Mapping[str, FieldFact]) -> list[FieldFact]:
    below = [everything(part_fields(fact.part)) for fact in facts.values() if fact.part]
    return [*facts.values(), *(fact for group in below for fact in group)]


@pytest.mark.parametrize("name", OBJECTS)
def test_every_field_is_explained_and_leads_somewhere(name: str):
    facts = fields_of(name)
    assert {"id", "unit", "source", "extra"} <= set(facts)
    for fact in everything(facts):
        assert fact.help, fact.name
        assert len(fact.help) < 100
        assert not fact.refers or fact.refers in OBJECTS, fact
        assert (fact.kind == "choice" or fact.item == "choice") == bool(fact.choices)
        assert (fact.kind == "list") == (fact.item is not None)


def test_what_is_known_about_fields():
    facts = fields_of("opportunity")
    assert facts["name"].mandatory
    assert not facts["amount"].mandatory
    assert facts["amount"].kind == "money"
    assert (facts["client"].kind, facts["client"].refers) == ("reference", "client")
    assert (facts["entity"].kind, facts["entity"].refers) == ("text", "legal_entity")
    assert facts["stage"].choices == ("prospecting", "negotiation", "closed_won", "closed_lost")
    assert (facts["roles"].kind, facts["roles"].item) == ("list", "record")
    role = facts["roles"].part
    assert role is not None
    assert part_fields(role)["from"].kind == "date"
    assert (fields_of("contract")["lines"].refers, fields_of("worker")["active"].kind) == (
        "contract_line",
        "flag",
    )


def test_an_unknown_object_names_the_nearest():
    with pytest.raises(NotFound, match="'opportunity'"):
        fields_of("oportunity")
    with pytest.raises(NotFound):
        parse("zzz", {})


def test_a_won_deal():
    parsed = parse("opportunity", WON)
    deal = parsed.object
    assert isinstance(deal, Opportunity)
    assert not parsed.faults
    assert not parsed.extra
    assert deal.amount == Money(Decimal("1250.00"), "EUR")
    assert deal.close_date == date(2026, 11, 30)
    assert deal.won_at == datetime(2026, 11, 30, 10, tzinfo=UTC)
    assert deal.roles[0].hours == Decimal(120)
    assert deal.number == "0410"
    assert parsed.fields["won_at"] == "2026-11-30T10:00:00Z"
    assert parsed.fields["roles"][0]["from"] == "2026-12-01"
    with pytest.raises(ValidationError):
        deal.name = "other"  # type: ignore[misc]


def test_unknown_fields_are_set_aside_wherever_they_are():
    roles = [{"role": "a", "colour": "red"}, {"role": "b"}]
    row = {**WON, "roles": roles, "Custom__c": {"x": 1}, "extra": {"before": True}}
    parsed = parse("opportunity", row)
    assert parsed.object is not None
    assert parsed.extra == {"before": True, "Custom__c": {"x": 1}, "roles[0].colour": "red"}
    assert parsed.object.extra == parsed.extra
    assert row["roles"][0] == {"role": "a", "colour": "red"}


def test_an_extra_that_is_no_record_is_kept_too():
    parsed = parse("client", {"name": "A", "extra": 5, "colour": "red"})
    assert parsed.extra == {"extra": 5, "colour": "red"}
    assert not parsed.faults


def test_all_faults_are_told_with_place_value_and_remedy():
    parsed = parse(
        "opportunity",
        {
            "name": "",
            "stage": "won",
            "amount": {"amount": 12.5, "currency": "EUR"},
            "probability": 101,
            "close_date": "30.11.2026",
            "won_at": "2026-11-30T10:00:00",
            "client": "001xx",
            "owner_name": 7,
            "entity": "NB-US",
            "roles": [{"hours": 1.5}, 5],
            "Custom__c": 1,
        },
    )
    assert parsed.object is None
    assert {fault.field: fault.value for fault in parsed.faults} == {
        "name": "",
        "stage": "won",
        "kind": None,
        "amount": {"amount": 12.5, "currency": "EUR"},
        "probability": 101,
        "close_date": "30.11.2026",
        "won_at": "2026-11-30T10:00:00",
        "client": "001xx",
        "owner_name": 7,
        "roles[0].role": None,
        "roles[0].hours": 1.5,
        "roles[1]": 5,
    }
    assert all(fault.message and fault.remedy for fault in parsed.faults)
    assert parsed.fields == {"entity": "NB-US"}
    assert parsed.extra == {"Custom__c": 1}


@pytest.mark.parametrize(
    ("object_", "field", "value"),
    [
        ("opportunity", "close_date", 20261130),
        ("opportunity", "close_date", "20261130"),
        ("opportunity", "close_date", "2026-02-30"),
        ("opportunity", "close_date", "2026-11-30T00:00:00Z"),
        ("opportunity", "won_at", 1_700_000_000),
        ("opportunity", "won_at", "2026-11-30"),
        ("opportunity", "probability", "50"),
        ("opportunity", "probability", 50.0),
        ("opportunity", "probability", True),
        ("opportunity", "amount", "1250.00 EUR"),
        ("opportunity", "amount", {"amount": "1250.001", "currency": "EUR"}),
        ("opportunity", "amount", {"amount": "1", "currency": "EUR", "rate": "2"}),
        ("opportunity", "roles", {"role": "x"}),
        ("contract", "budget_hours", 120.0),
        ("contract", "budget_hours", "1e2"),
        ("contract", "budget_hours", "12,5"),
        ("contract", "budget_hours", Decimal("NaN")),
        ("contract", "signed", "true"),
        ("contract", "signed", 1),
        ("client", "country", "Germany"),
        ("client", "currency", "eur"),
        ("client", "tax_status", None.__class__),
        ("client", "phone", 4930),
        ("project", "client", {"ref": 5}),
        ("project", "client", {"id": "x"}),
        ("project", "client", {}),
        ("project", "client", "erp:"),
        ("worker", "cost_centre", 410),
        ("client", "source", {"crm": 1}),
    ],
)
def test_nothing_is_bent_into_shape(object_: str, field: str, value: object):
    parsed = parse(object_, {field: value})
    assert [fault for fault in parsed.faults if fault.field.startswith(field)]
    with pytest.raises(Invalid, match=field):
        normalise(object_, {field: value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_bad_data_never_raises_and_nothing_is_lost(data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(OBJECTS)))
    words = st.sampled_from(sorted(fields_of(name))) | st.text(max_size=5)
    fields = data.draw(st.dictionaries(words, json_values, max_size=6))
    parsed = parse(name, fields)
    faulty = {fault.field.split("[")[0].split(".")[0] for fault in parsed.faults}
    for field in fields:
        aside = any(path.split("[")[0].split(".")[0] == field or path == field for path in parsed.extra)
        assert field in parsed.fields or field in faulty or aside or field == "extra"
    assert (parsed.object is None) == bool(parsed.faults)


def example(fact: FieldFact) -> st.SearchStrategy[Any]:
    """Values that a field takes, in JSON form."""
    if fact.kind == "list":
        lone = FieldFact(name=fact.name, kind=fact.item or "text", help="", choices=fact.choices, part=fact.part)
        return st.lists(example(lone), max_size=2, min_size=int(fact.mandatory))
    if fact.part:
        return record(part_fields(fact.part))
    if fact.kind == "text":
        special = {"country": "DE", "currency": "EUR", "currencies": "EUR", "functional_currency": "GBP"}
        codes = {"reporting_currency": "USD", "from": "EUR", "to": "USD"}
        return st.just((special | codes).get(fact.name, "0410"))
    money = st.builds(Money.of_minor, st.integers(-(10**9), 10**9), st.sampled_from(sorted(EXPONENTS)))
    return {
        "choice": st.sampled_from(fact.choices or ("",)),
        "money": money.map(Money.to_json),
        "date": st.dates().map(date.isoformat),
        "instant": st.datetimes(min_value=datetime(1970, 1, 1)).map(lambda at: f"{at.isoformat()}Z"),  # noqa: DTZ001
        "number": st.decimals(0, 1, places=3).map(lambda n: format(n, "f")),
        "whole": st.integers(0, 100),
        "flag": st.booleans(),
        "reference": st.sampled_from(["crm:1", {"ref": None, "name": "A"}, {"number": "7"}]),
        "map": st.just({}),
    }[fact.kind]


def record(facts: Mapping[str, FieldFact]) -> st.SearchStrategy[dict[str, Any]]:
    plain = {n: f for n, f in facts.items() if n not in {"extra", "lines", "tasks"}}
    return st.fixed_dictionaries(
        {n: example(f) for n, f in plain.items() if f.mandatory},
        optional={
            n: example(f) | st.none() for n, f in plain.items() if not f.mandatory and f.kind not in {"list", "map"}
        }
        | {n: example(f) for n, f in plain.items() if not f.mandatory and f.kind in {"list", "map"}},
    )


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_parsed_comes_back_and_keeps_to_the_schema(name: str):
    validator = jsonschema.Draft202012Validator(json_schema(name))

    @settings(max_examples=settings().max_examples // 8)  # for each of so many objects
    @given(record(fields_of(name)))
    def check(fields: dict[str, Any]) -> None:
        parsed = parse(name, fields)
        assert parsed.faults == ()
        again = parse(name, parsed.fields)
        assert again.object == parsed.object
        assert again.fields == parsed.fields
        validator.validate(fields)
        validator.validate(parsed.fields)
        assert orjson.loads(orjson.dumps(parsed.fields)) == parsed.fields
        canonical = normalise(name, fields)
        assert normalise(name, canonical) == canonical
        assert digest(canonical) == digest(parsed.fields)

    check()


def test_the_canonical_form():
    given = {
        "roles": [{"to": "2026-12-31", "hours": "0120.50", "role": "x"}],
        "client": {"name": "Northwind"},
        "amount": {"currency": "JPY", "amount": "1250"},
        "won_at": "2026-11-30T11:00:00.500000+01:00",
        "owner_name": None,
    }
    canonical = normalise("opportunity", given)
    assert list(canonical) == sorted(given)
    assert canonical == {
        "amount": {"amount": "1250", "currency": "JPY"},
        "client": {"ref": None, "name": "Northwind", "number": None},
        "owner_name": None,
        "roles": [{"role": "x", "hours": "120.5", "to": "2026-12-31"}],
        "won_at": "2026-11-30T10:00:00.500000Z",
    }


@pytest.mark.parametrize(
    ("one", "two"), [("120", "120.0"), ("120", 120), ("0", "-0.00"), ("1000", "1000.000"), ("-1.5", "-1.50")]
)
def test_equal_numbers_have_equal_digests(one: object, two: object):
    assert digest(normalise("contract", {"budget_hours": one})) == digest(normalise("contract", {"budget_hours": two}))


def test_normalise_names_everything_that_is_wrong():
    with pytest.raises(Invalid, match=r"colour: is not a field.*country: does not look") as caught:
        normalise("client", {"colour": "red", "country": "Germany"})
    assert "client" in str(caught.value)


def test_a_direct_construction_is_as_strict():
    assert Client(name="Northwind", parent="crm:1").parent == "crm:1"
    assert Client(name="Northwind", parent=TargetRef(name="Group")).parent == TargetRef(name="Group")
    with pytest.raises(ValidationError):
        Client(name="Northwind", colour="red")  # type: ignore[call-arg]


def test_one_bad_row_touches_no_other():
    good, bad, last = validate_many("client", [{"name": "A"}, {"name": 5}, {"name": "C"}])
    assert good.object is not None
    assert last.object is not None
    assert [fault.field for fault in bad.faults] == ["name"]


@pytest.mark.slow
def test_a_backlog_of_deals_is_quick():
    rows = [dict(WON) for _ in range(2000)]
    best = min(cpu_seconds(rows) for _ in range(8))
    # A quiet machine parses more than 30,000 a second; a schema that is built anew for each row, a few hundred.
    assert len(rows) / best >= 4_000, f"{len(rows) / best:,.0f} opportunities a second"


def cpu_seconds(rows: list[dict[str, Any]]) -> float:
    start = process_time()
    parsed = validate_many("opportunity", rows)
    spent = process_time() - start
    assert all(one.object for one in parsed)
    return spent
