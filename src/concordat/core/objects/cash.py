"""Money that comes in: payments, and what they pay."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from concordat.core.objects.form import CivilDate, Entity, Money, Posted, Reference, Text, To, said

__all__ = ["Application", "Payment"]


class Payment(Posted):
    """Money received from a payer."""

    object_name = "payment"

    payer: Annotated[Reference, To("client")] = Field(description="Who paid")
    entity: Entity | None = said("Whose bank account")
    value_date: CivilDate = Field(description="Day the money counts")
    amount: Money = Field(description="How much arrived")
    bank_ref: Text | None = said("The bank's reference")
    unapplied: Money | None = said("What is not yet matched to an invoice")
    remittance: Text | None = said("What the payer wrote")


class Application(Posted):
    """A payment meets an invoice, with all that makes the two differ."""

    object_name = "application"

    payment: Annotated[Reference, To("payment")] = Field(description="The payment")
    invoice: Annotated[Reference, To("invoice")] = Field(description="The invoice")
    amount: Money = Field(description="How much of the invoice it settles in cash")
    discount: Money | None = said("Discount taken for paying early")
    withholding_tax: Money | None = said("Tax the client kept for its tax office")
    withholding_certificate: Text | None = said("Proof of that tax")
    bank_fee: Money | None = said("Fee the bank kept")
    fx_difference: Money | None = said("Gain or loss on exchange, in the company's currency")
    short_pay_reason: Text | None = said("Why less was paid")
    dispute: Text | None = said("What the client disputes")
    applied_on: CivilDate | None = said("Day it was matched")
