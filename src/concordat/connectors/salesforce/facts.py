"""What Salesforce promises per object, and the connection's settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from concordat.sdk.spec import ObjectFacts, PromiseClass, SystemFacts

__all__ = ["FACTS", "SalesforceSettings"]

OVERLAP = timedelta(minutes=2)

CLIENT_FIELDS = frozenset(
    {
        "name",
        "number",
        "country",
        "currency",
        "tax_id",
        "tax_status",
        "payment_terms",
        "phone",
        "billing_email",
        "parent",
    }
)
OPPORTUNITY_FIELDS = frozenset(
    {
        "name",
        "number",
        "stage",
        "kind",
        "amount",
        "probability",
        "close_date",
        "client",
        "contract",
        "extends",
        "entity",
        "roles",
    }
)


def _target(object_: str, vendor_object: str, fields: frozenset[str]) -> ObjectFacts:
    return ObjectFacts(
        object=object_,
        vendor_object=vendor_object,
        promise=PromiseClass.A,
        upsert=True,
        unique_key=True,
        find="strong",
        write_batch=200,
        read_batch=200,
        parallel=5,
        serialise_by="client" if object_ == "opportunity" else "parent",
        fields=fields,
        note="Upsert by a unique External ID, 200 at once (resources_composite_sobjects_collections).",
    )


FACTS = SystemFacts(
    system="salesforce",
    title="Salesforce",
    sources={"client": OVERLAP, "contract": OVERLAP, "opportunity": OVERLAP},
    targets={
        "client": _target("client", "Account", CLIENT_FIELDS),
        "opportunity": _target("opportunity", "Opportunity", OPPORTUNITY_FIELDS),
    },
    pushes=True,
)

STAGES = {
    "Prospecting": "prospecting",
    "Qualification": "prospecting",
    "Needs Analysis": "prospecting",
    "Value Proposition": "prospecting",
    "Id. Decision Makers": "prospecting",
    "Perception Analysis": "prospecting",
    "Proposal/Price Quote": "negotiation",
    "Negotiation/Review": "negotiation",
    "Closed Won": "closed_won",
    "Closed Lost": "closed_lost",
}
KINDS = {"New Business": "new", "Extension": "extension", "Renewal": "renewal", "Change": "change"}


class SalesforceSettings(BaseModel):
    """One Salesforce org. Everything that an administrator may rename is a setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="The org's address: https://yourfirm.my.salesforce.com")
    token_url: str = Field(default="https://login.salesforce.com", description="Login host, or the org's own")
    audience: str = Field(default="https://login.salesforce.com", description="`aud` of the JWT")
    api_version: str = Field(default="62.0", pattern=r"^(5[2-9]|[6-9]\d)\.0$", description="REST version, from 52.0")
    consumer_key: str = Field(description="Consumer key of the connected app")
    username: str = Field(default="", description="Integration user (JWT flow)")
    private_key: SecretStr | None = Field(default=None, description="Private key in PEM (JWT flow)")
    consumer_secret: SecretStr | None = Field(default=None, description="Secret (client credentials flow)")
    push_secret: SecretStr | None = Field(default=None, description="Secret shared with the sender of hints")
    key_field: str = Field(default="Concordat_Key__c", description="Unique External ID field with our record key")
    multi_currency: bool = Field(default=True, description="The org has CurrencyIsoCode on its records")
    currency: str = Field(default="USD", description="The org's currency when it has only one")
    amount_decimals: int = Field(default=2, ge=0, le=8, description="Decimals that the org's currency fields keep")
    overlap_seconds: int = Field(default=120, ge=0, le=3600, description="How far a sweeping poll reads back")
    page: int = Field(default=200, ge=1, le=2000, description="Records per page of a poll")
    stages: Mapping[str, str] = Field(default_factory=lambda: dict(STAGES), description="StageName to stage")
    kinds: Mapping[str, str] = Field(default_factory=lambda: dict(KINDS), description="Type to kind of deal")
    fields: Mapping[str, Mapping[str, str]] = Field(
        default_factory=dict,
        description="Other API names, {object: {canonical field: API name}}; an empty name: not there",
    )

    def page_of(self, ref: str) -> str:
        """Say where a person sees a record."""
        return f"{self.url.rstrip('/')}/{ref}"

    @model_validator(mode="after")
    def _credential(self) -> Self:
        if not (self.private_key and self.username) and not self.consumer_secret:
            raise ValueError("give username and private_key, or consumer_secret")
        return self
