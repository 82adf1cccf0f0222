"""Words of the language that do not run yet are known, and keep a contract out with one clear fault."""

from __future__ import annotations

import pytest
from tests.core.test_language import GOOD, codes, step

from concordat.core.language.later import later

pytestmark = pytest.mark.fast

SKETCHES = {
    "opens": "opens: {each: contract, per: contract.billing_cycle, if: 'contract.state == \"active\"'}",
    "gather": 'gather: {charges: {from: charge, where: charge.state == "ready", freeze: draft}}',
    "gate": "gate: [{rule: 'true', says: No, owner: a, else: warn, waive: {by: b, up_to: 25000.00 EUR}}]",
    "document": "document: {one_per: [bill_to, currency], lines_by: [role], credits: separate}",
    "money": "money: {rounding: {at: line, mode: half_up}, tax: {by: document}, rates: {a: b}}",
    "price": "price: {by: psa, check_against: client, tolerance: 0.00}",
    "by_state": "late_change: {project: {by_state: {posted: {do: propose, dated: next_open_period}}}}",
    "fixed": "cases: {owner: a, fixed_fields: [rate, amount]}",
    "totals": "reconcile: {every: 1 day, totals: {by: [entity], sum: [net]}}",
    "tie_out": "reconcile: {every: 1 day, tie_out: [{ours: a, theirs: b, account: ar, by: [entity]}]}",
    "cancel": "undo: {project: cancel}",
    "propose": "undo: {project: {do: propose, what: credit, to: finance}}",
}
LATER_STEPS = [
    "{await: approval, approve: {by: pm, tiers: [{above: 100000.00 EUR, by: fd}], or_delegate: true}}",
    "{await: decision, choices: [bill, write_off]}",
    "{await: handoff, handoff: billing-run}",
    "{await: fact, fact: invoice.delivered, due: 1 business day}",
    "{act: post, in: erp, guard: approved, dated: next_open_period, ledger: ar, entity: contract.entity}",
    "{check: zero_balances, in: erp, accounts: [retainer], if_different: hold}",
]


@pytest.mark.parametrize("text", [*(GOOD + line + "\n" for line in SKETCHES.values()), *map(step, LATER_STEPS)])
def test_the_whole_vocabulary_is_known_and_what_does_not_run_says_not_yet(text: str) -> None:
    assert set(codes(text)) == {"not-yet"}


def test_the_example_of_the_design_is_not_unknown_to_the_model() -> None:
    text = GOOD.replace(
        "client: opportunity.client,", "client: {of: opportunity.client, as_of: opportunity.close_date},"
    )
    assert codes(text) == ["not-yet"]


def test_later_words_are_found_in_any_data() -> None:
    assert not list(later("text"))
    assert not list(later({"steps": {"a": None}, "with": []}))
