"""`concordat login`: a one-time link to the console."""

from __future__ import annotations

from typing import Annotated

import typer

from concordat.cli.open import database
from concordat.cli.screen import HOST, FirmOption, PortOption, out
from concordat.operations.sessions import one_time_link

__all__ = ["login"]


def login(
    firm: FirmOption = None,
    port: PortOption = None,
    person: Annotated[str, typer.Option(help="Who signs in.")] = "operator",
    role: Annotated[str, typer.Option(help="viewer, operator, approver, engineer, board or auditor.")] = "operator",
) -> None:
    """Print a one-time link to the console, good for 15 minutes."""
    with database(firm) as (known, db):
        token = one_time_link(db, person=person, role=role, units=[known.firm.unit])
    number = known.web.port if port is None else port
    out.print(f"http://{HOST}:{number}/login?token={token}", soft_wrap=True)
