"""A plan is a function: the same records, the same bytes; what is not known is never taken for no."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from concordat.core.contract import Contract
from concordat.core.language import load_contract
from concordat.core.plan import Known, Plan, Stance, plan

TEXT = """
contract: opportunity-to-project
version: 1
title: A won deal becomes an executable project
owner: sales-operations
channel: transactional
subject: opportunity
since: 2026-01-01
when: opportunity.stage == "closed_won" && opportunity.kind == "new"
withdrawn: opportunity.stage in ["negotiation", "closed_lost"]
with: {client: opportunity.client}
value: opportunity.amount
require:
  - {field: client.tax_id, owner: crm, unless: client.tax_status == "exempt"}
steps:
  client_in_erp: {put: client, in: erp, map: {name: client.name}}
  project_in_psa: {put: project, in: psa, after: [client_in_erp], map: {name: opportunity.name, client: client}}
  booked: {put: workspace, in: documents, each: opportunity.roles, map: {name: item.role}}
  staffing: {check: availability, in: hr, for: opportunity.roles}
  extra: {put: channel, in: chat, if: 'opportunity.probability > 50', map: {name: opportunity.name}}
  activated: {emit: project.activated, after: [project_in_psa, extra]}
late_change: {default: converge}
cases: {owner: sales-operations, due: 4 business hours}
"""
DEAL: dict[str, Any] = {
    "name": "Deal",
    "stage": "closed_won",
    "kind": "new",
    "amount": {"amount": "10.00", "currency": "EUR"},
    "won_at": "2026-06-15T08:00:00Z",
    "client": "crm:C1",
    "roles": [{"role": "architect"}, {"role": "engineer"}],
    "probability": 100,
}
CLIENT: dict[str, Any] = {"name": "Acme", "tax_id": "DE811907980", "tax_status": "registered"}


def contract() -> Contract:
    loaded = load_contract(TEXT, file="test.yaml", systems=None)
    assert loaded.contract is not None, loaded.faults
    return loaded.contract


CONTRACT = contract()


def planned(deal: dict[str, Any], client: dict[str, Any] | None = CLIENT, *, owner: int = 2, **known: Any) -> Plan:
    subject = Known(id=1, object="opportunity", ref="crm:O1", fields=deal, **known)
    related = {"client": client and Known(id=owner, object="client", ref=f"crm:C{owner}", fields=client)}
    return plan(CONTRACT, subject, {name: record or None for name, record in related.items()})


def steps(found: Plan) -> list[str]:
    return [e.step for e in found.effects]


def test_the_whole_plan() -> None:
    found = planned(DEAL)
    assert found.stance is Stance.WANTED
    assert sorted(steps(found)) == sorted(
        ["client_in_erp", "project_in_psa", "booked", "booked", "staffing", "extra", "activated"]
    )


@given(st.permutations(list(DEAL)), st.permutations(list(CLIENT)))
def test_the_order_of_fields_means_nothing(deal: list[str], client: list[str]) -> None:
    found = planned({k: DEAL[k] for k in deal}, {k: CLIENT[k] for k in client})
    assert found == planned(DEAL)
    assert found.digest == planned(DEAL).digest


@given(st.sampled_from(["stage", "kind", "roles", "probability"]))
def test_what_a_rule_needs_and_is_missing_is_unknown_never_no(gone: str) -> None:
    found = planned({k: v for k, v in DEAL.items() if k != gone})
    assert found.stance is Stance.UNKNOWN
    assert found.effects == ()
    assert gone in found.reason


@given(st.sampled_from([None, "", " ", {}, []]) | st.none())
def test_a_missing_mandatory_field_gives_no_effect(value: Any) -> None:
    found = planned(DEAL, {**CLIENT, "tax_id": value})
    assert [m.path for m in found.missing] == ["client.tax_id"] or value == " "
    assert bool(found.effects) == (not found.missing)


def test_an_unknown_excuse_does_not_excuse() -> None:
    assert planned(DEAL, {"name": "Acme"}).missing


def test_a_parent_that_cannot_be_read_gives_no_effect() -> None:
    found = planned(DEAL, None)
    assert [m.path for m in found.missing] == ["client"]
    assert found.effects == ()


def test_an_old_record_with_gaps_is_no_case_of_today() -> None:
    old = {k: v for k, v in DEAL.items() if k != "stage"} | {"won_at": "2019-01-01T00:00:00Z"}
    assert planned(old).stance is Stance.IDLE
    assert planned({**DEAL, "won_at": "2019-01-01T00:00:00Z"}).stance is Stance.ADOPTED


@given(st.text(max_size=12))
def test_no_text_for_a_date_breaks_the_plan(text: str) -> None:
    assert planned({**DEAL, "won_at": text}, changed_on=date(2026, 6, 1)).stance in (Stance.WANTED, Stance.ADOPTED)


@given(st.lists(st.sampled_from(["architect", "engineer", "x" * 500]), max_size=6))
def test_every_item_is_one_effect_with_a_place_of_its_own(roles: list[str]) -> None:
    found = [e for e in planned({**DEAL, "roles": [{"role": r} for r in roles]}).effects if e.step == "booked"]
    assert len(found) == len(roles) == len({e.item for e in found}) == len({e.record_key for e in found})
    assert all(len(e.item) <= 110 for e in found)


def test_a_step_that_is_not_wanted_may_still_be_waited_for() -> None:
    found = planned({**DEAL, "probability": 10})
    assert "extra" not in steps(found)
    assert next(e for e in found.effects if e.step == "activated").after == ("project_in_psa", "extra")


def test_the_same_document_for_another_client_is_another_one() -> None:
    one, other = planned(DEAL, owner=2), planned(DEAL, owner=3)
    first, second = (next(e for e in p.effects if e.step == "client_in_erp") for p in (one, other))
    assert first.fields == second.fields
    assert (first.digest, first.record_key) != (second.digest, second.record_key)
    assert first.digest != second.digest
