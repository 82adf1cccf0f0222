"""`concordat contract`: what contracts there are, and what one of them says."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.syntax import Syntax

from concordat.cli.open import reading
from concordat.cli.screen import FirmOption, JsonOption, listing, out, print_json
from concordat.operations.contracts import list_contracts, release, show_contract

app = typer.Typer(help="Contracts: list, show, release a brake.", no_args_is_help=True)


@app.command("list")
def list_(firm: FirmOption = None, as_json: JsonOption = False) -> None:
    """Every version of every contract, and the handoffs that run on it."""
    with reading(firm) as conn:
        rows = list_contracts(conn)
    columns = {
        "name": "Contract",
        "version": "Version",
        "state": "State",
        "owner": "Owner",
        "handoffs": "Handoffs",
        "title": "Title",
    }
    listing(
        rows,
        columns,
        as_json=as_json,
        empty="No contract is active. Put one in contracts/ and run `concordat up`.",
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The contract's name, or name/vN.")],
    firm: FirmOption = None,
    as_json: JsonOption = False,
) -> None:
    """One contract: owner, state and text; the active version unless one is named."""
    bare, _, version = name.partition("/v")
    with reading(firm) as conn:
        row = show_contract(conn, bare, int(version) if version.isdigit() else None)
    if as_json:
        print_json(row)
        return
    out.print(f"[bold]{row['name']}/v{row['version']}[/bold] · {row['state']} · owner {row['owner']}")
    out.print(row["title"])
    out.print(Syntax(row["text"], "yaml", background_color="default"))


@app.command("release")
def release_(
    name: Annotated[str, typer.Argument(help="The contract whose brake holds.")],
    firm: FirmOption = None,
    hours: Annotated[int, typer.Option(min=1, max=72, help="How long it may run past its brake.")] = 1,
) -> None:
    """Let a contract run past its brake for a while, after you looked at what waits."""
    with reading(firm) as conn:
        release(conn, name, hours=hours, person="operator")
    out.print(f"{name} may run past its brake for {hours} h; what waited goes on within half a minute.")
