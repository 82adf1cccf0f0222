"""Loading a contract: every fault at once, each at its place, and nothing but faults for any text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from concordat.core.contract import Contract
from concordat.core.language import Loaded, load_contract
from concordat.core.language.schema import json_schema, tables
from concordat.core.language.source import read

pytestmark = pytest.mark.fast

SYSTEMS = {"crm", "psa", "erp", "hr", "documents", "chat"}
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
HANDOFFS = Path(__file__).parents[2] / "src" / "concordat" / "handoffs"

GOOD = """\
contract: good
version: 1
title: Good
owner: sales
subject: opportunity
since: 2026-01-01
when: opportunity.stage == "closed_won"
withdrawn: opportunity.stage == "closed_lost"
with: {client: opportunity.client, contract: opportunity.contract}
value: opportunity.amount
steps:
  customer: {put: client, in: erp}
  project: {put: project, in: psa, map: {name: opportunity.name, contract_value: contract.value}}
  done: {emit: project.activated, after: [customer, project]}
"""

TEN = """\
contract: opportunity-to-project
version: one
title: A won deal becomes an executable project
owner: sales-operations
aprovers: [finance]
subject: opportunity
since: 2026-01-01
when: opportunity.stge == "closed_won" && opportunity.kind == "new"
withdrawn: opportunity.amount > 5
with:
  client: opportunity.client
  contract: opportunity.contract
require:
  - field: contract.billing_trms
    owner: crm
  - rule: contract.end_date >= contract.start_date
    unless: client.tax_status in ["notregistered"]
steps:
  client_in_erp: {put: client, in: erpp}
  project_in_psa: {put: project, in: psa, map: {name: opportunity.name}}
  project_in_erp: {put: project, in: erp, after: [client_in_erp, project_in_pas]}
  staffing: {check: availability, in: hr, for: opportunity.roles, due: 1 busines day}
  activated: {emit: project.activated, after: [project_in_erp]}
late_change: {default: convrge}
"""


def load(text: str, **more: Any) -> Loaded:
    return load_contract(text, file="v1.yaml", systems=SYSTEMS, **more)


def codes(text: str) -> list[str]:
    return [fault.code for fault in load(text).faults]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def step(line: str) -> str:
    return GOOD + f"  extra: {line}\n"


def test_a_good_contract_has_no_fault() -> None:
    loaded = load(GOOD)
    assert loaded.faults == ()
    assert loaded.holds
    assert loaded.contract
    assert loaded.contract.order() == ("customer", "project", "done")


def test_ten_planted_faults_are_exactly_ten_each_at_its_place() -> None:
    loaded = load(TEN)
    assert loaded.contract is None
    assert [(fault.line, fault.column, fault.code) for fault in loaded.faults] == [
        (2, 10, "bad-number"),
        (5, 1, "unknown-key"),
        (8, 7, "unknown-field"),
        (9, 32, "money-comparison"),
        (14, 12, "unknown-field"),
        (17, 36, "unknown-word"),
        (19, 36, "unknown-system"),
        (21, 66, "unknown-step"),
        (22, 72, "bad-duration"),
        (24, 24, "unknown-word"),
    ]
    hints = [
        "approvers",
        "stage",
        "cmp(a,",
        "billing_terms",
        "not_registered",
        "erp",
        "project_in_psa",
        "converge",
    ]
    said = " ".join(fault.remedy for fault in loaded.faults)
    assert all(hint in said for hint in hints)
    assert str(loaded.faults[1]) == "v1.yaml:5:1: unknown-key: No key `aprovers` here. Did you mean `approvers`?"
    assert loaded.faults[1].to_json()["line"] == 5


LONG = "a" * 5000
CASES: Mapping[str, str] = {
    "yaml-syntax": "contract: [a",
    "empty-file": "# nothing\n",
    "yaml-too-large": "a: " + "x" * 600_000,
    "yaml-too-deep": "a: " + "[" * 30 + "]" * 30,
    "duplicate-key": changed("owner: sales\n", "owner: sales\nowner: other\n"),
    "unknown-key": changed("owner: sales\n", "owner: sales\napprover: finance\n"),
    "missing-key": changed("since: 2026-01-01\n", ""),
    "wrong-shape": changed("with: {client: opportunity.client, contract: opportunity.contract}", "with: [a]").replace(
        "contract.value", "opportunity.amount"
    ),
    "empty-value": changed("title: Good", "title:"),
    "too-long": changed("title: Good", f"title: {LONG}"),
    "bad-name": step("{emit: x}").replace("extra:", "9extra:"),
    "unknown-word": changed("owner: sales\n", "owner: sales\nchannel: trasactional\n"),
    "bad-number": changed("version: 1", "version: 1.5"),
    "bad-date": changed("since: 2026-01-01", "since: 1.1.2026"),
    "bad-flag": step("{emit: x, optional: maybe}"),
    "bad-money": GOOD + "brake: {money: 5 euros}\n",
    "bad-duration": GOOD + "cases: {owner: a, due: soon}\n",
    "step-kind": step("{put: message, emit: x, in: chat}"),
    "step-system": step("{put: message}"),
    "one-of": GOOD + "require: [{owner: crm}]\n",
    "unknown-object": step("{put: projct, in: erp}"),
    "unknown-field": changed("name: opportunity.name", "name: opportunity.nam"),
    "unknown-record": changed("name: opportunity.name", "name: oportunity.name"),
    "unknown-step": step("{emit: x, after: [projct]}"),
    "unknown-system": step("{put: message, in: chatt}"),
    "unknown-function": changed('opportunity.stage == "closed_won"', "hass(opportunity.stage)"),
    "unknown-question": step("{check: availabilty, in: hr}"),
    "not-a-reference": changed("client: opportunity.client", "client: opportunity.amount"),
    "not-a-field": GOOD + "require: [{field: has(client.name)}]\n",
    "not-a-rule": changed('opportunity.stage == "closed_won"', "opportunity.stage"),
    "not-money": changed("value: opportunity.amount", "value: opportunity.name"),
    "wrong-kind": changed("contract_value: contract.value", "contract_value: contract.budget_hours"),
    "rule-syntax": changed('opportunity.stage == "closed_won"', "opportunity.stage =="),
    "rule-too-long": changed("value: opportunity.amount", "value: " + "o" * 2001),
    "rule-too-deep": changed('opportunity.stage == "closed_won"', "(" * 40 + "true" + ")" * 40),
    "rule-index": changed("opportunity.stage == ", 'opportunity["stage"] == '),
    "rule-float": changed('opportunity.stage == "closed_won"', "opportunity.probability > 1.5"),
    "wrong-arguments": changed('opportunity.stage == "closed_won"', "size() == 1"),
    "money-arithmetic": changed("value: opportunity.amount", "value: opportunity.amount + opportunity.amount"),
    "money-comparison": changed('opportunity.stage == "closed_won"', "opportunity.amount > 5"),
    "decimal-comparison": changed('opportunity.stage == "closed_won"', 'contract.budget_hours > "5"'),
    "null-comparison": changed('opportunity.stage == "closed_won"', "opportunity.stage == null"),
    "name-twice": step("{emit: x}").replace("extra:", "client:"),
    "same-target": step("{put: project, in: psa}"),
    "cycle": changed("{put: client, in: erp}", "{put: client, in: erp, after: [project]}").replace(
        "in: psa,", "in: psa, after: [customer],"
    ),
    "not-after": step("{put: message, in: chat, map: {channel: done}}"),
    "maps-optional": step("{put: message, in: chat, after: [room], map: {channel: room}}")
    + "  room: {put: channel, in: chat, optional: true}\n",
    "not-yet": step("{act: post, in: erp}"),
    "advice": changed('withdrawn: opportunity.stage == "closed_lost"\n', ""),
}


@pytest.mark.parametrize("code", CASES)
def test_every_code_is_found_alone(code: str) -> None:
    loaded = load(CASES[code])
    assert [fault.code for fault in loaded.faults] == [code]
    fault = loaded.faults[0]
    assert fault.message
    assert fault.remedy
    assert fault.line >= 1
    assert fault.column >= 1


def test_every_code_of_the_reference_is_tested() -> None:
    page = (REFERENCE / "contract-language.md").read_text(encoding="utf-8")
    rows = page.split("| code | what is wrong |")[1].split("\n\n")[0].splitlines()[2:]
    listed = {code.strip(" `") for row in rows for code in row.split("|")[1].split(",")}
    assert listed == {*CASES, "yaml-alias", "unknown-base"}


def test_a_warning_does_not_keep_a_contract_out() -> None:
    loaded = load(CASES["advice"])
    assert loaded.holds
    assert loaded.faults[0].severity == "warning"


def test_a_word_for_later_is_known_and_keeps_the_contract_out() -> None:
    loaded = load(CASES["not-yet"])
    assert loaded.contract is None
    assert loaded.faults[0].severity == "later"


def test_codes_stay_text() -> None:
    loaded = load(GOOD + "cases: {owner: NO}\n".replace("NO", "0410") + "approvers: [NO, 0410, on, 1_000]\n")
    assert loaded.contract
    assert loaded.contract.approvers == ("NO", "0410", "on", "1_000")
    assert loaded.contract.case_owner == "0410"


def test_a_path_through_a_reference_is_told_how() -> None:
    (fault,) = load(changed("name: opportunity.name", "name: opportunity.client.name")).faults
    assert fault.code == "unknown-field"
    assert "`client: opportunity.client` under `with`" in fault.remedy


def test_two_objects_of_one_kind_are_told_apart_by_as() -> None:
    assert codes(step("{put: project, in: psa, as: second}")) == []


def test_the_target_may_be_asked_before_an_undo() -> None:
    assert codes(GOOD + "undo: {project: {do: hold, unless: project.has_time, else: case to delivery}}\n") == []
    assert codes(GOOD + "undo: {project: {do: hold, unless: project.has_tim}}\n") == ["unknown-field"]
    assert codes(GOOD + "undo: {projct: hold}\n") == ["unknown-step"]
    assert codes(GOOD + "undo: {project: {do: hold, else: shrug}}\n") == ["unknown-word"]


def test_systems_are_checked_only_when_they_are_known() -> None:
    assert load_contract(CASES["unknown-system"], file="x", systems=None).faults == ()


def test_fields_of_ownership_and_reconciliation_are_checked() -> None:
    text = GOOD + "owns: {client.phon: {system: crm, others: accept}}\nreconcile: {every: 1 day, fields: [x.a]}\n"
    assert codes(text) == ["unknown-field", "unknown-object"]


def test_clocks_end_at_a_step_or_a_field() -> None:
    level = "service_levels: [{{name: a, until: {0}, within: 1 hour}}]\n"
    assert codes(GOOD + level.format("done")) == []
    assert codes(GOOD + level.format("opportunity.won_at")) == []
    assert codes(GOOD + level.format("don")) == ["unknown-step"]


def test_a_fault_in_one_part_does_not_hide_or_make_others() -> None:
    text = GOOD.replace("subject: opportunity", "subject: oportunity")
    assert set(codes(text)) == {"unknown-object"}
    assert codes(changed("{put: client, in: erp}", "[]")) == ["wrong-shape"]
    two = GOOD + "service_levels:\n  - {name: a, until: don, withn: 1 hour}\n"
    assert sorted(codes(two)) == ["missing-key", "unknown-key", "unknown-step"]


def test_aliases_are_bounded() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for name, before in ("ba", "cb", "dc", "ed", "fe"):
        bomb += f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
    assert "yaml-alias" in codes(bomb)
    assert "yaml-alias" in codes("a: &a [*a]\n")


def test_an_anchor_may_be_used_twice() -> None:
    text = changed("map: {name:", "map: &m {name:") + "  again: {put: project, in: erp, map: *m}\n"
    loaded = load(text)
    assert loaded.contract
    assert loaded.contract.steps["again"].map == loaded.contract.steps["project"].map


def test_an_overlay_is_laid_over_its_base_and_checked() -> None:
    base = load(GOOD).contract
    assert base
    text = "contract: good-uk\nversion: 1\nextends: good\nconnections: {erp: crm}\n"
    loaded = load(text + "require: [{field: client.tax_id, owner: crm}]\n", bases={"good": base})
    assert loaded.faults == ()
    assert loaded.contract
    assert loaded.contract.steps["customer"].system == "crm"
    wrong = load(text + "require: [{field: client.tax_di, owner: crm}]\n", bases={"good": base})
    assert [(fault.line, fault.code) for fault in wrong.faults] == [(5, "unknown-field")]
    assert [fault.code for fault in load(text.replace("erp:", "epr:"), bases={"good": base}).faults] == [
        "unknown-system"
    ]
    (lost,) = load(text.replace("extends: good", "extends: god"), bases={"good": base}).faults
    assert (lost.code, lost.remedy) == ("unknown-base", "Did you mean `good`?")


def test_the_published_schema_and_tables_are_fresh() -> None:
    how = "run: python docs/reference/generate.py"
    assert json.loads((REFERENCE / "contract.schema.json").read_text(encoding="utf-8")) == json_schema(), how
    assert (REFERENCE / "contract-language.md").read_text(encoding="utf-8").endswith(tables()), how


def plain(data: Any) -> Any:
    """Read as an editor does: a date is a text to it."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(value) for value in data]
    return data.isoformat() if isinstance(data, date) else data


def test_the_schema_agrees_with_the_checker() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in [GOOD, *(path.read_text(encoding="utf-8") for path in HANDOFFS.glob("*/v1.yaml"))]:
        assert not list(validator.iter_errors(plain(yaml.safe_load(text))))
    for code in ("unknown-key", "missing-key", "unknown-word", "wrong-shape"):
        assert list(validator.iter_errors(plain(yaml.safe_load(CASES[code])))), code
    assert not list(validator.iter_errors({"contract": "a", "version": 1, "extends": "b"}))


LINES = GOOD.splitlines()
WORDS = st.sampled_from(
    ["{", "}", "[", "]", ": ", "- ", "&a ", "*a", "|", ">", "\t", "\x00", "'", '"', "!!int ", "%", "\n"]
)


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 6), WORDS | st.text(max_size=4)), max_size=5))
def test_no_text_raises(edits: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, length, new in edits:
        text = text[:at] + new + text[at + length :]
    loaded = load(text)
    lines = text.count("\n") + 2
    assert loaded.faults or isinstance(loaded.contract, Contract)
    assert all(1 <= fault.line <= lines + 1 and fault.column >= 1 for fault in loaded.faults)


@given(
    st.dictionaries(
        st.sampled_from([*Contract.model_fields, "with", "x"]),
        st.recursive(
            st.text(max_size=5) | st.sampled_from(["true", "opportunity", "opportunity.name"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["do", "put", "in", "of", "rule", "name", "by_state", "a"]), inner)
            ),
            max_leaves=8,
        ),
    )
)
def test_no_shape_raises(data: dict[str, Any]) -> None:
    assert load(yaml.safe_dump(data)).faults


def test_places_count_from_one() -> None:
    source = read("a:\n  b: [x, y]\n", "f")
    assert source.at(("a", "b", 1)) == (2, 10)
    assert source.at(("a", "b"), key=True) == (2, 3)
    assert source.at(("a", "unknown", 3)) == (2, 3)


def test_a_word_that_the_firms_target_cannot_do_is_a_remark() -> None:
    text = GOOD + "undo: {project: hold}\n"
    said = load_contract(text, file="g.yaml", systems=None, undoes={("psa", "project"): {"archive"}}).faults
    assert [(f.code, f.severity) for f in said] == [("cannot-undo", "warning")]
    assert "archive" in said[0].remedy
    assert not load_contract(text, file="g.yaml", systems=None, undoes={("psa", "project"): {"hold"}}).faults
