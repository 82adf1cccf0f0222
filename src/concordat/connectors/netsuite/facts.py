"""What is declared about NetSuite: the connection's settings, the objects, their fields and operations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr

from concordat.sdk.serving import Settings
from concordat.sdk.spec import ObjectFacts, PromiseClass, SystemFacts

__all__ = ["FACTS", "OVERLAP", "READ_BATCH", "NetSuiteSettings"]

READ_BATCH = 500
"""Members of one IN list; SuiteQL is Oracle SQL behind, which takes at most 1,000."""
OVERLAP = timedelta(minutes=5)
"""lastModifiedDate is set before the commit; a request may run for some minutes."""

CUSTOM_FIELDS: Mapping[str, str] = {
    "client.country": "custentity_concordat_country",
    "client.tax_id": "custentity_concordat_tax_id",
    "client.tax_status": "custentity_concordat_tax_status",
    "project.contract_value": "custentity_concordat_contract_value",
    "project.budget_hours": "custentity_concordat_budget_hours",
    "project.budget_cost": "custentity_concordat_budget_cost",
    "contract_line.amount": "custevent_concordat_amount",
    "contract_line.budget_hours": "custevent_concordat_budget_hours",
    "contract_line.currency": "custevent_concordat_currency",
    "contract_line.start_date": "custevent_concordat_start",
    "contract_line.end_date": "custevent_concordat_end",
}


class NetSuiteSettings(Settings):
    """A connection to one NetSuite account."""

    account: str = Field(description="Account id: 1234567, for a sandbox 1234567_SB1")
    url: str = Field(
        default="",
        description="Where the account answers; empty: https://<account>.suitetalk.api.netsuite.com",
    )
    client_id: str = Field(description="Client id (consumer key) of the integration record")
    certificate_id: str = Field(description="Id of the uploaded certificate, from the M2M set-up page")
    private_key: SecretStr = Field(description="The certificate's private key in PEM: RSA of 3072 bits or more, or EC")
    algorithm: Literal["PS256", "ES256"] = Field(
        default="PS256", description="PS256 for an RSA key, ES256 for an EC key on P-256"
    )
    subsidiaries: Mapping[str, str] = Field(
        default={}, description="Internal id of the subsidiary of each entity: {NB-US: 1, NB-UK: 2}"
    )
    subsidiary: str = Field(default="", description="Entity whose subsidiary takes a client or project that names none")
    currencies: Mapping[str, str] = Field(
        default={"USD": "1", "GBP": "2", "CAD": "3", "EUR": "4"},
        description="Internal id of each currency; the default is NetSuite's own first four",
    )
    terms: Mapping[str, str] = Field(default={}, description="Internal id of each payment term: {NET30: 2}")
    statuses: Mapping[str, str] = Field(
        default={"active": "2", "on_hold": "4", "financially_closed": "1"},
        description="Internal id of the project status for each status: 1 Closed, 2 In Progress, 4 Pending",
    )
    custom_fields: Mapping[str, str] = Field(
        default={}, description="Script id of a custom field where it differs from the documented one"
    )

    @property
    def address(self) -> str:
        """Where the account answers."""
        slug = self.account.lower().replace("_", "-")
        return self.url.rstrip("/") or f"https://{slug}.suitetalk.api.netsuite.com"

    def custom(self, name: str) -> str:
        """Give the script id of a custom field by its canonical place, `project.budget_hours`."""
        return self.custom_fields.get(name, CUSTOM_FIELDS[name])


_NOTE = (
    "PUT record/v1/{type}/eid:{key} inserts or updates by external id, unique per record type"
    " (REST API browser 2026.1). Batches are asynchronous only, one job polled for minutes: not used."
)

_TARGETS = (
    ObjectFacts(
        object="client",
        vendor_object="customer",
        promise=PromiseClass.A,
        upsert=True,
        find="strong",
        read_batch=READ_BATCH,
        parallel=5,
        fields=frozenset(
            {
                "name", "number", "country", "currency", "tax_id", "tax_status",
                "payment_terms", "phone", "billing_email", "entity",
            }
        ),
        operations=frozenset({"put", "archive", "reactivate"}),
        note=_NOTE,
    ),
    ObjectFacts(
        object="project",
        vendor_object="job",
        promise=PromiseClass.A,
        upsert=True,
        find="strong",
        read_batch=READ_BATCH,
        parallel=5,
        fields=frozenset(
            {
                "name", "number", "client", "contract_value", "budget_hours", "budget_cost",
                "currency", "start_date", "end_date", "status", "entity",
            }
        ),
        operations=frozenset({"put", "hold", "reactivate", "archive"}),
        note=_NOTE,
    ),
    ObjectFacts(
        object="contract_line",
        vendor_object="projectTask",
        promise=PromiseClass.A,
        upsert=True,
        find="strong",
        read_batch=READ_BATCH,
        parallel=5,
        serialise_by="project",
        fields=frozenset({"name", "project", "amount", "start_date", "end_date", "budget_hours", "status"}),
        operations=frozenset({"put", "archive", "reactivate"}),
        note=_NOTE + " A task cannot move to another project.",
    ),
)  # fmt: skip

FACTS = SystemFacts(
    system="netsuite",
    title="NetSuite",
    sources={"client": OVERLAP, "project": OVERLAP},
    targets={facts.object: facts for facts in _TARGETS},
)
