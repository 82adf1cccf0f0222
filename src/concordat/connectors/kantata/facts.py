"""What is declared about Kantata: the connection's settings, the objects, their fields and operations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from concordat.core.undo import USAGE
from concordat.sdk.spec import ObjectFacts, PromiseClass, SystemFacts

__all__ = ["COLLECTIONS", "FACTS", "OVERLAP", "READ_BATCH", "SERVICE", "SETTLE_WINDOW", "KantataSettings"]

SERVICE = "concordat"
"""`service_name` of our external references; an object has at most one of each service."""

SETTLE_WINDOW = timedelta(minutes=6)
"""Twice the longest flight: Kantata gives up after 3 minutes with a 504, perhaps with a commit."""

OVERLAP = timedelta(minutes=5)
"""Lists lag behind writes, and stamps have whole seconds."""

READ_BATCH = 50
"""Keys in one look-up. Filters take 200, but two filters of 50 keys fill an address of some 4 kB."""

COLLECTIONS: Mapping[str, str] = {"project": "workspaces", "contract_line": "stories"}


class KantataSettings(BaseModel):
    """A connection to one Kantata account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(default="https://api.mavenlink.com", description="Where the API answers, without /api/v1")
    token: SecretStr = Field(description="Bearer token of Concordat's own user")
    pages: str = Field(
        default="https://app.mavenlink.com", description="Address of the web pages, for links people follow"
    )
    custom_fields: Mapping[str, str] = Field(
        default={
            "contract_value": "Contract value",
            "budget_hours": "Budget hours",
            "budget_cost": "Budget cost",
            "number": "Project number",
            "entity": "Entity",
        },
        description="Name of the project's text field that keeps each value Kantata has no exact field for",
    )
    key_field: str = Field(
        default="Concordat key",
        description="Name of the project's text field that keeps our key, best with Kantata's unique "
        "constraint; empty: the external reference alone",
    )
    statuses: Mapping[str, int] = Field(
        default={"pipeline": 100, "on_hold": 400, "active": 401, "at_risk": 500, "delivery_complete": 600},
        description="Kantata's status key of each project status; compare with the account's status list",
    )
    line_type: str = Field(default="deliverable", description="Story type that a contract line becomes")


_LINE = frozenset({"name", "project", "amount", "start_date", "end_date", "budget_hours"})
_PROJECT = frozenset(
    {
        "name",
        "number",
        "client",
        "contract_value",
        "budget_hours",
        "budget_cost",
        "currency",
        "start_date",
        "end_date",
        "status",
        "entity",
    }
)

_TARGETS = (
    ObjectFacts(
        object="project",
        vendor_object="workspaces",
        promise=PromiseClass.B,
        find="eventual",
        search_lag=timedelta(minutes=1),
        settle_window=SETTLE_WINDOW,
        read_batch=READ_BATCH,
        fields=_PROJECT,
        operations=frozenset({"put", "archive", "hold", "reactivate"}),
        note=(
            "Our key travels inline as external_reference and in a custom field; filters by both find it "
            "(OpenAPI, POST and GET /workspaces). No idempotency key (API reference)."
        ),
    ),
    ObjectFacts(
        object="contract_line",
        vendor_object="stories",
        promise=PromiseClass.B,
        find="eventual",
        search_lag=timedelta(minutes=1),
        settle_window=SETTLE_WINDOW,
        read_batch=READ_BATCH,
        fields=_LINE,
        operations=frozenset({"put", "archive", "reactivate"}),
        note="Our key travels inline as external_reference (mavenlink_gem, create_attributes of stories).",
    ),
)

FACTS = SystemFacts(
    system="kantata",
    title="Kantata OX",
    sources={"project": OVERLAP},
    targets={each.object: each for each in _TARGETS},
    questions=frozenset({USAGE}),
)
