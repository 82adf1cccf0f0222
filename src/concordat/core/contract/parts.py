"""The parts of a contract around its steps: requirements, owners, reactions, clocks, cases."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from concordat.core.contract.words import (
    Amount,
    Code,
    Count,
    Exact,
    Lasting,
    Name,
    Rule,
    Shorthand,
    Text,
    Texts,
    Value,
    Word,
)

__all__ = [
    "Brake",
    "Cases",
    "Document",
    "Gate",
    "Gather",
    "LateChange",
    "MoneyRules",
    "Opens",
    "Ownership",
    "Price",
    "Reaction",
    "Reconcile",
    "Relation",
    "Requirement",
    "Retry",
    "Rounding",
    "Scope",
    "ServiceLevel",
    "Tax",
    "TieOut",
    "Totals",
    "Undo",
    "Waive",
]

Do = Literal["converge", "hold", "ignore", "propose", "wait"]


class Relation(Shorthand):
    """A related record under a name of its own."""

    short: ClassVar[str] = "of"
    of: Value = Field(description="Path to the reference: `opportunity.client`.")
    object: Code | None = Field(None, description="Canonical object, where neither field nor name tells it.")
    as_of: Value | None = Field(None, description="Business date as of which the record is read.")
    match: Texts = Field((), description="Fields that pick one line of an effective-dated table.")


class Requirement(Word):
    """A field that must be filled, or a rule that must hold, before anything is done."""

    field: Value | None = Field(None, description="Path of the mandatory field.")
    rule: Rule | None = Field(None, description="Rule that must hold.")
    owner: Code | None = Field(None, description="Team or system that can mend it; default: owner of the cases.")
    unless: Rule | None = Field(None, description="Rule that excuses; an unknown answer does not excuse.")
    says: Text | None = Field(None, description="Sentence for the case.")

    @model_validator(mode="after")
    def _one(self) -> Requirement:
        if (self.field is None) == (self.rule is None):
            raise PydanticCustomError("one-of", "A requirement has exactly one of `field` and `rule`")
        return self


class Ownership(Word):
    """Which system is the system of record of a field."""

    system: Code = Field(description="Connection that owns the field.")
    others: Literal["revert", "accept", "raise"] = Field(
        description="Another's edit is written back, taken over, or becomes a case."
    )


class Reaction(Shorthand):
    """What happens when the source changes after the effect."""

    short: ClassVar[str] = "do"
    do: Do = Field(description="Write it, hold for a person, leave it, propose it, or wait.")
    what: Code | None = Field(None, description="What is proposed: `credit_and_rebill`, `adjust`, `catch_up`.")
    dated: Value | None = Field(None, description="Business date of the posting, or `next_open_period`.")
    to: Code | None = Field(None, description="Team that decides on the proposal.")
    tell: Code | None = Field(None, description="Team that is told.")
    note: Text | None = Field(None, description="Sentence for the reader.")


class LateChange(Shorthand):
    """The reaction of one step, or one for each state of its target document and period."""

    short: ClassVar[str] = "do"
    do: Do | None = Field(None, description="Write it, hold for a person, leave it, propose it, or wait.")
    to: Code | None = Field(None, description="Team that decides on a held or proposed change.")
    tell: Code | None = Field(None, description="Team that is told.")
    fields: dict[Name, Do] = Field(default_factory=dict, description="Another reaction of single fields.")
    by_state: dict[Code, Reaction] = Field(
        default_factory=dict, description="Reaction per state of the target document and of the period."
    )

    @model_validator(mode="after")
    def _says_something(self) -> LateChange:
        if self.do is None and not self.by_state:
            raise PydanticCustomError("one-of", "A late change has `do` or `by_state`")
        return self


class Undo(Shorthand):
    """What is done to a step's target when the subject is withdrawn."""

    short: ClassVar[str] = "do"
    do: Literal[
        "nothing",
        "hold",
        "release",
        "archive",
        "lock",
        "cancel",
        "propose",
        "reverse",
        "delete_draft",
        "reopen",
        "unlock",
    ] = Field(description="Operation on the target; `nothing` leaves it as it is.")
    unless: Rule | None = Field(None, description="Rule that forbids the undo; an unknown answer forbids it too.")
    else_: Text | None = Field(None, alias="else", description="What happens then: `case to <team>`.")
    decide_if: Rule | None = Field(
        None,
        description="Rule under which it is done and a person decides about the rest; unknown asks, too.",
    )
    what: Code | None = Field(None, description="What is proposed: `credit`, `reopen`.")
    to: Code | None = Field(None, description="Team that decides, also on the proposal.")

    @property
    def else_to(self) -> str | None:
        """The team of `else: case to <team>`."""
        return self.else_.removeprefix("case to ") if self.else_ else None


class ServiceLevel(Word):
    """A promise about time, with somebody who answers for it."""

    name: Text = Field(description="Name on the clock.")
    from_: Value | None = Field(None, alias="from", description="Start: a field; default: the match of `when`.")
    until: Value = Field(description="End: the step that must be done, or a field that must be filled.")
    within: Lasting = Field(description="Promised length of time.")
    warn_at: Lasting | None = Field(None, description="Age at which the owner is warned.")
    clock: Literal["elapsed", "business"] = Field("elapsed", description="Which hours count.")
    pauses_while: Code | None = Field(None, description="State during which the clock stands still.")
    owner: Code | None = Field(None, description="Team that answers; default: owner of the contract.")


class Cases(Word):
    """Who works the cases of this contract."""

    owner: Code = Field(description="Team that gets what has no owner of its own.")
    due: Lasting | None = Field(None, description="When a case must be done.")
    fixed_fields: Texts = Field((), description="Fields that nobody may type in a case.")


class Retry(Shorthand):
    """How often and how long one class of error is tried again."""

    short: ClassVar[str] = "do"
    do: Literal["retry", "never"] = Field("retry", description="`never` makes a case at the first answer.")
    first: Lasting | None = Field(None, description="Wait before the first repetition.")
    factor: Exact | None = Field(None, ge=1, description="Growth of the wait.")
    most: Lasting | None = Field(None, description="Longest wait.")
    give_up: Lasting | None = Field(None, description="Age at which it becomes a case.")


class Scope(Word):
    """What a reconciliation looks at."""

    items: Code | None = Field(None, description="`open` or `all`.")
    periods: Code | None = Field(None, description="`open` or `all`.")
    also: Text | None = Field(None, description="What is looked at besides.")


class Totals(Word):
    """Control totals: sums that must agree, by group."""

    by: Texts = Field(description="Fields that form a group.")
    sum: Texts = Field(description="Fields that are added up.")


class TieOut(Word):
    """A subledger that must equal a balance of the general ledger."""

    ours: Value = Field(description="Our figure.")
    theirs: Value = Field(description="The ledger's figure.")
    account: Code = Field(description="Account or group of accounts.")
    by: Texts = Field((), description="Fields that form a group.")


class Reconcile(Word):
    """How often every promise is compared with what the systems hold."""

    every: Lasting = Field(description="Time between two runs.")
    scope: Scope = Field(default_factory=Scope, description="What is looked at.")
    fields: Texts = Field((), description="Fields that are compared: `project.contract_value`.")
    totals: Totals | None = Field(None, description="Control totals.")
    tie_out: tuple[TieOut, ...] = Field((), description="Subledger against ledger.")


class Brake(Word):
    """More than this within `per` stops for approval."""

    subjects: Count | None = Field(None, description="Most subjects created, changed or undone.")
    money: Amount | None = Field(None, description="Most money at stake: `250000.00 EUR`.")
    per: Lasting = Field(default_factory=lambda: Lasting("1 hour"), description="Length of the window.")

    @model_validator(mode="after")
    def _bounds(self) -> Brake:
        if self.subjects is None and self.money is None:
            raise PydanticCustomError("one-of", "A brake has `subjects`, `money` or both")
        return self


class Opens(Word):
    """The calendar creates the subject, with a stable key."""

    each: Code = Field(description="Object that gets one subject per period.")
    per: Value = Field(description="Calendar: `contract.billing_cycle`, `accounting_period`.")
    if_: Rule | None = Field(None, alias="if", description="Rule that the object must meet.")
    book: Code | None = Field(None, description="Accounting basis, or `each`.")


class Gather(Word):
    """A named collection of records, frozen with their versions at a step."""

    from_: Code = Field(alias="from", description="Object that is collected.")
    where: Rule = Field(description="Rule that a member meets.")
    freeze: Code | None = Field(None, description="Step at which membership freezes.")


class Waive(Word):
    """Who may waive a gate."""

    by: Code = Field(description="Role that may waive.")
    reason: Literal["required", "optional"] = Field("required", description="Whether a reason is needed.")
    up_to: Amount | None = Field(None, description="Most money that may be waived.")


class Gate(Word):
    """A check with a fate."""

    rule: Rule = Field(description="Rule that must hold.")
    each: Code | None = Field(None, description="Checked for each gathered record of this object.")
    says: Text = Field(description="Sentence for the reader.")
    owner: Code = Field(description="Team or system that can mend it.")
    else_: Literal["hold_document", "leave_out", "warn"] = Field(alias="else", description="Fate of what fails.")
    waive: Waive | None = Field(None, description="Who may waive it.")


class Document(Word):
    """How gathered records become documents and lines."""

    one_per: Texts = Field(description="Fields whose values make one document.")
    lines_by: Texts = Field((), description="Fields whose values make one line.")
    order: Texts = Field((), description="Order of the lines.")
    credits: Literal["separate", "netted"] | None = Field(None, description="Whether credits stand alone.")


class Price(Word):
    """Exactly one system prices; its figure is recomputed and compared."""

    by: Code = Field(description="Connection that prices.")
    check_against: Name | None = Field(None, description="Related record with the expected rate.")
    tolerance: Exact | None = Field(None, ge=0, description="Largest difference that passes.")


class Rounding(Word):
    """Where and how amounts are rounded."""

    at: Literal["line", "tax", "document"] = Field(description="Place of rounding.")
    mode: Literal["half_up", "half_even", "down", "up"] = Field(description="Mode of rounding.")


class Tax(Word):
    """How tax is added up and where its place is decided."""

    by: Code = Field(description="`line`, `document`, `document_and_code`.")
    place: Code | None = Field(None, description="Who decides the place of supply.")


class MoneyRules(Word):
    """Currency, rounding, tax, exchange rates and tolerance of a contract."""

    currency: Value | None = Field(None, description="Currency of the contract.")
    rounding: Rounding | None = Field(None, description="Where and how amounts are rounded.")
    tax: Tax | None = Field(None, description="How tax is added up.")
    rates: dict[Code, Code] = Field(default_factory=dict, description="Rate type per purpose.")
    tolerance: Exact | None = Field(None, ge=0, description="Largest difference that passes.")
