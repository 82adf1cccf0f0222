"""The strip of a contract's handoffs: in step, on their way, waiting, broken; by width, shade and pattern."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

__all__ = ["strip"]

LEAST = 2.5
"""Per cent that anything takes which is there at all."""


def strip(parts: Sequence[tuple[str, int]]) -> Markup:
    """Draw (tone, count) pairs side by side; nothing at all is an empty outline."""
    there = [(tone, many) for tone, many in parts if many > 0]
    whole = sum(many for _, many in there)
    shares = [max(many / whole * 100, LEAST) for _, many in there]
    scale = 100 / sum(shares) if shares else 1
    at, drawn = 0.0, Markup("")
    for (tone, _), share in zip(there, shares, strict=True):
        wide = share * scale
        drawn += Markup('<rect class="part tone-{0}" x="{1}%" width="{2}%" height="100%"/>').format(
            tone, round(at, 2), round(wide, 2)
        )
        drawn += _pattern(tone, at, wide)
        at += wide
    kind = "strip" if there else "strip empty"
    return Markup('<svg class="{0}" width="100%" height="14" aria-hidden="true">{1}</svg>').format(kind, drawn)


def _pattern(tone: str, at: float, wide: float) -> Markup:
    """A shape besides the colour: hatching for broken, dots for waiting."""
    if tone not in ("broken", "waiting"):
        return Markup("")
    fill = Markup('<rect fill="url(#{0})" x="{1}%" width="{2}%" height="100%"/>')
    return fill.format(f"pattern-{tone}", round(at, 2), round(wide, 2))
