"""The won deals of a benchmark: the same number gives the same three source records, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["deal", "records_of"]

VERSION = "2026-11-30T10:00:00Z"
LETTERS = {"client": "C", "contract": "K", "opportunity": "O"}


def records_of(n: int) -> list[dict[str, Any]]:
    """Client, contract and opportunity of the n-th deal, parents first, as the lean source sends them."""
    fields = {"client": _client(n), "contract": _contract(n), "opportunity": deal(n)}
    return [
        {"object": object_, "ref": f"{LETTERS[object_]}{n}", "version": VERSION, "fields": document}
        for object_, document in fields.items()
    ]


def deal(n: int) -> Mapping[str, Any]:
    """The n-th won deal."""
    return {
        "name": f"Deal {n}",
        "number": f"D-{n}",
        "stage": "closed_won",
        "kind": "new",
        "amount": _money(n),
        "close_date": "2026-11-30",
        "won_at": VERSION,
        "client": f"crm:C{n}",
        "contract": f"crm:K{n}",
        "entity": "NB-US",
        "roles": [
            {"role": "Architect", "hours": "120", "from": "2026-12-01", "to": "2027-02-26", "location": "Boston"}
        ],
    }


def _client(n: int) -> Mapping[str, Any]:
    return {
        "name": f"Client {n}",
        "number": f"C-{n}",
        "country": "US",
        "currency": "USD",
        "tax_id": "94-1234567",
        "tax_status": "registered",
        "payment_terms": "NET30",
    }


def _contract(n: int) -> Mapping[str, Any]:
    return {
        "number": f"K-{n}",
        "client": f"crm:C{n}",
        "start_date": "2026-12-01",
        "end_date": "2027-05-31",
        "currency": "USD",
        "value": _money(n),
        "billing_model": "time_and_material",
        "billing_terms": "monthly in arrears",
        "budget_hours": "1800",
        "budget_cost": {"amount": "210000.00", "currency": "USD"},
        "entity": "NB-US",
        "signed": True,
    }


def _money(n: int) -> Mapping[str, str]:
    return {"amount": f"{100_000 + n}.00", "currency": "USD"}
