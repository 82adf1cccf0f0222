"""What a fault does to a call at the seam: which error the connector raises, before or after the call is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol

from concordat.errors import (
    AuthExpired,
    Busy,
    Locked,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    UnknownOutcome,
    VersionConflict,
)
from concordat.prove.stage import Stage

__all__ = ["AFTER", "LATENCY", "before_call"]

LATENCY = 8.0
"""Most seconds of a call on its way; shorter than the silence after which a worker is presumed dead."""
QUOTA = 120.0


class _System(Protocol):
    """What may be down, or spent."""

    name: str
    stage: Stage
    down_until: float
    quota_until: float


def _unknown(says: str) -> Callable[[], Exception]:
    return lambda: UnknownOutcome(says)


AFTER: Mapping[str, Callable[[], Exception]] = {
    "commit_then_drop": _unknown("the connection broke before the answer"),
    "commit_then_504": _unknown("504 Gateway Timeout"),
    "truncated": _unknown("the answer breaks off"),
    "html_page": _unknown("the answer is a page for people"),
    "garbled": lambda: ValueError("the connector stumbles over the answer"),
}
"""Raised when the call was carried out."""
_SAID: Mapping[str, Callable[[], Exception]] = {
    "unavailable": lambda: Unavailable("503 Service Unavailable"),
    "rate_limited": lambda: RateLimited("429 Too Many Requests"),
    "busy": lambda: Busy("too many calls at once"),
    "locked": lambda: Locked("somebody holds the record"),
    "conflict": lambda: VersionConflict("the record changed"),
    "token_expired": lambda: AuthExpired("the token has expired"),
}


def before_call(system: Any, call: str, kind: str) -> str:
    """Raise what keeps the call from being carried out; else give the fault that strikes afterwards, if any."""
    known: _System = system
    stage, chance = known.stage, known.stage.swarm.chance(kind or "none")
    if stage.now < known.down_until:
        raise Unavailable(f"{known.name} is down")
    if call == "write" and stage.now < known.quota_until:
        raise QuotaExhausted("the quota is spent", resets_at=stage.clock.now + timedelta(seconds=QUOTA))
    if kind in _SAID:
        said = _SAID[kind]()
        raise said
    if kind == "rate_limited_until":
        raise RateLimited("429 Too Many Requests", retry_after=timedelta(seconds=chance.randint(1, 90)))
    if kind == "quota_spent":
        known.quota_until = stage.now + QUOTA
        raise QuotaExhausted("the quota is spent", resets_at=stage.clock.now + timedelta(seconds=QUOTA))
    if kind == "outage":
        known.down_until = stage.now + chance.choice((20.0, 120.0, 600.0))
        raise Unavailable(f"{known.name} is down")
    if kind == "drop_before_commit" or (
        kind in ("html_page", "garbled") and (call != "write" or chance.random() < 0.5)
    ):
        raise _dropped(call, kind)
    if kind == "latency" and call != "write":
        stage.sleep(chance.uniform(0.2, LATENCY))
        return ""
    return kind


def _dropped(call: str, kind: str) -> Exception:
    if kind == "garbled":
        return ValueError("the connector stumbles")
    return UnknownOutcome("the connection broke") if call == "write" else Unavailable("the connection broke")
