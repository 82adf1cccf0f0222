"""`concordat handoff`: where every deal stands, in all systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from concordat.cli import decide
from concordat.cli.named import IdArgument, the_id
from concordat.cli.open import database, reading
from concordat.cli.screen import FirmOption, JsonOption, err, listing, out, print_json
from concordat.engine.worker import WAKE
from concordat.operations.handoffs import Wanted, find_handoffs, replay, show_handoff

__all__ = ["app"]

app = typer.Typer(help="Handoffs: list, show, replay, undo, decide.", no_args_is_help=True)

COLUMNS = {
    "id": "Handoff",
    "state": "State",
    "number": "Number",
    "title": "Title",
    "client": "Client",
    "value": "Value",
    "progress": "Steps",
    "waits_for": "Waits for",
}


@app.command("list")
def list_(  # noqa: PLR0917  Typer's way to declare options
    firm: FirmOption = None,
    state: Annotated[str, typer.Option(help="A state, or open, moving, waiting, broken.")] = "",
    contract: Annotated[str, typer.Option(help="Only of this contract.")] = "",
    q: Annotated[str, typer.Option(help="Any system's number.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Handoffs, newest first."""
    with reading(firm) as conn:
        found = find_handoffs(conn, Wanted(state=state, contract=contract, q=q, limit=limit))
    rows = found.rows if as_json else [_line(row) for row in found.rows]
    listing(rows, COLUMNS, as_json=as_json, empty="No handoff is there yet, or none that is asked for.")
    if found.next and not as_json:
        err.print(f"There are more; ask for them with --limit above {limit}.")


@app.command()
def show(id_: IdArgument, firm: FirmOption = None, as_json: JsonOption = False) -> None:
    """One handoff: where it stands, and each step with its state, attempts, due time and link."""
    with reading(firm) as conn:
        row = show_handoff(conn, the_id(conn, id_))
    if as_json:
        print_json(row)
        return
    _head(row)
    out.print(_steps(row["effects"]))
    for case in row["cases"]:
        out.print(f"Case {case['id']} ({case['state']}): {case['title']} · owner {case['owner']}", markup=False)
    for missing in row["missing"]:
        out.print(f"  missing: {missing['field']} · {missing['owner']} fills it in", markup=False)


@app.command("replay")
def replay_(
    id_: IdArgument,
    firm: FirmOption = None,
    step: Annotated[str, typer.Option("--from", help="From this step on; else all of it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Plan a handoff again and let go on what waits or is held; what is done is never done twice."""
    with database(firm) as (known, db):
        with db.app([known.firm.unit]) as conn:
            done = replay(conn, the_id(conn, id_), person="operator", step=step)
        with db.engine() as conn:
            conn.execute("SELECT pg_notify(%s, '')", [WAKE])
    if as_json:
        print_json({"handoff": done.handoff, "released": list(done.released), "left": list(done.left)})
        return
    released = ", ".join(done.released) or "nothing was held or waiting"
    out.print(f"Handoff {done.handoff} is planned again; set going: {released}.", markup=False)
    for left in done.left:
        out.print(f"  {left['step']} stays: {left['why']}", markup=False)


for _name, _work in (
    ("undo-plan", decide.undo_plan_),
    ("cancel", decide.cancel_),
    ("skip", decide.skip_),
    ("take-on", decide.take_on_),
    ("proposals", decide.proposals),
    ("approve", decide.approve_),
    ("decline", decide.decline_),
):
    app.command(_name)(_work)


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "value": _money(row), "progress": f"{row['done']}/{row['effects']}"}


def _money(row: Mapping[str, Any]) -> str:
    return f"{row['value_amount']:,f} {row['value_currency']}" if row["value_amount"] is not None else ""


def _head(row: Mapping[str, Any]) -> None:
    wanted, done = row["effect_count"], row["done"]
    money = f" · {_money(row)}" if _money(row) else ""
    waits = f"; waits for: {row['waits_for']}" if row["waits_for"] else ""
    out.print(Text(f"Handoff {row['id']} · {row['title']}", style="bold"))
    out.print(f"{row['contract']}/v{row['version']} · {row['client']}{money}", markup=False)
    out.print(f"It is {row['state'].replace('_', ' ')}: {done} of {wanted} steps are done{waits}.", markup=False)


def _steps(effects: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Step", "State", "Tries", "Waits for", "Owner", "Due (UTC)", "Link"):
        table.add_column(heading, overflow="fold")
    for effect in effects:
        name = f"{effect['step']} {effect['item']}".strip()
        due = effect["due_at"].strftime("%Y-%m-%d %H:%M") if effect["due_at"] else ""
        why = effect["waits_for"] or effect["error"] or ""
        link = effect["url"] or effect["ref"] or ""
        cells = (name, effect["state"], str(len(effect["attempts"])), why, effect["owner"] or "", due, link)
        table.add_row(*map(Text, cells))
    return table
