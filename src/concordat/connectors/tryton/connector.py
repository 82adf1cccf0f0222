"""The connector: one session on one Tryton database, behind the seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concordat.connectors.tryton import bulk, feed
from concordat.connectors.tryton.desk import Desk, Row
from concordat.connectors.tryton.directory import Directory
from concordat.connectors.tryton.facts import FACTS, READ_BATCH, TrytonSettings
from concordat.connectors.tryton.kinds import Kind
from concordat.connectors.tryton.works import target_id
from concordat.errors import Rejected
from concordat.sdk.rpc import Rpc
from concordat.sdk.serving import Unserved, by_key, parts, served
from concordat.sdk.spec import (
    CallContext,
    ChangePage,
    JsonObject,
    Observed,
    SourceRecord,
    WriteIntent,
    WriteResult,
)

__all__ = ["TrytonConnector", "connect"]


def connect(settings: TrytonSettings, *, connection: str) -> TrytonConnector:
    """Make the connector; nothing is opened until its first call."""
    return TrytonConnector(settings, connection=connection)


class TrytonConnector(Unserved):
    """One connection to Tryton. Keeps a session and look-ups, both of which it can win back."""

    facts = FACTS

    def __init__(self, settings: TrytonSettings, *, connection: str) -> None:
        self._connection = connection
        self._rpc = Rpc(
            settings.url,
            database=settings.database,
            user=settings.user,
            password=settings.password.get_secret_value(),
            connection=connection,
        )
        directory = Directory(settings)
        pages = f"{settings.pages.rstrip('/')}/#{settings.database}" if settings.pages else ""
        self._kinds = {name: Kind(object=name, directory=directory, pages=pages) for name in FACTS.targets}

    def ping(self, ctx: CallContext) -> None:
        """Log in if need be, and prove that the user sees a company."""
        desk = Desk(self._rpc, ctx)
        if not desk.ask("company.company", "search_count", []).result:
            raise Rejected("Tryton answers, but its user sees no company.")

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:
        """Give clients or projects changed since the cursor; one page ends a sweep or continues it."""
        return feed.changes(Desk(self._rpc, ctx), self._kind(object_), self._connection, cursor)

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:
        """Read source records by reference, `erp:12` or plain `12`."""
        desk, kind = Desk(self._rpc, ctx), self._kind(object_)
        rows = _by_id(desk, kind, [ref.rpartition(":")[2] for ref in refs])
        return feed.records_of(desk, kind, self._connection, rows)

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Create or change in one call; a refused batch is split until every record has its answer."""
        if not intents:
            return []
        kind, operation = self._kind(intents[0].object), intents[0].operation
        if operation not in FACTS.targets[kind.object].operations:
            raise Rejected(f"Tryton has no {operation!r} for a {kind.object}.")
        return bulk.write(Desk(self._rpc, ctx), kind, intents)

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """Look record keys up in the unique column; archived records count."""
        desk, kind = Desk(self._rpc, ctx), self._kind(object_)
        asked = parts(list(dict.fromkeys(record_keys)), READ_BATCH)
        rows = (row for part in asked for row in kind.read(desk, [kind.key, "in", part]))
        return by_key((kind.observed(desk, row) for row in rows), record_keys)

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Find look-alikes: a client by tax number or name, a work by name within its client or project."""
        desk, kind = Desk(self._rpc, ctx), self._kind(object_)
        domain = _alike(object_, fields)
        rows = kind.read(desk, *domain, limit=READ_BATCH) if domain else []
        return [kind.observed(desk, row) for row in rows]

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read records back by id; what this user cannot see is absent."""
        desk, kind = Desk(self._rpc, ctx), self._kind(object_)
        return [kind.observed(desk, row) for row in _by_id(desk, kind, refs)]

    def close(self) -> None:
        """Close the sockets."""
        self._rpc.close()

    def _kind(self, object_: str) -> Kind:
        return self._kinds[served(FACTS, object_).object]


def _by_id(desk: Desk, kind: Kind, refs: Sequence[str]) -> list[Row]:
    numbers = [int(ref) for ref in refs if ref.isdigit()]
    return [row for part in parts(numbers, READ_BATCH) for row in kind.read(desk, ["id", "in", part])]


def _alike(object_: str, fields: JsonObject) -> list[Any]:
    """Give the domain of records that look like a document; empty when it says nothing to go by."""
    name = [["name", "ilike", _literal(fields["name"])]] if fields.get("name") else []
    if object_ == "client":
        alike = [*name, *_tax_numbers(fields.get("tax_id"))]
        return [["OR", *alike]] if alike else []
    above, kind = {"project": ("client", "project"), "contract_line": ("project", "task")}[object_]
    number = target_id(fields.get(above))
    within = [[{"client": "party", "project": "parent"}[above], "=", number]] if number is not None else []
    return [["type", "=", kind], *name, *within] if name else []


def _tax_numbers(number: str | None) -> list[Any]:
    """Compare as written, and bare of punctuation with and without the country's letters."""
    if not number:
        return []
    bare = "".join(letter for letter in number if letter.isalnum())
    forms = sorted({bare, bare[2:]} if bare[:2].isalpha() else {bare})
    return [["identifiers.code", "=", number], ["identifiers.code_compact", "in", forms]]


def _literal(text: str) -> str:
    """Compare without case but without wildcards."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
