"""Contracts as people handle them: publish, list, show."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from concordat.core.contract import Contract
from concordat.errors import Invalid, NotFound
from concordat.store.database import Connection
from concordat.store.queries import QUERIES

__all__ = ["list_contracts", "publish", "release", "show_contract"]


def publish(conn: Connection, contract: Contract, text: str) -> bool:
    """Make this version the active one; says whether anything changed. A published version is never edited.

    Raises `Invalid` when the same version was published with another text.
    """
    sha = hashlib.sha256(text.encode()).hexdigest()
    row = conn.execute(QUERIES.contract.find, {"name": contract.contract, "version": contract.version}).fetchone()
    if row and row["digest"] != sha:
        raise Invalid(
            f"{contract.key} was published with another text.",
            remedy=f"A published version is never edited: make it version {contract.version + 1}.",
        )
    if row and row["state"] == "active":
        return False
    parameters = {
        "name": contract.contract,
        "version": contract.version,
        "text": text,
        "digest": sha,
        "title": contract.title,
        "owner": contract.owner,
    }
    conn.execute(QUERIES.contract.retire_others, parameters)
    conn.execute(QUERIES.contract.activate, parameters)
    return True


def list_contracts(conn: Connection) -> Sequence[Mapping[str, Any]]:
    """Every version, with how many handoffs run on it by state."""
    return conn.execute(QUERIES.contract.list_all).fetchall()


def show_contract(conn: Connection, name: str, version: int | None = None) -> Mapping[str, Any]:
    """One version, the active one by default. Raises `NotFound` with the names there are."""
    row = conn.execute(QUERIES.contract.show, {"name": name, "version": version}).fetchone()
    if row is None:
        known = ", ".join(sorted({r["name"] for r in list_contracts(conn)})) or "none"
        wanted = name if version is None else f"{name}/v{version}"
        raise NotFound(f"No contract {wanted}.", remedy=f"There is: {known}.")
    return row


def release(conn: Connection, name: str, *, hours: int, person: str) -> None:
    """Let one contract run past its brake, and resolve the brake's case. Raises `NotFound` for an unknown name."""
    show_contract(conn, name)
    conn.execute(QUERIES.handoff.brake_release, {"contract": name, "hours": hours, "person": person})
    conn.execute(QUERIES.case.resolve_brake, {"contract": name, "resolution": f"released by {person}"})
