"""`concordat handoff undo-plan | cancel | skip | proposals | approve | decline`: what people decide about handoffs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from concordat.cli.named import IdArgument, the_id
from concordat.cli.open import database, reading
from concordat.cli.screen import FirmOption, JsonOption, listing, out, print_json
from concordat.engine.worker import WAKE
from concordat.operations.decisions import approve, cancel, decline, list_proposals, skip, take_on
from concordat.operations.undo import ask_usage, undo_plan
from concordat.store.database import Connection
from concordat.telemetry import new_trace, trace_id

__all__ = ["PersonOption", "approve_", "cancel_", "decline_", "proposals", "skip_", "take_on_", "undo_plan_"]

PersonOption = Annotated[str, typer.Option("--as", help="Who decides; kept in the audit.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in a sentence; kept in the audit.")]
ProposalArgument = Annotated[int, typer.Argument(metavar="PROPOSAL", help="The proposal's id.")]
COLUMNS = {
    "id": "Proposal",
    "state": "State",
    "handoff_id": "Handoff",
    "title": "Title",
    "step": "Step",
    "says": "Change",
    "team": "Team",
    "author": "Changed by",
}


def undo_plan_(id_: IdArgument, firm: FirmOption = None, as_json: JsonOption = False) -> None:
    """What is done, in order, if this handoff is withdrawn: step, target, what happens, why not. Changes nothing."""
    from concordat.cli.worker import running  # noqa: PLC0415 - only this command needs the connections

    with running(firm, quiet=True) as opened:
        with opened.db.app([opened.world.unit]) as conn:
            known = the_id(conn, id_)
            plan = undo_plan(opened.world, conn, known)
        said = ask_usage(opened.world, plan, correlation_id=trace_id(new_trace()))
        if said:
            with opened.db.app([opened.world.unit]) as conn:
                plan = undo_plan(opened.world, conn, known, usage=said)
    if as_json:
        print_json(plan)
    else:
        _show(plan)


def _show(plan: Mapping[str, Any]) -> None:
    out.print(Text(f"Handoff {plan['handoff']} · {plan['title']}", style="bold"))
    word = plan["state"].replace("_", " ")
    says = (
        "This is its undo:" if plan["running"] else f"If {plan['when'] or 'its source is deleted'}, this is its undo:"
    )
    out.print(f"{plan['contract']} · {word}. {says}", markup=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Step", "At the target", "What happens", "Why", "Who decides", "State"):
        table.add_column(heading, overflow="fold")
    for line in plan["lines"]:
        target = " ".join(part for part in (line["system"], line["object"], line["ref"]) if part)
        cells = (line["step"], line["item"]), target, line["says"], line["why"], line["owner"], line["state"]
        table.add_row(Text(" ".join(cells[0]).strip()), *map(Text, cells[1:]))
    out.print(table if plan["lines"] else "Nothing was sent: there is nothing to undo.")


def cancel_(id_: IdArgument, reason: ReasonOption, firm: FirmOption = None, person: PersonOption = "operator") -> None:
    """Stop a handoff: what was not sent is not sent, what stands is left. `handoff replay` starts it again."""
    known = _done(firm, lambda conn: _named(conn, id_, lambda found: cancel(conn, found, person=person, reason=reason)))
    out.print(f"Handoff {known} is stopped: {reason}", markup=False)


def take_on_(id_: IdArgument, reason: ReasonOption, firm: FirmOption = None, person: PersonOption = "operator") -> None:
    """Write an adopted handoff from now on, once its subject is not older than the contract any more."""
    work = partial(take_on, person=person, reason=reason)
    known = _done(firm, lambda conn: _named(conn, id_, lambda found: work(conn, found)))
    out.print(f"Handoff {known} is written from now on: {reason}", markup=False)


def skip_(  # noqa: PLR0917 - Typer's way to declare options
    id_: IdArgument,
    step: Annotated[str, typer.Argument(help="The step that shall not happen.")],
    reason: ReasonOption,
    item: Annotated[str, typer.Option(help="The item, of a step with several.")] = "",
    firm: FirmOption = None,
    person: PersonOption = "operator",
) -> None:
    """Skip a step that is held or waits. It stays skipped; when the source asks for something else, so are you."""

    def work(conn: Connection) -> int:
        return _named(conn, id_, lambda known: skip(conn, known, step=step, item=item, person=person, reason=reason))

    out.print(f"{step} of handoff {_done(firm, work)} is skipped: {reason}", markup=False)


def proposals(
    id_: Annotated[str, typer.Argument(help="A handoff, for all of its; else every open one.")] = "",
    firm: FirmOption = None,
    as_json: JsonOption = False,
) -> None:
    """Late changes that wait for somebody to agree."""
    with reading(firm) as conn:
        rows = list_proposals(conn, the_id(conn, id_) if id_ else None)
    lines = rows if as_json else [{**row, "says": _says(row["changes"])} for row in rows]
    listing(lines, COLUMNS, as_json=as_json, empty="No change waits for anybody.")


def approve_(
    id_: ProposalArgument,
    firm: FirmOption = None,
    reason: Annotated[str, typer.Option(help="A word about it; kept in the audit.")] = "",
    person: PersonOption = "operator",
) -> None:
    """Agree to a late change: it is written. Who made the change cannot agree to it."""
    row = _done(firm, lambda conn: approve(conn, id_, person=person, reason=reason))
    out.print(f"Proposal {id_} is approved by {person}; {row['step']} is written.", markup=False)


def decline_(
    id_: ProposalArgument, reason: ReasonOption, firm: FirmOption = None, person: PersonOption = "operator"
) -> None:
    """Refuse a late change: the target keeps what it holds until the source says something else again."""
    row = _done(firm, lambda conn: decline(conn, id_, person=person, reason=reason))
    out.print(f"Proposal {id_} is declined by {person}; {row['step']} stays as it is.", markup=False)


def _named(conn: Connection, said: str, work: Callable[[int], None]) -> int:
    known = the_id(conn, said)
    work(known)
    return known


def _done(firm: Path | None, work: Callable[[Connection], Any]) -> Any:
    """Do it in one transaction, and wake a worker after it."""
    with database(firm) as (known, db):
        with db.app([known.firm.unit]) as conn:
            result = work(conn)
        with db.engine() as conn:
            conn.execute("SELECT pg_notify(%s, '')", [WAKE])
    return result


def _says(changes: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(f"{name}: {_value(c['from'])} → {_value(c['to'])}" for name, c in changes.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in value.values() if part)
    return "empty" if value is None else str(value)
