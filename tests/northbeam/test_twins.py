"""The twins of a firm know the other half of what its connectors are given."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from concordat.errors import NotReachable, UserError
from concordat.northbeam.outside import Twin
from concordat.northbeam.twins import begin, twins_of
from concordat.sdk.spec import CallContext
from concordat.settings import load_firm
from concordat.wiring import connector_spec

CTX = CallContext(correlation_id="test")


def test_every_connector_gets_in(folder: Path):
    firm = load_firm(folder)
    with begin(firm) as running:
        assert [one.connection for one in running] == ["crm", "psa", "hr", "erp", "documents", "chat"]
        for name, connection in firm.connections.items():
            spec = connector_spec(connection.system)
            connector = spec.connect(spec.settings.model_validate(dict(firm.settings(name))), connection=name)
            connector.ping(CTX)
            connector.close()


def test_the_crm_pushes_to_the_firm(folder: Path, ports: Mapping[str, int]):
    with begin(load_firm(folder)) as running:
        crm = next(one for one in running if one.connection == "crm")
        with Twin(crm.url) as twin:
            assert twin.ask("GET", "/__twin/pushes")["hooks"] == [f"http://127.0.0.1:{ports['web']}/hooks/crm"]


def test_a_port_in_use_names_the_twin(folder: Path, ports: Mapping[str, int]):
    with (
        socket.create_server(("127.0.0.1", ports["psa"])),
        pytest.raises(NotReachable, match="kantata twin is in use"),
        begin(load_firm(folder)),
    ):
        pass


def test_a_real_system_gets_no_twin(folder: Path):
    toml = folder / "concordat.toml"
    text = toml.read_text().replace("http://127.0.0.1", "https://vendor.example")
    toml.write_text(text)
    with pytest.raises(UserError, match="no twin to start"):
        twins_of(load_firm(folder))


def test_faults_can_be_given_from_a_file(folder: Path, tmp_path: Path):
    file = tmp_path / "faults.yaml"
    file.write_text("kantata:\n- {kind: status, status: 503}\n")
    with begin(load_firm(folder), faults=file) as running, Twin(running[1].url) as twin:
        assert [fault["kind"] for fault in twin.ask("GET", "/__twin/faults")] == ["status"]
