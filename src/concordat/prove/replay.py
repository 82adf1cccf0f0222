"""P10: what came in comes in again, in any order and any number of times, and nothing moves."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from concordat.engine.intake import keep_records
from concordat.prove.fibres import Fibre
from concordat.prove.scene import dice
from concordat.prove.stage import Broken
from concordat.store.queries import QUERIES

if TYPE_CHECKING:
    from concordat.prove.run import Run

__all__ = ["replay", "state"]

STATE = {
    "handoff": "SELECT contract, subject_id, state, waits_for, title FROM handoff ORDER BY 1, 2",
    "effect": "SELECT handoff_id, step, item, state, generation, digest, waits_for, error FROM effect ORDER BY 1, 2, 3",
    "link": "SELECT owner_id, connection, object, item, state, ref, digest, verified FROM link ORDER BY 1, 2, 3, 4",
    "record": "SELECT object, ref, version, digest, revision, deleted FROM record ORDER BY 1, 2",
    "case": 'SELECT kind, contract, handoff_id, effect_id, subject, state, owner FROM "case" ORDER BY 1, 2, 3, 4, 5, 6',
    "event": "SELECT id FROM event ORDER BY 1",
}
READ = "SELECT r.object, r.ref, v.version FROM record_version v JOIN record r ON r.id = v.record_id"
"""Versions that came in."""


def state(run: Run) -> dict[str, str]:
    """Everything that the engine and the targets hold, row by row, as text."""
    held: dict[str, str] = {}
    with run.db.quiet() as conn:
        for name, sql in STATE.items():
            rows = conn.execute(sql).fetchall()
            held |= {f"{name} {i}": json.dumps(row, default=str, sort_keys=True) for i, row in enumerate(rows)}
    for name, target in run.targets.items():
        held[f"{name} writes"] = str(len(target.ledger))
        held |= {
            f"{name} {h.ref}": json.dumps([h.key, h.fields, h.state], default=str, sort_keys=True)
            for h in target.held.values()
        }
    return held


def replay(run: Run) -> None:
    """Repeat a random subset of pushes, records and plans; everything comes to rest where it was."""
    chance = dice("replay", run.scene.seed)
    before = state(run)
    run.stage.tell("replay")
    taken = [body for body, _ in run.watch.acked]
    for body in chance.sample(taken, k=min(len(taken), 4)):
        run.doors.append(Fibre(name="door", owner="the door", work=partial(run._receive, body), wakes=run.stage.now))  # noqa: SLF001
    read = {(row["object"], row["ref"], row["version"]) for row in run.db.look(READ)}
    past = [v for record in run.crm.records.values() for v in record.past if (v.object, v.ref, v.version) in read]
    again = chance.choices(past, k=6) if past else []
    with run.db.quiet() as conn:
        keep_records(run.door, conn, "crm", again, correlation_id="replay", traceparent="")
        for name, contract in run.outfit.contracts.items():
            told: dict[str, Any] = {"contract": name, "object": contract.subject, "correlation_id": "replay"}
            conn.execute(QUERIES.handoff.mark_contract, told)
        conn.execute("UPDATE cursor SET position = NULL, next_at = app_now()")
    run.settle(run.stage.now + 30.0)
    after = state(run)
    moved = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if moved:
        says = "; ".join(f"{name}: {before.get(name)} → {after.get(name)}" for name in moved[:2])
        raise Broken("replay-moves", f"after {len(again)} records came again, {says}")
