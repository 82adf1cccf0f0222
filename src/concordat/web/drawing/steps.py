"""A contract's steps as a picture: from left to right in the order in which they can happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

__all__ = ["Box", "steps_picture"]

WIDE, TALL, GAP, STEP = 216, 58, 48, 74
LETTERS = 29
"""How many letters fit a box's line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """One step as it is drawn."""

    name: str
    title: str
    under: str
    after: tuple[str, ...] = ()
    optional: bool = False
    kind: str = "put"


def steps_picture(boxes: Sequence[Box], *, label: str) -> Markup:
    """Draw the graph in columns: a step stands right of all that it waits for."""
    columns = _columns(boxes)
    tallest = max((len(column) for column in columns), default=1)
    places: dict[str, tuple[int, int]] = {}
    for x, column in enumerate(columns):
        lead = (tallest - len(column)) * STEP // 2
        for y, box in enumerate(column):
            places[box.name] = (4 + x * (WIDE + GAP), 4 + lead + y * STEP)
    wide = len(columns) * (WIDE + GAP) - GAP + 8
    tall = tallest * STEP - (STEP - TALL) + 8
    edges = [_edge(places[name], places[box.name]) for box in boxes for name in box.after if name in places]
    drawn = Markup("").join([*edges, *(_box(box, places[box.name]) for box in boxes)])
    return Markup(
        '<svg class="steps-picture" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img"'
        ' aria-label="{2}">{3}</svg>'
    ).format(wide, tall, label, drawn)


def _columns(boxes: Sequence[Box]) -> list[list[Box]]:
    depth: dict[str, int] = {}
    known = {box.name for box in boxes}
    for box in boxes:
        depth[box.name] = 1 + max((depth.get(name, 0) for name in box.after if name in known), default=-1)
    columns: list[list[Box]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for box in boxes:
        columns[depth[box.name]].append(box)
    return columns


def _edge(left: tuple[int, int], right: tuple[int, int]) -> Markup:
    x1, y1, x2, y2 = left[0] + WIDE, left[1] + TALL // 2, right[0] - 7, right[1] + TALL // 2
    bend = min(GAP, (x2 - x1) // 2 + 1)
    return Markup(
        '<path class="edge" d="M{0} {1}C{2} {1} {3} {4} {5} {4}"/><path class="tip" d="M{5} {6}l7 4-7 4z"/>'
    ).format(x1, y1, x1 + bend, x2 - bend, y2, x2, y2 - 4)


def _box(box: Box, place: tuple[int, int]) -> Markup:
    x, y = place
    kind = " optional" if box.optional else ""
    return Markup(
        '<g class="box kind-{0}{1}"><title>{2}: {3}</title>'
        '<rect x="{4}" y="{5}" width="{6}" height="{7}" rx="7"/>'
        '<text class="box-title" x="{8}" y="{9}">{10}</text><text class="box-under" x="{8}" y="{11}">{12}</text></g>'
    ).format(
        box.kind, kind, box.title, box.under, x, y, WIDE, TALL,
        x + 12, y + 24, _fit(box.title), y + 43, _fit(box.under),
    )  # fmt: skip


def _fit(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
