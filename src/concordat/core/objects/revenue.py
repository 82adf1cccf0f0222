"""What is earned, which is not what is invoiced: obligations, measures, revenue events, and cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from concordat.core.objects.form import (
    Canonical,
    CivilDate,
    Entity,
    Flag,
    Money,
    Number,
    Part,
    Posted,
    Reference,
    Text,
    To,
    Whole,
    Words,
    said,
    several,
)

__all__ = [
    "CostLine",
    "Measure",
    "PerformanceObligation",
    "Progress",
    "RevenueEvent",
    "RevenuePeriod",
    "RevenueSchedule",
]

Method = Literal[
    "right_to_invoice", "cost_to_cost", "hours_to_hours", "output_milestone", "straight_line", "point_in_time"
]


class PerformanceObligation(Canonical):
    """A promise to a client, with its share of the price and the way its revenue is measured."""

    object_name = "performance_obligation"

    contract_lines: tuple[Annotated[Reference, To("contract_line")], ...] = Field(
        description="The lines that promise it", min_length=1
    )
    name: Text | None = said("What is promised")
    allocated: Money = Field(description="Its share of the transaction price")
    stand_alone_price: Money | None = said("What it would sell for alone")
    method: Method = Field(description="How progress is measured (ASC 606-10-55, IFRS 15 B14 to B19)")
    timing: Literal["over_time", "point_in_time"] | None = said("When it is fulfilled")
    principal: Flag | None = said("We sell it (gross); else we only arrange it (net)")
    kind: Literal["fixed", "variable"] | None = said("Whether the amount is certain")
    constraint_reviewed: Flag | None = said("The variable amount was looked at this period")
    start: CivilDate | None = said("First day")
    end: CivilDate | None = said("Last day")
    expected_loss: Money | None = said("Loss provided for")
    eac: Money | None = said("Estimate of cost at completion")
    eac_as_of: CivilDate | None = said("Day of that estimate")
    book: Text | None = said("Accounting basis")
    state: Literal["open", "fulfilled", "closed", "cancelled"] | None = said("Where it is in its life")


class RevenuePeriod(Canonical):
    """One obligation in one accounting period and book: made by the calendar."""

    object_name = "revenue_period"

    performance_obligation: Annotated[Reference, To("performance_obligation")] = Field(description="The obligation")
    accounting_period: Annotated[Reference, To("accounting_period")] = Field(description="The period")
    book: Words = Field(description="Accounting basis")
    start: CivilDate = Field(description="First day")
    end: CivilDate = Field(description="Last day")
    period_lock_time: Literal["future", "open", "soft_closed", "closed", "reopened", "archived"] | None = said(
        "State of the period's lock on time"
    )
    state: Literal["open", "measured", "posted"] | None = said("Where it is in its life")


class Measure(Part):
    """How much is done, as a fraction and its day."""

    numerator: Number = Field(description="Done")
    denominator: Number = Field(description="In all")
    as_of: CivilDate = Field(description="Day of the measure")


class Progress(Canonical):
    """What the ERP needs to compute an obligation's revenue of a period."""

    object_name = "progress"

    obligation: Annotated[Reference, To("performance_obligation")] = Field(description="The obligation")
    period: Annotated[Reference, To("accounting_period")] | None = said("The period")
    hours: Number | None = said("Hours to date")
    cost: Money | None = said("Cost to date")
    eac: Money | None = said("Estimate of cost at completion")
    milestones_accepted: tuple[Annotated[Reference, To("milestone")], ...] = several("Milestones accepted")
    as_of: CivilDate | None = said("Day of the measure")


class RevenueSchedule(Canonical):
    """How the price of a project is spread over periods."""

    object_name = "revenue_schedule"

    project: Annotated[Reference, To("project")] = Field(description="The project")
    obligation: Annotated[Reference, To("performance_obligation")] | None = said("The obligation")
    amount: Money | None = said("What is spread")
    method: Method | None = said("How")
    start: CivilDate | None = said("First day")
    end: CivilDate | None = said("Last day")
    effective_from: CivilDate | None = said("First day a change counts")


class RevenueEvent(Posted):
    """A change of recognised revenue."""

    object_name = "revenue_event"

    obligation: Annotated[Reference, To("performance_obligation")] = Field(description="The obligation")
    book: Words = Field(description="Accounting basis")
    period: Annotated[Reference, To("accounting_period")] = Field(description="The period it counts in")
    kind: Literal["accrual", "recognition", "catch_up", "reversal", "loss_provision", "reclass"] = Field(
        description="What sort of change"
    )
    method: Method | None = said("How progress was measured")
    progress: Measure | None = said("The measure behind it")
    amount: Money = Field(description="How much")
    entity: Entity | None = said("Whose books")
    reverses: Annotated[Reference, To("revenue_event")] | None = said("The event it reverses")
    entry: Reference | None = said("The posted entry")


class CostLine(Posted):
    """Cost of work in the ledger: labour, subcontract or expense."""

    object_name = "cost_line"

    origin_ref: Reference | None = said("The time entry or expense behind it")
    kind: Literal["labour", "subcontract", "expense"] = Field(description="What sort of cost")
    project: Annotated[Reference, To("project")] | None = said("The project it counts on")
    worker: Annotated[Reference, To("worker")] | None = said("Whose work")
    entity: Entity = Field(description="Whose books")
    cost_centre: Text | None = said("Cost centre, as text: 0410")
    work_date: CivilDate = Field(description="Day of the work")
    minutes: Whole | None = said("Minutes worked")
    cost_rate: Money | None = said("Cost of an hour as of that day")
    amount: Money = Field(description="The cost")
