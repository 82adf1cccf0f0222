"""The seam: Kantata as the engine sees it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from concordat.connectors.kantata import feed, lines, projects
from concordat.connectors.kantata.desk import Desk, Row, Sheet, timed
from concordat.connectors.kantata.facts import COLLECTIONS, FACTS, READ_BATCH, SERVICE, KantataSettings
from concordat.connectors.kantata.groups import Groups
from concordat.connectors.kantata.lines import Lines
from concordat.connectors.kantata.projects import Projects
from concordat.connectors.kantata.values import hours, reference
from concordat.core.undo import USAGE
from concordat.errors import AmbiguousKey, Missing, Rejected, VendorError
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

__all__ = ["KantataConnector", "connect"]

Found = tuple[Sheet, Row]
INCLUDE: Mapping[str, Mapping[str, str]] = {"project": projects.INCLUDE, "contract_line": lines.INCLUDE}


ALWAYS: Mapping[str, frozenset[str]] = {
    "project": frozenset({"name", "status", "currency"}),
    "contract_line": frozenset({"name", "project"}),
}
"""Fields that cannot be emptied."""


def connect(settings: KantataSettings, *, connection: str) -> KantataConnector:
    """Make a connector; the first call opens the first socket."""
    return KantataConnector(settings, connection)


class KantataConnector:
    """One connection to one account."""

    def __init__(self, settings: KantataSettings, connection: str) -> None:
        self.facts = FACTS
        self._settings = settings
        self._desk = Desk(settings, connection)
        self._groups = Groups(self._desk)
        self._projects = Projects(self._desk, self._groups)
        self._lines = Lines(self._desk)

    def ping(self, ctx: CallContext) -> None:
        """Read who we are."""
        self._desk.me(timed(ctx))

    def close(self) -> None:
        """Release sockets."""
        self._desk.close()

    # -- source ----------------------------------------------------------------------------------

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """Projects changed since the cursor, oldest first; a sweep begins with an overlap."""
        _known(object_, FACTS.sources)
        return feed.changes(self._desk, self._projects, cursor, timed(ctx))

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """Present state of these projects."""
        _known(object_, FACTS.sources)
        return feed.source_records(self._projects, list(self._by_id(object_, refs, timed(ctx))))

    # -- target ----------------------------------------------------------------------------------

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Look, then create or change; one object per call."""
        clocked = timed(ctx)
        return [self._written(intent, clocked) for intent in intents]

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Look up by external reference, and what that misses by the custom field."""
        found: dict[str, list[Observed]] = defaultdict(list)
        for sheet, row in self._by_key(object_, record_keys, timed(ctx)):
            observed = self._kind(object_).observed(sheet, row)
            if observed.record_key in record_keys:
                found[observed.record_key].append(observed)
        return {key: sorted(rows, key=lambda o: int(o.ref)) for key, rows in found.items()}

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Give what has the same title, case aside, and the same client or project; its key says whose it is."""
        name = str(fields.get("name") or "").strip()
        project = reference(fields.get("project"), "project")
        if not name or (object_ == "contract_line" and not project):
            return []
        narrow = {"matching": name} if object_ == "project" else {"workspace_id": project}
        kind = self._kind(object_)
        pages = self._desk.all(timed(ctx), COLLECTIONS[object_], {**INCLUDE[object_], **narrow})
        seen = [kind.observed(sheet, row) for sheet in pages for row in sheet.rows]
        return [observed for observed in seen if _alike(fields, observed.fields)]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read by id, archived ones, too; this never lags."""
        kind = self._kind(object_)
        return [kind.observed(sheet, row) for sheet, row in self._by_id(object_, refs, timed(ctx))]

    def ask(self, question: str, questions: Sequence[JsonObject], ctx: CallContext) -> Sequence[Answer]:
        """Say of projects whether time was put on them, and how much of it (src: OpenAPI, GET /time_entries)."""
        if question != USAGE:
            raise Rejected(f"Kantata is not asked {question!r}.")
        clocked = timed(ctx)
        return [self._usage(asked, clocked) for asked in questions]

    def _usage(self, asked: JsonObject, ctx: CallContext) -> Answer:
        ref = str(asked.get("ref") or "")
        if asked.get("object") != "project" or not ref.isdigit():
            return Answer(met=False, says=f"Kantata knows the time of projects, not of {asked.get('object')!r}.")
        sheet = self._desk.read(ctx, "time_entries", {"workspace_id": ref})
        minutes = sum(int(row.get("time_in_minutes") or 0) for row in sheet.rows)
        detail = {"has_time": bool(sheet.rows)}
        return Answer(met=True, detail=detail if sheet.pages > 1 else {**detail, "hours": hours(minutes)})

    # -- what Kantata does not do ------------------------------------------------------------------

    def decode_push(self, _headers: Mapping[str, str], _body: bytes, _now: datetime) -> Push:
        """Refuse: Kantata has no webhooks."""
        raise Rejected("Kantata sends no webhooks.")

    # -- parts -----------------------------------------------------------------------------------

    def _kind(self, object_: str) -> Projects | Lines:
        _known(object_, FACTS.targets)
        return self._projects if object_ == "project" else self._lines

    def _written(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        try:
            _fits(intent)
            try:
                return self._done(intent, ctx)
            except Rejected as error:
                if not _outdated(error):
                    raise
                self._groups.forget()
                self._desk.forget()
                return self._done(intent, ctx)
        except VendorError as error:
            return WriteResult(ref=intent.ref, error=error)

    def _done(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        return self._put(intent, ctx) if intent.operation == "put" else self._act(intent, ctx)

    def _put(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        kind = self._kind(intent.object)
        present = self._present(intent, ctx)
        if present is None:
            made = kind.create(intent, ctx)
            return replace(self._result(intent.object, made.ref, created=True), error=kind.dropped(intent, made))
        sheet, row = present
        changed = kind.update(intent, sheet, row, ctx)
        result = self._result(intent.object, str(row["id"]), changed=changed is not None, row=row)
        return replace(result, error=kind.dropped(intent, changed) if changed else None)

    def _act(self, intent: WriteIntent, ctx: CallContext) -> WriteResult:
        present = self._present(intent, ctx)
        if present is None:
            raise Missing(f"Kantata shows nothing under {intent.record_key}.")
        self._kind(intent.object).act(intent.operation, str(present[1]["id"]), ctx)
        return self._result(intent.object, str(present[1]["id"]), row=present[1])

    def _present(self, intent: WriteIntent, ctx: CallContext) -> Found | None:
        """Give what is there: by id where it is known, else by our key. Several are nobody's to choose from."""
        if intent.ref:
            by_id = self._by_id(intent.object, [intent.ref], ctx)
            if not by_id:
                raise Missing(f"Kantata shows no {COLLECTIONS[intent.object]} {intent.ref}.")
            return by_id[0]
        kind = self._kind(intent.object)
        found = self._by_key(intent.object, [intent.record_key], ctx)
        ours = [f for f in found if kind.observed(*f).record_key == intent.record_key]
        if not ours and intent.object == "contract_line" and intent.operation == "put":
            ours = self._lines.unmarked(intent, ctx)
        if len(ours) > 1:
            refs = ", ".join(str(row["id"]) for _, row in ours)
            raise AmbiguousKey(f"Kantata holds several under {intent.record_key}: {refs}.")
        return ours[0] if ours else None

    def _by_id(self, object_: str, refs: Sequence[str], ctx: CallContext) -> list[Found]:
        bare = (ref.rpartition(":")[2] for ref in refs)
        wanted = list(dict.fromkeys(ref for ref in bare if ref.isascii() and ref.isdigit()))
        found: list[Found] = []
        for start in range(0, len(wanted), READ_BATCH):
            params = {**INCLUDE[object_], "only": ",".join(wanted[start : start + READ_BATCH])}
            sheet = self._desk.read(ctx, COLLECTIONS[object_], params)
            found += [(sheet, row) for row in sheet.rows]
        return found

    def _by_key(self, object_: str, keys: Sequence[str], ctx: CallContext) -> list[Found]:
        found: list[Found] = []
        for start in range(0, len(keys), READ_BATCH):
            some = keys[start : start + READ_BATCH]
            pairs = self._referred(object_, some, ctx)
            kind = self._kind(object_)
            known = {kind.observed(*pair).record_key for pair in pairs}
            found += pairs + self._marked(object_, [key for key in some if key not in known], ctx)
        return found

    def _referred(self, object_: str, keys: Sequence[str], ctx: CallContext) -> list[Found]:
        params = {
            **INCLUDE[object_],
            "external_reference_service_name": SERVICE,
            "external_reference_service_model": object_,
            "external_reference_service_model_refs": ",".join(keys),
        }
        return [(s, row) for s in self._desk.all(ctx, COLLECTIONS[object_], params) for row in s.rows]

    def _marked(self, object_: str, keys: Sequence[str], ctx: CallContext) -> list[Found]:
        """Find projects whose external reference is gone or was never kept."""
        name = self._settings.key_field
        if object_ != "project" or not keys or not name:
            return []
        number = self._desk.custom_fields(ctx, name).get(name)
        if number is None:
            return []
        cells = ":".join(f"({number}:{key})" for key in keys)
        params = {**INCLUDE[object_], "by_custom_text_value": cells}
        return [(s, row) for s in self._desk.all(ctx, "workspaces", params) for row in s.rows]

    def _result(
        self, object_: str, ref: str, *, created: bool = False, changed: bool = True, row: Row | None = None
    ) -> WriteResult:
        pages = self._settings.pages.rstrip("/")
        workspace = ref if object_ == "project" else str((row or {}).get("workspace_id", ""))
        return WriteResult(
            ref=ref,
            disposition="created" if created else "updated" if changed else "unchanged",
            url=f"{pages}/workspaces/{workspace}" if workspace else "",
        )


def _known(object_: str, among: Mapping[str, object]) -> None:
    if object_ not in among:
        raise Rejected(f"Kantata does not serve {object_!r} here; it serves: {', '.join(among)}.")


def _fits(intent: WriteIntent) -> None:
    """Refuse an operation or a field that is not declared."""
    _known(intent.object, FACTS.targets)
    facts = FACTS.targets[intent.object]
    if intent.operation not in facts.operations:
        raise Rejected(f"Kantata does not {intent.operation} a {intent.object}.")
    strange = sorted(set(intent.fields) - facts.fields) if intent.operation == "put" else []
    if strange:
        raise Rejected(f"Kantata has no place for: {', '.join(strange)}.", field=strange[0])
    empty = [name for name in sorted(ALWAYS[intent.object] & intent.fields.keys()) if intent.fields[name] is None]
    if empty and intent.operation == "put":
        raise Rejected(f"A {intent.object} in Kantata always has: {', '.join(empty)}.", field=empty[0])


def _outdated(error: Rejected) -> bool:
    """Say whether what we remember of groups and custom fields may be why: people take them away and make others."""
    return error.status == 422 and any(word in error.message for word in ("workspace_group", "custom_field"))


def _alike(wanted: JsonObject, held: JsonObject) -> bool:
    name = str(wanted["name"]).strip().lower() == str(held.get("name") or "").strip().lower()
    ours, theirs = ((doc.get("client") or {}) for doc in (wanted, held))
    names = [str(c.get("name") or "").strip().lower() for c in (ours, theirs) if isinstance(c, Mapping)]
    return name and (len(names) < 2 or not all(names) or names[0] == names[1])
