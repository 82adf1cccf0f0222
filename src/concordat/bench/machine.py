"""What a benchmark ran on: the machine, the versions, and the processor time of whole process trees (Linux)."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["Spent", "cpu_seconds", "machine", "versions"]

PACKAGES = ("concordat-hub", "psycopg", "httpx", "orjson", "dbos")


def machine() -> Mapping[str, Any]:
    """Processor, cores this process may use, memory, system, and how busy it was when asked."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": _memory_mb(),
        "system": f"{platform.system()} {platform.release()}",
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def versions(postgresql: str) -> Mapping[str, str]:
    """Releases of what was measured."""
    return {"python": platform.python_version(), "postgresql": postgresql, **dict(_installed())}


class Spent:
    """Processor time of named process trees since it was made."""

    def __init__(self, roots: Mapping[str, Sequence[int]]) -> None:
        self._roots = roots
        self._before = self._now()

    def since(self) -> Mapping[str, float]:
        """Seconds by name."""
        return {name: seconds - self._before[name] for name, seconds in self._now().items()}

    def _now(self) -> Mapping[str, float]:
        return {name: cpu_seconds(pids) for name, pids in self._roots.items()}


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of these processes and all below them, ended children included."""
    times, parents = _processes()
    wanted, grew = set(roots), True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in wanted} - wanted
        wanted |= more
        grew = bool(more)
    return sum(times.get(pid, 0) for pid in wanted) / os.sysconf("SC_CLK_TCK")


def _installed() -> Iterable[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _processes() -> tuple[dict[int, int], dict[int, int]]:
    """Ticks and parent by pid; fields 14 to 17 and 4 of proc_pid_stat(5)."""
    times: dict[int, int] = {}
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(path.parent.name)
        parents[pid] = int(words[1])
        times[pid] = sum(int(word) for word in words[11:15])
    return times, parents


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
