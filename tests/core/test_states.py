"""The tables of states: connected, closed, and what the docs draw."""

from __future__ import annotations

from pathlib import Path

import pytest

from concordat.core.states import (
    ALERTING,
    CASE_MOVES,
    EFFECT_MOVES,
    IN_FLIGHT,
    MET,
    OPEN,
    CaseState,
    EffectState,
    move,
)
from concordat.errors import IllegalMove

DOC = Path(__file__).parents[2] / "docs" / "explanation" / "engine.md"
E = EffectState


def diagram() -> str:
    """The table as a mermaid state diagram; moves onto itself are left out."""
    lines = ["stateDiagram-v2", "    [*] --> blocked", "    [*] --> ready"]
    for state in EffectState:
        lines += [f"    {state} --> {to}" for to in EffectState if to in EFFECT_MOVES[state] and to is not state]
    return "\n".join(lines)


def test_the_docs_draw_this_very_table() -> None:
    drawn = DOC.read_text().split("```mermaid\n")[1].split("\n```")[0]
    assert drawn == diagram()


def test_every_state_has_a_row_and_can_be_reached_from_the_start() -> None:
    assert EFFECT_MOVES.keys() == set(EffectState)
    reached, grown = {E.BLOCKED, E.READY}, True
    while grown:
        more = {to for state in reached for to in EFFECT_MOVES[state]} - reached
        reached, grown = reached | more, bool(more)
    assert reached == set(EffectState)


def test_no_state_is_a_dead_end() -> None:
    assert all(EFFECT_MOVES[state] - {state} for state in EffectState)


def test_what_is_on_its_way_is_never_superseded() -> None:
    assert all(E.SUPERSEDED not in EFFECT_MOVES[state] for state in IN_FLIGHT)


def test_done_is_never_superseded_either_only_changed_held_or_undone() -> None:
    assert all(E.SUPERSEDED not in EFFECT_MOVES[state] for state in (E.APPLIED, E.VERIFIED))


def test_only_a_look_up_or_a_claim_leads_out_of_doubt() -> None:
    assert EFFECT_MOVES[E.IN_DOUBT] == {E.APPLIED, E.VERIFIED, E.READY, E.HELD, E.IN_DOUBT}


def test_the_groups_fit_together() -> None:
    assert IN_FLIGHT < OPEN
    assert ALERTING < OPEN
    assert not MET & OPEN


@pytest.mark.parametrize("state", list(EffectState))
@pytest.mark.parametrize("to", list(EffectState))
def test_a_move_is_in_the_table_or_raises(state: EffectState, to: EffectState) -> None:
    if to in EFFECT_MOVES[state]:
        assert move(state, to) is to
    else:
        with pytest.raises(IllegalMove):
            move(state, to)


def test_a_case_can_always_be_worked() -> None:
    assert CASE_MOVES.keys() == set(CaseState)
    assert all(CASE_MOVES[state] for state in CaseState)
