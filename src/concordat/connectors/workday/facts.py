"""What is declared about Workday: the connection's settings, what it is a source of, what it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Self

from pydantic import Field, SecretStr, model_validator

from concordat.sdk.serving import Settings
from concordat.sdk.spec import SystemFacts

__all__ = ["AVAILABILITY", "FACTS", "KINDS", "OVERLAP", "WorkdaySettings"]

AVAILABILITY = "availability"

OVERLAP = timedelta(minutes=5)
"""A transaction may show later than its own moment says."""

KINDS: Mapping[str, str] = {
    "Employee": "employee",
    "Contingent Worker": "contractor",
    "Contractor": "contractor",
    "Supplier Worker": "supplier_staff",
}
"""Workday's word to ours, where no setting says otherwise."""


class WorkdaySettings(Settings):
    """A connection to one Workday tenant."""

    url: str = Field(description="The tenant's services host: https://wd2-impl-services1.workday.com")
    tenant: str = Field(description="Name of the tenant, as in the reports' addresses")
    owner: str = Field(description="User name of the reports' owner, as in their addresses")
    user: str = Field(default="", description="The integration system user, for Basic authentication")
    password: SecretStr = Field(default=SecretStr(""), description="Its password")
    client_id: str = Field(default="", description="API client for integrations, for OAuth")
    client_secret: SecretStr = Field(default=SecretStr(""), description="Its secret")
    refresh_token: SecretStr = Field(default=SecretStr(""), description="Its non-expiring refresh token")
    token_path: str = Field(
        default="", description="Path of the token endpoint as View API Clients shows it; else the usual one"
    )
    workers_report: str = Field(default="Concordat_Workers", description="Name of the report on workers")
    availability_report: str = Field(default="Concordat_Availability", description="Name of the report on free time")
    entities: Mapping[str, str] = Field(
        default={}, description="Entity code of each Company, where the report does not give the code itself"
    )
    kinds: Mapping[str, str] = Field(
        default={}, description="Kind of worker of each Worker_Type: employee, contractor or supplier_staff"
    )
    slice_weeks: int = Field(
        default=26,
        ge=1,
        le=520,
        description="Most weeks of free time in one report run: fewer where there are thousands of workers",
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        basic = bool(self.user and self.password.get_secret_value())
        oauth = bool(self.client_id and self.refresh_token.get_secret_value())
        if basic == oauth:
            raise ValueError("give user and password, or client_id, client_secret and refresh_token")
        return self


FACTS = SystemFacts(
    system="workday",
    title="Workday",
    sources={"worker": OVERLAP},
    questions=frozenset({AVAILABILITY}),
)
