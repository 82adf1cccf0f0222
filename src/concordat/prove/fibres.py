"""Threads of which exactly one runs at a time, and only when it is told to: concurrency that a seed decides.

A fibre is one piece of a worker's work with a stack of its own. It runs until it pauses, at places that the harness
chose, or ends. Nothing runs beside it, so the same choices give the same run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

__all__ = ["AtOnce", "Fibre", "Fibres", "Killed"]


class Killed(BaseException):
    """The worker's process is gone; its stacks unwind and do nothing more. Nothing that catches errors catches it."""


@dataclass(kw_only=True, eq=False)
class Fibre:
    """One piece of work that can be paused."""

    name: str
    owner: Any
    """Whose it is: a worker."""
    work: Callable[[], None]
    wakes: float = 0.0
    """On the run's clock, in seconds: not before."""
    done: bool = False
    state: str = ""
    """Of the effects that it is busy with, since its last call."""
    doomed: bool = False
    """Its process was killed: the next thing that it does is to unwind."""
    fault: BaseException | None = None
    """What it ended with, unless it was killed: a fault of the harness."""
    carrier: _Carrier | None = field(default=None, repr=False)


class _Carrier:
    """One real thread; it carries one fibre after the other."""

    def __init__(self) -> None:
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._work: Callable[[], None] = lambda: None
        self._ending = False
        self.thread = threading.Thread(target=self._loop, name="fibre", daemon=True)
        self.thread.start()

    def carry(self, work: Callable[[], None]) -> None:
        self._work = work

    def run(self) -> None:
        """By who schedules: let it run until it pauses or ends."""
        self._go.release()
        self._back.acquire()

    def pause(self) -> None:
        """By the fibre: give the turn back."""
        self._back.release()
        self._go.acquire()

    def end(self) -> None:
        self._ending = True
        self._go.release()
        self.thread.join(10)

    def _loop(self) -> None:
        while True:
            self._go.acquire()
            if self._ending:
                return
            self._work()
            self._back.release()


class Fibres:
    """Starts and resumes fibres; keeps their threads for the next ones."""

    def __init__(self) -> None:
        self.current: Fibre | None = None
        self._idle: list[_Carrier] = []

    def resume(self, fibre: Fibre) -> None:
        """Let it run until it pauses or ends. Raises what it ended with, if that is nobody's expected end."""
        if fibre.carrier is None:
            fibre.carrier = self._idle.pop() if self._idle else _Carrier()
            fibre.carrier.carry(lambda: self._live(fibre))
        before, self.current = self.current, fibre
        try:
            fibre.carrier.run()
        finally:
            self.current = before
        if fibre.done:
            self._idle.append(fibre.carrier)
            if fibre.fault is not None:
                raise fibre.fault

    def pause(self) -> None:
        """By the fibre that runs: give the turn back until it is resumed."""
        fibre = self.current
        if fibre is None or fibre.carrier is None:
            return
        fibre.carrier.pause()
        if fibre.doomed:
            raise Killed

    def kill(self, fibre: Fibre) -> None:
        """Unwind a paused fibre, without letting it do anything more."""
        fibre.doomed = True
        if fibre.carrier is None:
            fibre.done = True
        elif not fibre.done:
            self.resume(fibre)

    def end(self) -> None:
        """End the threads. No fibre is paused any more."""
        for carrier in self._idle:
            carrier.end()
        self._idle.clear()

    @staticmethod
    def _live(fibre: Fibre) -> None:
        try:
            fibre.work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to who scheduled it
            fibre.fault = error
        fibre.done = True


class AtOnce(Executor):
    """An executor without threads: what is submitted is done before `submit` returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it now; a kill goes through, other errors are the future's."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as executors do
            done.set_exception(error)
        return done
