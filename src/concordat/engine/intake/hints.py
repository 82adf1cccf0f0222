"""Hints read back in bulk. One reference that cannot be read is parted from its batch and ends as a case, alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concordat.core.settle import Next, reaction
from concordat.engine.alone import storable
from concordat.engine.breakers import gate, went
from concordat.engine.cases import open_cases
from concordat.engine.intake.records import Kept, bare, take_records, unfit
from concordat.engine.world import World, log
from concordat.errors import Missing, Unavailable, VendorError
from concordat.sdk.spec import CallContext, SourceRecord
from concordat.store.database import Connection
from concordat.store.queries import QUERIES
from concordat.telemetry import call_span

__all__ = ["HINTS", "TRIES", "read_hints"]

HINTS = 200
"""Most hints of one read."""
TRIES = 3
"""Reads of one reference that may fail, or find nothing, until it is a case."""
Row = Mapping[str, Any]


@dataclass(kw_only=True)
class _Read:
    """What reading one object's hints gave."""

    records: list[SourceRecord] = field(default_factory=list)
    read: list[Row] = field(default_factory=list)
    """Hints whose call was answered."""
    failed: list[tuple[Row, Exception]] = field(default_factory=list)
    """Hints that fail alone, and why."""
    down: tuple[list[Row], VendorError] | None = None
    """Hints that could not be asked for: the connection does not answer."""


def read_hints(world: World, connection: str) -> int:
    """Read back what was hinted for one connection; says how many hints were taken."""
    with world.db.engine() as conn:
        allowed = gate(conn, connection)
        if allowed.closed:
            return 0
        hints = conn.execute(QUERIES.intake.claim_hints, {"connection": connection, "limit": HINTS}).fetchall()
    by_object: dict[str, list[Row]] = defaultdict(list)
    for hint in hints:
        by_object[hint["object"]].append(hint)
    for object_, members in by_object.items():
        _read(world, connection, object_, members, failing=allowed.failing)
    return len(hints)


def _read(world: World, connection: str, object_: str, hints: Sequence[Row], *, failing: bool) -> None:
    """One object's hints: what failed alone before is asked for alone, so that it costs the others nothing."""
    found = _Read()
    healthy = [hint for hint in hints if not hint["failures"]]
    for batch in (healthy, *([hint] for hint in hints if hint["failures"])):
        if batch:
            _ask(world, connection, object_, batch, found)
    _keep(world, connection, object_, found, failing=failing)


def _ask(world: World, connection: str, object_: str, hints: Sequence[Row], found: _Read) -> None:
    """Read these; a batch that fails while its connection answers is halved until the culprit stands alone."""
    if found.down:
        found.down[0].extend(hints)
        return
    error = _fetched(world, connection, object_, hints, found)
    if error is None:
        return
    if isinstance(error, VendorError) and _is_down(world, connection, error):
        found.down = (list(hints), error)
    elif len(hints) == 1:
        found.failed.append((hints[0], error))
    else:
        half = len(hints) // 2
        _ask(world, connection, object_, hints[:half], found)
        _ask(world, connection, object_, hints[half:], found)


def _fetched(world: World, connection: str, object_: str, hints: Sequence[Row], found: _Read) -> Exception | None:
    first, refs = hints[0], [hint["ref"] for hint in hints]
    try:
        with call_span(connection, object_, "read", items=len(refs), parent=first["traceparent"]) as traceparent:
            ctx = CallContext(correlation_id=first["correlation_id"], traceparent=traceparent)
            found.records += world.connectors[connection].fetch_source(object_, refs, ctx)
    except Exception as error:  # noqa: BLE001 - a record that breaks its connector must not break the others
        log.warning("hint.failed", connection=connection, object=object_, refs=len(refs), error=repr(error)[:500])
        return error
    found.read += hints
    return None


def _is_down(world: World, connection: str, error: VendorError) -> bool:
    """Whether it is the connection and not one of the records: a limit, a credential, or no answer even to a ping."""
    row = reaction(error)
    if not isinstance(error, Unavailable):
        return row.trips or row.next in (Next.RETRY, Next.WAIT)
    try:
        world.connectors[connection].ping(CallContext(correlation_id="", timeout=10))
    except Exception:  # noqa: BLE001 - a ping that is not answered, for whatever reason
        return True
    return False


# ── keeping ───────────────────────────────────────────────────────────────────────────────────────


def _keep(world: World, connection: str, object_: str, found: _Read, *, failing: bool) -> None:
    with world.db.engine() as conn:
        if found.read:
            _keep_read(world, conn, connection, object_, found)
        for_later, cause = found.down or ((), None)
        if for_later:
            conn.execute(QUERIES.intake.postpone_hints, _places(connection, for_later))
        _give_up(world, conn, connection, found.failed)
        answered: list[VendorError | None] = [None] if found.read or found.failed else []
        went(conn, connection, [*answered, *([cause] if cause else [])], failing=failing or cause is not None)


def _keep_read(world: World, conn: Connection, connection: str, object_: str, found: _Read) -> None:
    """What came is kept and its hints end; what did not come is asked for again, and then is a case."""
    trace = {name: found.read[0][name] for name in ("correlation_id", "traceparent")}
    kept = take_records(world, conn, connection, found.records, **trace)
    came = {bare(connection, record.ref) for record in found.records if record.object == object_}
    here = [hint for hint in found.read if bare(connection, hint["ref"]) in came or not hint["told"]]
    ends = [_end(kept, (object_, bare(connection, hint["ref"]))) for hint in here]
    _drop(conn, connection, here, ends)
    absent = [hint for hint in found.read if bare(connection, hint["ref"]) not in came and hint["told"]]
    nothing = Missing(f"{connection} shows no such {object_}")
    _give_up(world, conn, connection, [(hint, nothing) for hint in absent])


def _end(kept: Kept, place: tuple[str, str]) -> str:
    if place in kept.unfit:
        return "case"
    return "applied" if place in kept.changed else "superseded"


def _drop(conn: Connection, connection: str, hints: Sequence[Row], ends: Sequence[str]) -> None:
    if hints:
        hinted = [hint["hinted_at"] for hint in hints]
        conn.execute(QUERIES.intake.drop_hints, {**_places(connection, hints), "hinted": hinted, "ends": list(ends)})


def _give_up(world: World, conn: Connection, connection: str, failed: Sequence[tuple[Row, Exception]]) -> None:
    """Try again soon; the last try is a case, after which it is tried seldom: its source may be mended in silence."""
    if not failed:
        return
    hints = [hint for hint, _ in failed]
    conn.execute(QUERIES.intake.fail_hints, {**_places(connection, hints), "tries": TRIES})
    last = [(hint, error) for hint, error in failed if hint["failures"] + 1 >= TRIES]
    if last:
        open_cases(conn, [_case(world, conn, connection, hint, error) for hint, error in last])


def _case(world: World, conn: Connection, connection: str, hint: Row, error: Exception) -> Any:
    says = str(error) if isinstance(error, VendorError) else f"{type(error).__name__}: {error}"
    tries = {"tries": hint["failures"] + 1, "class": type(error).__name__}
    return unfit(
        world, conn, connection, (hint["object"], hint["ref"]), f"it cannot be read: {storable(says)}", **tries
    )


def _places(connection: str, hints: Sequence[Row]) -> dict[str, Any]:
    return {
        "connection": connection,
        "objects": [hint["object"] for hint in hints],
        "refs": [hint["ref"] for hint in hints],
    }
