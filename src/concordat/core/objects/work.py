"""What people did and spent: time entries and expenses, with their approvals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from concordat.core.objects.form import (
    Canonical,
    CivilDate,
    Entity,
    Flag,
    Instant,
    Money,
    Number,
    Part,
    Reference,
    Text,
    To,
    Whole,
    Words,
    said,
    several,
)

__all__ = ["Absence", "Approval", "Expense", "TimeEntry"]


class Approval(Part):
    """One person's agreement, for themselves or for somebody else."""

    level: Whole | None = said("Step of the approval; 1 is first")
    approver: Annotated[Reference, To("worker")] | None = said("Who agreed")
    on_behalf_of: Annotated[Reference, To("worker")] | None = said("For whom, under a delegation")
    delegation: Annotated[Reference, To("delegation")] | None = said("The delegation used")
    rule: Text | None = said("The rule, when it was automatic")
    at: Instant | None = said("When")


class TimeEntry(Canonical):
    """Minutes of one worker on one day, as the worker typed them."""

    object_name = "time_entry"

    work_date: CivilDate = Field(description="The day as typed by the worker; never read off a time stamp")
    worker: Annotated[Reference, To("worker")] = Field(description="Who worked")
    minutes: Whole = Field(description="Minutes worked; below zero only in a reversal")
    kind: Literal["original", "reversal", "correction"] | None = said("New, or changing one; absent: original")
    corrects: Annotated[Reference, To("time_entry")] | None = said("The entry it reverses or corrects")
    project: Annotated[Reference, To("project")] | None = said("On which project")
    task: Annotated[Reference, To("task")] | None = said("On which task")
    internal_code: Text | None = said("Bench, leave, training: work on no project")
    entity: Entity | None = said("Employing company as of the day")
    contracting_entity: Entity | None = said("Contracting company of the project")
    billable: Flag | None = said("It can be charged")
    not_billable_reason: Text | None = said("Why not")
    invoiced_minutes: Whole | None = said("Minutes billed, which may differ from those worked")
    starts_at: Instant | None = said("Begin, where the law asks for it")
    ends_at: Instant | None = said("End, where the law asks for it")
    work_location: Text | None = said("Place of work, for tax and permit")
    note: Text | None = said("What was done")
    approval: Literal["draft", "submitted", "approved", "rejected", "recalled"] | None = said(
        "Where its approval stands"
    )
    approver: Annotated[Reference, To("worker")] | None = said("Who agreed last")
    approvals: tuple[Approval, ...] = several("All approvals in order")
    submitted_at: Instant | None = said("When the worker handed it in")
    approved_at: Instant | None = said("When it was agreed last")
    locked: Flag | None = said("The PSA lets nobody change it")
    bill_amount: Money | None = said("Price as the pricing system has it")
    bill_rate: Money | None = said("Price of an hour as the pricing system has it")
    version: Text | None = said("Version at the source")


class Expense(Canonical):
    """Money spent on a client's or the firm's behalf."""

    object_name = "expense"

    spent_on: CivilDate = Field(description="The day on the receipt")
    category: Words = Field(description="What it was spent on")
    worker: Annotated[Reference, To("worker")] | None = said("Who spent it")
    project: Annotated[Reference, To("project")] | None = said("For which project")
    task: Annotated[Reference, To("task")] | None = said("For which task")
    entity: Entity | None = said("Employing company as of the day")
    receipt_amount: Money = Field(description="Amount on the receipt, in its currency")
    reimbursement_amount: Money | None = said("Amount paid back, in the worker's currency")
    billing_amount: Money | None = said("Amount charged, in the contract's currency")
    recoverable_tax: Money | None = said("Tax we get back")
    paid_by: Literal["worker", "company_card", "company"] | None = said("Whose money it was")
    pass_through: Literal[
        "none", "at_cost", "at_cost_net_of_tax", "markup", "per_diem", "mileage"
    ] | None = said("How it is charged on")  # fmt: skip
    markup_percent: Number | None = said("Markup, in percent")
    principal: Flag | None = said("We sell it (gross revenue); else we only hand it on (net)")
    receipt_required: Flag | None = said("Nothing is paid without a receipt")
    receipt_present: Flag | None = said("The receipt is there")
    client_cap: Money | None = said("Most the client pays for it")
    violations: tuple[Text, ...] = several("Rules of the policy it breaks")
    approval: Literal["draft", "submitted", "approved", "rejected", "recalled"] | None = said(
        "Where its approval stands"
    )
    approvals: tuple[Approval, ...] = several("All approvals in order")
    submitted_at: Instant | None = said("When it was handed in")
    approved_at: Instant | None = said("When it was agreed last")
    version: Text | None = said("Version at the source")


class Absence(Canonical):
    """Time a worker is not there: leave, illness, parental leave."""

    object_name = "absence"

    worker: Annotated[Reference, To("worker")] = Field(description="Who is away")
    kind: Text | None = said("Leave, illness, …, as HR calls it")
    from_: CivilDate = Field(alias="from", description="First day")
    to: CivilDate = Field(description="Last day")
    minutes_per_day: Whole | None = said("Minutes away each day; absent means the whole day")
    approved: Flag | None = said("It is agreed")
