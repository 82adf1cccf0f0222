"""A handoff in business words: one sentence about where it stands, one about what happens next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concordat.engine.world import World

__all__ = ["Story", "in_words", "step_words", "system_title", "tell", "who"]

DONE = frozenset({"applied", "verified", "skipped", "superseded", "undone"})
NOTHING = "Nothing to do."
KINDS = {"undo": "Undo", "look": "Look before undo", "carry": "Carry over", "adopt": "Find"}
"""What is done with a step's object when it is not written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """Two sentences, and whether a person must act."""

    says: str
    next: str
    person: bool = False


def system_title(world: World, connection: str) -> str:
    """The product behind a connection, as people call it."""
    connector = world.connectors.get(connection)
    return connector.facts.title if connector else connection


def who(owner: str, world: World) -> str:
    """Who answers: a team in words, or the system in which somebody does it."""
    return system_title(world, owner) if owner in world.connectors else in_words(owner)


def in_words(code: str) -> str:
    """A code as words: `billing_terms` becomes `billing terms`."""
    return code.replace("_", " ").replace("-", " ")


def step_words(effect: Mapping[str, Any], world: World) -> str:
    """What a step does: `Project in Kantata`, `Availability at Workday`."""
    if effect["kind"] == "emit" or not effect["connection"]:
        return f"Announce: {in_words(effect['step'])}"
    thing = in_words(effect["object"]) or in_words(effect["step"])
    place = "at" if effect["kind"] == "check" else "in"
    item = f" ({effect['item']})" if effect["item"] else ""
    words = f"{_up(thing)} {place} {system_title(world, effect['connection'])}{item}"
    return f"{KINDS[effect['kind']]}: {words}" if effect["kind"] in KINDS else words


def tell(row: Mapping[str, Any], world: World) -> Story:
    """Say where it stands and what comes next. `row` is what `show_handoff` read."""
    teller: Callable[[Mapping[str, Any], World], Story] = _missing if row["missing"] else TELLERS[row["state"]]
    return teller(row, world)


def _missing(row: Mapping[str, Any], world: World) -> Story:
    missing: Sequence[Mapping[str, str]] = row["missing"]
    count = "One thing is" if len(missing) == 1 else f"{len(missing)} things are"
    owners: dict[str, list[str]] = {}
    for each in missing:
        owners.setdefault(each["owner"], []).append(each["field"])
    asked = "; ".join(_ask(owner, fields, world) for owner, fields in owners.items())
    return Story(
        says=f"{row['title']} cannot start. {count} missing.",
        next=f"{_up(asked)}. Then it goes on by itself.",
        person=True,
    )


def _ask(owner: str, fields: Sequence[str], world: World) -> str:
    """An owner is a system, where somebody fills it in, or a team."""
    if owner in world.connectors:
        return f"fill {_and(fields)} in {system_title(world, owner)}"
    return f"{in_words(owner)} fills {_and(fields)}"


def _waiting(row: Mapping[str, Any], world: World) -> Story:
    waits = [e for e in row["effects"] if e["state"] in ("pending", "in_doubt")]
    if not waits:
        return _asked(row)
    first = waits[0]
    words = step_words(first, world)
    others = f" {len(waits) - 1} more wait, too." if len(waits) > 1 else ""
    owner = f"{_up(in_words(first['owner']))} answers for it." if first["owner"] else "Nobody needs to act."
    return Story(
        says=f"{row['title']} waits at “{words}”: {first['waits_for']}.{others}",
        next=f"It is tried again by itself. {owner}",
        person=bool(first["owner"]),
    )


def _asked(row: Mapping[str, Any]) -> Story:
    case = next((c for c in row["cases"] if c["state"] != "resolved"), None)
    owner = (
        f"{_up(in_words(case['owner']))} decides in its case." if case else "It goes on by itself when that is there."
    )
    says = f"{row['title']} waits: {row['waits_for'] or 'a decision'}."
    return Story(says=says, next=owner, person=case is not None)


def _broken(row: Mapping[str, Any], world: World) -> Story:
    held = [e for e in row["effects"] if e["state"] == "held"]
    if not held:
        return _asked(row)
    first = held[0]
    case = next((c for c in row["cases"] if c["effect_id"] == first["id"] and c["state"] != "resolved"), None)
    owner = case["owner"] if case else first["owner"] or row["contract_owner"]
    why = first["error"] or first["waits_for"] or "it needs a decision"
    return Story(
        says=f"{row['title']} is stopped at “{step_words(first, world)}”: {why}.",
        next=f"{_up(in_words(owner))} mends it at the source, or replays from that step. The rest stands.",
        person=True,
    )


def _moving(row: Mapping[str, Any], world: World) -> Story:
    doubt = next((e for e in row["effects"] if e["state"] == "in_doubt"), None)
    if doubt:
        says = f"{row['title']}: “{step_words(doubt, world)}” was sent and got no certain answer."
        return Story(says=says, next="It is looked up there before anything else happens; nobody needs to act.")
    says = f"{row['title']} is on its way: {row['done']} of {row['effect_count']} steps are done."
    return Story(says=says, next="It goes on by itself.")


def _in_step(row: Mapping[str, Any], world: World) -> Story:
    systems = list(dict.fromkeys(e["connection"] for e in row["effects"] if e["ref"]))
    there = _and([system_title(world, name) for name in systems]) or "every system"
    late = [e for e in row["effects"] if e["state"] not in DONE]
    if late:
        words = step_words(late[0], world)
        return Story(says=f"{row['title']} is in step in {there}.", next=f"Still open and optional: “{words}”.")
    return Story(says=f"{row['title']} is in step in {there}.", next=NOTHING)


def _adopted(row: Mapping[str, Any], _world: World) -> Story:
    says = f"{row['title']} is older than this contract: it was found and compared, and nothing is written."
    return Story(says=says, next=NOTHING)


def _withdrawing(row: Mapping[str, Any], _world: World) -> Story:
    case = next((c for c in row["cases"] if c["state"] != "resolved"), None)
    owner = case["owner"] if case else row["contract_owner"]
    says = f"{row['title']} was withdrawn after it had started. What was not sent is not sent any more."
    return Story(says=says, next=f"{_up(in_words(owner))} decides what becomes of what stands.", person=True)


def _over(row: Mapping[str, Any], _world: World) -> Story:
    return Story(says=f"{row['title']} is {row['state']}.", next=NOTHING)


TELLERS: Mapping[str, Callable[[Mapping[str, Any], World], Story]] = {
    "planned": _moving,
    "converging": _moving,
    "waiting": _waiting,
    "partial": _broken,
    "in_step": _in_step,
    "adopted": _adopted,
    "withdrawing": _withdrawing,
    "withdrawn": _over,
    "cancelled": _over,
}


def _and(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _up(text: str) -> str:
    return text[:1].upper() + text[1:]
