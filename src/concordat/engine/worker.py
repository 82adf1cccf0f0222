"""One worker process: it listens, sweeps, plans and drains until it is told to stop.

Any number of workers share one database. A wake-up (NOTIFY, or a hint from this process) only says "look now"; what
there is to do is always read from the rows, at the latest every two seconds, so a lost wake-up costs time, not work.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from concordat.engine.claims import Claimed, Ready, Turn, round_of
from concordat.engine.intake import HINTS, read_hints, sweep
from concordat.engine.lanes import drain, give_back
from concordat.engine.matching import Matched, plan_dirty
from concordat.engine.recovery import mend, tidy
from concordat.engine.world import World, log
from concordat.errors import Contended, NotReachable
from concordat.store.database import Connection
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
    _given: dict[int, deque[Sequence[Claimed]]] = field(default_factory=lambda: defaultdict(deque))
    """Rows that were taken in the transaction that made them ready, by lane."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pools: tuple[ThreadPoolExecutor, ...] = ()
    """Lanes, and the calls that a lane makes side by side."""

    def stop(self) -> None:
        """Ask for the end; what is being called is finished and settled first."""
        self._stopping.set()
        self._woken.set()

    def wake(self, connection: str = "") -> None:
        """Look now; a connection that left hints is read at once."""
        if connection and self._pools:
            self._start(("hints", connection), self._hints, connection)
        else:
            self._woken.set()

    def run(self) -> None:
        """Work until stopped. A database that is down is waited for."""
        gc.freeze()  # what lives as long as the process is not looked through again and again
        gc.set_threshold(20_000, 20, 20)  # a round makes some ten thousand values and drops them together
        self._join()
        lanes = ThreadPoolExecutor(self.threads, thread_name_prefix="lane")
        calls = ThreadPoolExecutor(self.threads * 2, thread_name_prefix="call")
        self._pools = (lanes, calls)
        helpers = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._keep_house, daemon=True),
        ]
        for helper in helpers:
            helper.start()
        try:
            while not self._stopping.is_set():
                wait = self._look()
                self._woken.wait(wait)
                self._woken.clear()
        finally:
            lanes.shutdown(wait=True)
            calls.shutdown(wait=True)
            self._give_back()
            self._leave()

    # ── looking ───────────────────────────────────────────────────────────────────────────────

    def _look(self) -> float:
        """Start whatever is due and not already being done here; says for how long nothing will be due."""
        try:
            with self.world.db.engine() as conn:
                found = self._due(conn)
        except (NotReachable, Contended) as error:
            log.warning("database.waiting", error=str(error))
            return 1.0
        soon = SWEEP
        for wait, key, work, *args in found:
            if wait > 0:
                soon = min(soon, wait)
            else:
                self._start(key, work, *args)
        return max(soon, 0.001)

    def _due(self, conn: Connection) -> list[tuple[Any, ...]]:
        """(seconds until due, key, work, arguments) of everything that waits."""
        world = self.world
        world.lane_ids(conn)
        rows = conn.execute(QUERIES.recovery.agenda, {"contracts": list(world.contracts)}).fetchall()
        if any(row["kind"] == "lane" and not world.knows(row["lane"]) for row in rows):
            world.lanes(conn)
        return [job for row in rows if (job := self._job(row)) is not None]

    def _job(self, row: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """A line of the agenda, unless it belongs to another firm's worker."""
        wait, connection, object_ = row["wait"], row["connection"], row["object"]
        if row["kind"] == "plan":
            return wait, "plan", self._plan
        if row["kind"] == "sweep":
            key = ("sweep", connection, object_)
            return (wait, key, self._sweep, connection, object_) if (connection, object_) in self.world.sweeps else None
        if connection not in self.world.connectors:
            return None
        if row["kind"] == "hints":
            return wait, ("hints", connection), self._hints, connection
        return wait, row["lane"], self._drain, row["lane"]

    def _start(self, key: object, work: Callable[..., None], *args: object) -> None:
        """Run one kind of work unless it already runs; asked meanwhile, it runs once more."""
        with self._lock:
            if key in self._busy:
                self._again.add(key)
            elif not self._stopping.is_set():
                self._busy[key] = self._pools[0].submit(self._run, key, work, *args)

    def _run(self, key: object, work: Callable[..., None], *args: object) -> None:
        try:
            while not self._stopping.is_set():
                work(*args)
                with self._lock:
                    if key not in self._again:
                        del self._busy[key]
                        return
                    self._again.discard(key)
        except (NotReachable, Contended) as error:
            log.warning("work.postponed", key=str(key), error=str(error))
        except Exception as error:  # noqa: BLE001 - one lane's fault must not end the worker
            log.error("work.failed", key=str(key), error=repr(error), exc_info=error)
        self._stopping.wait(0.2)  # a fault that comes back at once must not become a busy loop
        with self._lock:
            self._busy.pop(key, None)
            self._again.discard(key)
        self._woken.set()

    # ── doing ─────────────────────────────────────────────────────────────────────────────────

    def _hints(self, connection: str) -> None:
        while not self._stopping.is_set() and (taken := read_hints(self.world, connection)):
            self._plan_once()
            if taken < HINTS:
                return

    def _sweep(self, connection: str, object_: str) -> None:
        trace = new_trace()
        if sweep(self.world, connection, object_, correlation_id=trace_id(trace), traceparent=trace):
            self._start("plan", self._plan)

    def _plan(self) -> None:
        while not self._stopping.is_set() and self._plan_once():
            pass

    def _plan_once(self) -> int:
        def work() -> Matched:
            with self.world.db.engine() as conn:
                return plan_dirty(self.world, conn, limit=PLANS, turn=self._turn())

        matched = self.world.db.again(work)
        self._go_on(matched.ready)
        return matched.subjects

    def _drain(self, lane_id: int) -> None:
        lane = self.world.lane(lane_id)
        while not self._stopping.is_set():
            given = self._next(lane_id)
            drained = drain(self.world, lane, pool=self._pools[1], turn=self._turn(), given=given)
            again = given or drained.more or lane_id in drained.ready.lanes or lane_id in drained.ready.taken
            self._go_on(drained.ready, here=lane_id)
            if not drained.taken or not again:
                return  # what becomes due meanwhile wakes this lane once more

    def _go_on(self, ready: Ready, here: int = 0) -> None:
        """What was made ready goes on at once, without waiting for a wake-up."""
        with self._lock:
            for lane_id, rows in ready.taken.items():
                if rows:
                    self._given[lane_id].append(rows)
        for lane_id in (ready.lanes | ready.taken.keys()) - {here}:
            self._start(lane_id, self._drain, lane_id)

    def _turn(self) -> Turn:
        """A lane of which rows wait here already takes its turn with all other workers."""
        with self._lock:
            rooms = {lane.id: round_of(self.world, lane) for lane in self.world.takeable if not self._given[lane.id]}
        return Turn(worker=self.id, rooms=rooms)

    def _next(self, lane_id: int) -> Sequence[Claimed]:
        with self._lock:
            given = self._given[lane_id]
            return given.popleft() if given else ()

    def _give_back(self) -> None:
        for lane_id in list(self._given):
            while rows := self._next(lane_id):
                with contextlib.suppress(NotReachable, Contended):
                    give_back(self.world, self.world.lane(lane_id), rows, Turn(worker=self.id))

    # ── keeping house ─────────────────────────────────────────────────────────────────────────

    def _join(self) -> None:
        while not self._stopping.is_set():
            try:
                with self.world.db.engine() as conn:
                    self.id = (conn.execute(QUERIES.recovery.join, {"name": self.name}).fetchone() or {})["id"]
                    for connection, object_ in self.world.sweeps:
                        conn.execute(QUERIES.intake.open_cursor, {"connection": connection, "object": object_})
            except (NotReachable, Contended) as error:
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
        """Beat, take over from the dead, raise alerts; the rest more seldom."""
        tidying = float("-inf")
        while not self._stopping.is_set():
            try:
                with self.world.db.engine() as conn:
                    alive = conn.execute(QUERIES.recovery.beat, {"worker": self.id}).fetchone()
                if alive is None:
                    self._join()
                mend(self.world, self.id)
                self.world.beats()
                if time.monotonic() > tidying:
                    tidying = time.monotonic() + tidy(self.world)
            except (NotReachable, Contended) as error:
                log.warning("house.waiting", error=str(error))
            self._stopping.wait(BEAT)


def wake(world: World) -> None:
    """Tell every worker on every host to look now; sent after the commit, and harmless when lost."""
    with contextlib.suppress(NotReachable), world.db.engine() as conn:
        conn.execute("SELECT pg_notify(%s, '')", [WAKE])
