"""The `/__twin` pages that every twin serves beside the vendor's paths; faults never touch them.

GET state/{object} · GET state · GET ledger?since=SEQ&object=O · GET|DELETE calls · POST seed {"object":
[records]} · POST do {"action": …} · GET|POST|DELETE faults[/{id}] · GET|POST clock {"advance": s} or {"at":
iso, "frozen": bool} · GET|POST|DELETE pushes {"url": …, "secret": …}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from concordat.twins.base import Twin
from concordat.twins.faults import BadFault
from concordat.twins.pushes import Hook
from concordat.twins.wire import Call, Reply

__all__ = ["PREFIX", "control", "seed"]

PREFIX = "/__twin/"
Page = Callable[[Twin, Call, str], Any]


def control(twin: Twin, call: Call) -> Reply:
    """Answer one `/__twin` call."""
    name, _, rest = call.path.removeprefix(PREFIX).partition("/")
    page = PAGES.get(f"{call.method} {name}")
    if page is None:
        return Reply({"error": f"no {call.method} {call.path}; there are: {', '.join(PAGES)}"}, 404)
    try:
        return Reply(page(twin, call, rest))
    except (BadFault, ValueError, TypeError, AttributeError, LookupError) as error:
        return Reply({"error": f"{type(error).__name__}: {error}"}, 422)


def seed(twin: Twin, said: Mapping[str, Any]) -> dict[str, int]:
    """Load records without the ledger: `{object: [fields, …]}`; `id` (or `Id`) gives the vendor's id."""
    counts = {}
    for object_, records in said.items():
        for fields in records:
            kept = twin.seeded(object_, dict(fields))
            ref = str(kept.get("id") or kept.get("Id") or twin.fresh(object_))
            twin.store.put(object_, ref, kept)
        counts[object_] = len(records)
    return counts


def _state(twin: Twin, _call: Call, rest: str) -> Any:
    if not rest:
        return {name: sum(1 for _ in twin.store.all(name)) for name in twin.store.objects()}
    return [{"id": record.ref, **record.fields} for record in twin.store.all(rest)]


def _ledger(twin: Twin, call: Call, _rest: str) -> Any:
    since, wanted = int(call.query.get("since", "0")), call.query.get("object")
    lines = twin.store.ledger[since:]
    return [line.as_json() for line in lines if wanted in {None, line.object}]


def _do(twin: Twin, call: Call, _rest: str) -> Any:
    said = call.json
    act = twin.actions.get(said["action"])
    if act is None:
        raise LookupError(f"no action {said['action']!r}; there are: {', '.join(sorted(twin.actions))}")
    return act(said)


def _unfault(twin: Twin, call: Call, rest: str) -> Any:
    wanted = rest or call.query.get("id")
    return {"deleted": twin.faults.remove(int(wanted) if wanted else None)}


def _clock(twin: Twin, call: Call, _rest: str) -> Any:
    said = call.json or {}
    if "advance" in said:
        twin.clock.move(timedelta(seconds=float(said["advance"])))
    if "at" in said:
        at = datetime.fromisoformat(said["at"])
        twin.clock.set(at if at.tzinfo else at.replace(tzinfo=UTC), frozen=bool(said.get("frozen")))
    elif said.get("frozen") is True:
        twin.clock.set(twin.clock.now(), frozen=True)
    elif said.get("frozen") is False:
        twin.clock.run()
    return {"now": twin.clock.now().isoformat().replace("+00:00", "Z")}


def _calls_cleared(twin: Twin, _call: Call, _rest: str) -> Any:
    twin.traffic.clear()
    return twin.traffic.as_json()


def _pushes(twin: Twin, _call: Call, _rest: str) -> Any:
    return {"hooks": [h.url for h in twin.pushes.hooks], "pushes": [d.as_json() for d in twin.pushes.log]}


def _hook(twin: Twin, call: Call, rest: str) -> Any:
    twin.pushes.hooks.append(Hook(call.json["url"], call.json.get("secret", "")))
    return _pushes(twin, call, rest)


def _unhook(twin: Twin, call: Call, rest: str) -> Any:
    twin.pushes.hooks.clear()
    return _pushes(twin, call, rest)


PAGES: Mapping[str, Page] = {
    "GET state": _state,
    "GET ledger": _ledger,
    "GET calls": lambda twin, _call, _rest: twin.traffic.as_json(),
    "DELETE calls": _calls_cleared,
    "POST seed": lambda twin, call, _rest: seed(twin, call.json),
    "POST do": _do,
    "GET faults": lambda twin, _call, _rest: [fault.as_json() for fault in twin.faults],
    "POST faults": lambda twin, call, _rest: [fault.as_json() for fault in twin.faults.load(call.json)],
    "DELETE faults": _unfault,
    "GET clock": _clock,
    "POST clock": _clock,
    "GET pushes": _pushes,
    "POST pushes": _hook,
    "DELETE pushes": _unhook,
}
