"""A handoff ends on the version of the contract that it began on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concordat.operations.contracts import publish
from tests.engine.conftest import CONTRACT, Firm, contract

pytestmark = pytest.mark.slow


def activate(firm: Firm, text: str) -> None:
    """A new version becomes the active one, and the engine starts again with it."""
    new = contract(text)
    with firm.world.db.engine() as conn:
        publish(conn, new, text)
    firm.world = replace(firm.world, contracts={new.contract: new})


def test_a_handoff_in_flight_drains_on_its_own_version(firm: Firm) -> None:
    firm.take(*firm.won(1))
    firm.run()
    mapped = "map: {name: opportunity.name, client: client, contract_value: contract.value}"
    new = CONTRACT.replace("version: 1", "version: 2").replace(
        mapped, mapped.replace("contract_value: contract.value", "number: opportunity.number")
    )
    activate(firm, new)
    firm.take(
        *firm.won(1, opportunity={"name": "Renamed", "number": "D-7"}), *firm.won(2, opportunity={"number": "D-8"})
    )
    firm.run()
    versions = {row["title"]: row["version"] for row in firm.rows("SELECT title, version FROM handoff")}
    assert versions == {"Renamed": 1, "Deal 2": 2}
    fields = {one.fields["name"]: set(one.fields) for (one,) in firm.psa.held.values()}
    assert "number" not in fields["Renamed"]
    assert "contract_value" in fields["Renamed"]
    assert "contract_value" not in fields["Deal 2"]
