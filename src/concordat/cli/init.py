"""`concordat init`: a firm's folder to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from concordat.cli.screen import out
from concordat.errors import UserError
from concordat.northbeam.folder import write_firm

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(help="Where the firm is written; must be new or empty.")],
    erp: Annotated[str, typer.Option(help="netsuite (a twin) or tryton (a real server).")] = "netsuite",
) -> None:
    """Write a firm that runs against the twins: Northbeam Consulting, with contracts to change."""
    if erp not in ("netsuite", "tryton"):
        raise UserError(f"There is no ERP {erp} to start with.", remedy="Choose netsuite or tryton.", exit_code=2)
    files = write_firm(folder, erp=erp)
    out.print(f"Wrote {len(files)} files to {folder}.")
    out.print(f"Next: `concordat twin up --firm {folder}` in one terminal, `concordat up --firm {folder}` in another.")
