"""Who works for the firm, and who decides for whom."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from concordat.core.objects.form import (
    Canonical,
    CivilDate,
    Entity,
    Flag,
    Money,
    Part,
    Reference,
    Text,
    To,
    Whole,
    Words,
    said,
    several,
)

__all__ = ["Delegation", "Employment", "Worker"]


class Employment(Part):
    """Where and as what a worker was employed from a day on; read as of the business date."""

    entity: Entity = Field(description="The employing company")
    cost_centre: Text | None = said("Cost centre, as text: 0410")
    grade: Text | None = said("Grade in this employment")
    from_: CivilDate = Field(alias="from", description="First day")
    to: CivilDate | None = said("Last day; absent while it lasts")
    cost_rate_id: Text | None = said("The cost rate that applies, by its id")


class Worker(Canonical):
    """A person whose time can be planned and recorded."""

    object_name = "worker"

    number: Text | None = said("Personnel number")
    name: Words = Field(description="The worker's full name")
    email: Text | None = said("Work mail address")
    kind: Literal["employee", "contractor", "supplier_staff"] | None = said("How the worker is engaged")
    grade: Text | None = said("Present grade")
    role: Text | None = said("Present role, as rate cards name it")
    entity: Entity | None = said("Present employing company")
    location: Text | None = said("Usual place of work")
    cost_centre: Text | None = said("Present cost centre, as text: 0410")
    active: Flag | None = said("Works here today")
    available_minutes_per_week: Whole | None = said("Contractual working minutes per week")
    manager: Annotated[Reference, To("worker")] | None = said("Who leads the worker")
    supplier: Text | None = said("Supplier that sends the worker, for supplier staff")
    purchase_order: Annotated[Reference, To("purchase_order")] | None = said("Order under which supplier staff work")
    skills: tuple[Text, ...] = several("Skills by the firm's own names")
    employments: tuple[Employment, ...] = several("All employments, each with its dates")


class Delegation(Canonical):
    """One person's right to approve for another, for a time and up to an amount."""

    object_name = "delegation"

    from_: Annotated[Reference, To("worker")] = Field(alias="from", description="Whose right it is")
    to: Annotated[Reference, To("worker")] = Field(description="Who may use it")
    projects: tuple[Annotated[Reference, To("project")], ...] = several("Projects it covers; none named means all")
    up_to: Money | None = said("Most that may be approved at once")
    valid_from: CivilDate = Field(description="First day")
    valid_to: CivilDate = Field(description="Last day")
    reason: Text | None = said("Why: leave, illness, …")
    created_by: Text | None = said("Who entered it")
