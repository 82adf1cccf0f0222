"""What is watched while a run goes on, and judged when it has come to rest: the named invariants.

| name | promise |
| --- | --- |
| missing, twice, stale, wrong, unwanted | P1 |
| input-ends, input-durable | P2 |
| lease, waits-named, held-has-case | P4 |
| taken-over | P5 |
| step-back | P6 |
| poison-told | P7 |
| replay-moves | P10 |
| ends-flagged | P11 |
| comes-to-rest, no-fault-of-ours, stray-work | the engine itself |
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from concordat.engine.worker import BEAT
from concordat.prove.oracle import judge
from concordat.prove.stage import Broken

if TYPE_CHECKING:
    from concordat.prove.crew import Hand
    from concordat.prove.run import Run

__all__ = ["INVARIANTS", "RESTLESS", "Watch"]

INVARIANTS = (
    "missing", "twice", "stale", "wrong", "unwanted", "input-ends", "input-durable", "lease", "waits-named",
    "held-has-case", "taken-over", "step-back", "poison-told", "replay-moves", "ends-flagged", "comes-to-rest",
    "no-fault-of-ours", "stray-work",
)  # fmt: skip
LEASE = 60.0
TAKEN_OVER = 15.0
CHECK = """
SELECT e.id, e.step, e.state, e.waits_for, e.owner, w.effect_id IS NULL AS idle, w.worker,
       e.state = 'sending' AND (k.id IS NULL OR k.beat_at < %(now)s::timestamptz - interval '10 seconds') AS abandoned,
       e.state = 'held' AND NOT EXISTS (
         SELECT FROM "case" c WHERE c.effect_id = e.id AND c.state <> 'resolved') AS caseless
FROM effect e LEFT JOIN work w ON w.effect_id = e.id LEFT JOIN worker k ON k.id = w.worker
WHERE e.kind <> 'adopt' AND (e.waiting OR e.state = 'sending') ORDER BY e.id"""
HELD_BY = "SELECT count(*) AS rows FROM work WHERE worker = %(worker)s"
BEATS = "UPDATE worker SET beat_at = %(now)s WHERE id = ANY(%(ids)s::bigint[]) RETURNING id"
DUE = """SELECT min(due) AS due FROM (
  SELECT min(due_at) FROM work UNION ALL SELECT min(due_at) FROM hint UNION ALL SELECT min(due_at) FROM dirty) t(due)"""

PATIENT = 1200.0
RESTLESS = """
SELECT 'work' AS what, w.effect_id::text AS id FROM work w JOIN effect e ON e.id = w.effect_id
WHERE e.state <> %(pending)s
UNION ALL
SELECT 'hint', h.object || ' ' || h.ref FROM hint h
WHERE EXISTS (SELECT FROM record r WHERE r.connection = h.connection AND r.object = h.object AND r.ref = h.ref)
UNION ALL
SELECT 'plan', d.contract || ' ' || d.subject_id FROM dirty d WHERE NOT EXISTS (
  SELECT FROM handoff h JOIN "case" c ON c.handoff_id = h.id AND c.state <> 'resolved'
  WHERE h.contract = d.contract AND h.subject_id = d.subject_id)
ORDER BY 1, 2"""
"""What moves still: but for steps that wait for others, records that cannot be read, deals that lack something."""


@dataclass(kw_only=True)
class _Death:
    worker: int
    lived: float = 0.0
    """Seconds since, in which somebody could take over."""


class Watch:
    """Looks at one run from outside the engine."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.counts: Counter[str] = Counter()
        self.acked: list[tuple[bytes, int]] = []
        self.deaths: list[_Death] = []
        self._checked = -1
        self._beaten = 0.0
        self._abandoned: dict[int, float] = {}
        """Effects that are being sent by nobody alive, and since when."""

    # ── while it goes on ──────────────────────────────────────────────────────────────────────

    def acknowledged(self, body: bytes, status: int) -> None:
        """Our door took this push."""
        self.acked.append((body, status))

    def died(self, hand: Hand, why: str) -> None:
        """From now on others have fifteen seconds."""
        if hand.id:
            self.deaths.append(_Death(worker=hand.id))
        self.counts[why] += 1

    def beats(self) -> None:
        """Workers beat while time passes; a jump of the clock must not make them look dead."""
        ids = [hand.id for hand in self.run.hands if hand.running and hand.id]
        if ids and self.run.stage.now - self._beaten >= BEAT:
            self._beaten = self.run.stage.now
            self.run.db.look(BEATS, ids=ids)

    @property
    def urgent(self) -> bool:
        """Somebody died or was stopped in the middle of something, and others have a time within which to take over."""
        return bool(self.deaths or self._abandoned)

    def nobody(self, seconds: float) -> None:
        """So much time went by with nobody at work, who could have taken over."""
        self._abandoned = {effect: since + seconds for effect, since in self._abandoned.items()}

    def passed(self, seconds: float) -> None:
        """So much time went by with somebody at work; what dead workers held must be in other hands."""
        stage = self.run.stage
        if stage.now < stage.away_until + BEAT or stage.now <= stage.disturbed + BEAT:
            return
        for death in list(self.deaths):
            death.lived += seconds
            if death.lived >= TAKEN_OVER:
                self._taken_over(death)
                self.deaths.remove(death)

    def _taken_over(self, death: _Death) -> None:
        (row,) = self.run.db.look(HELD_BY, worker=death.worker)
        self.counts["deaths"] += 1
        if row["rows"]:
            raise Broken("taken-over", f"{row['rows']} rows of a dead worker are still its own after 15 s")

    def after_step(self) -> None:
        """Cheap invariants, whenever something was committed."""
        if self.run.db.commits == self._checked:
            return
        self._checked = self.run.db.commits
        rows = self.run.db.look(CHECK)
        now = self.run.stage.now
        self._abandoned = {row["id"]: self._abandoned.get(row["id"], now) for row in rows if row["abandoned"]}
        for row in rows:
            self._check(row)

    def _check(self, row: Any) -> None:
        where = f"effect {row['id']} ({row['step']})"
        if self.run.stage.now - self._abandoned.get(row["id"], self.run.stage.now) > LEASE:
            raise Broken("lease", f"{where} is sending for more than 60 s, and nobody alive holds it")
        if row["state"] in ("pending", "in_doubt") and row["idle"]:
            raise Broken("waits-named", f"{where} is {row['state']} and nothing will look at it again")
        if row["state"] == "pending" and not row["waits_for"]:
            raise Broken("waits-named", f"{where} does not say what it waits for")
        if row["state"] == "in_doubt" and row["worker"] is None and not row["waits_for"]:
            raise Broken("waits-named", f"{where} is in doubt and does not say why")
        if row["state"] != "sending" and not row["owner"]:
            raise Broken("waits-named", f"{where} is {row['state']} and nobody's")
        if row["caseless"]:
            raise Broken("held-has-case", f"{where} is held without a case")

    def at_rest(self, *, since: float) -> bool:
        """Nothing is due any more but what waits for people; what waits for a system has some time to come through."""
        patient = self.run.stage.now < since + PATIENT
        return not self.run.db.look(RESTLESS, pending="pending" if not patient else "")

    def left_over(self) -> list[str]:
        """What moves still."""
        return [f"{row['what']} {row['id']}" for row in self.run.db.look(RESTLESS, pending="pending")]

    def next_due(self) -> float | None:
        """When the next thing is due, on the run's clock, in seconds; None: nothing is."""
        (row,) = self.run.db.look(DUE)
        due = row.get("due")
        return None if due is None else (due - self.run.stage.clock.start).total_seconds()

    # ── at rest ───────────────────────────────────────────────────────────────────────────────

    def judge(self) -> None:
        """Everything must be as the world's script says."""
        judge(self.run)
