"""Documents and intents that the tests of the connector share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concordat.connectors.tryton import TrytonConnector
from concordat.sdk.spec import WriteIntent, WriteResult
from tests.tryton.running import call, key

CLIENT = {
    "name": "Acme 100%_Ltd",
    "country": "DE",
    "tax_id": "DE136695976",
    "payment_terms": "NET30",
    "phone": "+49 30 901820",
    "billing_email": "ap@acme.example",
}


def intent(object_: str, fields: Mapping[str, Any], name: str = "", **more: Any) -> WriteIntent:
    name = name or key()
    return WriteIntent(object=object_, record_key=name, write_key=f"{name}-1", fields=fields, **more)


def put(erp: TrytonConnector, *intents: WriteIntent) -> list[WriteResult]:
    return list(erp.write(intents, call()))


def made(erp: TrytonConnector, wanted: WriteIntent) -> str:
    result = put(erp, wanted)[0]
    assert result.error is None
    assert result.ref
    return result.ref


def project(client: str | None, **changed: Any) -> dict[str, Any]:
    document = {
        "name": "Payments platform",
        "client": {"ref": client, "name": "Acme", "number": None},
        "contract_value": {"amount": "350000.10", "currency": "EUR"},
        "budget_hours": "1800.25",
        "currency": "EUR",
        "start_date": "2026-12-01",
        "end_date": "2027-05-31",
        "status": "active",
        "entity": "NB-DE",
    }
    return {**document, **changed}
