"""What is declared about Tryton: the connection's settings, the objects, their fields and operations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from pydantic import Field, SecretStr

from concordat.sdk.serving import Settings
from concordat.sdk.spec import ObjectFacts, PromiseClass, SystemFacts

__all__ = ["FACTS", "MODELS", "OVERLAP", "READ_BATCH", "TrytonSettings"]


class TrytonSettings(Settings):
    """A connection to one Tryton database."""

    url: str = Field(description="Where the server answers, without the database: https://erp.example.com")
    database: str = Field(description="Name of the database")
    user: str = Field(description="Login of Concordat's own user")
    password: SecretStr = Field(description="Its password")
    companies: Mapping[str, int] = Field(
        default={},
        description="Company id per entity; else the company whose party has the entity's code or name",
    )
    statuses: Mapping[str, str] = Field(
        default={},
        description="Name of the work status for each project status, where it is not the usual one",
    )
    pages: str = Field(
        default="",
        description="Address of the web client, for links that people follow; none when it is not served",
    )


OVERLAP = timedelta(minutes=5)
"""A record's stamp is the start of its transaction: it may appear this much later than it says.

Longer than any call trytond lets run (60 s by default), so that work of trytond-worker and trytond-cron fits.
"""

READ_BATCH = 200
WRITE_BATCH = 100
"""Some 0.3 s of party creation. Tryton refuses a whole call for one bad record; `bulk` splits it, so
`atomic_batch` is not declared."""

MODELS: Mapping[str, str] = {
    "client": "party.party",
    "project": "project.work",
    "contract_line": "project.work",
}

_WORK_OPERATIONS = frozenset({"put", "hold", "reactivate", "archive"})

_TARGETS = (
    ObjectFacts(
        object="client",
        vendor_object="party.party",
        promise=PromiseClass.A,
        unique_key=True,
        find="strong",
        write_batch=WRITE_BATCH,
        read_batch=READ_BATCH,
        fields=frozenset({"name", "country", "tax_id", "payment_terms", "phone", "billing_email"}),
        operations=frozenset({"put", "archive", "reactivate"}),
        note="party.party.code is required and UNIQUE (party 8.0.4); racing creates make one party.",
    ),
    ObjectFacts(
        object="project",
        vendor_object="project.work (project)",
        promise=PromiseClass.A,
        unique_key=True,
        find="strong",
        write_batch=WRITE_BATCH,
        read_batch=READ_BATCH,
        fields=frozenset(
            {
                "name",
                "client",
                "contract_value",
                "budget_hours",
                "currency",
                "start_date",
                "end_date",
                "status",
                "entity",
            }
        ),
        operations=_WORK_OPERATIONS,
        note="project.work.number is UNIQUE and may be given on create in 8.0; 8.2 refuses it.",
    ),
    ObjectFacts(
        object="contract_line",
        vendor_object="project.work (task)",
        promise=PromiseClass.A,
        unique_key=True,
        find="strong",
        write_batch=WRITE_BATCH,
        read_batch=READ_BATCH,
        fields=frozenset({"name", "project", "amount", "budget_hours", "start_date", "end_date", "status"}),
        operations=_WORK_OPERATIONS,
        note="A task under the project's work, with a number and a list price of its own.",
    ),
)

FACTS = SystemFacts(
    system="tryton",
    title="Tryton",
    sources={"client": OVERLAP, "project": OVERLAP},
    targets={each.object: each for each in _TARGETS},
)
