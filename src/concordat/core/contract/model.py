"""The contract itself: one governed handoff, as frozen values."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from concordat.core.contract.parts import (
    Brake,
    Cases,
    Document,
    Gate,
    Gather,
    LateChange,
    MoneyRules,
    Opens,
    Ownership,
    Price,
    Reconcile,
    Relation,
    Requirement,
    Retry,
    ServiceLevel,
    Undo,
)
from concordat.core.contract.paths import object_behind
from concordat.core.contract.step import Step
from concordat.core.contract.words import Civil, Code, Count, Name, Rule, Text, Texts, Value, Word
from concordat.errors import Invalid

__all__ = ["Channel", "Contract", "ErrorClass"]

Channel = Literal["transactional", "stream", "batch"]
ErrorClass = Literal[
    "unavailable",
    "rate_limited",
    "quota_exhausted",
    "busy",
    "locked",
    "version_conflict",
    "rejected",
    "unknown",
]
Path = Text


class Contract(Word):
    """A handoff contract. A published version is never edited."""

    contract: Code = Field(description="Name of the handoff: `opportunity-to-project`.")
    version: Count = Field(description="Whole number from 1; a published version is never edited.")
    title: Text = Field(description="One sentence for people.")
    owner: Code = Field(description="Team that answers for the handoff.")
    approvers: Texts = Field((), description="Teams that agree to a new version; never its author alone.")
    channel: Channel = Field("transactional", description="Urgency: at once, after a short linger, on a schedule.")
    extends: Code | None = Field(None, description="Set by an overlay: the contract and version it was laid over.")

    subject: Name = Field(description="Canonical object; one handoff per subject.")
    opens: Opens | None = Field(None, description="The calendar creates the subject.")
    since: Civil = Field(description="Older subjects are adopted, never written.")
    when: Rule = Field(description="While true, the desired state must hold.")
    withdrawn: Rule | None = Field(None, description="The explicit condition of withdrawal.")
    final_after: Name | None = Field(None, description="Step after which nothing is undone.")

    with_: dict[Name, Relation] = Field(default_factory=dict, alias="with", description="Related records by name.")
    gather: dict[Name, Gather] = Field(default_factory=dict, description="Frozen collections by name.")
    value: Value | None = Field(None, description="Money at stake, shown on every case and clock.")
    price: Price | None = Field(None, description="Who prices, against what it is checked.")
    money: MoneyRules | None = Field(None, description="Rounding, tax, rates, tolerance.")

    require: tuple[Requirement, ...] = Field((), description="Mandatory fields and rules, reported all at once.")
    gate: tuple[Gate, ...] = Field((), description="Checks with a fate.")
    document: Document | None = Field(None, description="How gathered records become documents.")
    owns: dict[Path, Ownership] = Field(default_factory=dict, description="System of record per field.")
    steps: dict[Name, Step] = Field(min_length=1, description="Steps by name; a graph by `after`.")
    late_change: dict[Name, LateChange] = Field(
        default_factory=dict, description="Reaction to a change after the effect: `default`, and by step."
    )
    undo: dict[Name, Undo] = Field(default_factory=dict, description="What withdrawal does, by step.")

    service_levels: tuple[ServiceLevel, ...] = Field((), description="Promises about time.")
    cases: Cases | None = Field(None, description="Who works the cases; default: the owner.")
    retry: dict[ErrorClass, Retry] = Field(default_factory=dict, description="Policy by class of error.")
    brake: Brake | None = Field(None, description="More than this stops for approval.")
    reconcile: Reconcile | None = Field(None, description="How promises are compared with the systems.")

    @property
    def key(self) -> str:
        """Name and version, as people cite it: `opportunity-to-project/v1`."""
        return f"{self.contract}/v{self.version}"

    @property
    def case_owner(self) -> str:
        """Team that gets a case without an owner of its own."""
        return self.cases.owner if self.cases else self.owner

    @property
    def records(self) -> tuple[str, ...]:
        """Names that rules may start with: the subject, then the related records."""
        return (self.subject, *self.with_)

    def object_of(self, record: str) -> str:
        """Canonical object behind a record's name; the name itself when nothing else tells it."""
        return object_behind(record, self.subject, self.with_) or record

    def record_of(self, step: str) -> str:
        """Name of the record whose target object the step writes."""
        wanted = self.steps[step]
        if wanted.of is not None:
            return wanted.of
        same = [name for name in self.records if self.object_of(name) == wanted.put]
        return same[0] if len(same) == 1 else self.subject

    def reaction(self, step: str) -> LateChange:
        """Say what a late change does to this step; without a word about it, a person decides."""
        spoken = self.late_change.get(step) or self.late_change.get("default")
        return spoken or LateChange(do="hold")

    def owner_of(self, requirement: Requirement) -> str:
        """Who can mend what a requirement misses."""
        return requirement.owner or self.case_owner

    def order(self) -> tuple[str, ...]:
        """Step names, every step behind those in its `after`, else as written. A cycle is `Invalid`."""
        done: dict[str, None] = {}
        while len(done) < len(self.steps):
            ready = [n for n, step in self.steps.items() if n not in done and done.keys() >= set(step.after)]
            if not ready:
                left = ", ".join(name for name in self.steps if name not in done)
                raise Invalid(f"The steps {left} wait for each other or for a step that is missing.")
            done[ready[0]] = None
        return tuple(done)
