"""The seam: Workday as the engine sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from concordat.connectors.workday import availability
from concordat.connectors.workday.desk import Desk, Row
from concordat.connectors.workday.facts import AVAILABILITY, FACTS, OVERLAP, WorkdaySettings
from concordat.connectors.workday.workers import managers_first, moment, worker
from concordat.errors import Rejected, ResyncRequired, VendorError
from concordat.sdk.records import each
from concordat.sdk.serving import parts
from concordat.sdk.spec import (
    Answer,
    CallContext,
    ChangePage,
    JsonObject,
    Observed,
    Push,
    SourceRecord,
    WriteIntent,
    WriteResult,
)
from concordat.sdk.timing import left, timed

__all__ = ["WorkdayConnector", "connect"]

Needs = list[availability.Need]
FAR = "2999-01-01T00:00:00.000Z"
REFS = 100
"""Workers in one prompt: they travel in the address."""
NOBODY = "is not a valid ID value"
"""What Workday says of an id that is nobody's (src: errdex.pages.dev, invalid-id-value-reference-type)."""


def connect(settings: WorkdaySettings, *, connection: str) -> WorkdayConnector:
    """Make a connector; the first call opens the first socket."""
    return WorkdayConnector(settings, connection)


class WorkdayConnector:
    """One connection to one tenant. It only reads."""

    def __init__(self, settings: WorkdaySettings, connection: str) -> None:
        self.facts = FACTS
        self._settings = settings
        self._connection = connection
        self._desk = Desk(settings, connection)

    def ping(self, ctx: CallContext) -> None:
        """Run the workers' report for nobody."""
        self._desk.run(ctx, self._settings.workers_report, {"Updated_From": FAR})

    def close(self) -> None:
        """Release sockets."""
        self._desk.close()

    # -- source ----------------------------------------------------------------------------------

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """Workers entered, changed or come into force since the cursor: one report, one page.

        The cursor is the latest moment of entry seen; it never comes from our clock.
        """
        _only_workers(object_)
        since = _moment(cursor)
        prompts = {"Updated_From": _text(since - OVERLAP)} if since else {}
        records = self._workers(self._desk.run(ctx, self._settings.workers_report, prompts))
        seen = [record.changed_at for record in records if record.changed_at]
        last = max([*seen, *([since] if since else [])], default=None)
        return ChangePage(records=records, cursor=_text(last) if last else "")

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """Present state of these workers."""
        _only_workers(object_)
        wanted = list(dict.fromkeys(ref.removeprefix(f"{self._connection}:") for ref in refs))
        ctx = timed(ctx)
        rows = [row for part in parts(wanted, REFS) for row in self._named(part, ctx)]
        return [record for record in self._workers(rows) if record.ref in wanted]

    def _named(self, refs: list[str], ctx: CallContext) -> list[Row]:
        """Read these workers; Workday refuses all of them for one id that is nobody's, so the rest is asked apart."""
        try:
            return self._desk.run(left(ctx), self._settings.workers_report, {"Workers!Employee_ID": "!".join(refs)})
        except Rejected as error:
            if NOBODY not in error.message:
                raise
        half = len(refs) // 2
        return [*self._named(refs[:half], ctx), *self._named(refs[half:], ctx)] if half else []

    def _workers(self, rows: Sequence[Row]) -> list[SourceRecord]:
        made = each(
            rows,
            lambda row: worker(row, self._settings, self._connection),
            object_="worker",
            ref=lambda row: row["Employee_ID"],
        )
        return managers_first(made)

    # -- questions -------------------------------------------------------------------------------

    def ask(self, question: str, questions: Sequence[JsonObject], ctx: CallContext) -> Sequence[Answer]:
        """Answer how many are free for all questions from one run of the report (more when the dates are far apart).

        A question that cannot be read fails alone; a report that cannot be had fails the call.
        """
        if question != AVAILABILITY:
            raise Rejected(f"Workday is not asked {question!r}.")
        read = [_read(one) for one in questions]
        asked = [need for needs in read if isinstance(needs, list) for need in needs]
        pool = availability.by_role(self._weeks(asked, ctx))
        return [
            availability.answer(needs, pool) if isinstance(needs, list) else Answer(met=False, error=needs)
            for needs in read
        ]

    def _weeks(self, asked: Needs, ctx: CallContext) -> list[availability.Week]:
        span = availability.window(asked)
        if span is None:
            return []
        report = self._settings.availability_report
        cuts = availability.slices(*span, self._settings.slice_weeks)
        prompts = [{"From_Date": start.isoformat(), "To_Date": end.isoformat()} for start, end in cuts]
        rows = self._desk.run_all(ctx, report, prompts)
        return [availability.Week.of(row, report) for row in rows]

    # -- what Workday is not used for ------------------------------------------------------------

    def write(self, intents: Sequence[WriteIntent], _ctx: CallContext) -> Sequence[WriteResult]:
        """Refuse: Workday is read only."""
        return [WriteResult(error=Rejected("Workday is read, never written.")) for _ in intents]

    def find(self, _object: str, _keys: Sequence[str], _ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Find nothing: nothing of ours is there."""
        return {}

    def match(self, _object: str, _fields: JsonObject, _ctx: CallContext) -> Sequence[Observed]:
        """Match nothing."""
        return []

    def fetch(self, _object: str, _refs: Sequence[str], _ctx: CallContext) -> Sequence[Observed]:
        """Read nothing back."""
        return []

    def decode_push(self, _headers: Mapping[str, str], _body: bytes, _now: datetime) -> Push:
        """Refuse: Workday sends no webhooks."""
        raise Rejected("Workday sends no webhooks.")


def _read(question: JsonObject) -> Needs | VendorError:
    try:
        return availability.needs(question)
    except Rejected as error:
        return error


def _only_workers(object_: str) -> None:
    if object_ not in FACTS.sources:
        raise Rejected(f"Workday does not serve {object_!r} here; it serves: {', '.join(FACTS.sources)}.")


def _moment(cursor: str | None) -> datetime | None:
    try:
        return moment(cursor) if cursor else None
    except Rejected as error:
        raise ResyncRequired(f"{cursor!r} is no cursor of Workday's.") from error


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
