"""`concordat db`: bring the database up to date, and say how it stands."""

from __future__ import annotations

from typing import Annotated

import typer

from concordat.cli.open import database
from concordat.cli.screen import FirmOption, JsonOption, listing, out, waiting
from concordat.operations.health import ENDS, ends
from concordat.store.migrate import migrate, status

app = typer.Typer(help="The database: migrations and their state.", no_args_is_help=True)


@app.command("migrate")
def migrate_(firm: FirmOption = None) -> None:
    """Apply what is missing, each step in a transaction of its own; safe to repeat."""
    with waiting("migrating") as say, database(firm) as (_, db):
        done = migrate(db, progress=lambda step, *_more: say(str(step)))
    out.print(
        f"Applied {len(done)} step{'s' if len(done) != 1 else ''}."
        if done
        else "Nothing to apply: the database is up to date."
    )


@app.command("status")
def status_(
    firm: FirmOption = None,
    as_json: JsonOption = False,
    deliveries: Annotated[
        bool, typer.Option("--deliveries", help="How everything that was accepted has ended, instead of migrations.")
    ] = False,
) -> None:
    """Show every migration and whether it is applied; exit 1 when something is missing.

    With --deliveries: per connection what was accepted, and how it ended. Applied, superseded, duplicate, case and
    received (not read yet) add up to accepted.
    """
    if deliveries:
        with database(firm) as (_, db):
            found = [dict(row) for row in ends(db)]
        columns = {name: name.capitalize() for name in ("connection", "accepted", *ENDS)}
        listing(found, columns, as_json=as_json, empty="Nothing was ever accepted.")
        return
    with database(firm) as (_, db):
        steps = status(db)
    rows = [
        {"migration": s.title, "applied_at": s.applied_at, "state": "applied" if s.applied_at else "missing"}
        for s in steps
    ]
    listing(
        rows,
        {"migration": "Migration", "state": "State", "applied_at": "Applied (UTC)"},
        as_json=as_json,
        empty="No migrations.",
    )
    if any(s.applied_at is None for s in steps):
        raise typer.Exit(1)
