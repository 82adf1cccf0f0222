"""Examples beside a contract: records given, and the plan that must result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError

from concordat.core.contract import Contract
from concordat.core.contract.words import Code, Count, Text, Word
from concordat.core.language.fault import Fault
from concordat.core.language.source import Source, read
from concordat.core.money import Money
from concordat.core.objects import OBJECTS, FieldFact, fields_of, normalise, part_fields
from concordat.core.plan import Desired, Known, Plan, plan
from concordat.errors import Invalid

__all__ = [
    "Example",
    "Expected",
    "ExpectedMissing",
    "ExpectedStep",
    "LoadedExamples",
    "differences",
    "load_examples",
]


class ExpectedStep(Word):
    """One effect of the plan; what is left out is not compared."""

    step: Code = Field(description="Name of the step.")
    kind: Code | None = Field(None, description="put, check, emit.")
    system: Code | None = Field(None, description="Connection.")
    object: Code | None = Field(None, description="Object put, question asked, event emitted.")
    fields: dict[str, Any] = Field(default_factory=dict, description="Some fields of the desired document.")


class ExpectedMissing(Word):
    """One requirement that does not hold."""

    path: Text = Field(description="The field, or the rule as written.")
    owner: Code = Field(description="Who can mend it.")


class Expected(Word):
    """The plan that must result; what is left out is not compared."""

    stance: Code = Field("wanted", description="wanted, withdrawn, idle, unknown, adopted.")
    steps: tuple[ExpectedStep, ...] | None = Field(None, description="All effects, in order.")
    missing: tuple[ExpectedMissing, ...] | None = Field(None, description="All that is missing, in order.")


class Example(Word):
    """One example."""

    name: Text = Field(description="What it shows, as a sentence.")
    given: dict[str, dict[str, Any]] = Field(description="Records by the names that the contract gives them.")
    expect: Expected = Field(description="The plan that must result.")


class _Sheet(Word):
    contract: Code
    version: Count
    examples: tuple[Example, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedExamples:
    """What became of a text."""

    examples: tuple[Example, ...] = ()
    faults: tuple[Fault, ...] = ()


def load_examples(text: str, *, file: str, contract: Contract) -> LoadedExamples:
    """Read the examples of a contract; records become what the canonical objects say."""
    source = read(text, file)
    sheet = _sheet(source) if not source.faults else None
    if sheet is None:
        return LoadedExamples(faults=tuple(sorted(source.faults)))
    if (sheet.contract, sheet.version) != (contract.contract, contract.version):
        _tell(
            source,
            ("contract",),
            f"These are examples of {sheet.contract}/v{sheet.version}, not {contract.key}",
        )
    examples = tuple(_typed(source, contract, at, example) for at, example in enumerate(sheet.examples))
    return LoadedExamples(examples=() if source.faults else examples, faults=tuple(sorted(source.faults)))


def differences(contract: Contract, example: Example) -> tuple[str, ...]:
    """Return every difference between the plan that results and the one that must."""
    return tuple(_differences(_planned(contract, example), example.expect))


def _sheet(source: Source) -> _Sheet | None:
    try:
        return _Sheet.model_validate(source.data)
    except ValidationError as error:
        for detail in error.errors():
            _tell(source, tuple(detail["loc"]), f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}")
        return None


def _tell(source: Source, loc: tuple[str | int, ...], message: str) -> None:
    line, column = source.at(loc)
    remedy = "See the examples of the shipped contracts."
    fault = Fault(file=source.file, line=line, column=column, code="bad-example", message=message, remedy=remedy)
    source.faults.append(fault)


def _typed(source: Source, contract: Contract, at: int, example: Example) -> Example:
    given = {}
    for name, fields in example.given.items():
        loc = ("examples", at, "given", name)
        object_ = contract.object_of(name)
        if name not in contract.records or object_ not in OBJECTS:
            _tell(source, loc, f"The contract has no record `{name}`")
            continue
        try:
            given[name] = normalise(object_, _members(fields_of(object_), fields))
        except Invalid as error:
            _tell(source, loc, error.message)
    if contract.subject not in example.given:
        _tell(source, ("examples", at, "given"), f"The subject `{contract.subject}` is not given")
    return example.model_copy(update={"given": given})


def _members(facts: Mapping[str, FieldFact], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _member(facts[name], value) if name in facts else value for name, value in fields.items()}


def _member(fact: FieldFact, value: Any) -> Any:
    """Turn the text of the YAML into the JSON value that the field has."""
    if isinstance(value, list):
        return [_members(part_fields(fact.part), item) if fact.part else item for item in value]
    if isinstance(value, dict):
        return _members(part_fields(fact.part), value) if fact.part else value
    if fact.kind == "money":
        return _money(value)
    if fact.kind == "flag":
        return {"true": True, "false": False}.get(value, value)
    return int(value) if fact.kind == "whole" and str(value).isdecimal() else value


def _money(value: Any) -> Any:
    try:
        return Money.parse(value).to_json()
    except Invalid:
        return value


def _planned(contract: Contract, example: Example) -> Plan:
    known = {
        name: Known(id=at, object=contract.object_of(name), ref=f"example:{name}", fields=fields)
        for at, (name, fields) in enumerate(example.given.items(), start=1)
    }
    related = {name: known.get(name) for name in contract.with_}
    return plan(contract, known[contract.subject], related)


def _differences(found: Plan, expected: Expected) -> Iterator[str]:
    if found.stance != expected.stance:
        yield f"the stance is {found.stance} ({found.reason}), not {expected.stance}"
    if expected.missing is not None:
        ours = [(missing.path, missing.owner) for missing in found.missing]
        wanted = [(missing.path, missing.owner) for missing in expected.missing]
        if ours != wanted:
            yield f"missing is {ours}, not {wanted}"
    if expected.steps is None:
        return
    names = [effect.step for effect in found.effects]
    if names != [step.step for step in expected.steps]:
        yield f"the steps are {names}, not {[step.step for step in expected.steps]}"
        return
    for effect, step in zip(found.effects, expected.steps, strict=True):
        yield from _of_step(effect, step)


def _of_step(found: Desired, expected: ExpectedStep) -> Iterator[str]:
    for word in ("kind", "system", "object"):
        wanted = getattr(expected, word)
        if wanted is not None and getattr(found, word) != wanted:
            yield f"{found.step}: {word} is {getattr(found, word)}, not {wanted}"
    for name, wanted in expected.fields.items():
        value = found.fields.get(name)
        if not _agrees(value, wanted):
            yield f"{found.step}: {name} is {value!r}, not {wanted!r}"


def _agrees(found: Any, wanted: Any) -> bool:
    """Compare as people write: money short, references by the words that are given."""
    if isinstance(wanted, dict):
        return isinstance(found, Mapping) and all(_agrees(found.get(key), word) for key, word in wanted.items())
    if isinstance(found, Mapping):
        return bool(_money(wanted) == found)
    return str(wanted) == (str(found).lower() if isinstance(found, bool) else str(found))
