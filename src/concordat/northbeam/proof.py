"""What the demo promises, verified from outside: each twin's own books against what the firm's API says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concordat.northbeam.board import CONTRACT
from concordat.northbeam.deals import Deal, Part, Plot
from concordat.northbeam.outside import Api, Books, Twin

__all__ = ["KEPT", "Seen", "Shown", "prove"]

Row = Mapping[str, Any]
Promise = dict[str, Any]
KEPT: Mapping[str, Mapping[str, str]] = {
    "psa": {"project": "workspaces"},
    "erp": {"client": "customer", "project": "job"},
    "documents": {"workspace": "driveItems"},
    "chat": {"channel": "channels"},
}
"""Connection to canonical object to the twin's word for it, in `/__twin/state` and in the ledger."""
STEPS: Mapping[str, tuple[str, str]] = {
    "client_in_erp": ("erp", "client"),
    "project_in_psa": ("psa", "project"),
    "project_in_erp": ("erp", "project"),
    "workspace": ("documents", "workspace"),
    "channel": ("chat", "channel"),
}
"""Step of the contract to what it makes where."""
SEVERAL_CALLS: frozenset[tuple[str, str]] = frozenset({("chat", "channel")})
"""Where one effect takes several calls, each with its own change: Slack takes name, purpose and topic one by one."""


@dataclass(kw_only=True, slots=True)
class Shown:
    """What could only be seen while it happened."""

    seeded: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """Ids that were there before, by connection and the twin's object."""
    waited: list[Row] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)
    lost: bool = False
    """The PSA's answer was lost indeed."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One look at everything, after the last deal is in step."""

    handoffs: Sequence[Row]
    state: Mapping[tuple[str, str], Sequence[Row]]
    """By connection and canonical object; what was there before is left out."""
    ledger: Mapping[tuple[str, str], Sequence[Row]]
    written: Mapping[str, Sequence[Row]]
    """The whole ledger of each twin."""
    pushes: Sequence[Row]

    @classmethod
    def of(
        cls,
        api: Api,
        twins: Mapping[str, Twin],
        real: Mapping[str, Books],
        *,
        seeded: Mapping[str, Mapping[str, set[str]]],
    ) -> Seen:
        """Ask everybody once: twins, and the real systems beside them."""
        books: Mapping[str, Books] = {**twins, **real}
        written = {name: lines for name, book in books.items() if (lines := book.ledger()) is not None}
        kept = [
            (name, object_, word) for name, words in KEPT.items() if name in books for object_, word in words.items()
        ]
        return cls(
            handoffs=[api.handoff(handoff["id"]) for handoff in api.handoffs()],
            state={
                (name, object_): [
                    row for row in books[name].state(word) if str(row["id"]) not in seeded[name].get(word, ())
                ]
                for name, object_, word in kept
            },
            ledger={
                (name, object_): [line for line in written[name] if line["object"] == word]
                for name, object_, word in kept
                if name in written
            },
            written=written,
            pushes=twins["crm"].pushes(),
        )

    def deal(self, deal: Deal) -> Row:
        """Give the handoff of one deal."""
        return next(h for h in self.handoffs if h["contract"] == CONTRACT and h["subject"]["ref"] == deal.id)

    def effects(self) -> Iterator[Row]:
        """Give every step of every handoff that made or changed something in a target."""
        for handoff in self.handoffs:
            yield from (step for step in handoff["steps"] if step["kind"] == "put")

    def counts(self, plot: Plot) -> dict[str, Any]:
        """Give the numbers of the report."""
        made = {f"{name}.{object_}": len(rows) for (name, object_), rows in self.state.items()}
        lines = {f"{name}.{object_}": len(lines) for (name, object_), lines in self.ledger.items()}
        return {
            "deals": len(plot.won),
            "clients": len(plot.clients),
            "handoffs": dict(Counter(h["state"] for h in self.handoffs)),
            "made": made,
            "ledger": lines,
            "effects": sum(1 for _ in self.effects()),
            "pushes": len(self.pushes),
        }


def prove(plot: Plot, seen: Seen, shown: Shown, *, tripled: Sequence[str]) -> list[Promise]:
    """Hold every promise against the books; each with its evidence in one line."""
    proofs: Sequence[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("Every deal is in step", lambda: _in_step(plot, seen)),
        ("One client per client, one project, job, workspace and channel per deal", lambda: _one_each(plot, seen)),
        ("What a target holds is what the firm says it holds, and nothing besides", lambda: _same_refs(seen)),
        ("Ledger writes equal effects", lambda: _ledger(seen)),
        ("Nothing is there twice", lambda: _no_twins(seen)),
        ("A deal from before the contracts is found and compared, never written", lambda: _adopted(plot, seen)),
        ("A push that comes three times makes one of everything", lambda: _tripled(seen, tripled)),
        ("A lost answer is looked up, never repeated", lambda: _lost(plot, seen, shown)),
        (
            "What waits for HR shows its reason, owner and due time, and completes by itself",
            lambda: _waited(plot, seen, shown),
        ),
        (
            "A deal that lacks fields names all of them with their owners, and proceeds when they are filled",
            lambda: _filled(plot, seen, shown),
        ),
    ]
    return [{"name": name, "holds": holds, "evidence": says} for name, (holds, says) in ((n, p()) for n, p in proofs)]


def _in_step(plot: Plot, seen: Seen) -> tuple[bool, str]:
    states = Counter(handoff["state"] for handoff in seen.handoffs)
    won = [seen.deal(deal)["state"] for deal in plot.won]
    good = set(won) == {"in_step"} and set(states) <= {"in_step", "adopted"}
    return good, f"{len(won)} deals won; handoffs by state: {_told(states)}"


def _one_each(plot: Plot, seen: Seen) -> tuple[bool, str]:
    expected = {place: len(plot.clients) if place[1] == "client" else len(plot.won) for place in STEPS.values()}
    found = {place: len(rows) for place, rows in seen.state.items() if place in expected}
    says = ", ".join(f"{c} {o} {found[c, o]} of {expected[c, o]}" for c, o in found)
    names = Counter(row["title"] for row in seen.state["psa", "project"])
    return found == {place: expected[place] for place in found} and set(names.values()) == {1}, says


def _same_refs(seen: Seen) -> tuple[bool, str]:
    wrong = []
    for place, rows in seen.state.items():
        ours = {_bare(step["ref"]) for step in seen.effects() if (step["connection"], step["object"]) == place}
        theirs = {str(row["id"]) for row in rows}
        wrong += [f"{place[0]} {place[1]} {ref}" for ref in sorted(ours ^ theirs)]
    return not wrong, f"differences: {', '.join(wrong[:8]) or 'none'}"


def _ledger(seen: Seen) -> tuple[bool, str]:
    found = {place: _applied(seen, place, lines) for place, lines in seen.ledger.items()}
    says = ", ".join(f"{c} {o} {told}" for (c, o), (_, told) in found.items())
    return all(good for good, _ in found.values()), says


def _applied(seen: Seen, place: tuple[str, str], lines: Sequence[Row]) -> tuple[bool, str]:
    """Hold what the firm says it applied against a twin's ledger: one write an effect, or several calls, none twice."""
    said = _generations(seen, place)
    if place not in SEVERAL_CALLS:
        return len(lines) == sum(said.values()), f"{len(lines)} written, {sum(said.values())} applied"
    times = Counter((str(line["ref"]), str(line["operation"])) for line in lines)
    made = {ref for ref, operation in times if operation == "create"}
    once = all(said.get(ref, 0) >= n and (operation != "create" or n == 1) for (ref, operation), n in times.items())
    return once and made == {
        ref for ref, count in said.items() if count
    }, f"{sum(said.values())} applied in {len(lines)} calls, none of them twice"


def _generations(seen: Seen, place: tuple[str, str]) -> dict[str, int]:
    """Count the writes that the firm says were applied, by id; handoffs that share a target object share its writes."""
    by_object: dict[str, int] = {}
    for step in seen.effects():
        if (step["connection"], step["object"]) == place:
            ref = _bare(step["ref"])
            by_object[ref] = max(by_object.get(ref, 0), int(step["generation"]))
    return by_object


def _no_twins(seen: Seen) -> tuple[bool, str]:
    created = Counter(
        (name, line["object"], line["key"])
        for name, lines in seen.written.items()
        for line in lines
        if line["operation"] in {"create", "upsert", "insert"}
    )
    twice = [key for key, times in created.items() if times > 1]
    return not twice, f"{len(created)} things made, made twice: {twice or 'none'}"


def _adopted(plot: Plot, seen: Seen) -> tuple[bool, str]:
    (deal,) = plot.of(Part.BEFORE)
    steps = seen.deal(deal)["steps"]
    refs = {_bare(step["ref"]) for step in steps if step["ref"]}
    lines = [
        line for lines in seen.written.values() for line in lines if line["ref"] in refs or deal.number in line["key"]
    ]
    writes = [attempt for step in steps for attempt in step["attempts"] if attempt["act"] == "write"]
    linked = [step["step"] for step in steps if step["ref"]]
    good = seen.deal(deal)["state"] == "adopted" and not lines and not writes
    return (
        good,
        f"{deal.number} adopted; linked: {', '.join(linked) or 'nothing found'}; writes: {len(lines) + len(writes)}",
    )


def _tripled(seen: Seen, tripled: Sequence[str]) -> tuple[bool, str]:
    sent = {
        id_: sum(id_ in push["body"] and push["status"] in range(200, 300) for push in seen.pushes) for id_ in tripled
    }
    return all(times >= 3 for times in sent.values()), f"deliveries per deal: {sorted(sent.values())}"


def _lost(plot: Plot, seen: Seen, shown: Shown) -> tuple[bool, str]:
    (deal,) = plot.of(Part.LOST)
    step = next(step for step in seen.deal(deal)["steps"] if step["step"] == "project_in_psa")
    lines = [line for line in seen.ledger["psa", "project"] if line["ref"] == _bare(step["ref"])]
    made = [line for line in lines if line["operation"] == "create"]
    acts = [f"{a['act']} {a['outcome']}" for a in step["attempts"]]
    good = shown.lost and len(made) == 1 and step["state"] == "verified"
    return good, f"{deal.number}: {', '.join(acts)}; committed creates: {len(made)}"


def _waited(plot: Plot, seen: Seen, shown: Shown) -> tuple[bool, str]:
    struck = plot.of(Part.OUTAGE)
    steps = [s for deal in struck for s in seen.deal(deal)["steps"] if s["step"] == "staffing"]
    told = [w for w in shown.waited if w["waits_for"] and w["owner"] and w["due_at"]]
    good = len(told) == len(struck) and all(step["state"] == "verified" for step in steps)
    first = told[0] if told else {"waits_for": "nothing", "owner": "nobody"}
    return good, f"{len(told)} of {len(struck)} waited: {first['waits_for']}, owner {first['owner']}; all done since"


def _filled(plot: Plot, seen: Seen, shown: Shown) -> tuple[bool, str]:
    (deal,) = plot.of(Part.INCOMPLETE)
    named = sorted(f"{missing['field']} ({missing['owner']})" for missing in shown.missing)
    state = seen.deal(deal)["state"]
    return len(named) == len(
        plot.filled
    ) and state == "in_step", f"{deal.number} lacked {', '.join(named)}; now {state}"


def _bare(ref: str | None) -> str:
    return (ref or "").rpartition(":")[2]


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {times}" for word, times in sorted(counts.items()))
