"""Whether it works: the database, its tables, a worker that beats, and progress in every lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concordat.errors import ConcordatError
from concordat.store.database import Database
from concordat.store.migrate import status
from concordat.store.queries import QUERIES

__all__ = ["ENDS", "Check", "Figures", "ends", "figures", "readiness"]

SILENCE = 15.0
"""Seconds without a beat after which a worker does not count."""
OVERDUE = 60.0
"""Seconds that due work of a lane may lie untouched before it alarms."""
ENDS = ("applied", "superseded", "duplicate", "case", "received")
"""How an accepted input ends; `received` is not an end yet: its records are still to be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that must be so for work to go on."""

    name: str
    holds: bool
    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What a scraper is told; every count is bounded."""

    lanes: Sequence[Mapping[str, Any]]
    effects: Sequence[Mapping[str, Any]]
    handoffs: Sequence[Mapping[str, Any]]
    breakers: Sequence[Mapping[str, Any]]
    deliveries: Sequence[Mapping[str, Any]]
    refusals: Sequence[Mapping[str, Any]]
    cases: Sequence[Mapping[str, Any]]
    budgets: Sequence[Mapping[str, Any]]
    """What each connection was called, may be called, and when its quota runs out at the present pace."""
    rest: Mapping[str, Any]


def readiness(db: Database) -> list[Check]:
    """Ask the three questions in order; what cannot be asked does not hold."""
    try:
        with db.audit() as conn:
            beat = conn.execute(QUERIES.page.freshest_beat).fetchone() or {}
    except ConcordatError as error:
        return [Check(name="database", holds=False, says=str(error))]
    checks = [Check(name="database", holds=True, says="It answers."), _tables(db), _worker(beat["silence"])]
    return [*checks, _lanes(db), _calls(db)] if all(check.holds for check in checks) else checks


def _tables(db: Database) -> Check:
    try:
        waiting = [step.title for step in status(db) if step.applied_at is None]
    except ConcordatError as error:
        return Check(name="migrations", holds=False, says=str(error))
    says = f"Not applied: {', '.join(waiting)}." if waiting else "All are applied."
    return Check(name="migrations", holds=not waiting, says=says)


def _lanes(db: Database) -> Check:
    """The oldest thing that is due and that nobody does: work that stands still, whatever the processes say."""
    with db.audit() as conn:
        rows = conn.execute(QUERIES.page.lane_figures).fetchall()
    late = [row for row in rows if row["overdue"] > OVERDUE and not row.get("down")]
    if not late:
        return Check(name="lanes", holds=True, says="Every lane goes on.")
    worst = max(late, key=lambda row: float(row["overdue"]))
    lane = f"{worst['operation']} {worst['object']} in {worst['connection']}"
    return Check(name="lanes", holds=False, says=f"{lane} has been due for {worst['overdue']:.0f} s and is not done.")


def _calls(db: Database) -> Check:
    """Quotas that will not last; foretold here, and no reason to be taken out of service."""
    with db.audit() as conn:
        short = [row for row in conn.execute(QUERIES.budget.figures) if row["runs_out_at"]]
    says = [
        f"{row['connection']}: {row['used']} of {row['quota']} calls are used; at the present pace they are used up at"
        f" {row['runs_out_at']:%H:%M} UTC, before {row['resets_at']:%H:%M}."
        for row in short
    ]
    return Check(name="calls", holds=True, says=" ".join(says) or "Every quota lasts.")


def _worker(silence: float | None) -> Check:
    if silence is None:
        return Check(name="worker", holds=False, says="No worker has joined; start `concordat worker`.")
    holds = silence <= SILENCE
    return Check(name="worker", holds=holds, says=f"The freshest beat is {silence:.0f} s old.")


def ends(db: Database) -> Sequence[Mapping[str, Any]]:
    """How everything ever accepted has ended, by connection: `ENDS` add up to `accepted`.

    Reads an index of the whole table, which grows for ever: for a person who asks, never for a scraper.
    """
    with db.audit() as conn:
        return conn.execute(QUERIES.page.delivery_ends).fetchall()


def figures(db: Database) -> Figures:
    """Read what `/metrics` shows, with queries that take no longer when tables grow."""
    with db.audit() as conn:
        return Figures(
            lanes=conn.execute(QUERIES.page.lane_figures).fetchall(),
            effects=conn.execute(QUERIES.page.effect_figures).fetchall(),
            handoffs=conn.execute(QUERIES.page.open_handoff_figures).fetchall(),
            breakers=conn.execute(QUERIES.page.breaker_figures).fetchall(),
            deliveries=conn.execute(QUERIES.page.delivery_figures).fetchall(),
            refusals=conn.execute(QUERIES.page.refusal_figures).fetchall(),
            cases=conn.execute(QUERIES.page.case_figures).fetchall(),
            budgets=conn.execute(QUERIES.budget.figures).fetchall(),
            rest=conn.execute(QUERIES.page.rest_figures).fetchone() or {},
        )
