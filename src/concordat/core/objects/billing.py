"""From work to invoice: charges, billing periods, invoices, write-offs, and charges between our companies."""

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
    Posted,
    Reference,
    Text,
    To,
    Whole,
    Words,
    said,
    several,
)
from concordat.core.objects.work import Approval

__all__ = [
    "BillingPeriod",
    "Charge",
    "ChargeShare",
    "IntercompanyCharge",
    "Invoice",
    "InvoiceLine",
    "InvoiceStatus",
    "InvoiceTax",
    "WriteOff",
]


class Charge(Canonical):
    """The billable thing, between approved work and an invoice line: priced, holdable, splittable."""

    object_name = "charge"

    origin: Literal[
        "time", "expense", "milestone", "instalment", "retainer_fee", "retainer_overage", "subcontract",
        "adjustment", "write_down", "discount", "intercompany",
    ] = Field(description="What it charges for")  # fmt: skip
    origin_ref: Reference | None = said("The record it charges for")
    origin_version: Text | None = said("Version of that record when it was charged")
    contract_line: Annotated[Reference, To("contract_line")] = Field(description="The line that pays")
    contract: Annotated[Reference, To("contract")] | None = said("The contract of the line")
    project: Annotated[Reference, To("project")] | None = said("The project that did the work")
    task: Annotated[Reference, To("task")] | None = said("The task that did the work")
    bill_to: Annotated[Reference, To("client")] | None = said("Who receives the invoice")
    entity: Entity = Field(description="Whose books")
    client_po: Annotated[Reference, To("client_po")] | None = said("The client's order that funds it")
    quantity: Number | None = said("How many")
    per: Literal["hour", "day", "month", "unit"] | None = said("Of what")
    unit_price: Money | None = said("Price of one")
    rate_line: Annotated[Reference, To("rate_line")] | None = said("The rate it was priced by")
    standard_amount: Money | None = said("Price before cap and discount")
    net: Money | None = said("Price to be billed")
    currency: Currency | None = said("Currency of the charge")
    price_basis: Text | None = said("Which system priced it")
    state: Literal[
        "planned", "ready", "held", "drafted", "invoiced", "credited", "over_cap", "absorbed", "written_down",
        "written_off", "transferred",
    ] = Field(description="Where it is in its life")  # fmt: skip
    hold_reason: Text | None = said("Why it is held")
    split_of: Annotated[Reference, To("charge")] | None = said("The charge it was split from")
    share: Number | None = said("Its share of that charge, 0 to 1")
    work_date: CivilDate | None = said("Day of the work")
    charge_date: CivilDate | None = said("Day it became a charge")
    tax_point: CivilDate | None = said("Day that decides the tax")
    accepted: Flag | None = said("For a milestone: the client accepted it")
    receipt_ok: Flag | None = said("For an expense: the receipt is there, or not needed")


class BillingPeriod(Canonical):
    """One contract's turn to be billed: made by the calendar, not by any system."""

    object_name = "billing_period"

    contract: Annotated[Reference, To("contract")] = Field(description="The contract to bill")
    code: Words = Field(description="The period's stable name: 2026-11")
    entity: Entity | None = said("Whose books")
    start: CivilDate = Field(description="First day of work in it")
    end: CivilDate = Field(description="Last day of work in it")
    state: Literal["open", "due", "running", "billed", "skipped"] = Field(description="Where it is in its life")
    posting_period: Annotated[Reference, To("accounting_period")] | None = said("The period it is posted in")
    cut_off_at: Instant | None = said("When entry of work ends")
    unapproved_minutes: Whole | None = said("Minutes not yet approved")


class ChargeShare(Part):
    """A charge, or a part of it, on an invoice line."""

    charge: Annotated[Reference, To("charge")] = Field(description="The charge")
    share: Number | None = said("How much of it, 0 to 1; absent: all of it")


class InvoiceLine(Canonical):
    """One line of an invoice."""

    object_name = "invoice_line"

    number: Whole | None = said("Place on the invoice, from 1")
    invoice: Annotated[Reference, To("invoice")] | None = said("The invoice it is on")
    text: Text | None = said("What the client reads")
    charges: tuple[ChargeShare, ...] = several("The charges on it")
    contract_line: Annotated[Reference, To("contract_line")] | None = said("The contract line it bills")
    service_item: Annotated[Reference, To("service_item")] | None = said("What is sold, as the ERP knows it")
    quantity: Number | None = said("How many")
    per: Literal["hour", "day", "month", "unit"] | None = said("Of what")
    unit_price: Money | None = said("Price of one")
    net: Money = Field(description="Net of the line")
    tax_code: Text | None = said("Tax code, as text")


class InvoiceTax(Part):
    """Tax of one code on an invoice."""

    code: Words = Field(description="Tax code, as text")
    rate: Number | None = said("Rate, in percent")
    base: Money = Field(description="What is taxed")
    amount: Money = Field(description="The tax, in the invoice's currency")
    tax_currency_amount: Money | None = said("The tax, in the currency of the tax office")


class Invoice(Posted):
    """What the client is asked to pay; or a credit, which names the invoice it corrects."""

    object_name = "invoice"

    kind: Literal[
        "standard", "deposit", "proforma", "credit", "debit", "final", "self_billed", "intercompany"
    ] = Field(description="What sort of document it is")  # fmt: skip
    entity: Entity = Field(description="Whose books")
    bill_to: Annotated[Reference, To("client")] = Field(description="Who receives it")
    currency: Currency = Field(description="Currency of the document")
    number: Text | None = said("Number in its series")
    series: Text | None = said("Series of numbers")
    contract: Annotated[Reference, To("contract")] | None = said("The contract it bills")
    project: Annotated[Reference, To("project")] | None = said("The project it bills")
    billing_period: Annotated[Reference, To("billing_period")] | None = said("The period it bills")
    period: Annotated[Reference, To("accounting_period")] | None = said("The period it is posted in")
    client_po: Annotated[Reference, To("client_po")] | None = said("The client's order it quotes")
    issue_date: CivilDate | None = said("Day on the document")
    tax_point: CivilDate | None = said("Day that decides the tax")
    due_date: CivilDate | None = said("Day it is to be paid")
    state: Literal[
        "requested", "draft", "in_review", "approved", "posted", "delivered", "cleared", "rejected",
        "part_paid", "paid", "disputed", "credited", "written_off",
    ] = Field(description="Where it is in its life")  # fmt: skip
    lines: tuple[InvoiceLine, ...] = several("Its lines")
    net: Money | None = said("Sum of its lines")
    taxes: tuple[InvoiceTax, ...] = several("Tax per code")
    tax: Money | None = said("Tax in all")
    gross: Money | None = said("Net and tax")
    retention: Money | None = said("Held back by the client")
    payable: Money | None = said("Net and tax less what is held back")
    channel: Literal["mail", "portal", "e_invoice", "post"] | None = said("How it is delivered")
    delivered_at: Instant | None = said("When the client had it")
    clearance_id: Text | None = said("Receipt of the portal or the e-invoice network")
    corrects: Annotated[Reference, To("invoice")] | None = said("The invoice that a credit corrects")
    replaces: Annotated[Reference, To("invoice")] | None = said("The document it takes the place of")
    dispute: Text | None = said("What the client disputes")


class InvoiceStatus(Canonical):
    """What another system is told about an invoice."""

    object_name = "invoice_status"

    invoice: Annotated[Reference, To("invoice")] | None = said("The invoice")
    number: Text | None = said("Its number")
    project: Annotated[Reference, To("project")] | None = said("The project it bills")
    state: Text | None = said("Where it is in its life")
    issue_date: CivilDate | None = said("Day on the document")
    due_date: CivilDate | None = said("Day it is to be paid")
    net: Money | None = said("Net amount")
    gross: Money | None = said("Net and tax")
    paid: Money | None = said("What was paid so far")


class IntercompanyCharge(Posted):
    """What one company of ours charges another for lent work: two documents that must agree."""

    object_name = "intercompany_charge"

    seller: Entity = Field(description="The employing company")
    buyer: Entity = Field(description="The contracting company")
    origin_ref: Reference | None = said("The charge or cost behind it")
    price_rule: Literal["cost_plus", "rate_card", "share_of_bill_rate"] | None = said("How it is priced")
    percent: Number | None = said("Markup or share, in percent")
    currency: Currency = Field(description="Currency of both documents")
    amount: Money | None = said("The price")
    work_date: CivilDate | None = said("Day of the work")
    seller_document: Annotated[Reference, To("invoice")] | None = said("The seller's receivable")
    buyer_document: Reference | None = said("The buyer's payable")
    seller_period: Annotated[Reference, To("accounting_period")] | None = said("Period of the seller's document")
    buyer_period: Annotated[Reference, To("accounting_period")] | None = said("Period of the buyer's document")
    elimination_key: Text | None = said("What pairs the two in consolidation")


class WriteOff(Posted):
    """Money proposed to be given up: before the invoice, by a credit, or as bad debt."""

    object_name = "write_off"

    kind: Literal["write_down", "credit", "credit_and_rebill", "bad_debt"] = Field(description="How it is given up")
    amount: Money = Field(description="How much")
    reason_code: Words = Field(description="Why, by code")
    note: Text | None = said("Why, in words")
    entity: Entity | None = said("Whose books")
    charge: Annotated[Reference, To("charge")] | None = said("The charge it touches")
    invoice: Annotated[Reference, To("invoice")] | None = said("The invoice it touches")
    requested_by: Annotated[Reference, To("worker")] | None = said("Who asks")
    approvals: tuple[Approval, ...] = several("Who agreed, by tier")
    state: Literal["proposed", "approved", "rejected", "posted"] = Field(description="Where it is in its life")
    receivable_before: Money | None = said("Receivable before")
    receivable_after: Money | None = said("Receivable after")
    tax_effect: Money | None = said("Change of tax")
    revenue_effect: Money | None = said("Change of revenue")
    order_balance_effect: Money | None = said("Change of the client order's balance")
