"""What `init` writes holds, is private where it must be, and never touches what is there."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from concordat.errors import UserError
from concordat.northbeam.folder import write_firm
from concordat.settings import load_firm
from concordat.wiring import check_contracts, connector_spec


@pytest.mark.parametrize("erp", ["netsuite", "tryton"])
def test_the_firm_loads_and_its_contracts_hold(tmp_path: Path, erp: str):
    files = write_firm(tmp_path / "firm", erp=erp)
    assert all(file.is_file() for file in files)
    firm = load_firm(tmp_path / "firm")
    assert firm.connections["erp"].system == erp
    loaded = check_contracts(firm).values()
    assert [list(result.faults) for _text, result in loaded] == [[], [], []]


@pytest.mark.parametrize("erp", ["netsuite", "tryton"])
def test_every_connector_accepts_its_settings(tmp_path: Path, erp: str):
    write_firm(tmp_path / "firm", erp=erp)
    firm = load_firm(tmp_path / "firm")
    for name, connection in firm.connections.items():
        settings = connector_spec(connection.system).settings.model_validate(dict(firm.settings(name)))
        assert settings.model_dump()


def test_secrets_are_for_their_owner_alone_and_never_the_same(tmp_path: Path):
    write_firm(tmp_path / "one")
    write_firm(tmp_path / "two")
    for secret in (tmp_path / "one" / "secrets").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert secret.read_text() != (tmp_path / "two" / "secrets" / secret.name).read_text()
    assert "secrets/" in (tmp_path / "one" / ".gitignore").read_text()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        write_firm(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        write_firm(tmp_path / "file")


def test_an_unknown_erp_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(UserError, match="no ERP sap"):
        write_firm(tmp_path / "firm", erp="sap")
    assert not (tmp_path / "firm").exists()
