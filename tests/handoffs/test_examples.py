"""The shipped contracts: without fault, and each example gives the plan it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from concordat.core.contract import Contract
from concordat.core.language import load_contract
from concordat.core.language.examples import Example, differences, load_examples

pytestmark = pytest.mark.fast

SHIPPED = Path(__file__).parents[2] / "src" / "concordat" / "handoffs"
SYSTEMS = {"crm", "psa", "hr", "erp", "documents", "chat"}
FILES = sorted(path for path in SHIPPED.glob("*/v*.yaml") if not path.name.endswith(".examples.yaml"))


def contract_in(path: Path) -> Contract:
    loaded = load_contract(path.read_text(encoding="utf-8"), file=str(path), systems=SYSTEMS)
    assert loaded.contract, "\n".join(map(str, loaded.faults))
    return loaded.contract


def examples_beside(path: Path) -> tuple[Example, ...]:
    beside = path.with_suffix(".examples.yaml")
    loaded = load_examples(beside.read_text(encoding="utf-8"), file=str(beside), contract=contract_in(path))
    assert not loaded.faults, "\n".join(map(str, loaded.faults))
    return loaded.examples


def test_three_contracts_are_shipped() -> None:
    names = {path.parent.name for path in FILES}
    assert names == {"opportunity-to-project", "client-onboarding", "opportunity-extension"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_a_shipped_contract_has_no_fault_not_even_a_warning(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert load_contract(text, file=str(path), systems=SYSTEMS).faults == ()
    contract = contract_in(path)
    assert (contract.contract, f"v{contract.version}") == (path.parent.name, path.stem)


PAIRS = [
    pytest.param(path, at, id=f"{path.parent.name}: {example.name}")
    for path in FILES
    for at, example in enumerate(examples_beside(path))
]


@pytest.mark.parametrize(("path", "at"), PAIRS)
def test_an_example_gives_the_plan_it_promises(path: Path, at: int) -> None:
    assert differences(contract_in(path), examples_beside(path)[at]) == ()


def test_an_extension_makes_no_second_project_workspace_or_channel() -> None:
    contract = contract_in(SHIPPED / "opportunity-extension" / "v1.yaml")
    assert {step.put for step in contract.steps.values() if step.put} == {"contract_line"}


def sheet(text: str) -> list[str]:
    contract = contract_in(SHIPPED / "client-onboarding" / "v1.yaml")
    loaded = load_examples(text, file="x.examples.yaml", contract=contract)
    assert not loaded.examples
    return [str(fault) for fault in loaded.faults]


def test_faults_of_examples_have_their_place() -> None:
    head = "contract: client-onboarding\nversion: 1\nexamples:\n"
    (lost,) = sheet(head + "  - name: a\n    given: {client: {name: A}, nobody: {name: B}}\n    expect: {}\n")
    assert lost.startswith("x.examples.yaml:5:")
    assert "no record `nobody`" in lost
    (field,) = sheet(head + "  - name: a\n    given: {client: {name: A, country: Germany}}\n    expect: {}\n")
    assert "country" in field
    (other,) = sheet(head.replace("1", "2") + "  - {name: a, given: {client: {name: A}}, expect: {}}\n")
    assert "not client-onboarding/v1" in other
    assert "examples.0.expct" in " ".join(sheet(head + "  - {name: a, given: {client: {name: A}}, expct: {}}\n"))
    assert sheet("a: [")
    assert "subject" in sheet(head + "  - {name: a, given: {}, expect: {}}\n")[0]


def test_a_wrong_plan_is_told() -> None:
    contract = contract_in(SHIPPED / "client-onboarding" / "v1.yaml")
    good = examples_beside(SHIPPED / "client-onboarding" / "v1.yaml")[0]
    step = good.expect.steps[0] if good.expect.steps else None
    assert step
    wrong = {
        "stance": good.expect.model_copy(update={"stance": "idle"}),
        "steps": good.expect.model_copy(update={"steps": (step,)}),
        "system": good.expect.model_copy(
            update={"steps": (step.model_copy(update={"system": "psa"}), *good.expect.steps[1:])}  # type: ignore[index]
        ),
        "name": good.expect.model_copy(
            update={"steps": (step.model_copy(update={"fields": {"name": "B"}}), *good.expect.steps[1:])}  # type: ignore[index]
        ),
    }
    for word, expect in wrong.items():
        (said,) = differences(contract, good.model_copy(update={"expect": expect}))
        assert word in said
