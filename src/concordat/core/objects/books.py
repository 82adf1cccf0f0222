"""Whose books: legal entities, their periods, exchange rates, and what they sell."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from concordat.core.objects.form import (
    Canonical,
    CivilDate,
    Country,
    Currency,
    Entity,
    Flag,
    Instant,
    Number,
    Part,
    Reference,
    Text,
    To,
    Words,
    said,
    several,
)

__all__ = ["AccountingPeriod", "ExchangeRate", "LegalEntity", "Lock", "ServiceItem", "TaxRegistration"]


class TaxRegistration(Part):
    """One tax registration of a company of ours."""

    country: Country = Field(description="Country that issued it")
    kind: Text | None = said("Sort of tax: VAT, sales tax, GST")
    number: Words = Field(description="The registration number")
    from_: CivilDate | None = Field(default=None, alias="from", description="First day")
    to: CivilDate | None = said("Last day")


class LegalEntity(Canonical):
    """A company of ours: whose books, currency, tax registrations, calendar and zone."""

    object_name = "legal_entity"

    code: Words = Field(description="The code used everywhere: NB-US")
    name: Text | None = said("Registered name")
    country: Country | None = said("Country of the seat")
    functional_currency: Currency = Field(description="Currency of its books")
    reporting_currency: Currency | None = said("Currency of the group")
    zone: Words = Field(description="IANA time zone of its cut-offs: Europe/Berlin")
    fiscal_calendar: Literal["monthly", "4-4-5", "13_periods"] = Field(description="How its year is cut")
    holidays: Text | None = said("Public holidays: country, or country-subdivision")
    tax_registrations: tuple[TaxRegistration, ...] = several("Tax registrations, each with its dates")
    invoice_series: tuple[Text, ...] = several("Series its invoices are numbered in")
    books: tuple[Text, ...] = several("Accounting bases: US GAAP, IFRS, local")


class Lock(Part):
    """Whether one subledger still takes entries."""

    ledger: Literal["time", "expense", "billing", "ar", "ap", "payroll", "gl"] = Field(description="The subledger")
    locked: Flag = Field(description="It takes none")


class AccountingPeriod(Canonical):
    """A company's period and its locks. The ERP owns it; the PSA owns the locks of time and expense."""

    object_name = "accounting_period"

    entity: Entity = Field(description="Whose period")
    book: Text | None = said("Accounting basis")
    code: Words = Field(description="The period's name: 2026-11")
    start: CivilDate = Field(description="First day")
    end: CivilDate = Field(description="Last day")
    is_adjustment: Flag | None = said("A thirteenth period, for adjustments")
    state: Literal["future", "open", "soft_closed", "closed", "reopened", "archived"] = Field(
        description="Where it is in its life"
    )
    locks: tuple[Lock, ...] = several("Locks per subledger")
    allow_non_gl_changes: Flag | None = said("Changes without a posting stay allowed")
    closed_at: Instant | None = said("When it was closed last")
    closed_by: Text | None = said("Who closed it")


class ExchangeRate(Canonical):
    """One currency in another, on a day, for a purpose. Never recomputed from its inverse."""

    object_name = "exchange_rate"

    type: Literal[
        "spot", "official_tax", "month_average", "period_end", "contract_fixed", "group_plan"
    ] = Field(description="What the rate is for")  # fmt: skip
    from_: Currency = Field(alias="from", description="One unit of this currency")
    to: Currency = Field(description="costs so much of this")
    date: CivilDate = Field(description="The day it is for")
    rate: Number = Field(description="The rate, exact")
    published_by: Words = Field(description="Who published it: ECB, HMRC, treasury")
    inverse_of: Annotated[Reference, To("exchange_rate")] | None = said("The published rate it is the inverse of")


class ServiceItem(Canonical):
    """Something we sell, mapped to what the ERP needs to book it."""

    object_name = "service_item"

    code: Words = Field(description="The item's code")
    name: Text | None = said("What it is called on invoices")
    erp_item: Text | None = said("Item in the ERP")
    revenue_account: Text | None = said("Revenue account, as text")
    tax_category: Text | None = said("Tax category as the ERP names it")
    po_line: Text | None = said("Line of the client's order it is billed on")
    entity: Entity | None = said("Only in this company")
