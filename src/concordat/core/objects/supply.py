"""What the firm buys: orders to suppliers whose people work on its projects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from concordat.core.objects.form import (
    Canonical,
    CivilDate,
    Entity,
    Flag,
    Money,
    Reference,
    Text,
    To,
    Words,
    said,
    several,
)

__all__ = ["PurchaseOrder"]


class PurchaseOrder(Canonical):
    """Our order to a supplier. The client's order to us is `client_po`."""

    object_name = "purchase_order"

    number: Words = Field(description="The order's number")
    supplier: Words = Field(description="Who supplies")
    workers: tuple[Annotated[Reference, To("worker")], ...] = several("Whom they send")
    project: Annotated[Reference, To("project")] | None = said("For which project")
    entity: Entity | None = said("Which company of ours buys")
    rate: Money | None = said("Agreed rate")
    per: Literal["hour", "day", "month", "unit"] | None = said("What one rate pays for")
    amount: Money | None = said("Amount ordered")
    evidence: Literal["receipt", "time"] | None = said("What proves delivery")
    accrual: Literal["time", "receipt", "none"] | None = said("What the month's accrual is made from")
    self_billing: Flag | None = said("We write the supplier's invoice")
    invoices: tuple[Text, ...] = several("The supplier's invoices matched to it")
    valid_from: CivilDate | None = said("First day")
    valid_to: CivilDate | None = said("Last day")
