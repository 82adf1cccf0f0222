"""Writes the folder of Northbeam Consulting: a firm of three entities that runs against the twins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from concordat.errors import UserError
from concordat.northbeam.secret import fresh_secrets
from concordat.northbeam.settings import PORTS, settings_text

__all__ = ["PORTS", "write_firm"]

SHIPPED = Path(__file__).parent.parent / "handoffs"
PAGES = Path(__file__).parent / "pages"
CONTRACTS = ("client-onboarding", "opportunity-extension", "opportunity-to-project")


def write_firm(folder: Path, *, erp: str = "netsuite", ports: Mapping[str, int] | None = None) -> list[Path]:
    """Write a firm that runs against the twins, or with `erp="tryton"` against a real Tryton; give its files.

    `ports` replaces some of `PORTS`. The folder must be new or empty, else `UserError` and nothing is written.
    """
    settings = settings_text(erp=erp, ports={**PORTS, **(ports or {})})
    _new_or_empty(folder)
    files = [
        _write(folder / "concordat.toml", settings),
        _write(folder / "README.md", (PAGES / "README.md").read_text()),
        _write(folder / ".gitignore", ".concordat/\nsecrets/\n"),
        _write(folder / "value-maps" / "README.md", (PAGES / "value-maps.md").read_text()),
        _write(folder / "policies" / "README.md", (PAGES / "policies.md").read_text()),
    ]
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    files += [_write(secrets / name, text, mode=0o600) for name, text in fresh_secrets(erp).items()]
    return files + [file for name in CONTRACTS for file in _contract(folder / "contracts", name)]


def _new_or_empty(folder: Path) -> None:
    remedy = "Name a folder that is new or empty."
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file.", remedy=remedy)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty.", remedy=remedy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}.", remedy="Name another folder.") from error


def _write(file: Path, text: str, *, mode: int = 0o644) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=mode)
    file.write_text(text)
    return file


def _contract(contracts: Path, name: str) -> list[Path]:
    """Copy every version of a shipped contract with its examples, the editors' line left out."""
    files = []
    for source in sorted((SHIPPED / name).glob("*.yaml")):
        lines = source.read_text().splitlines(keepends=True)
        kept = "".join(line for line in lines if not line.startswith("# yaml-language-server:"))
        files.append(_write(contracts / name / source.name, kept))
    return files
