"""The workers of a run: the product's own, whose threads are fibres; they are killed, stopped and replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from concordat.core.contract import Contract
from concordat.core.plan import Planner
from concordat.core.sla import BusinessCalendar
from concordat.engine.recovery import mend, tidy
from concordat.engine.worker import BEAT, SWEEP, Worker
from concordat.engine.world import World
from concordat.errors import Contended, NotReachable
from concordat.prove.fibres import AtOnce, Fibre, Fibres
from concordat.prove.machine import Simulated
from concordat.prove.scene import dice
from concordat.prove.source import OBJECTS
from concordat.prove.stage import Stage
from concordat.sdk.spec import Connector
from concordat.store.queries import QUERIES

__all__ = ["SWEEPS", "Hand", "Outfit"]

TIDIES = 300.0
"""Seconds between two rounds of tidying; the product does it once a minute, which is dear in a run of minutes."""
SWEEPS = {("crm", name): timedelta(minutes=2) for name in OBJECTS}


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """What every worker of a run is made of."""

    db: Simulated
    connectors: Mapping[str, Connector]
    contracts: Mapping[str, Contract]
    calendars: Mapping[str, BusinessCalendar]
    stage: Stage
    planners: dict[str, Planner] = field(default_factory=dict)

    def world(self) -> World:
        """A new engine on the same database."""
        made = World(
            db=self.db,
            unit="NB",
            connectors=self.connectors,
            contracts=self.contracts,
            calendars=self.calendars,
            sweeps=SWEEPS,
        )
        if not self.planners:
            self.planners.update(made.planners)
        made.__dict__["planners"] = self.planners  # nothing of a planner changes, and making one takes long
        return made


class _Spawn(Executor):
    """Where a worker would start a thread, a fibre is started."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start it; nobody waits for its end here."""
        self._hand.start(str(args[0]) if args else "work", partial(fn, *args, **kwargs))
        return Future()


class _Stopping:
    """The worker's own flag, by the run's clock."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True

    def wait(self, seconds: float) -> bool:
        self._stage.sleep(seconds)
        return self._set


class Hand:
    """One worker process."""

    def __init__(self, outfit: Outfit, number: int) -> None:
        self.stage = outfit.stage
        self.number = number
        self.fibres: list[Fibre] = []
        self.frozen_until = 0.0
        self.alive = True
        self.skew = dice("skew", outfit.stage.scene.seed, number).uniform(-26, 26) * 3600.0
        """How far this machine's clock is off, in seconds."""
        self.looked = self.beaten = self.tidied = float("-inf")
        self.joined = self.stage.now
        self.world = outfit.world()
        self.worker = Worker(world=self.world, name=f"worker-{number}")
        self.worker._pools = (_Spawn(self), AtOnce())  # type: ignore[assignment]  # noqa: SLF001 - the seam of threads
        self.worker._stopping = _Stopping(self.stage)  # type: ignore[assignment]  # noqa: SLF001
        self.start("join", self.worker._join)  # noqa: SLF001

    def __str__(self) -> str:
        return f"worker {self.number}"

    @property
    def running(self) -> bool:
        """Alive, and not stopped."""
        return self.alive and self.stage.now >= self.frozen_until

    @property
    def id(self) -> int:
        """As the database knows it; 0 until it has joined."""
        return self.worker.id

    def start(self, name: str, work: Callable[[], None]) -> None:
        """One more fibre."""
        self.fibres.append(Fibre(name=name, owner=self, work=work, wakes=self.stage.now))

    def ready(self) -> list[Fibre]:
        """Fibres that may go on now."""
        if not self.running:
            return []
        return [fibre for fibre in self.fibres if not fibre.done and fibre.wakes <= self.stage.now]

    def busy(self, name: str) -> bool:
        """Whether this is being done already."""
        return any(fibre.name == name and not fibre.done for fibre in self.fibres)

    def wants(self) -> list[str]:
        """What a worker does by itself and is due: to look, to keep house."""
        if not self.running or not self.id:
            return []
        now = self.stage.now
        looks = self.worker._woken.is_set() or now - self.looked >= SWEEP  # noqa: SLF001
        wants = [("look", looks), ("house", now - self.beaten >= BEAT)]
        return [name for name, due in wants if due and not self.busy(name)]

    def begin(self, name: str) -> None:
        """Do what is due."""
        if name == "look":
            self.looked = self.stage.now
            self.worker._woken.clear()  # noqa: SLF001
            self.start("look", self._look)
        else:
            self.beaten = self.stage.now
            self.start("house", self._keep_house)

    def tidy(self) -> None:
        """Forget what is done."""
        self.fibres = [fibre for fibre in self.fibres if not fibre.done]

    def die(self, fibres: Fibres) -> None:
        """The process is gone, wherever it stood."""
        self.alive = False
        for fibre in self.fibres:
            if not fibre.done and fibre is not fibres.current:
                fibres.kill(fibre)
        self.tidy()

    def _look(self) -> None:
        self.worker._look()  # noqa: SLF001

    def _keep_house(self) -> None:
        """One round of the worker's own loop."""
        try:
            with self.world.db.engine() as conn:
                alive = conn.execute(QUERIES.recovery.beat, {"worker": self.id}).fetchone()
            if alive is None:
                self.worker._join()  # noqa: SLF001
            mend(self.world, self.id)
            if self.stage.now - self.tidied > TIDIES:
                tidy(self.world)
                self.tidied = self.stage.now
        except (NotReachable, Contended):
            return
