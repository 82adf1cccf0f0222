"""The canary: a planted violation in every run. If it goes unnoticed, the harness proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from concordat.prove.scene import Scene, draw
from concordat.prove.target import Target

__all__ = ["CANARY", "with_canary"]

CANARY: Scene = draw(1, "calm", mix="A")


@contextmanager
def with_canary() -> Iterator[None]:
    """Until the block ends, every target makes each record twice."""
    real = Target._create  # noqa: SLF001 - the planted fault is the harness's own

    def twice(self: Target, intent: Any, *, drops: bool) -> Any:
        real(self, intent, drops=drops)
        return real(self, intent, drops=drops)

    Target._create = twice  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        Target._create = real  # type: ignore[method-assign]  # noqa: SLF001
