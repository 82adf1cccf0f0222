"""One worker process: it listens, sweeps, plans and drains until it is told to stop.

Any number of workers share one database. A wake-up (NOTIFY, or a hint from this process) only says "look now"; what
there is to do is always read from the rows, at the latest every two seconds, so a lost wake-up costs time, not work.
"""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from concordat.engine.intake import read_hints, sweep
from concordat.engine.lanes import drain
from concordat.engine.matching import plan_dirty
from concordat.engine.recovery import mend, tidy
from concordat.engine.world import World, log
from concordat.errors import Contended, NotReachable
from concordat.store.queries import QUERIES
from concordat.telemetry import new_trace, trace_id

__all__ = ["WAKE", "Worker", "wake"]

WAKE = "concordat_wake"
SWEEP = 2.0
"""Seconds between two looks without any wake-up."""
BEAT = 3.0
PLANS = 500
THREADS = 12


@dataclass(kw_only=True)
class Worker:
    """Runs until `stop`; every thread of it ends before `run` returns, after its present call."""

    world: World
    name: str
    threads: int = THREADS
    id: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _woken: threading.Event = field(default_factory=threading.Event)
    _busy: dict[object, Future[None]] = field(default_factory=dict)
    _again: set[object] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self) -> None:
        """Ask for the end; what is being called is finished and settled first."""
        self._stopping.set()
        self._woken.set()

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    def run(self) -> None:
        """Work until stopped. A database that is down is waited for."""
        self._join()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="lane")
        calls = ThreadPoolExecutor(self.threads * 2, thread_name_prefix="call")
        helpers = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._keep_house, daemon=True),
        ]
        for helper in helpers:
            helper.start()
        try:
            while not self._stopping.is_set():
                wait = self._look(pool, calls)
                self._woken.wait(wait)
                self._woken.clear()
        finally:
            pool.shutdown(wait=True)
            calls.shutdown(wait=True)
            self._leave()

    # ── looking ───────────────────────────────────────────────────────────────────────────────

    def _look(self, pool: ThreadPoolExecutor, calls: ThreadPoolExecutor) -> float:
        """Start whatever is due and not already being done here; says how long nothing will be due."""
        try:
            with self.world.db.engine() as conn:
                at = conn.execute("SELECT app_now() AS now").fetchone()
                hinted = conn.execute(QUERIES.intake.hinted_connections).fetchall()
                cursors = conn.execute(QUERIES.intake.due_cursors).fetchall()
                dirty = conn.execute(QUERIES.handoff.next_dirty, {"contracts": list(self.world.contracts)}).fetchone()
                lanes = conn.execute(QUERIES.effect.lane_clock).fetchall()
                self.world.lane_ids(conn)
                unknown = [row["id"] for row in lanes if row["id"] not in self.world._lanes]  # noqa: SLF001 - same package
                if unknown:
                    self.world.lanes(conn)
        except (NotReachable, Contended) as error:
            log.warning("database.waiting", error=str(error))
            return 1.0
        now = (at or {})["now"]
        soon = SWEEP
        for row in hinted:
            if row["connection"] in self.world.connectors:
                soon = min(
                    soon,
                    self._start(
                        pool,
                        ("hints", row["connection"]),
                        (row["due_at"] - now).total_seconds(),
                        self._hints,
                        row["connection"],
                    ),
                )
        for row in cursors:
            if (row["connection"], row["object"]) in self.world.sweeps:
                self._start(
                    pool,
                    ("sweep", row["connection"], row["object"]),
                    0,
                    self._sweep,
                    row["connection"],
                    row["object"],
                )
        if dirty and dirty["min"] is not None:
            soon = min(soon, self._start(pool, "plan", (dirty["min"] - now).total_seconds(), self._plan))
        for row in lanes:
            lane = self.world.lane(row["id"])
            if lane.connection in self.world.connectors:
                soon = min(
                    soon,
                    self._start(pool, lane.id, (row["due_at"] - now).total_seconds(), self._drain, lane.id, calls),
                )
        return max(soon, 0.001)

    def _start(self, pool: ThreadPoolExecutor, key: object, wait: float, work: object, *args: object) -> float:
        """Run one kind of work unless it already runs; a wake-up meanwhile makes it run once more."""
        if wait > 0:
            return wait
        with self._lock:
            if key in self._busy:
                self._again.add(key)
                return SWEEP
            self._busy[key] = pool.submit(self._run, key, work, *args)
        return SWEEP

    def _run(self, key: object, work: object, *args: object) -> None:
        try:
            while not self._stopping.is_set():
                work(*args)  # type: ignore[operator]
                with self._lock:
                    if key not in self._again:
                        del self._busy[key]
                        return
                    self._again.discard(key)
        except (NotReachable, Contended) as error:
            log.warning("work.postponed", key=str(key), error=str(error))
        except Exception as error:  # noqa: BLE001 - one lane's fault must not end the worker
            log.error("work.failed", key=str(key), error=repr(error), exc_info=error)
        with self._lock:
            self._busy.pop(key, None)
            self._again.discard(key)
        self._stopping.wait(0.2)

    # ── doing ─────────────────────────────────────────────────────────────────────────────────

    def _hints(self, connection: str) -> None:
        while not self._stopping.is_set() and read_hints(self.world, connection):
            self._plan_once()

    def _sweep(self, connection: str, object_: str) -> None:
        trace = new_trace()
        if sweep(self.world, connection, object_, correlation_id=trace_id(trace), traceparent=trace):
            self._woken.set()

    def _plan(self) -> None:
        while not self._stopping.is_set() and self._plan_once():
            pass

    def _plan_once(self) -> int:
        def work() -> tuple[int, bool]:
            with self.world.db.engine() as conn:
                matched = plan_dirty(self.world, conn, limit=PLANS)
            return matched.subjects, bool(matched.lanes)

        subjects, ready = self.world.db.again(work)
        if ready:
            self._woken.set()
        return subjects

    def _drain(self, lane_id: int, calls: ThreadPoolExecutor) -> None:
        lane = self.world.lane(lane_id)
        while not self._stopping.is_set():
            drained = self.world.db.again(lambda: drain(self.world, lane, worker=self.id, pool=calls))
            if drained.lanes:
                self._woken.set()
            if not drained.taken:
                return

    # ── keeping house ─────────────────────────────────────────────────────────────────────────

    def _join(self) -> None:
        while not self._stopping.is_set():
            try:
                with self.world.db.engine() as conn:
                    self.id = (conn.execute(QUERIES.recovery.join, {"name": self.name}).fetchone() or {})["id"]
                    for connection, object_ in self.world.sweeps:
                        conn.execute(QUERIES.intake.open_cursor, {"connection": connection, "object": object_})
            except NotReachable as error:
                log.warning("database.waiting", error=str(error))
                self._stopping.wait(1.0)
            else:
                log.info("worker.started", worker=self.id, name=self.name)
                return

    def _leave(self) -> None:
        with contextlib.suppress(NotReachable), self.world.db.engine() as conn:
            conn.execute(QUERIES.recovery.leave, {"worker": self.id})
        log.info("worker.stopped", worker=self.id)

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                for _ in self.world.db.listen(WAKE, every=SWEEP):
                    self._woken.set()
                    if self._stopping.is_set():
                        return
            except (NotReachable, Contended):
                self._stopping.wait(1.0)

    def _keep_house(self) -> None:
        """Beat, take over from the dead, raise alerts; once a minute the rest."""
        tidied = float("-inf")
        while not self._stopping.wait(BEAT):
            try:
                with self.world.db.engine() as conn:
                    alive = conn.execute(QUERIES.recovery.beat, {"worker": self.id}).fetchone()
                if alive is None:
                    self._join()
                mend(self.world, self.id)
                if time.monotonic() - tidied > 60:
                    tidy(self.world)
                    tidied = time.monotonic()
            except (NotReachable, Contended) as error:
                log.warning("house.waiting", error=str(error))


def wake(world: World) -> None:
    """Tell every worker on every host to look now; sent after the commit, and harmless when lost."""
    with contextlib.suppress(NotReachable), world.db.engine() as conn:
        conn.execute("SELECT pg_notify(%s, '')", [WAKE])
