"""What people decide about handoffs: late changes, steps to skip, handoffs to stop, what stays after a withdrawal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from concordat.core.states import IN_FLIGHT, PROPOSAL_MOVES, HandoffState, ProposalState
from concordat.errors import Invalid, NotFound
from concordat.store.database import Connection, json_text
from concordat.store.queries import QUERIES

__all__ = ["approve", "cancel", "decide_case", "decline", "list_proposals", "skip", "take_on"]

LAST = 2**62
ENDED = frozenset({HandoffState.WITHDRAWN, HandoffState.CANCELLED})


# ── proposals ─────────────────────────────────────────────────────────────────────────────────────


def list_proposals(conn: Connection, handoff: int | None = None, *, limit: int = 200) -> Sequence[Mapping[str, Any]]:
    """Late changes that wait for a person; with a handoff all of its, decided ones too."""
    if handoff is None:
        return conn.execute(QUERIES.proposal.list_open, {"limit": limit}).fetchall()
    return conn.execute(QUERIES.proposal.list_of, {"id": handoff}).fetchall()


def approve(conn: Connection, id_: int, *, person: str, reason: str = "") -> Mapping[str, Any]:
    """Agree to a late change: it is written. Raises `Invalid` for its author, and for one that is decided."""
    row = _open(conn, id_)
    if row["author"] and row["author"].casefold() == person.casefold():
        raise Invalid(f"{person} made this change at the source.", remedy="Somebody else approves it.")
    if row["effect_state"] in IN_FLIGHT:
        raise Invalid(f"{row['step']} is being written at this moment.", remedy="Try again shortly.")
    _decide(conn, row, "approved", person, reason)
    conn.execute(QUERIES.proposal.write, {"id": id_})
    conn.execute(QUERIES.handoff.derive_states, {"ids": [row["handoff_id"]]})
    return row


def decline(conn: Connection, id_: int, *, person: str, reason: str) -> Mapping[str, Any]:
    """Refuse a late change: the target keeps what it holds, until the source says something else again."""
    _said(reason)
    row = _open(conn, id_)
    _decide(conn, row, "declined", person, reason)
    conn.execute(QUERIES.proposal.put_back, {"id": id_})
    _again(conn, _locked(conn, row["handoff_id"]))
    conn.execute(QUERIES.handoff.derive_states, {"ids": [row["handoff_id"]]})
    return row


def _open(conn: Connection, id_: int) -> Mapping[str, Any]:
    """The proposal, its handoff locked first as every planner does."""
    known = conn.execute(QUERIES.proposal.find, {"id": id_}).fetchone() if 0 < id_ < LAST else None
    if known is None:
        raise NotFound(f"There is no proposal {id_}.", remedy="`concordat handoff proposals` shows the open ones.")
    conn.execute(QUERIES.page.lock_handoff, {"id": known["handoff_id"]})
    conn.execute(QUERIES.effect.lock_work, {"ids": [known["handoff_id"]]})
    row = conn.execute(QUERIES.proposal.find, {"id": id_}).fetchone() or known
    if not PROPOSAL_MOVES[ProposalState(row["state"])]:
        raise Invalid(f"Proposal {id_} is {row['state']}.", remedy="There is nothing left to decide about it.")
    return row


def _decide(
    conn: Connection, row: Mapping[str, Any], state: Literal["approved", "declined"], person: str, reason: str
) -> None:
    asked = {"id": row["id"], "state": state, "person": person, "reason": reason}
    conn.execute(QUERIES.proposal.decide, asked)
    says = f"{state} by {person}" + (f": {reason}" if reason else "")
    conn.execute(QUERIES.case.resolve_effects, {"effects": [row["effect_id"]], "resolution": says})
    change = {"step": row["step"], "item": row["item"], "changes": row["changes"], "reason": reason}
    _note(conn, row["unit"], person, f"proposal.{state}", f"proposal:{row['id']}", {"state": "open"}, change)


# ── steps and handoffs ────────────────────────────────────────────────────────────────────────────


def skip(conn: Connection, id_: int, *, step: str, item: str = "", person: str, reason: str) -> None:
    """Decide that a held or waiting step shall not happen. It stays skipped for this document; another asks again."""
    _said(reason)
    handoff = _locked(conn, id_)
    effects = conn.execute(QUERIES.page.stuck_effects, {"id": id_}).fetchall()
    known = [e for e in effects if (e["step"], e["item"]) == (step, item)]
    if not known:
        names = ", ".join(sorted({e["step"] for e in effects}))
        raise Invalid(f"This handoff has no step {step} {item}".rstrip() + ".", remedy=f"It has: {names}.")
    effect = known[0]
    done = conn.execute(QUERIES.proposal.skip, {"id": effect["id"], "person": person, "reason": reason}).fetchone()
    if done is None:
        raise Invalid(f"{step} is {effect['state']}.", remedy="Only what is held or waits can be skipped.")
    parameters = {"effects": [effect["id"]], "resolution": f"skipped by {person}: {reason}"}
    conn.execute(QUERIES.case.resolve_effects, parameters)
    _again(conn, handoff)
    conn.execute(QUERIES.handoff.derive_states, {"ids": [id_]})
    before, after = {"state": effect["state"]}, {"state": "skipped", "reason": reason}
    _note(conn, handoff["unit"], person, "handoff.skip", f"handoff:{id_}:{step}:{item}", before, after)


def cancel(conn: Connection, id_: int, *, person: str, reason: str) -> None:
    """Stop a handoff: what was not sent is not sent, what stands is left as it is. A replay starts it again."""
    _said(reason)
    handoff = _locked(conn, id_)
    if handoff["state"] in ENDED:
        raise Invalid(f"Handoff {id_} is {handoff['state']}.", remedy="There is nothing left to stop.")
    conn.execute(QUERIES.effect.lock_work, {"ids": [id_]})
    conn.execute(QUERIES.handoff.cancel, {"id": id_, "says": f"stopped by {person}: {reason}"})
    conn.execute(QUERIES.effect.supersede_unsent, {"handoffs": [id_]})
    conn.execute(QUERIES.handoff.stop_clocks, {"ids": [id_]})
    conn.execute(QUERIES.case.resolve_handoff, {"handoff": id_, "resolution": f"stopped by {person}: {reason}"})
    before, after = {"state": handoff["state"]}, {"state": "cancelled", "reason": reason}
    _note(conn, handoff["unit"], person, "handoff.cancel", f"handoff:{id_}", before, after)


def take_on(conn: Connection, id_: int, *, person: str, reason: str) -> None:
    """Write an adopted handoff from now on: its subject is not older than the contract any more, and a case says so."""
    _said(reason)
    handoff = _locked(conn, id_)
    open_ = conn.execute(QUERIES.page.cases_of_handoff, {"id": id_}).fetchall()
    if not any(case["kind"] == "adopted" and case["state"] != "resolved" for case in open_):
        why = f"Handoff {id_} is {handoff['state']}, and no case says that its subject is newer than its contract."
        raise Invalid(why, remedy="Only what was adopted and is not older any more can be taken on.")
    conn.execute(QUERIES.effect.lock_work, {"ids": [id_]})
    conn.execute(QUERIES.handoff.take_on, {"id": id_})
    parameters = {"handoffs": [id_], "kinds": ["adopted"], "resolution": f"taken on by {person}: {reason}"}
    conn.execute(QUERIES.case.resolve_handoffs, parameters)
    _again(conn, handoff)
    before, after = {"state": handoff["state"]}, {"state": "taken on", "reason": reason}
    _note(conn, handoff["unit"], person, "handoff.take-on", f"handoff:{id_}", before, after)


def decide_case(conn: Connection, id_: int, *, person: str, reason: str) -> Mapping[str, Any]:
    """Close a case about something that was withdrawn: somebody saw to it, or it stays as it is."""
    _said(reason)
    row = conn.execute(QUERIES.case.one, {"id": id_}).fetchone() if 0 < id_ < LAST else None
    if row is None:
        raise NotFound(f"There is no case {id_}.", remedy="`concordat case list` shows the open ones.")
    if row["state"] == "resolved" or row["kind"] not in ("withdrawn", "adopted", "disagreement"):
        why = "resolved already" if row["state"] == "resolved" else "not one that a word closes"
        raise Invalid(f"Case {id_} is {why}.", remedy="What it is about must be mended, replayed, skipped or approved.")
    conn.execute(QUERIES.case.decide, {"id": id_, "resolution": f"decided by {person}: {reason}"})
    if row["handoff_id"] is not None:
        handoff = _locked(conn, row["handoff_id"])
        conn.execute(QUERIES.undo.close, {"ids": [row["handoff_id"]]})
        _again(conn, handoff)
    _note(conn, row["unit"], person, "case.decide", f"case:{id_}", {"state": row["state"]}, {"reason": reason})
    return row


def _locked(conn: Connection, id_: int) -> Mapping[str, Any]:
    row = conn.execute(QUERIES.page.lock_handoff, {"id": id_}).fetchone() if 0 < id_ < LAST else None
    if row is None:
        raise NotFound(f"There is no handoff {id_}.", remedy="Search by any system's number instead.")
    return row


def _said(reason: str) -> None:
    if not reason.strip():
        raise Invalid("A decision needs a reason.", remedy="Say why in a sentence; it is kept with your name.")


def _again(conn: Connection, handoff: Mapping[str, Any]) -> None:
    conn.execute(
        QUERIES.page.mark_handoff,
        {
            "contract": handoff["contract"],
            "subject": handoff["subject_id"],
            "correlation_id": handoff["correlation_id"],
            "traceparent": handoff["traceparent"],
        },
    )


def _note(  # noqa: PLR0917 - a line of the audit
    conn: Connection,
    unit: str,
    person: str,
    act: str,
    object_: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> None:
    conn.execute(
        QUERIES.page.note,
        {
            "unit": unit,
            "person": person,
            "act": act,
            "object": object_,
            "before": json_text(before),
            "after": json_text(after),
        },
    )
