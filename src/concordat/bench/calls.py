"""`calls`: how many calls a thousand activations cost a vendor, counted at the target."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from concordat.bench.activation import EFFECTS, PUTS, Terms, run_engine
from concordat.bench.lean import TARGETS
from concordat.bench.machine import machine, versions
from concordat.bench.report import Bar, Report, Say
from concordat.bench.rig import Rig, world_of

__all__ = ["calls"]

DEALS = 1000
MOST = 1.2
"""Write calls to the fewest that the vendor's own bulk limit allows, over all objects."""
RUNS = (("bulk", 1), ("bulk", 2), ("shipped", 1), ("shipped", 2))
"""Limits of 500 records a call, and those of the shipped connectors; by one worker and by two."""
SHARE = {"bulk": 1, "shipped": 4}
"""One of so many deals: most shipped connectors write one record a call, which takes its time and is soon counted."""


def calls(say: Say, scale: float = 1.0) -> Report:
    """Write calls per 1,000 activations; questions and read-backs are printed apart. Bar: 1.2 times the fewest."""
    deals = max(int(DEALS * scale), 1)
    with Rig.open() as rig:
        found = {f"{way}, {n} worker(s)": _count(rig, way, n, max(deals // SHARE[way], 1), say) for way, n in RUNS}
        worst = max(each["ratio"] for each in found.values())
        most = max(each["writes"] for name, each in found.items() if name.startswith("bulk"))
        return Report(
            name="calls",
            holds=worst <= MOST and not any(each["faults"] for each in found.values()),
            ratio=worst,
            value=round(most * 1000 / deals, 1),
            unit="write calls per 1,000 activations at 500 records a call",
            yardstick={"what": "one call per effect, per 1,000 activations", "value": EFFECTS * 1000},
            bar=Bar(ratio=MOST, better="lower"),
            machine=machine(),
            versions=versions(rig.postgresql),
            details=found,
        )


def _count(rig: Rig, way: str, workers: int, deals: int, say: Say) -> Mapping[str, Any]:
    db = rig.database(f"calls_{way}_{workers}")
    ran = run_engine(rig, way, deals, say, Terms(db=db, workers=workers))
    limits = _limits(rig, way)
    by: Mapping[str, tuple[int, int]] = rig.ask("/count")["by"]
    writes = {key.partition(" ")[0]: each for key, each in by.items() if key.endswith(" write")}
    fewest = sum(math.ceil(records / limits[target]) for target, (_, records) in writes.items())
    made = sum(count for count, _ in writes.values())
    apart = {act: sum(n for key, (n, _) in by.items() if key.endswith(f" {act}")) for act in ("read", "find", "ask")}
    wrong = [] if sum(n for _, n in writes.values()) == deals * PUTS else ["a record was written twice or never"]
    return {
        "deals": deals,
        "ratio": round(made / fewest, 2),
        "writes": made,
        "fewest": fewest,
        **apart,
        "by": {target: f"{count} for {n}, {limits[target]} a call" for target, (count, n) in sorted(writes.items())},
        "faults": [*ran.faults, *wrong],
    }


def _limits(rig: Rig, way: str) -> Mapping[str, int]:
    """Records a call takes, by connection and object."""
    connectors = world_of(rig.databases[f"calls_{way}_1"], rig.url, way, sweep=False).connectors
    found = {f"{c}.{o}": connectors[c].facts.targets[o].write_batch for c, objects in TARGETS.items() for o in objects}
    for connector in connectors.values():
        connector.close()
    return found
