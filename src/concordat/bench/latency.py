"""`latency`: from a webhook to the first write at the target and to activated, against a durable workflow per deal.

Both sides are told of each deal over HTTP at the same pace and write to the same lean target, one record a call for
the yardstick. *Activated* is the last durable commit, seen by a notification that a trigger sends: the event
`project.activated` for the engine, the workflow's success for the yardstick.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from concordat.bench.activation import PUTS, YARDSTICK_THREADS, require_yardstick
from concordat.bench.machine import Spent, machine, versions
from concordat.bench.report import Bar, Report, Say, percentile
from concordat.bench.rig import Child, Rig, until

__all__ = ["latency"]

RATES = (5, 20)
"""Deals a second."""
SECONDS = 20.0
WARM = 10
"""Deals before the measured ones: statements are prepared, connections open."""
BAR = Bar(value=15, ratio=1.0, better="lower")
CPU = 0.10
"""Share of one core that all processes together may take at 5 deals a second."""
PATIENCE = 30.0

TRIGGER = """
CREATE FUNCTION bench_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('bench', {key}); RETURN NULL; END $$;
CREATE TRIGGER bench_told AFTER {when} ON {table} FOR EACH ROW WHEN ({holds}) EXECUTE FUNCTION bench_told();
"""
OURS = {
    "key": "NEW.data -> 'data' ->> 'opportunity'",
    "when": "INSERT",
    "table": "event",
    "holds": "NEW.type = 'project.activated'",
}
THEIRS = {
    "key": "NEW.workflow_uuid",
    "when": "INSERT OR UPDATE",
    "table": "dbos.workflow_status",
    "holds": "NEW.status = 'SUCCESS'",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two that are compared: where it listens, what it is told, how its end is seen."""

    name: str
    url: str
    database: str
    roots: Mapping[str, Sequence[int]]
    tell: Callable[[httpx.Client, int], httpx.Response]


@dataclass(frozen=True, kw_only=True, slots=True)
class Paced:
    """One run at one pace; milliseconds."""

    first_write: list[float]
    activated: list[float]
    core: float
    """Share of one core that all processes together took."""
    faults: tuple[str, ...]

    def details(self) -> dict[str, Any]:
        """For the report."""
        return {
            "first_write_ms": {"p50": _ms(self.first_write, 0.5), "p99": _ms(self.first_write, 0.99)},
            "activated_ms": {"p50": _ms(self.activated, 0.5), "p99": _ms(self.activated, 0.99)},
            "core": round(self.core, 3),
            "faults": list(self.faults),
        }


def latency(say: Say, scale: float = 1.0) -> Report:
    """Bars: first write p50 within 15 ms, activated p50 and p99 no later than the yardstick's, under 10 % of a core."""
    require_yardstick()
    seconds = max(SECONDS * scale, 1.0)
    with Rig.open() as rig, _ours(rig) as ours, _theirs(rig) as theirs:
        found = {}
        for rate in RATES:
            found[rate] = [_pace(rig, side, rate, seconds, say) for side in (ours, theirs)]
        return _report(rig, found)


def _report(rig: Rig, found: Mapping[int, list[Paced]]) -> Report:
    ratios = [
        percentile(ours.activated, share) / percentile(theirs.activated, share)
        for ours, theirs in found.values()
        for share in (0.5, 0.99)
    ]
    first = max(percentile(ours.first_write, 0.5) for ours, _ in found.values())
    faults = [fault for pair in found.values() for side in pair for fault in side.faults]
    core = found[RATES[0]][0].core
    reached = first <= (BAR.value or 0) and max(ratios) <= (BAR.ratio or 0) and core <= CPU
    return Report(
        name="latency",
        holds=reached and not faults,
        ratio=round(max(ratios), 2),
        value=round(first, 1),
        unit="ms from a webhook to the first write, p50",
        yardstick={
            "what": "one durable workflow per deal (DBOS)",
            "value": round(max(percentile(theirs.first_write, 0.5) for _, theirs in found.values()), 1),
            **{f"{rate}/s": theirs.details() for rate, (_, theirs) in found.items()},
        },
        bar=BAR,
        machine=machine(),
        versions=versions(rig.postgresql),
        details={
            **{f"{rate}/s": ours.details() for rate, (ours, _) in found.items()},
            "ratio_is": "the worst of activated p50 and p99 at both paces",
            "core_bar": CPU,
        },
    )


def _ms(values: list[float], share: float) -> float:
    return round(percentile(values, share), 1)


# ── the two sides ─────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _ours(rig: Rig) -> Iterator[Side]:
    rig.database("bench_latency")
    _watch(rig, "bench_latency", OURS)
    child = rig.work(rig.databases["bench_latency"], "bulk", serve=True)

    def tell(client: httpx.Client, n: int) -> httpx.Response:
        return client.post("/hooks/crm", content=orjson.dumps({"object": "opportunity", "ref": f"O{n}"}))

    try:
        yield _side(rig, "engine", "bench_latency", child, tell)
    finally:
        child.end()


@contextmanager
def _theirs(rig: Rig) -> Iterator[Side]:
    address = rig.plain_database("yardstick")
    told = {"url": rig.url, "database_url": address, "threads": YARDSTICK_THREADS}
    child = Child.start("concordat.bench.durable", told)
    _watch(rig, "yardstick", THEIRS)

    def tell(client: httpx.Client, n: int) -> httpx.Response:
        return client.post(f"/deals/{n}")

    try:
        yield _side(rig, "yardstick", "yardstick", child, tell)
    finally:
        child.end()


def _side(
    rig: Rig, name: str, database: str, child: Child, tell: Callable[[httpx.Client, int], httpx.Response]
) -> Side:
    roots = {"database": [rig.postmaster], "process": [child.process.pid]}
    return Side(name=name, url=f"http://127.0.0.1:{child.said}", database=database, roots=roots, tell=tell)


def _watch(rig: Rig, database: str, what: Mapping[str, str]) -> None:
    with rig.superuser(database) as conn:
        conn.execute(TRIGGER.format(**what).encode())


# ── one pace ──────────────────────────────────────────────────────────────────────────────────────


def _pace(rig: Rig, side: Side, rate: int, seconds: float, say: Say) -> Paced:
    """Tell one deal after another at a steady pace; wait for the last one."""
    rig.ask("/reset", {"deals": 0, "page": 1})
    base = rate * 100_000
    deals = range(base, base + WARM + int(rate * seconds))
    with _heard(rig, side.database) as ended, httpx.Client(base_url=side.url, trust_env=False, timeout=30) as client:
        say(f"{side.name} at {rate}/s: warming up")
        _tell(side, client, deals[:WARM], rate)
        until(lambda: len(ended) >= WARM, seconds=PATIENCE, every=0.05)
        spent, started = Spent(side.roots), time.monotonic()
        say(f"{side.name} at {rate}/s: {len(deals) - WARM} deals")
        told = _tell(side, client, deals[WARM:], rate)
        until(lambda: len(ended) >= len(deals), seconds=PATIENCE, every=0.05)
        core = sum(spent.since().values()) / (time.monotonic() - started)
        until(lambda: rig.ask("/count")["writes"] >= PUTS * len(deals), seconds=PATIENCE, every=0.05)
    return _paced(rig.ask("/ledger"), told, dict(ended), core, len(deals))


def _paced(
    ledger: Mapping[str, Any], told: Mapping[int, float], ended: Mapping[str, float], core: float, deals: int
) -> Paced:
    first = ledger["first_writes"]
    seen = [n for n in told if str(n) in first and f"crm:O{n}" in ended]
    writes = ledger["keys"].values()
    faults = []
    if len(seen) < len(told):
        faults.append(f"{len(told) - len(seen)} of {len(told)} deals were not activated")
    if len(writes) != PUTS * deals or any(times != 1 for times in writes):
        faults.append(f"{len(writes)} objects and {sum(writes)} writes for {PUTS * deals}")
    return Paced(
        first_write=[1000 * (first[str(n)] - told[n]) for n in seen],
        activated=[1000 * (ended[f"crm:O{n}"] - told[n]) for n in seen],
        core=core,
        faults=tuple(faults),
    )


def _tell(side: Side, client: httpx.Client, deals: range, rate: int) -> dict[int, float]:
    """When each deal was told, monotonic seconds."""
    told: dict[int, float] = {}

    def one(n: int) -> None:
        told[n] = time.monotonic()
        side.tell(client, n).raise_for_status()

    start = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        sent = []
        for i, n in enumerate(deals):
            time.sleep(max(start + i / rate - time.monotonic(), 0))
            sent.append(pool.submit(one, n))
        for future in sent:
            future.result()
    return told


@contextmanager
def _heard(rig: Rig, database: str) -> Iterator[dict[str, float]]:
    """What was activated, and when it was heard of, monotonic seconds."""
    ended: dict[str, float] = {}
    over = threading.Event()
    ready = threading.Event()

    def listen() -> None:
        with rig.superuser(database) as conn:
            conn.execute("LISTEN bench")
            ready.set()
            while not over.is_set():
                for notify in conn.notifies(timeout=0.2):
                    ended.setdefault(notify.payload, time.monotonic())

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait(10)
    try:
        yield ended
    finally:
        over.set()
        thread.join()
