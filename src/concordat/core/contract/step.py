"""One step of a contract: exactly one of put, check, await, emit and act, with its conditions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from concordat.core.contract.words import (
    Amount,
    Code,
    Flag,
    Lasting,
    Name,
    Rule,
    Text,
    Texts,
    Value,
    Word,
)

__all__ = ["Approve", "Kind", "Step", "Tier"]

Kind = Literal["put", "check", "await", "emit", "act"]
_KINDS: tuple[tuple[Kind, str], ...] = (
    ("put", "put"),
    ("check", "check"),
    ("await", "await_"),
    ("emit", "emit"),
    ("act", "act"),
)
_NEED_SYSTEM = ("put", "check", "act")


class Tier(Word):
    """Above an amount somebody else approves."""

    above: Amount = Field(description="Amount from which this tier decides.")
    by: Code = Field(description="Role that decides.")


class Approve(Word):
    """Who approves."""

    by: Code = Field(description="Role that approves.")
    tiers: tuple[Tier, ...] = Field((), description="Roles above amounts.")
    not_by: Code | None = Field(None, description="Who may not: `author`.")
    or_delegate: Flag = Field(False, description="A delegate may approve in the name of the role.")


class Step(Word):
    """One step. Its key in `steps` is its name."""

    put: Code | None = Field(None, description="Make it so: canonical object to write in `in`.")
    check: Text | None = Field(None, description="Ask `in` and hold the answer: `availability`.")
    await_: Code | None = Field(
        None, alias="await", description="Wait for a `fact`, an `approval`, a `decision` or a `handoff`."
    )
    emit: Code | None = Field(None, description="Publish a canonical event: `project.activated`.")
    act: Code | None = Field(None, description="Act on a target document: `post`, `send`, `void`.")

    in_: Code | None = Field(None, alias="in", description="Connection that the step works in.")
    after: Texts = Field((), description="Steps whose effects must be applied first.")
    if_: Rule | None = Field(None, alias="if", description="Rule under which the step is wanted.")
    each: Value | None = Field(None, description="Collection: one effect per item.")
    optional: Flag = Field(False, description="Its failure is visible and blocks nothing.")
    map: dict[Name, Value] = Field(
        default_factory=dict,
        description="Target field to path or expression; default: the fields of the written record.",
    )
    of: Name | None = Field(
        None,
        description="Record whose target is written; default: the record of this object, or the subject.",
    )
    as_: Name | None = Field(None, alias="as", description="Tells two target objects of one kind for one record apart.")
    for_: Value | None = Field(None, alias="for", description="What is asked about: a path.")
    if_unavailable: Literal["pending", "hold", "ignore"] = Field(
        "pending", description="What a negative answer does: wait visibly, become a case, or nothing."
    )
    due: Lasting | None = Field(None, description="When a waiting step must be done.")
    owner: Code | None = Field(None, description="Team that answers for it.")

    entity: Value | None = Field(None, description="Legal entity whose books are written.")
    ledger: Code | None = Field(None, description="Subledger whose lock counts.")
    book: Code | None = Field(None, description="Accounting basis.")
    dated: Value | None = Field(None, description="Business date of the posting, or `next_open_period`.")
    guard: Code | None = Field(None, description="State that the target document must have.")
    approve: Approve | None = Field(None, description="Who approves.")
    choices: Texts = Field((), description="Answers of a decision that is not yes or no.")
    allows: Texts = Field((), description="What a reviewer may change.")
    fact: Code | None = Field(None, description="Canonical event that is awaited.")
    handoff: Code | None = Field(None, description="Contract whose handoff is awaited.")
    if_different: Literal["hold", "warn"] | None = Field(None, description="What a difference does.")
    if_found: Literal["propose", "hold"] | None = Field(None, description="What a finding does.")
    to: Code | None = Field(None, description="Team that decides on a proposal.")
    reverses: Text | None = Field(None, description="When an accrual is reversed.")
    accounts: Texts = Field((), description="Accounts that are looked at.")
    keep_until: Value | None = Field(None, description="End of retention.")
    share: Value | None = Field(None, description="Part of an item that this step takes.")
    mirror: Name | None = Field(None, description="Step whose document must agree with this one.")

    @model_validator(mode="after")
    def _one_kind(self) -> Step:
        kinds = [kind for kind, field in _KINDS if getattr(self, field) is not None]
        if len(kinds) != 1:
            found = ", ".join(kinds) or "none"
            raise PydanticCustomError(
                "step-kind",
                "A step is exactly one of put, check, await, emit, act; found: {found}",
                {"found": found},
            )
        if kinds[0] in _NEED_SYSTEM and self.in_ is None:
            raise PydanticCustomError("step-system", "A {kind} step names its system", {"kind": kinds[0]})
        return self

    @property
    def kind(self) -> Kind:
        """What the step does."""
        return next(kind for kind, field in _KINDS if getattr(self, field) is not None)

    @property
    def word(self) -> str:
        """The word after the kind: the object put, the question asked, the event emitted."""
        words = (getattr(self, field) for _, field in _KINDS)
        return str(next(word for word in words if word is not None))

    @property
    def system(self) -> str:
        """Connection name, or empty for a step without a system."""
        return self.in_ or ""
