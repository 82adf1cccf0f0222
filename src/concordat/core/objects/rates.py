"""What an hour costs and what it sells for, by whom, where and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from concordat.core.objects.form import (
    Canonical,
    CivilDate,
    Currency,
    Money,
    Number,
    Reference,
    Text,
    To,
    Words,
    said,
    several,
)

__all__ = ["RateCard", "RateLine"]


class RateLine(Canonical):
    """One rate and the keys it is found by: worker on contract, then role on contract, client, standard."""

    object_name = "rate_line"

    kind: Literal["bill", "cost", "transfer", "subcontract"] = Field(description="What the rate is for")
    card: Annotated[Reference, To("rate_card")] | None = said("The card it stands on")
    level: Literal["worker_on_contract", "role_on_contract", "role_on_client", "role_standard"] | None = said(
        "How close it is; the first in this order wins"
    )
    contract: Annotated[Reference, To("contract")] | None = said("Only on this contract")
    client: Annotated[Reference, To("client")] | None = said("Only for this client")
    worker: Annotated[Reference, To("worker")] | None = said("Only for this worker")
    role: Text | None = said("Only for this role; a blended rate names none")
    grade: Text | None = said("Only for this grade")
    task: Text | None = said("Only for this sort of task")
    location: Text | None = said("Only for work done here")
    service_item: Annotated[Reference, To("service_item")] | None = said("What is sold, as the ERP knows it")
    per: Literal["hour", "day", "month", "unit"] = Field(description="What one rate pays for")
    hours_per_day: Number | None = said("Hours that make a day")
    rate: Money = Field(description="The price of one")
    floor: Money | None = said("Least it may be discounted to")
    overtime: Number | None = said("Multiplier for overtime")
    weekend: Number | None = said("Multiplier for weekends")
    travel: Number | None = said("Multiplier for travel time")
    planned_mix: Mapping[str, Number] | None = said("Planned share of roles behind a blended rate")
    valid_from: CivilDate | None = said("First day")
    valid_to: CivilDate | None = said("Last day")


class RateCard(Canonical):
    """A list of rates with one version and one approval."""

    object_name = "rate_card"

    name: Words = Field(description="What people call it")
    number: Text | None = said("Its number")
    owner: Text | None = said("The team that answers for it")
    currency: Currency = Field(description="Currency of all its rates")
    version: Text | None = said("Which version this is")
    approved_by: Text | None = said("Who agreed to this version")
    valid_from: CivilDate | None = said("First day")
    valid_to: CivilDate | None = said("Last day")
    lines: tuple[RateLine, ...] = several("The rates")
