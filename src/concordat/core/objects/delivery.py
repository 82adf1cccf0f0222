"""How it is delivered: projects, tasks, staffing, milestones, retainers, and where people work together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from concordat.core.objects.form import (
    Canonical,
    CivilDate,
    Currency,
    Entity,
    Flag,
    Instant,
    Money,
    Number,
    Part,
    Percent,
    Reference,
    Text,
    To,
    Whole,
    Words,
    said,
    several,
)

__all__ = [
    "Assignment",
    "AssignmentRelease",
    "BookedDay",
    "Channel",
    "Forecast",
    "Incident",
    "Message",
    "Milestone",
    "Project",
    "ProjectBudget",
    "ResourceRequest",
    "Retainer",
    "Task",
    "Workspace",
]


class Task(Canonical):
    """A piece of a project on which time is recorded; its ids stay the same in PSA and ERP."""

    object_name = "task"

    name: Words = Field(description="What is to be done")
    number: Text | None = said("Stable number in PSA and ERP")
    project: Annotated[Reference, To("project")] | None = said("The project it belongs to")
    parent: Annotated[Reference, To("task")] | None = said("The task above it")
    billable: Flag | None = said("Time on it can be charged")
    contract_line: Annotated[Reference, To("contract_line")] | None = said("The line that pays for it")
    billing_rule: Text | None = said("Billing rule as the PSA names it")
    open_for_time: Flag | None = said("Time may be recorded")
    open_for_expense: Flag | None = said("Expenses may be recorded")
    budget_hours: Number | None = said("Hours planned")
    start_date: CivilDate | None = said("First day")
    end_date: CivilDate | None = said("Last day")


class Forecast(Part):
    """An estimate to complete, as it stood on a day."""

    etc_hours: Number | None = said("Hours still to come")
    etc_cost: Money | None = said("Cost still to come")
    eac: Money | None = said("Cost at completion")
    snapshot_at: Instant = Field(description="When the estimate was made")
    author: Text | None = said("Who made it")


class Project(Canonical):
    """Work for a client under one contract. Price, budget and revenue are separate numbers."""

    object_name = "project"

    name: Words = Field(description="The project's name")
    number: Text | None = said("The project's number or code")
    client: Annotated[Reference, To("client")] | None = said("For whom")
    contract: Annotated[Reference, To("contract")] | None = said("Under which contract")
    contract_value: Money | None = said("What the client will pay")
    budget_hours: Number | None = said("Hours planned")
    budget_cost: Money | None = said("Cost planned; not the price")
    budget_revenue: Money | None = said("Revenue planned")
    budget_version: Whole | None = said("Which budget this is; the baseline is 1")
    currency: Currency | None = said("Currency of price and budget")
    start_date: CivilDate | None = said("First day")
    end_date: CivilDate | None = said("Last day")
    status: Literal[
        "pipeline", "at_risk", "active", "on_hold", "delivery_complete", "financially_closed", "archived"
    ] | None = said("Where it is in its life")  # fmt: skip
    entity: Entity | None = said("The owning company, by code")
    template: Text | None = said("Template it was made from")
    template_version: Text | None = said("Version of the template")
    manager: Annotated[Reference, To("worker")] | None = said("Who leads it")
    tasks: tuple[Task, ...] = several("The tree of tasks")
    forecast: Forecast | None = said("The latest estimate to complete")
    has_time: Flag | None = said("Time was recorded on it")
    billing_hold: Flag | None = said("Nothing of it may be billed at present")
    billing_hold_reason: Text | None = said("Why billing is held")
    billing_hold_until: CivilDate | None = said("Day the hold ends")
    practice: Text | None = said("Practice it is counted in")
    region: Text | None = said("Region it is counted in")
    cost_centre: Text | None = said("Cost centre, as text: 0410")


class ProjectBudget(Canonical):
    """A version of a project's budget, or a change of it."""

    object_name = "project_budget"

    project: Annotated[Reference, To("project")] | None = said("The project")
    version: Whole | None = said("Which budget this is; the baseline is 1")
    hours: Number | None = said("Hours")
    cost: Money | None = said("Cost")
    revenue: Money | None = said("Revenue")
    effective_from: CivilDate | None = said("First day it counts")


class ResourceRequest(Canonical):
    """A demand for somebody; soft before the deal closes, hard at signature."""

    object_name = "resource_request"

    role: Words = Field(description="Role as rate cards name it")
    project: Annotated[Reference, To("project")] | None = said("For which project")
    opportunity: Annotated[Reference, To("opportunity")] | None = said("For which deal, before there is a project")
    skills: tuple[Text, ...] = several("Skills asked for")
    grade: Text | None = said("Least grade")
    location: Text | None = said("Where the work is done")
    from_: CivilDate = Field(alias="from", description="First day")
    to: CivilDate = Field(description="Last day")
    hours: Number | None = said("Hours in all")
    percent: Percent | None = said("Share of a full week, when hours are not given")
    probability: Percent | None = said("Chance that the demand becomes real, in percent")
    state: Literal["draft", "open", "proposed", "soft_booked", "hard_booked", "filled", "cancelled"] = Field(
        description="Where the request is in its life"
    )
    requested_by: Text | None = said("Who asks")
    replaces: Annotated[Reference, To("worker")] | None = said("Whom the new person replaces")


class BookedDay(Part):
    """Hours booked on one day."""

    date: CivilDate = Field(description="The day")
    hours: Number = Field(description="Hours booked")


class Assignment(Canonical):
    """A worker booked on a project, with hours by date."""

    object_name = "assignment"

    request: Annotated[Reference, To("resource_request")] | None = said("The demand it answers")
    worker: Annotated[Reference, To("worker")] = Field(description="Who works")
    project: Annotated[Reference, To("project")] = Field(description="On what")
    task: Annotated[Reference, To("task")] | None = said("On which task")
    role: Text | None = said("In which role")
    booking: Literal["soft", "hard"] = Field(description="Pencilled in, or promised")
    from_: CivilDate = Field(alias="from", description="First day")
    to: CivilDate = Field(description="Last day")
    days: tuple[BookedDay, ...] = several("Hours by date; not one number")
    bill_rate: Money | None = said("Agreed rate when it differs from the card")
    bill_rate_approver: Annotated[Reference, To("worker")] | None = said("Who agreed to the other rate")
    cost_centre: Text | None = said("Cost centre, as text: 0410")
    work_location: Text | None = said("Place of work, for tax and permit")
    supersedes: Annotated[Reference, To("assignment")] | None = said("The booking it takes the place of")


class AssignmentRelease(Canonical):
    """A booking ended before its time."""

    object_name = "assignment_release"

    assignment: Annotated[Reference, To("assignment")] | None = said("The booking")
    project: Annotated[Reference, To("project")] | None = said("All bookings of this project")
    released_from: CivilDate | None = said("First day that is free again")
    reason: Text | None = said("Why")


class Milestone(Canonical):
    """A result that is paid for when the client accepts it. Billing and revenue are separate effects."""

    object_name = "milestone"

    name: Words = Field(description="What is to be reached")
    project: Annotated[Reference, To("project")] | None = said("In which project")
    contract_line: Annotated[Reference, To("contract_line")] | None = said("The line that pays for it")
    amount: Money | None = said("Price, when it is an amount")
    percent: Number | None = said("Share of the line's price, when it is a share")
    due: CivilDate | None = said("Day it is due")
    evidence: Text | None = said("What proves it: a document's address")
    submitted_on: CivilDate | None = said("Day it was put before the client")
    accepted: Flag | None = said("The client accepted it")
    accepted_on: CivilDate | None = said("Day of acceptance")
    accepted_by: Text | None = said("Who accepted")
    accepted_percent: Number | None = said("Share accepted, when partial")
    acceptance_document: Text | None = said("The signed acceptance")
    deemed_accepted_after_days: Whole | None = said("Silence of so many days counts as acceptance")
    revenue_effect: Text | None = said("What acceptance means for revenue")


class Retainer(Canonical):
    """A fee paid ahead and drawn down: opening + billed - drawn - expired - refunded = closing."""

    object_name = "retainer"

    contract_line: Annotated[Reference, To("contract_line")] = Field(description="The line it belongs to")
    fee: Money = Field(description="Fee per cycle")
    cycle: Literal["monthly", "quarterly", "yearly"] | None = said("How often the fee is billed")
    drawdown: Literal["oldest_first", "newest_first"] | None = said("Which part is used up first")
    rollover: Flag | None = said("What is left moves into the next cycle")
    expires_after_cycles: Whole | None = said("Cycles after which what is left expires")
    overage_rate: Money | None = said("Price of an hour above the fee")
    replenish_at: Money | None = said("Balance at which the next fee falls due")
    refundable: Flag | None = said("What is left at the end is paid back")
    opening: Money | None = said("Balance at the start")
    billed: Money | None = said("Billed since then")
    drawn: Money | None = said("Used up since then")
    expired: Money | None = said("Expired since then")
    refunded: Money | None = said("Paid back since then")
    closing: Money | None = said("Balance now")


class Workspace(Canonical):
    """Where a project keeps its documents."""

    object_name = "workspace"

    name: Words = Field(description="The folder's name")
    client_name: Text | None = said("The client, as the folder tree names it")
    project_name: Text | None = said("The project, as the folder tree names it")
    locked: Flag | None = said("Nobody may change it any more")


class Channel(Canonical):
    """Where a project talks."""

    object_name = "channel"

    name: Words = Field(description="The channel's name")
    topic: Text | None = said("What it is about")
    archived: Flag | None = said("Closed for new messages")


class Message(Canonical):
    """Something said in a channel."""

    object_name = "message"

    channel: Annotated[Reference, To("channel")] = Field(description="Where it is said")
    text: Words = Field(description="What is said")


class Incident(Canonical):
    """Something broke for a client or in an integration, and was put right."""

    object_name = "incident"

    title: Words = Field(description="What happened, in one line")
    number: Text | None = said("The ticket's number")
    severity: Literal["low", "medium", "high", "critical"] | None = said("How bad it is")
    state: Literal["open", "assigned", "resolved", "closed"] | None = said("Where it is in its life")
    project: Annotated[Reference, To("project")] | None = said("The project it touches")
    client: Annotated[Reference, To("client")] | None = said("The client it touches")
    owner: Annotated[Reference, To("worker")] | None = said("Who is at it")
    first_failed_at: Instant | None = said("First failed attempt or first difference")
    opened_at: Instant | None = said("When it was reported")
    resolved_at: Instant | None = said("When the last affected item was verified")
    at_stake: Money | None = said("Money held up by it")
