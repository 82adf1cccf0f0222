"""The conformance suite's bench on the shared server: every bench has keys and counts of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import psycopg

from concordat.connectors.tryton import TrytonConnector
from concordat.sdk.conformance import Bench
from concordat.sdk.spec import WriteIntent
from concordat.tryton_server import Tryton
from tests.tryton.running import call, key

__all__ = ["OwnKeys", "bench_of"]

COUNTS = {
    "client": "SELECT count(*) FROM party_party",
    "project": "SELECT count(*) FROM project_work WHERE type = 'project'",
    "contract_line": "SELECT count(*) FROM project_work WHERE type = 'task'",
}
_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class OwnKeys(Bench):
    """A bench whose keys no earlier one has used: the server lives longer than a test."""

    run: int

    def intent(self, object_: str, number: int, **changes: Any) -> WriteIntent:
        """Make the n-th example an intent, as every bench does, under this bench's name."""
        intent = super().intent(object_, number, **changes)
        name = f"{intent.record_key}-R{self.run}"
        return replace(intent, record_key=name, write_key=f"{name}-1")


def bench_of(tryton: Tryton, erp: TrytonConnector) -> OwnKeys:
    """Make a bench with a client and a project to refer to."""
    client = _put(erp, "client", {"name": "Referred to"})
    project = _put(erp, "project", {"name": "Referred to", "entity": "NB-DE"})
    _step_past_nine(erp, int(project))

    def held(object_: str) -> int:
        with psycopg.connect(tryton.dsn) as conn:
            found = conn.execute(COUNTS[object_]).fetchone()
            return int(found[0]) if found else 0

    return OwnKeys(
        run=next(_numbers),
        connector=erp,
        ctx=call(),
        held=held,
        sources={"client": [f"erp:{client}"], "project": [f"erp:{project}"]},
        examples={
            "client": _client,
            "project": lambda number: _project(number, client),
            "contract_line": lambda number: _line(number, project),
        },
    )


def _client(number: int) -> dict[str, Any]:
    return {
        "name": f"Client {number}",
        "country": ("DE", "US")[number % 2],
        "tax_id": ("DE136695976", "94-1234567")[number % 2],
        "payment_terms": ("NET30", "NET45")[number % 2],
        "phone": f"+49 30 90182{number}",
        "billing_email": f"ap{number}@client.example",
    }


def _project(number: int, client: str) -> dict[str, Any]:
    return {
        "name": f"Project {number}",
        "client": {"ref": client, "name": "Referred to", "number": None},
        "contract_value": {"amount": f"{number}000.10", "currency": "EUR"},
        "budget_hours": f"{number}20.5",
        "currency": "EUR",
        "start_date": f"2026-12-0{number}",
        "end_date": f"2027-05-0{number}",
        "status": ("active", "on_hold")[number % 2],
        "entity": "NB-DE",
    }


def _line(number: int, project: str) -> dict[str, Any]:
    return {
        "name": f"Line {number}",
        "project": {"ref": project, "name": "Referred to", "number": None},
        "amount": {"amount": f"{number}.50", "currency": "EUR"},
        "budget_hours": str(number),
        "start_date": f"2026-12-0{number}",
        "end_date": None,
    }


def _put(erp: TrytonConnector, object_: str, fields: Mapping[str, Any]) -> str:
    name = key()
    intent = WriteIntent(object=object_, record_key=name, write_key=f"{name}-1", fields=fields)
    result = erp.write([intent], call())[0]
    assert result.error is None
    return str(result.ref)


def _step_past_nine(erp: TrytonConnector, project: int) -> None:
    """The suite takes the id that ends in 9 as nobody's, or in 8 after a 9: the next id must not end in 9."""
    if project % 10 == 8:
        _put(erp, "project", {"name": "Nine", "entity": "NB-DE"})
    client = int(_put(erp, "client", {"name": "Before"}))
    if client % 10 == 8:
        _put(erp, "client", {"name": "Nine"})
