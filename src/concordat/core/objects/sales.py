"""What was sold: opportunities, agreements, contracts, their lines, orders and changes."""

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
    "Agreement",
    "ChangeOrder",
    "ClientOrder",
    "Contract",
    "ContractLine",
    "LineDelta",
    "Opportunity",
    "OpportunityPart",
    "OpportunityRole",
    "Signature",
]

BillingModel = Literal["time_and_material", "fixed_fee", "milestone", "retainer", "capped"]


class OpportunityRole(Part):
    """Work of one role that the deal asks for."""

    role: Words = Field(description="Role as rate cards name it")
    hours: Number | None = said("Hours asked for")
    from_: CivilDate | None = Field(default=None, alias="from", description="First day needed")
    to: CivilDate | None = said("Last day needed")
    location: Text | None = said("Where the work is done")
    grade: Text | None = said("Least grade")
    skills: tuple[Text, ...] = several("Skills asked for")


class OpportunityPart(Part):
    """One of several contracts or projects that a deal starts."""

    entity: Entity | None = said("The company that contracts this part")
    contract: Annotated[Reference, To("contract")] | None = said("The contract of this part")
    template: Text | None = said("Project template to start from")
    amount: Money | None = said("This part of the price")


class Opportunity(Canonical):
    """A deal on its way to being won or lost."""

    object_name = "opportunity"

    name: Words = Field(description="The deal's name")
    number: Text | None = said("The deal's number")
    stage: Literal["prospecting", "negotiation", "closed_won", "closed_lost"] = Field(description="How far the deal is")
    kind: Literal["new", "extension", "renewal", "change"] = Field(
        description="New work, more of the same, the next term, or a change"
    )
    amount: Money | None = said("What the client will pay")
    probability: Percent | None = said("Chance of winning, in percent")
    close_date: CivilDate | None = said("Expected or actual day of the decision")
    won_at: Instant | None = said("When the deal first became won")
    client: Annotated[Reference, To("client")] | None = said("Who buys")
    contract: Annotated[Reference, To("contract")] | None = said("What is signed for it")
    extends: Annotated[Reference, To("opportunity")] | None = said("The original deal of an extension")
    entity: Entity | None = said("The company that will contract")
    owner_name: Text | None = said("The seller")
    roles: tuple[OpportunityRole, ...] = several("Work asked for, by role")
    parts: tuple[OpportunityPart, ...] = several("Several contracts or projects in one deal")
    at_risk_start: CivilDate | None = said("First day of work before signature")


class Signature(Part):
    """Who signed, when."""

    name: Words = Field(description="Who signed")
    side: Literal["ours", "client"] | None = said("For whom")
    signed_on: CivilDate | None = said("Day of the signature")


class Agreement(Canonical):
    """A signed paper whose terms apply to what stands below it."""

    object_name = "agreement"

    kind: Literal["msa", "sow", "order_form", "amendment", "change_order", "letter_of_intent"] = Field(
        description="What sort of paper it is"
    )
    number: Text | None = said("The paper's number")
    name: Text | None = said("The paper's title")
    parent: Annotated[Reference, To("agreement")] | None = said("The paper whose terms it inherits; an MSA has none")
    client: Annotated[Reference, To("client")] | None = said("The other side")
    entity: Entity | None = said("Our side")
    signatures: tuple[Signature, ...] = several("Signatures with their dates")
    start_date: CivilDate | None = said("First day of the term")
    end_date: CivilDate | None = said("Last day of the term")
    payment_terms: Text | None = said("Payment terms inherited by contracts below")
    rate_card: Annotated[Reference, To("rate_card")] | None = said("Rates inherited by contracts below")
    expense_policy: Text | None = said("Expense policy inherited by contracts below")
    liability_cap: Money | None = said("Most we are liable for")
    precedence: Whole | None = said("Which paper wins when two differ; 1 is highest")
    at_risk_limit: Money | None = said("Work allowed before signature")
    at_risk_until: CivilDate | None = said("Last day of work before signature")
    at_risk_approver: Annotated[Reference, To("worker")] | None = said("Who allowed it")


class ContractLine(Canonical):
    """One priced part of a contract; each has its own billing model."""

    object_name = "contract_line"

    name: Text | None = said("What the line sells")
    contract: Annotated[Reference, To("contract")] | None = said("The contract it belongs to")
    project: Annotated[Reference, To("project")] | None = said("The project that delivers it")
    model: BillingModel | None = said("How this line is billed")
    service_item: Annotated[Reference, To("service_item")] | None = said("What is sold, as the ERP knows it")
    amount: Money | None = said("Price of the line")
    start_date: CivilDate | None = said("First day")
    end_date: CivilDate | None = said("Last day")
    budget_hours: Number | None = said("Hours planned")
    cap: Money | None = said("Most that may be billed")
    cap_hours: Number | None = said("Most hours that may be billed")
    cap_kind: Literal["hard_nte", "soft", "hours", "per_phase", "per_month"] | None = said("What the cap means")
    rate_card: Annotated[Reference, To("rate_card")] | None = said("Rates of this line")
    retainer: Annotated[Reference, To("retainer")] | None = said("Retainer terms of this line")
    milestones: tuple[Annotated[Reference, To("milestone")], ...] = several("Milestone plan of this line")
    tax_category: Text | None = said("Tax category as the ERP names it")
    revenue_method: Text | None = said("How revenue of this line is recognised")
    performance_obligation: Annotated[Reference, To("performance_obligation")] | None = said(
        "The promise this line fulfils"
    )


class Contract(Canonical):
    """The SOW or order form that is billed. Price, budget, billed and revenue are four numbers."""

    object_name = "contract"

    number: Words = Field(description="The contract's number")
    name: Text | None = said("The contract's title")
    client: Annotated[Reference, To("client")] = Field(description="The other side")
    start_date: CivilDate | None = said("First day of the term")
    end_date: CivilDate | None = said("Last day of the term")
    currency: Currency | None = said("Currency of price and invoices")
    value: Money | None = said("What the client will pay in all")
    billing_model: BillingModel | None = said("How it is billed where its lines do not say otherwise")
    billing_terms: Text | None = said("Billing terms as text")
    budget_hours: Number | None = said("Hours planned")
    budget_cost: Money | None = said("Cost planned; not the price")
    entity: Entity | None = said("The contracting company, by code")
    signed: Flag | None = said("Both sides have signed")
    signed_on: CivilDate | None = said("Day of the last signature")
    state: Literal["draft", "active", "closing", "closed", "terminated"] | None = said("Where it is in its life")
    agreement: Annotated[Reference, To("agreement")] | None = said("The paper it stands under")
    bill_to: Annotated[Reference, To("client")] | None = said("Who receives the invoice")
    project: Annotated[Reference, To("project")] | None = said("The project that delivers it")
    client_po: Annotated[Reference, To("client_po")] | None = said("The client's order that funds it")
    po_required: Flag | None = said("No invoice without the client's order number")
    lines: tuple[ContractLine, ...] = several("Priced parts, each with its billing model")
    payment_terms: Text | None = said("Payment terms where they differ from the client's")
    billing_cycle: Literal["weekly", "half_monthly", "monthly", "quarterly", "on_demand"] | None = said(
        "How often it is billed"
    )
    invoice_grouping: tuple[Text, ...] = several("Fields by which charges become invoices and lines")
    retention_percent: Number | None = said("Share of each invoice the client holds back, in percent")
    discount_percent: Number | None = said("Discount on every line, in percent")
    early_payment_percent: Number | None = said("Rebate for early payment, in percent")
    volume_rebate: Text | None = said("Rebate by volume, as the paper says it")
    expense_cap: Money | None = said("Most expenses that may be billed")
    fx_rule: Text | None = said("Which exchange rate applies, and of which day")
    rate_card: Annotated[Reference, To("rate_card")] | None = said("Rates where a line names none")
    at_risk_limit: Money | None = said("Most that may be billed before signature")
    termination_terms: Text | None = said("How it can be ended")
    practice: Text | None = said("Practice it is counted in")
    region: Text | None = said("Region it is counted in")


class ClientOrder(Canonical):
    """The client's purchase order: funding. Never a purchase order of ours."""

    object_name = "client_po"

    number: Words = Field(description="The client's order number")
    client: Annotated[Reference, To("client")] = Field(description="Who ordered")
    contracts: tuple[Annotated[Reference, To("contract")], ...] = several("Contracts it funds")
    entity: Entity | None = said("The company it is addressed to")
    currency: Currency = Field(description="Currency of the order")
    amount: Money | None = said("Amount ordered; absent when open-ended")
    open_ended: Flag | None = said("The order names no amount")
    valid_from: CivilDate | None = said("First day")
    valid_to: CivilDate | None = said("Last day")
    posted: Money | None = said("Invoiced and posted against it")
    drafted: Money | None = said("Drafted against it")
    balance: Money | None = said("Amount less posted less drafted")
    replaced_by: Annotated[Reference, To("client_po")] | None = said("The order that took its place")


class LineDelta(Part):
    """What a change order changes on one contract line."""

    contract_line: Annotated[Reference, To("contract_line")] = Field(description="The line that changes")
    amount: Money | None = said("Change of price")
    hours: Number | None = said("Change of hours")
    cost: Money | None = said("Change of planned cost")
    start_date: CivilDate | None = said("New first day")
    end_date: CivilDate | None = said("New last day")


class ChangeOrder(Canonical):
    """A signed change to a contract in force."""

    object_name = "change_order"

    kind: Literal[
        "scope", "price", "rate", "cap", "time_only", "team", "po_only", "entity_or_client_novation",
        "partial_termination",
    ] = Field(description="What it changes")  # fmt: skip
    number: Text | None = said("The change order's number")
    name: Text | None = said("What it is about")
    contract: Annotated[Reference, To("contract")] = Field(description="The contract it changes")
    state: Literal["draft", "submitted", "approved", "rejected", "voided"] | None = said("Where it is in its life")
    effective_from: CivilDate | None = said("First day the change counts")
    signed: Flag | None = said("Both sides have signed")
    signed_on: CivilDate | None = said("Day of the last signature")
    at_risk: Flag | None = said("Work goes on before the signature")
    deltas: tuple[LineDelta, ...] = several("Changes per contract line")
    delta_price: Money | None = said("Change of price in all")
    delta_cost: Money | None = said("Change of planned cost in all")
    delta_cost_known: Flag | None = said("A new estimate of cost was made")
    delta_hours: Number | None = said("Change of hours in all")
    modification: Literal[
        "separate_contract", "prospective", "cumulative_catch_up", "mixed", "not_a_modification"
    ] | None = said("Accounting treatment, decided by finance (ASC 606-10-25-10 to 25-13)")  # fmt: skip
    modification_decided_by: Annotated[Reference, To("worker")] | None = said("Who in finance decided")
    modification_reason: Text | None = said("Why this treatment")
    book: Text | None = said("Accounting basis the treatment is for")
