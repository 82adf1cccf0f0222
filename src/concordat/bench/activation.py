"""`activation` and `activation-single`: won deals through the whole engine, against a durable workflow for each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from concordat.bench.machine import Spent, machine, versions
from concordat.bench.report import Bar, Report, Say
from concordat.bench.rig import CONTRACT, Child, Rig, until
from concordat.errors import NotReachable, UserError
from concordat.store.database import Database

__all__ = ["activation", "activation_single"]

PUTS = 5
"""Objects at the target for each deal."""
EFFECTS = 6
"""Five writes and a question; the event comes on top."""
PAGE = 500
DEALS = 4000
YARDSTICK_DEALS = 200
YARDSTICK_THREADS = 32
WORKERS = 2
"""Worker processes, one a core."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """One run: how long, how much processor time, and what was wrong with its outcome."""

    deals: int
    seconds: float
    cpu: Mapping[str, float]
    claims: tuple[float, ...] = ()
    """Milliseconds of each claim, where they were timed."""
    faults: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Deals a second."""
        return self.deals / self.seconds

    def details(self) -> dict[str, Any]:
        """For the report."""
        per_deal = {name: round(1000 * spent / self.deals, 3) for name, spent in self.cpu.items()}
        return {
            "deals": self.deals,
            "seconds": round(self.seconds, 3),
            "rate": round(self.rate, 1),
            "cpu_ms_per_deal": per_deal,
            "faults": list(self.faults),
        }


def activation(say: Say, scale: float = 1.0) -> Report:
    """Bulk targets, full ledger, one bulk read-back. Bar: 1,000 handoffs a second and 25 times the yardstick."""
    with Rig.open() as rig:
        ours = run_engine(rig, "bulk", max(int(DEALS * scale), 1), say)
        theirs = run_yardstick(rig, max(int(YARDSTICK_DEALS * scale), 1), say)
        return _report("activation", rig, ours, theirs, bar=Bar(value=1000, ratio=25))


def activation_single(say: Say, scale: float = 1.0) -> Report:
    """Targets that take one call per write; with read-back it is measured apart. Bar: 4 times the yardstick."""
    with Rig.open() as rig:
        deals = max(int(DEALS * scale / 4), 1)
        ours = run_engine(rig, "single", deals, say)
        theirs = run_yardstick(rig, max(int(YARDSTICK_DEALS * scale), 1), say)
        read = run_engine(rig, "single-read", deals, say)
        apart = {**read.details(), "ratio": round(read.rate / theirs.rate, 1)}
        return _report("activation-single", rig, ours, theirs, bar=Bar(ratio=4), with_read_back=apart)


def _report(name: str, rig: Rig, ours: Ran, theirs: Ran, *, bar: Bar, **more: Any) -> Report:
    ratio = ours.rate / theirs.rate
    reached = (bar.ratio is None or ratio >= bar.ratio) and (bar.value is None or ours.rate >= bar.value)
    return Report(
        name=name,
        holds=reached and not ours.faults and not theirs.faults,
        ratio=round(ratio, 1),
        value=round(ours.rate, 1),
        unit=f"handoffs of {EFFECTS} effects per second",
        yardstick={"what": "one durable workflow per deal (DBOS)", "value": round(theirs.rate, 1), **theirs.details()},
        bar=bar,
        machine=machine(),
        versions=versions(rig.postgresql),
        details={**ours.details(), **more},
    )


# ── ours ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a run may have otherwise: its database, its workers, a target that takes its time, a budget."""

    db: Database | None = None
    workers: int = WORKERS
    delay: float = 0.0
    """Seconds until a target answers."""
    parallel: int = 0
    """Calls side by side of each connection over all processes; 0: as many as the processes make."""
    claims: bool = False
    """Whether every claim is timed."""


USUAL = Terms()


def run_engine(rig: Rig, way: str, deals: int, say: Say, terms: Terms = USUAL) -> Ran:
    """From the first page that the source is asked for to the last handoff in step; all workers begin together."""
    say(f"{way}: making a database and {deals} deals")
    db = terms.db or rig.database(f"bench_{way}".replace("-", "_"))
    before = Before.of(db)
    rig.ask("/reset", {"deals": deals, "page": PAGE, "delay": terms.delay})
    roots = {"database": [rig.postmaster], "target": [rig.target.process.pid]}
    more: dict[str, Any] = {"wait": True, "claims": terms.claims, "parallel": terms.parallel}
    workers = [rig.work(db, way, **more) for _ in range(terms.workers)]
    spent = Spent({**roots, "worker": [worker.process.pid for worker in workers]})
    try:
        for worker in workers:
            worker.tell({})
        seconds = _watch(rig, db, workers, deals, lambda text: say(f"{way}: {text}"), after=before.handoff)
        cpu = spent.since()
        claims = tuple(ms for worker in workers for ms in worker.last()) if terms.claims else ()
    finally:
        for worker in workers:
            worker.end()
    return Ran(deals=deals, seconds=seconds, cpu=cpu, claims=claims, faults=tuple(_faults(rig, db, deals, before)))


ASKED = "SELECT (SELECT max(id) FROM handoff) AS h, (SELECT max(id) FROM effect) AS e"


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """The highest ids that were there before a run."""

    handoff: int
    effect: int

    @classmethod
    def of(cls, db: Database) -> Before:
        """As they are now."""
        with db.engine() as conn:
            row = conn.execute(ASKED).fetchone()
        return cls(handoff=(row or {})["h"] or 0, effect=(row or {})["e"] or 0)


def _watch(rig: Rig, db: Database, workers: Sequence[Child], deals: int, say: Say, *, after: int) -> float:
    """Wait until the target has everything, then until the last handoff is in step."""
    patience = 60 + deals / 10

    def written() -> bool:
        for worker in workers:
            worker.check()
        count = rig.ask("/count")
        say(f"{count['writes']} of {deals * PUTS} writes")
        return bool(count["writes"] >= deals * PUTS)

    if not until(written, seconds=patience, every=0.25):
        raise NotReachable(f"The engine did not finish {deals} deals in {patience:.0f} s.")
    if not until(lambda: in_step(db, after) >= deals, seconds=patience, every=0.1):
        raise NotReachable(f"Only {in_step(db, after)} of {deals} handoffs came in step in {patience:.0f} s.")
    ended = time.monotonic()
    return ended - float(rig.ask("/count")["first_page"])


def in_step(db: Database, after: int = 0) -> int:
    """Handoffs in step, of those that are younger than `after`."""
    with db.engine() as conn:
        found = conn.execute("SELECT count(*) AS n FROM handoff WHERE state = 'in_step' AND id > %s", [after])
        row = found.fetchone() or {}
    return int(row["n"])


def _faults(rig: Rig, db: Database, deals: int, before: Before) -> list[str]:
    """What proves that not every deal was activated exactly once."""
    faults = []
    writes = rig.ask("/ledger")["keys"]
    doubled = sum(1 for times in writes.values() if times != 1)
    if len(writes) != deals * PUTS or doubled:
        faults.append(f"the target holds {len(writes)} objects for {deals * PUTS}, {doubled} written more than once")
    with db.engine() as conn:
        told = conn.execute("SELECT count(*) AS n FROM event WHERE type = 'project.activated'").fetchone() or {}
        rows = conn.execute("SELECT state, count(*) AS n FROM handoff WHERE contract = %s GROUP BY 1", [CONTRACT])
        states = {row["state"]: row["n"] for row in rows}
        found = conn.execute("SELECT count(DISTINCT effect_id) AS n FROM attempt WHERE effect_id > %s", [before.effect])
        kept = found.fetchone() or {}
    if told["n"] != deals:
        faults.append(f"project.activated was published {told['n']} times for {deals} deals")
    if states != {"in_step": deals}:
        faults.append(f"handoffs stand at {states}")
    if kept["n"] != deals * EFFECTS:
        faults.append(f"the ledger knows {kept['n']} of {deals * EFFECTS} effects")
    return faults


# ── the yardstick ─────────────────────────────────────────────────────────────────────────────────


def run_yardstick(rig: Rig, deals: int, say: Say) -> Ran:
    """The same deals, one durable workflow each, in the same minute on the same server."""
    require_yardstick()
    say(f"yardstick: {deals} durable workflows")
    address = rig.plain_database("yardstick")
    rig.ask("/reset", {"deals": 0, "page": PAGE})
    roots = {"database": [rig.postmaster], "target": [rig.target.process.pid]}
    told = {"url": rig.url, "database_url": address, "threads": YARDSTICK_THREADS, "deals": deals}
    child = Child.start("concordat.bench.durable", told)
    spent = Spent({**roots, "worker": [child.process.pid]})
    try:
        seconds = float(child.hear()["seconds"])
        cpu = spent.since()
    finally:
        child.end()
    objects = rig.ask("/count")["objects"]
    faults = () if objects == deals * PUTS else (f"the yardstick made {objects} of {deals * PUTS} objects",)
    return Ran(deals=deals, seconds=seconds, cpu=cpu, faults=faults)


def require_yardstick() -> None:
    """Raise a `UserError` with the way out when the yardstick is not installed."""
    if find_spec("dbos") is None:
        raise UserError(
            "The yardstick of the benchmarks is not installed.",
            remedy="Install it: pip install 'concordat-hub[bench]'.",
        )
