"""A new plan against what exists: idempotent, never touching what is on its way, never deciding for a person."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from concordat.core.late import Change, Changes, Do, Existing, Late, compare
from concordat.core.plan import Desired
from concordat.core.states import EFFECT_MOVES, IN_FLIGHT, EffectState

E = EffectState
STEPS = st.sampled_from(["a", "b", "c", "d"])
DIGESTS = st.sampled_from(["1", "2", "3"])
WANTED = st.lists(
    st.builds(
        Desired,
        step=STEPS,
        kind=st.sampled_from(["put", "check", "emit"]),
        digest=DIGESTS,
        after=st.sampled_from([(), ("a",)]),
    ),
    unique_by=lambda d: d.step,
)
EXISTING = st.lists(
    st.builds(
        Existing,
        id=st.integers(1, 10**6),
        step=STEPS,
        item=st.just(""),
        digest=DIGESTS,
        state=st.sampled_from(sorted(set(E) - {E.UNDOING})),
        done=st.booleans(),
        holds=st.sampled_from(["", "1", "2"]),
    ),
    unique_by=(lambda e: e.step, lambda e: e.id),
)
DO: st.SearchStrategy[Do] = st.sampled_from(["converge", "hold", "ignore", "propose", "wait"])


def applied(existing: list[Existing], changes: Changes) -> list[Existing]:
    """What exists after these changes."""
    by_id = {c.id: c for c in changes.changed}
    kept = []
    for e in existing:
        change = by_id.get(e.id)
        if change is None:
            kept.append(e)
        else:
            digest = change.desired.digest if change.desired else e.digest
            done = (e.done or e.state in (E.APPLIED, E.VERIFIED)) and change.state is E.HELD
            asked = change.proposal.digest if change.proposal else "" if change.void else e.asked
            kept.append(replace(e, state=change.state, digest=digest, done=done, asked=asked))
    new = [
        Existing(id=10**7 + i, step=d.step, item=d.item, digest=d.digest, state=E.READY)
        for i, d in enumerate(changes.new)
    ]
    return kept + new


@given(WANTED, EXISTING, DO)
def test_comparing_again_finds_nothing(wanted: list[Desired], existing: list[Existing], do: Do) -> None:
    first = compare(wanted, existing, lambda _step: Late(do=do))
    second = compare(wanted, applied(existing, first), lambda _step: Late(do=do))
    assert (second.new, second.changed) == ((), ())


@given(WANTED, EXISTING, DO)
def test_what_is_on_its_way_is_left_alone_and_looked_at_again(
    wanted: list[Desired], existing: list[Existing], do: Do
) -> None:
    changes = compare(wanted, existing, lambda _step: Late(do=do))
    moving = {e.id for e in existing if e.state in IN_FLIGHT}
    assert not moving & {c.id for c in changes.changed}
    want = {d.step: d.digest for d in wanted}
    assert changes.again == any(e.id in moving and want.get(e.step) != e.digest for e in existing)


@given(WANTED, EXISTING, DO)
def test_every_move_is_in_the_table(wanted: list[Desired], existing: list[Existing], do: Do) -> None:
    by_id = {e.id: e for e in existing}
    for change in compare(wanted, existing, lambda _step: Late(do=do)).changed:
        assert change.state in EFFECT_MOVES[by_id[change.id].state]


@given(WANTED, EXISTING, st.sampled_from(["hold", "propose", "ignore"]))
def test_what_was_done_is_not_written_again_without_a_decision(
    wanted: list[Desired], existing: list[Existing], do: Do
) -> None:
    by_id = {e.id: e for e in existing}
    for change in compare(wanted, existing, lambda _step: Late(do=do)).changed:
        was = by_id[change.id]
        done = was.state in (E.APPLIED, E.VERIFIED) or (was.state is E.HELD and was.done)
        if done and change.desired and change.desired.kind == "put" and change.desired.digest != was.holds:
            assert change.state is E.HELD
            assert change.case


def test_a_change_back_to_what_the_target_holds_needs_no_decision() -> None:
    held = Existing(id=1, step="a", item="", digest="2", state=E.HELD, done=True, holds="1")
    wanted = Desired(step="a", kind="put", digest="1")
    (change,) = compare([wanted], [held], lambda _step: Late(do="hold")).changed
    assert change.state is E.READY


def test_an_event_is_never_ready_it_waits_for_its_steps() -> None:
    was = Existing(id=1, step="a", item="", digest="1", state=E.VERIFIED)
    (change,) = compare([Desired(step="a", kind="emit", digest="2")], [was], lambda _step: Late(do="hold")).changed
    assert change.state is E.BLOCKED


def put(digest: str, **fields: object) -> Desired:
    return Desired(step="a", kind="put", digest=digest, fields=fields)


def verified(digest: str = "1", **more: object) -> Existing:
    plain: dict[str, object] = {"id": 1, "step": "a", "item": "", "digest": digest, "state": E.VERIFIED, "done": True}
    return Existing(**{**plain, "holds": "1", **more})  # type: ignore[arg-type]


def changed(wanted: Desired, existing: Existing, late: Late) -> Change | None:
    found = compare([wanted], [existing], lambda _step: late).changed
    return found[0] if found else None


FIELDS = Late(do="converge", fields={"value": "propose", "note": "ignore"})


def test_each_field_has_its_own_reaction() -> None:
    existing = verified(document={"name": "A", "value": "1", "note": "x"})
    change = changed(put("2", name="B", value="2", note="y"), existing, FIELDS)
    assert change
    assert change.state is E.READY
    assert change.desired
    assert change.desired.fields == {"name": "B", "value": "1", "note": "x"}
    assert change.proposal
    assert change.proposal.fields == {"name": "B", "value": "2", "note": "x"}
    assert changed(put("3", name="A", value="1", note="y"), existing, FIELDS) is None
    only = changed(put("4", name="A", value="2", note="x"), existing, FIELDS)
    assert only
    assert (only.state, only.desired) == (E.HELD, None)


def test_what_was_declined_is_not_asked_again_and_the_next_document_is() -> None:
    late = Late(do="propose")
    declined = verified(declined=frozenset({"2"}))
    assert changed(put("2"), declined, late) is None
    asked = changed(put("3"), declined, late)
    assert asked
    assert asked.proposal


def test_a_proposal_is_void_when_the_source_takes_its_change_back() -> None:
    change = changed(put("1"), verified(state=E.HELD, asked="2"), Late(do="propose"))
    assert change
    assert (change.void, change.state) == (True, E.READY)


def test_a_skip_stays_for_its_document_and_the_next_one_asks() -> None:
    skipped = verified(state=E.SKIPPED, holds="")
    assert changed(put("1"), skipped, Late(do="converge")) is None
    change = changed(put("2"), skipped, Late(do="converge"))
    assert change
    assert (change.state, change.desired) == (E.HELD, None)
    assert change.proposal
    held = verified(state=E.HELD, holds="", asked="2", declined=frozenset({"1"}))
    back = changed(put("1"), held, Late(do="converge"))
    assert back
    assert back.state is E.SKIPPED


def test_what_was_approved_is_sent_before_the_next_is_asked() -> None:
    approved = verified("2", state=E.READY, approved=True)
    found = compare([put("3")], [approved], lambda _step: Late(do="propose"))
    assert (found.changed, found.again) == ((), True)
