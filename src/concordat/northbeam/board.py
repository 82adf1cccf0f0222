"""How the deals stand, as the firm's API tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from concordat.northbeam.deals import Deal, Part, Plot
from concordat.northbeam.outside import Away
from concordat.northbeam.process import Up

__all__ = ["CONTRACT", "Board"]

CONTRACT = "opportunity-to-project"
Row = Mapping[str, Any]


class Board:
    """The last answer of the API about every handoff; what did not change is not asked for again."""

    def __init__(self) -> None:
        self._wholes: dict[int, Row] = {}
        self._deals: dict[str, int] = {}
        self._trouble = ""

    def read(self, up: Up) -> bool:
        """Read what changed; False while nobody answers."""
        try:
            for handoff in up.api.handoffs():
                known = self._wholes.get(handoff["id"])
                if known is None or known["state"] not in AT_REST or handoff["state"] != known["state"]:
                    self._wholes[handoff["id"]] = up.api.handoff(handoff["id"])
                if handoff["contract"] == CONTRACT:
                    self._deals[handoff["subject"]["ref"]] = handoff["id"]
        except Away as trouble:
            self._trouble = str(trouble)
            return False
        self._trouble = ""
        return True

    def whole(self, deal: str) -> Row | None:
        """Give a deal's handoff, by the CRM's id."""
        return self._wholes.get(self._deals.get(deal, 0))

    def step(self, deal: str, name: str) -> Row | None:
        """Give one step of a deal."""
        return next((step for step in self.steps(deal) if step["step"] == name), None)

    def steps(self, deal: str) -> Iterator[Row]:
        """Give the steps of a deal."""
        whole = self.whole(deal)
        yield from whole["steps"] if whole else ()

    def settled(self, plot: Plot) -> bool:
        """Whether every deal is where it must end, and nothing else is on its way."""
        return all(self._there(deal) for deal in plot.deals) and not self._moving()

    def open_ones(self, plot: Plot) -> str:
        """Name what is not where it must end, and why."""
        deals = [deal for deal in plot.deals if not self._there(deal)]
        said = [self._trouble] if self._trouble else []
        said += [f"{deal.number} {self._why(deal.id)}" for deal in deals]
        said += [f"{w['contract']} {w['title']} {w['state']} {w['waits_for']}".rstrip() for w in self._moving()]
        return "; ".join(said[:8]) or "nothing"

    def _there(self, deal: Deal) -> bool:
        whole = self.whole(deal.id)
        return whole is not None and whole["state"] == ("adopted" if deal.part is Part.BEFORE else "in_step")

    def _why(self, deal: str) -> str:
        whole = self.whole(deal)
        if whole is None:
            return "has no handoff"
        steps = [f"{s['step']} {s['state']} {s['waits_for'] or s['error']}".strip() for s in whole["steps"]]
        rest = [step for step in steps if not step.endswith((" verified", " applied"))]
        return f"{whole['state']} ({', '.join(rest)})"

    def _moving(self) -> list[Row]:
        return [w for w in self._wholes.values() if w["contract"] != CONTRACT and w["state"] not in AT_REST]


AT_REST = frozenset({"in_step", "adopted", "withdrawn", "cancelled"})
