"""Many seeds over several processes: played, judged, shrunk where they fail, and summed up in one report."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from queue import Empty
from typing import Any

import structlog

from concordat.errors import Bug
from concordat.prove.canary import CANARY, with_canary
from concordat.prove.machine import Machine
from concordat.prove.mutants import MUTANTS, hunt
from concordat.prove.reach import BAR, Cell, cells, excluded, short
from concordat.prove.run import Outcome, play
from concordat.prove.scene import draw
from concordat.prove.shrink import Failure, shrink, story

__all__ = ["Order", "Report", "prove"]

TWICE = 100
"""One seed in so many runs twice and must give the same history."""
STORIES = 3
"""Failing seeds that one process shrinks; more are named."""
ENOUGH = 1000
"""Seeds from which on the reach is held against its bar."""
PATIENCE = 600.0
Say = Callable[[int, int, int], None]
"""Told of progress: seeds done, seeds in all, seeds that failed."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for."""

    first: int = 1
    last: int = 200
    profile: str = "all"
    scale: float = 1.0
    jobs: int = 2
    mix: str = ""
    mutants: bool = False
    """Hunt the planted faults too."""

    @property
    def seeds(self) -> range:
        """Every seed."""
        return range(self.first, self.last + 1)


@dataclass(kw_only=True)
class Report:
    """What came of it."""

    order: Order
    failures: list[Failure] = field(default_factory=list)
    reach: Counter[Cell] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    canary: str = ""
    """The invariant that the canary seed broke; empty: it was not noticed."""
    seconds: float = 0.0
    mutants: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """No seed failed, the canary did, and every planted fault was noticed or has its excuse."""
        return not self.failures and bool(self.canary) and all(m["killed_by"] or m["why"] for m in self.mutants)

    @property
    def short(self) -> list[Cell]:
        """Cells of the matrix below the bar; judged from a thousand seeds on."""
        return short(self.order.profile, self.reach) if len(self.order.seeds) >= ENOUGH else []

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        wanted = cells(self.order.profile)
        return {
            "holds": self.holds,
            "seeds": len(self.order.seeds),
            "faults": self.order.profile,
            "failures": [asdict(failure) for failure in self.failures],
            "canary": self.canary,
            "reach": {
                "cells": len(wanted),
                "bar": BAR,
                "below": [{"cell": list(cell), "hits": self.reach.get(cell, 0)} for cell in self.short],
                "excluded": [asdict(each) for each in excluded(self.order.profile)],
                "hits": {" ".join(cell): self.reach.get(cell, 0) for cell in wanted},
            },
            "classes": {
                name.removeprefix("mix "): n for name, n in sorted(self.counts.items()) if name.startswith("mix ")
            },
            "mutants": self.mutants,
            "seconds": round(self.seconds, 1),
        }


def prove(order: Order, say: Say = lambda _done, _all, _failed: None) -> Report:
    """Play every seed, and the canary; processes of its own do the work and end with it."""
    started = time.monotonic()
    report = Report(order=order)
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    jobs = max(1, min(order.jobs, len(order.seeds)))
    processes = [context.Process(target=work, args=(order, n, jobs, results), daemon=True) for n in range(jobs)]
    for process in processes:
        process.start()
    try:
        _collect(report, results, processes, say)
    finally:
        for process in processes:
            process.terminate() if report.seconds < 0 else process.join(30)
    report.failures.sort(key=lambda failure: failure.seed)
    report.seconds = time.monotonic() - started
    return report


def _collect(report: Report, results: Any, processes: Sequence[Any], say: Say) -> None:
    done, running = 0, len(processes)
    while running:
        said = _next(results, processes)
        if said is None:
            running -= 1
        elif isinstance(said, Failure):
            report.failures.append(said)
        elif isinstance(said, str):
            report.canary = said
        elif "killed_by" in said:
            report.mutants.append(said)
        else:
            done += 1
            report.reach.update(said["reach"])
            report.struck.update(said["struck"])
            report.counts.update(said["counts"])
            say(done, len(report.order.seeds), len(report.failures))


def _next(results: Any, processes: Sequence[Any]) -> Any:
    waited = 0.0
    while waited < PATIENCE:
        try:
            return results.get(timeout=1.0)
        except Empty:
            waited += 1.0
            if not any(process.is_alive() for process in processes):
                break
    raise Bug("A process of the harness ended without a word.")


def work(order: Order, part: int, parts: int, results: Any) -> None:
    """One process: its share of the seeds on a machine of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the database here must end too
    with Machine.open() as machine:
        if part == 0:
            results.put(_canary(machine))
        told = 0
        for seed in order.seeds[part::parts]:
            if _orphaned():
                return
            outcome = attempt(order, seed, machine)
            if outcome.broken:
                told += 1
                results.put(_failure(order, outcome, machine, tell=told <= STORIES))
            counts = Counter({f"mix {outcome.scene.mix}": 1}) + Counter(dict(outcome.counts))
            results.put({"reach": outcome.reach, "struck": outcome.struck, "counts": counts})
        known: dict[tuple[int, str, str], str] = {}
        for mutant in MUTANTS[part::parts] if order.mutants else ():
            if _orphaned():
                return
            results.put(hunt(mutant, machine, known))
    results.put(None)


def _orphaned() -> bool:
    """Whether who asked for this was killed: then the database here must end too."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def attempt(order: Order, seed: int, machine: Machine) -> Outcome:
    """Play one seed; one in a hundred twice."""
    scene = draw(seed, order.profile, scale=order.scale, mix=order.mix)
    outcome = play(scene, machine)
    if seed % TWICE == 0 and not outcome.broken:
        again = play(scene, machine)
        if again.history != outcome.history:
            return _differs(outcome, again)
    return outcome


def _differs(outcome: Outcome, again: Outcome) -> Outcome:
    pairs = zip(outcome.lines, again.lines, strict=False)
    first = next((f"{a!r} and {b!r}" for a, b in pairs if a != b), "their lengths")
    return Outcome(**{**vars(outcome), "broken": "same-again", "says": f"the same seed gave two histories: {first}"})


def _canary(machine: Machine) -> str:
    """The planted violation must be noticed."""
    with with_canary():
        return play(CANARY, machine).broken


def _failure(order: Order, outcome: Outcome, machine: Machine, *, tell: bool) -> Failure:
    least = shrink(outcome, partial(play, machine=machine)) if tell and outcome.broken != "same-again" else outcome
    seed, scale = outcome.scene.seed, f" --scale {order.scale:g}" if order.scale != 1.0 else ""
    return Failure(
        seed=seed,
        invariant=outcome.broken,
        says=outcome.says,
        story=story(least),
        command=f"concordat prove --seeds {seed}-{seed} --faults {order.profile}{scale}",
    )
