"""`concordat case`: what only a person can decide."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from concordat.cli.decide import PersonOption
from concordat.cli.open import reading
from concordat.cli.screen import FirmOption, JsonOption, listing, out, print_json
from concordat.operations.cases import show_case
from concordat.operations.decisions import decide_case
from concordat.operations.overview import list_cases

__all__ = ["app"]

app = typer.Typer(help="Cases: list, show, decide.", no_args_is_help=True)

COLUMNS = {
    "id": "Case",
    "state": "State",
    "kind": "Kind",
    "owner": "Owner",
    "due_at": "Due (UTC)",
    "handoff_id": "Handoff",
    "title": "Title",
}


@app.command("list")
def list_(
    firm: FirmOption = None,
    owner: Annotated[str, typer.Option(help="Only this team's.")] = "",
    kind: Annotated[str, typer.Option(help="Only of this kind.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Open cases, newest first."""
    with reading(firm) as conn:
        rows = list_cases(conn, owner=owner, kind=kind, limit=limit).rows
    listing(rows, COLUMNS, as_json=as_json, empty="No case is open.")


@app.command()
def show(
    id_: Annotated[int, typer.Argument(metavar="ID", help="The case's id.")],
    firm: FirmOption = None,
    as_json: JsonOption = False,
) -> None:
    """One case: what it is about, whose it is, and the facts behind it."""
    with reading(firm) as conn:
        row = show_case(conn, id_)
    if as_json:
        print_json(row)
        return
    out.print(Text(f"Case {row['id']} · {row['title']}", style="bold"))
    due = f" · due {row['due_at']:%Y-%m-%d %H:%M} UTC" if row["due_at"] else ""
    out.print(f"{row['kind']} · {row['state']} · owner {row['owner']}{due}", markup=False)
    if row["amount"] is not None:
        out.print(f"at stake: {row['amount']:,f} {row['currency']}", markup=False)
    for name, value in row["facts"].items():
        out.print(f"  {name}: {value}", markup=False, soft_wrap=True)
    if row["resolution"]:
        out.print(f"resolved: {row['resolution']}", markup=False)


@app.command("decide")
def decide_(
    id_: Annotated[int, typer.Argument(metavar="ID", help="The case's id.")],
    reason: Annotated[str, typer.Option("--reason", help="What was decided, in a sentence.")],
    firm: FirmOption = None,
    person: PersonOption = "operator",
) -> None:
    """Close a case about what was withdrawn, adopted or disputed: somebody saw to it, or it stays as it is."""
    with reading(firm) as conn:
        row = decide_case(conn, id_, person=person, reason=reason)
    out.print(f"Case {row['id']} is decided by {person}: {reason}", markup=False)
