"""One seed, from its first event to its judgement."""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from concordat.core.sla import BusinessCalendar
from concordat.engine.worker import BEAT
from concordat.errors import Contended, NotReachable
from concordat.operations.hooks import receive_push
from concordat.prove.clock import Clock, local_time
from concordat.prove.crew import Hand, Outfit
from concordat.prove.faults import Swarm
from concordat.prove.fibres import Fibre, Fibres, Killed
from concordat.prove.machine import Machine
from concordat.prove.replay import replay
from concordat.prove.scene import Scene, dice
from concordat.prove.source import Crm
from concordat.prove.stage import Broken, Stage
from concordat.prove.target import Target
from concordat.prove.watch import Watch

__all__ = ["Outcome", "Run", "play"]

QUIET = 15 * 60.0
"""Virtual seconds from the last fault to the judgement, at least."""
LONGEST = 3 * 3600.0
"""Virtual seconds after which a run that does not come to rest is judged all the same."""
LONGEST_JUMP = 120.0
REST = 120
"""Turns after the last event, in which faults still strike."""
MOST_STEPS = 6000
RESTART = (1.0, 20.0)
STEPS = (0.1, 0.5, 1.0, 2.0, 2.0, 3.0, 10.0, 30.0)
"""How far time may jump between two turns."""
CALENDARS = {"": BusinessCalendar(zone=ZoneInfo("Europe/London"), opens=time(9), closes=time(17))}
HANDS = {"psa": ("project", "contract_line"), "erp": ("client", "project", "contract_line"),
         "documents": ("workspace",), "chat": ("channel",), "hr": ()}  # fmt: skip
"""Objects that each target takes."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one seed."""

    scene: Scene
    broken: str
    """Name of the invariant that does not hold; empty: all hold."""
    says: str
    history: str
    lines: Sequence[str]
    reach: Mapping[tuple[str, str, str], int]
    struck: Mapping[str, int]
    counts: Mapping[str, int] = field(default_factory=dict)


class Run:
    """Everything of one run; `go` plays it."""

    def __init__(self, scene: Scene, machine: Machine, db: Any, stage: Stage) -> None:
        self.scene, self.stage, self.db = scene, stage, db
        stage.frozen = self._freeze
        stage.dead = self._mark_dead
        stage.promise_of = self._promise_of
        self.crm = Crm(scene, stage)
        self.targets = {name: self._target(name, objects) for name, objects in HANDS.items()}
        self.outfit = Outfit(
            db=db,
            connectors={"crm": self.crm, **self.targets},  # type: ignore[dict-item]
            contracts=machine.contracts,
            calendars=CALENDARS,
            stage=stage,
        )
        self.chance = dice("turns", scene.seed)
        self.hands = [Hand(self.outfit, n) for n in range(1, scene.workers + 1)]
        self.restarts: list[float] = []
        self.numbers = scene.workers
        self.door = self.outfit.world()
        self.doors: list[Fibre] = []
        self.pending = list(scene.events)
        self.watch = Watch(self)
        self.steps = 0

    def _target(self, name: str, objects: Sequence[str]) -> Target:
        upsert = dice("upsert", self.scene.seed, name).random() < 0.7
        promise = self.scene.classes.get(name, "A")
        return Target(name, objects, promise, self.stage, upsert=upsert, batch=self.scene.batch)

    # ── the phases ────────────────────────────────────────────────────────────────────────────

    def go(self) -> None:
        """Raises `Broken` as soon as an invariant is."""
        self._safety()
        self._liveness()
        self.watch.judge()
        replay(self)

    def _safety(self) -> None:
        rest = REST
        while self.pending or rest > 0:
            rest -= not self.pending
            self.step()
            self.watch.after_step()

    def _liveness(self) -> None:
        """Faults off; one worker stays dead if there are several. Everybody works until nothing moves."""
        self.stage.tell("faults stop")
        self.stage.swarm.active, self.stage.calm = False, True
        self.stage.away_until = 0.0
        self.crm.down_until = 0.0
        for target in self.targets.values():
            target.down_until = target.quota_until = 0.0
        for hand in self.hands:
            hand.frozen_until = 0.0
        alive = [hand for hand in self.hands if hand.alive]
        if len(alive) > 1:
            self._kill(self.chance.choice(alive), "stays dead")
        elif not alive:
            self._replace()
        self.restarts.clear()
        self.settle(self.stage.now + QUIET)

    def settle(self, until: float) -> None:
        """Let everybody work until nothing is due any more, at least until then."""
        worst, least = until + LONGEST, 0.05
        while True:
            told = len(self.stage.lines)
            self._work_off()
            self.watch.after_step()
            now = self.stage.now
            if now >= worst or (now >= until and not self._under_way() and self.watch.at_rest(since=until)):
                return
            due = self.watch.next_due()
            least = 0.05 if len(self.stage.lines) > told else min(least * 2, LONGEST_JUMP)
            self.pass_time(min(max(due - now if due is not None else LONGEST_JUMP, least), LONGEST_JUMP))

    def _under_way(self) -> bool:
        fibres = [f for hand in self.hands if hand.alive for f in hand.fibres]
        flying = any(target.landing for target in self.targets.values())
        return bool(self.crm.pushes or flying) or any(not f.done for f in (*fibres, *self.doors))

    def _work_off(self) -> None:
        """Everything that is ready, in turn, until nothing is."""
        while True:
            self._deliver_all()
            for hand in self.hands:
                for name in hand.wants():
                    hand.begin(name)
            ready = self._ready()
            if not ready:
                return
            for fibre in ready:
                self._turn(fibre)

    # ── one step ──────────────────────────────────────────────────────────────────────────────

    def step(self) -> None:
        """Something happens: chance says what."""
        self._count_step()
        ready = self._ready()
        moves: list[tuple[int, Any]] = [(3, self._jump)]
        if ready:
            moves.append((12, lambda: self._turn(self.chance.choice(ready))))
        wanting = [(hand, name) for hand in self.hands for name in hand.wants()]
        if wanting:
            moves.append((6, lambda: self._begin(*self.chance.choice(wanting))))
        if self.pending:
            moves.append((1, self._happen))
        if any(at <= self.stage.now for at, _ in self.crm.pushes):
            moves.append((4, self._deliver))
        self.chance.choices([move for _, move in moves], [weight for weight, _ in moves])[0]()

    def _count_step(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Broken("comes-to-rest", f"still busy after {self.steps} steps")

    def _ready(self) -> list[Fibre]:
        doors = [fibre for fibre in self.doors if not fibre.done and fibre.wakes <= self.stage.now]
        return [*(fibre for hand in self.hands for fibre in hand.ready()), *doors]

    def _begin(self, hand: Hand, name: str) -> None:
        hand.begin(name)

    def _happen(self) -> None:
        self.crm.happen(self.pending.pop(0))

    def _jump(self) -> None:
        self.pass_time(self.chance.choice(STEPS))

    def _turn(self, fibre: Fibre) -> None:
        self._count_step()
        if fibre.done:
            return
        owner = fibre.owner
        self.stage.fibres.resume(fibre)
        if isinstance(owner, Hand):
            if owner.alive:
                owner.tidy()
            else:
                self._bury(owner)
        self.doors = [door for door in self.doors if not door.done]

    def pass_time(self, seconds: float) -> None:
        """Time goes on. Who is at work beats meanwhile; what the dead left is not kept waiting by bad luck alone."""
        somebody = any(hand.running and hand.id for hand in self.hands)
        urgent = self.watch.urgent
        seconds = min(seconds, BEAT) if urgent else seconds
        self.stage.clock.move(seconds)
        for target in self.targets.values():
            target.land()
        self._revive()
        self.watch.beats()
        if not somebody:
            self.watch.nobody(seconds)
        if urgent and somebody:
            self._work_off()
            self.watch.passed(seconds)

    # ── pushes ────────────────────────────────────────────────────────────────────────────────

    def _deliver_all(self) -> None:
        while any(at <= self.stage.now for at, _ in self.crm.pushes):
            self._deliver()

    def _deliver(self) -> None:
        place = next(i for i, (at, _) in enumerate(self.crm.pushes) if at <= self.stage.now)
        _, body = self.crm.pushes.pop(place)
        self.doors.append(Fibre(name="door", owner="the door", work=partial(self._receive, body), wakes=self.stage.now))

    def _receive(self, body: bytes) -> None:
        """The web process takes a push; what it does not acknowledge, the vendor sends once more or gives up."""
        try:
            status = receive_push(self.door, "crm", headers={}, body=body, traceparent="").received.status
        except (NotReachable, Contended, Killed) as error:
            if self.chance.random() < 0.5:
                self.crm.pushes.append((self.stage.now + 5.0, body))
            if isinstance(error, Killed):
                raise
            return
        self.watch.acknowledged(body, status)

    def _promise_of(self, fibre: Fibre) -> str:
        lane = (
            self.door.lane(int(fibre.name))
            if self.door.knows(int(fibre.name))
            else fibre.owner.world.lane(int(fibre.name))
        )
        return "?" if lane.operation == "ask" else self.scene.classes[lane.connection]

    # ── workers ───────────────────────────────────────────────────────────────────────────────

    def _freeze(self, owner: Any, seconds: float) -> None:
        if isinstance(owner, Hand):
            owner.frozen_until = self.stage.now + seconds

    def _mark_dead(self, owner: Any, why: str) -> None:
        if isinstance(owner, Hand):
            owner.alive = False
            self.watch.died(owner, why)

    def _kill(self, hand: Hand, why: str) -> None:
        self.stage.tell(f"{hand} {why}")
        self._mark_dead(hand, why)
        self._bury(hand)

    def _bury(self, hand: Hand) -> None:
        """Its stacks go; another process starts some seconds later."""
        hand.die(self.stage.fibres)
        self.hands.remove(hand)
        self.restarts.append(self.stage.now + self.chance.uniform(*RESTART))

    def _revive(self) -> None:
        due = [at for at in self.restarts if at <= self.stage.now]
        self.restarts = [at for at in self.restarts if at > self.stage.now]
        for _ in due:
            self._replace()

    def _replace(self) -> None:
        self.numbers += 1
        self.stage.tell(f"worker {self.numbers} starts")
        self.hands.append(Hand(self.outfit, self.numbers))


def _monotonic(stage: Stage) -> float:
    """What the process that runs now believes its clock says."""
    owner = stage.fibres.current.owner if stage.fibres.current is not None else None
    return stage.now + (owner.skew if isinstance(owner, Hand) else 0.0)


def play(scene: Scene, machine: Machine) -> Outcome:
    """Play one scene on a fresh database and say what became of it."""
    fibres = Fibres()
    clock = Clock(start=scene.start)
    stage = Stage(scene=scene, clock=clock, swarm=Swarm(seed=scene.seed, rates=scene.rates), fibres=fibres)
    broken: Broken | None = None
    counts: Counter[str] = Counter()
    with local_time(partial(_monotonic, stage), stage.sleep), machine.database(stage) as db:
        run = Run(scene, machine, db, stage)
        try:
            run.go()
        except Broken as error:
            broken = error
        except Exception as error:  # noqa: BLE001 - whatever the engine stumbles over is a finding
            where = traceback.extract_tb(error.__traceback__)[-1]
            says = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            broken = Broken("no-fault-of-ours", says)
        finally:
            run.stage.tell(f"end: {json.dumps(sorted(stage.swarm.struck.items()))}")
            for hand in run.hands:
                hand.die(fibres)
            for door in run.doors:
                fibres.kill(door)
        counts.update(run.watch.counts)
    fibres.end()
    return Outcome(
        scene=scene,
        broken=broken.name if broken else "",
        says=broken.says if broken else "",
        history=stage.history,
        lines=stage.lines,
        reach=dict(stage.swarm.reach),
        struck=dict(stage.swarm.struck),
        counts=counts,
    )
