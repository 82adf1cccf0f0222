"""The contract model: shorthands, kinds, order, records, reactions, overlays."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from concordat.core.contract import (
    Contract,
    LateChange,
    LostPath,
    Overlay,
    Reaction,
    Relation,
    Undo,
    apply_overlay,
    follow,
    object_behind,
)
from concordat.core.money import Money
from concordat.errors import Invalid

pytestmark = pytest.mark.fast

SMALL: dict[str, Any] = {
    "contract": "small",
    "version": "1",
    "title": "A small one",
    "owner": "sales",
    "subject": "opportunity",
    "since": "2026-01-01",
    "when": "true",
    "with": {"client": "opportunity.client", "original": "opportunity.extends"},
    "steps": {
        "last": {"emit": "done", "after": ["b", "a"]},
        "a": {"put": "client", "in": "erp"},
        "b": {"put": "project", "in": "erp", "after": "a", "optional": "true"},
    },
}


def contract(**words: Any) -> Contract:
    return Contract.model_validate({**SMALL, **words})


def test_text_becomes_typed_values() -> None:
    small = contract(
        brake={"subjects": "500", "money": "250000.00 EUR"},
        retry={"unavailable": {"first": "2 s", "factor": "1.5"}, "rejected": "never"},
    )
    assert (small.version, small.since) == (1, date(2026, 1, 1))
    assert small.brake
    assert (small.brake.subjects, small.brake.money) == (500, Money.parse("250000.00 EUR"))
    assert small.brake.per.text == "1 hour"
    assert small.retry["unavailable"].factor == Decimal("1.5")
    assert small.retry["rejected"].do == "never"
    assert small.retry["unavailable"].first
    assert small.retry["unavailable"].first.span.length.total_seconds() == 2
    assert small.steps["b"].optional is True
    assert small.key == "small/v1"


def test_order_puts_every_step_behind_its_predecessors_else_as_written() -> None:
    assert contract().order() == ("a", "b", "last")


def test_a_cycle_has_no_order() -> None:
    steps = {"a": {"emit": "x", "after": ["b"]}, "b": {"emit": "y", "after": ["a"]}}
    with pytest.raises(Invalid, match="a, b wait for each other"):
        contract(steps=steps).order()


def test_a_step_has_one_kind_and_its_word() -> None:
    step = contract().steps["a"]
    assert (step.kind, step.word, step.system) == ("put", "client", "erp")
    assert contract().steps["last"].kind == "emit"
    waits = contract(steps={"w": {"await": "fact", "fact": "invoice.delivered"}}).steps["w"]
    assert (waits.kind, waits.word, waits.system) == ("await", "fact", "")


@pytest.mark.parametrize(
    "step",
    [
        {},
        {"put": "client", "in": "erp", "emit": "x"},
        {"put": "client"},
        {"act": "post"},
        {"check": "availability"},
    ],
)
def test_a_step_of_no_or_two_kinds_or_without_system_is_refused(step: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        contract(steps={"s": step})


def test_shorthands_are_their_long_forms() -> None:
    small = contract(
        undo={"a": "hold", "b": {"do": "hold", "unless": "project.has_time", "else": "case to delivery"}},
        late_change={"default": "converge", "a": {"by_state": {"posted": "hold"}}},
    )
    assert small.with_["client"] == Relation(of="opportunity.client")
    assert small.undo["a"] == Undo(do="hold")
    assert small.undo["b"].else_to == "delivery"
    assert small.late_change["a"].by_state == {"posted": Reaction(do="hold")}


def test_a_late_change_without_a_word_is_held() -> None:
    assert contract().reaction("a") == LateChange(do="hold")
    spoken = contract(late_change={"default": "converge", "a": "ignore"})
    assert (spoken.reaction("a").do, spoken.reaction("b").do) == ("ignore", "converge")


def test_the_object_behind_a_record_is_where_its_reference_leads() -> None:
    small = contract()
    assert small.records == ("opportunity", "client", "original")
    assert [small.object_of(name) for name in small.records] == ["opportunity", "client", "opportunity"]
    said = contract(**{"with": {"payer": {"of": "opportunity.client", "object": "client"}}})
    assert said.object_of("payer") == "client"


def test_relations_may_build_on_each_other_and_never_loop() -> None:
    chain = {"line": Relation(of="contract.project"), "contract": Relation(of="opportunity.contract")}
    assert object_behind("line", "opportunity", chain) == "project"
    ring = {"a": Relation(of="b.client"), "b": Relation(of="a.client")}
    assert object_behind("a", "opportunity", ring) is None
    assert object_behind("nobody", "opportunity", {}) is None


def test_a_put_writes_for_the_record_of_its_object_else_for_the_subject() -> None:
    small = contract()
    assert small.record_of("a") == "client"
    assert small.record_of("b") == "opportunity"
    steps = {"a": {"put": "project", "in": "erp", "of": "original"}}
    assert contract(steps=steps).record_of("a") == "original"


def test_owners_fall_back_to_the_cases_then_to_the_contract() -> None:
    assert contract().case_owner == "sales"
    small = contract(cases={"owner": "desk"}, require=[{"rule": "true"}, {"field": "a.b", "owner": "crm"}])
    assert [small.owner_of(requirement) for requirement in small.require] == ["desk", "crm"]


def test_paths_lead_to_fields_through_records_and_money() -> None:
    found = follow("opportunity", ["amount", "currency"])
    assert found
    assert found.kind == "text"
    assert follow("opportunity", ["extra", "anything", "at", "all"]) is None
    with pytest.raises(LostPath) as lost:
        follow("opportunity", ["client", "name"])
    assert lost.value.word == "name"


def test_an_overlay_moves_connections_and_adds_rules() -> None:
    base = contract(
        owns={"client.phone": {"system": "erp", "others": "accept"}},
        service_levels=[{"name": "done", "until": "last", "within": "1 hour"}],
        require=[{"rule": "true"}],
        undo={"a": "hold"},
    )
    overlay = Overlay.model_validate(
        {
            "contract": "small-uk",
            "version": "1",
            "extends": "small",
            "connections": {"erp": "erp_uk"},
            "since": "2026-06-01",
            "require": [{"field": "client.tax_id", "owner": "crm"}],
            "service_levels": [{"name": "done", "until": "last", "within": "2 hours"}],
            "undo": {"b": "hold"},
        }
    )
    merged = apply_overlay(base, overlay)
    assert (merged.key, merged.extends, merged.title) == ("small-uk/v1", "small/v1", "A small one")
    assert {step.system for step in merged.steps.values()} == {"erp_uk", ""}
    assert merged.owns["client.phone"].system == "erp_uk"
    assert [requirement.field for requirement in merged.require] == ["client.tax_id", None]
    assert [level.within.text for level in merged.service_levels] == ["2 hours"]
    assert set(merged.undo) == {"a", "b"}
    assert merged.since == date(2026, 6, 1)
    assert base.steps["a"].system == "erp"
