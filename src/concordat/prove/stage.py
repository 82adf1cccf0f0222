"""What everything of one run shares: the clock, the swarm of faults, whose turn it is, and what happened so far."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from concordat.errors import Contended, NotReachable
from concordat.prove.clock import Clock
from concordat.prove.faults import Swarm
from concordat.prove.fibres import Fibre, Fibres, Killed
from concordat.prove.scene import Scene, dice

__all__ = ["Broken", "Stage"]

PAUSES = 0.3
"""How often a worker's turn ends where it may."""
CRASHES = frozenset({"crash_before_commit", "crash_after_commit", "crash_before_call", "crash_after_effect"})
LONGEST_FREEZE = 90.0
WORK = ("plan", "hints", "sweep", "look", "house", "door")


class Broken(Exception):  # noqa: N818 - named as it reads: an invariant is broken
    """An invariant does not hold; `name` is its name, the message what was seen."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(f"{name}: {says}")
        self.name = name
        self.says = says


@dataclass(kw_only=True)
class Stage:
    """The hub of one run."""

    scene: Scene
    clock: Clock
    swarm: Swarm
    fibres: Fibres
    lines: list[str] = field(default_factory=list)
    """What happened, for people."""
    calm: bool = False
    """Nobody is interrupted any more."""
    frozen: Callable[[Any, float], None] = lambda _owner, _seconds: None
    dead: Callable[[Any, str], None] = lambda _owner, _why: None
    promise_of: Callable[[Fibre], str] = lambda _fibre: "-"
    """The class of the target that a lane's fibre works for; `?` for questions."""
    disturbed: float = float("-inf")
    """When the database last failed somebody."""
    away_until: float = 0.0
    """Until when the database is away."""
    _hash: Any = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self._chance = dice("pause", self.scene.seed)

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return self.clock.seconds

    def tell(self, line: str) -> None:
        """Something happened: it belongs to the history, and to the story if there will be one."""
        said = f"{self.clock.seconds:9.1f}  {line}"
        self.lines.append(said)
        self._hash.update(said.encode())

    @property
    def history(self) -> str:
        """The digest of everything that happened."""
        return str(self._hash.hexdigest()[:16])

    def sleep(self, seconds: float) -> None:
        """The fibre that runs goes on after so long."""
        fibre = self.fibres.current
        if fibre is not None:
            fibre.wakes = self.clock.seconds + seconds
            self.fibres.pause()

    def pause(self) -> None:
        """Perhaps it is somebody else's turn."""
        if not self.calm and self.fibres.current is not None and self._chance.random() < PAUSES:
            self.fibres.pause()

    def place(self, where: str, state: str = "", promise: str = "") -> None:
        """A worker reaches this place: it may be killed, stopped, or interrupted here; the database may fail."""
        if where == "begin" and self.clock.seconds < self.away_until:
            raise NotReachable("The database is away.")
        fibre = self.fibres.current
        if fibre is None:
            return
        fibre.state = state or fibre.state
        kind = self.swarm.strike(where)
        if kind:
            self.swarm.count(kind, *self._about(fibre, promise))
            self._suffer(kind, where)
        if where == "committed":
            fibre.state = ""
        if where not in ("commit", "begin"):
            self.pause()

    def _about(self, fibre: Fibre, promise: str) -> tuple[str, str]:
        """The state of the effects that this fibre is busy with, and the class of their target; else what it does."""
        if fibre.name.isdigit():
            known = promise or self.promise_of(fibre)
            return ("asking", "-") if known == "?" or fibre.state == "asking" else (fibre.state or "ready", known)
        if fibre.state == "reading":
            return "reading", "source"
        return next((word for word in WORK if word in fibre.name), fibre.name), "-"

    @property
    def _owner(self) -> Any:
        return self.fibres.current.owner if self.fibres.current is not None else None

    def _suffer(self, kind: str, where: str) -> None:
        fibre = self.fibres.current
        if kind in CRASHES:
            self.tell(f"{self._owner}: {kind} in {fibre.name if fibre else '?'}")
            self.dead(self._owner, kind)
            raise Killed
        if kind == "freeze":
            seconds = self.swarm.chance(kind).uniform(1.0, LONGEST_FREEZE)
            self.tell(f"{self._owner}: stopped for {seconds:.0f} s in {fibre.name if fibre else '?'} ({where})")
            self.frozen(self._owner, seconds)
            self.fibres.pause()
            return
        self.tell(f"{self._owner}: {kind} in {fibre.name if fibre else '?'}")
        self.disturbed = self.clock.seconds
        if kind == "db_contended":
            raise Contended("chosen as the victim of a deadlock")
        if kind == "db_outage":
            self.away_until = self.clock.seconds + 10.0
        raise NotReachable(f"the database: {kind}")
