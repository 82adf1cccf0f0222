"""One connection's calls to Kantata: requests in, sheets of rows out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from concordat.connectors.kantata.errors import translate
from concordat.connectors.kantata.facts import KantataSettings
from concordat.errors import AuthRevoked, Busy, Rejected, Unavailable, UnknownOutcome
from concordat.sdk.auth import Bearer
from concordat.sdk.rest import Answer, Http
from concordat.sdk.spec import CallContext
from concordat.sdk.timing import left, timed

__all__ = ["Desk", "Row", "Sheet", "held", "need", "timed"]

Row = Mapping[str, Any]
PAGE = "200"
PROJECT = "Workspace"
TURNS = 3
"""How often a list that shifts is read."""


@contextmanager
def held(lock: threading.Lock, ctx: CallContext) -> Iterator[None]:
    """Hold a lock, waiting for it no longer than the call may take."""
    if not lock.acquire(timeout=left(ctx).timeout):
        raise Busy("Kantata: another call is still looking up the same")
    try:
        yield
    finally:
        lock.release()


def need(row: Row, *names: str) -> None:
    """Raise `Unavailable` where an attribute did not come: it is not empty, it is unknown."""
    gone = next((name for name in names if name not in row), None)
    if gone is not None:
        says = "was it renamed, or is it hidden from Concordat's user?"
        raise Unavailable(f"Kantata answered without {gone} ({row.get('id')}): {says}", code="attribute")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """One answer. Rows come in the order of `results`; the maps by id also hold side-loaded strangers."""

    said: Mapping[str, Any]
    collection: str

    @property
    def refs(self) -> list[str]:
        """Ids of what was asked for."""
        return [str(r["id"]) for r in self.said["results"] if r["key"] == self.collection]

    @property
    def ref(self) -> str:
        """Id of the one object that was written."""
        return self.refs[0]

    @property
    def rows(self) -> list[Row]:
        """What was asked for. Raises `Unavailable` where a result is named and not shown: it is not absent."""
        found = [(ref, self.side(self.collection, ref)) for ref in self.refs]
        hidden = [ref for ref, row in found if row is None]
        if hidden:
            raise Unavailable(f"Kantata names {self.collection} {hidden[0]} and does not show it")
        return [row for _, row in found if row is not None]

    @property
    def count(self) -> int:
        """How many rows the whole list has."""
        return int(self.said.get("count") or len(self.refs))

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return int((self.said.get("meta") or {}).get("page_count") or -(-self.count // int(PAGE)) or 1)

    def side(self, collection: str, ref: Any) -> Row | None:
        """Give one row that came along."""
        row = (self.said.get(collection) or {}).get(str(ref))
        return {**row, "id": str(ref)} if row is not None else None

    def sides(self, row: Row, attribute: str, collection: str) -> list[Row]:
        """Give the rows that an attribute with ids names."""
        found = (self.side(collection, ref) for ref in row.get(attribute) or ())
        return [side for side in found if side is not None]


class Desk:
    """The calls, and the ids of custom fields by name, read once."""

    def __init__(self, settings: KantataSettings, connection: str) -> None:
        self.settings = settings
        self.connection = connection
        token = settings.token.get_secret_value()
        base = f"{settings.url.rstrip('/')}/api/v1"
        self._http = Http(base, Bearer(token), connection=connection, errors=translate)
        self._lock = threading.Lock()
        self._fields: Mapping[str, int] = {}

    def close(self) -> None:
        """Close the pool."""
        self._http.close()

    def read(self, ctx: CallContext, collection: str, params: Mapping[str, str]) -> Sheet:
        """One page of a list, the largest there is unless `params` say otherwise."""
        query = {"per_page": PAGE, **params}
        answer = self._http.send(left(ctx), "GET", f"/{collection}.json", params=query, write=False)
        return self._sheet(answer, collection, write=False)

    def all(self, ctx: CallContext, collection: str, params: Mapping[str, str]) -> Sequence[Sheet]:
        """Every page of a list that is not expected to be long.

        A row that changes or goes between two pages moves others across their border: such a list is read again
        until it is whole, or twice the same. Raises `Unavailable` where it does not come to rest.
        """
        before: list[str] = []
        for _ in range(TURNS):
            sheets = self._turn(ctx, collection, params)
            refs = [ref for sheet in sheets for ref in sheet.refs]
            whole = len({sheet.count for sheet in sheets}) == 1 and len(set(refs)) == sheets[0].count
            if len(sheets) == 1 or whole or refs == before:
                return sheets
            before = refs
        raise Unavailable(f"{self.connection}: the list of {collection} changed each time it was read")

    def _turn(self, ctx: CallContext, collection: str, params: Mapping[str, str]) -> list[Sheet]:
        sheets = [self.read(ctx, collection, {**params, "page": "1"})]
        while len(sheets) < sheets[-1].pages:
            sheets.append(self.read(ctx, collection, {**params, "page": str(len(sheets) + 1)}))
        return sheets

    def create(self, ctx: CallContext, collection: str, body: Mapping[str, Any], include: str = "") -> Sheet:
        """Make one object; give it as Kantata says that it is now."""
        path, params = f"/{collection}.json", {"include": include} if include else None
        with _one_record(collection, made=True):
            answer = self._http.send(left(ctx), "POST", path, params=params, json=body, write=True)
        return self._one(answer, collection)

    def update(self, ctx: CallContext, collection: str, ref: str, body: Mapping[str, Any], include: str = "") -> Sheet:
        """Change one object; a repeat changes nothing more."""
        path, params = f"/{collection}/{ref}", {"include": include} if include else None
        with _one_record(collection):
            answer = self._http.send(left(ctx), "PUT", path, params=params, json=body, write=True, idempotent=True)
        return self._one(answer, collection)

    def clear(self, ctx: CallContext, value: str) -> None:
        """Take one custom value away."""
        path = f"/custom_field_values/{value}"
        with _one_record("custom_field_values"):
            self._http.send(left(ctx), "DELETE", path, write=True, idempotent=True, allow={404})

    def forget(self) -> None:
        """Remember no custom field: an administrator may have made one anew."""
        self._fields = {}

    def custom_fields(self, ctx: CallContext, *names: str) -> Mapping[str, int]:
        """Ids of projects' custom fields by name; read again while one of `names` is not among them.

        Tasks, groups and users may have fields of the same name (src: OpenAPI, `subject_type` of custom_fields).
        """
        known = self._fields  # another thread may forget meanwhile
        if all(name in known for name in names):
            return known
        with held(self._lock, ctx):
            known = self._fields
            if any(name and name not in known for name in names):
                sheets = self.all(ctx, "custom_fields", {"subject_type": PROJECT})
                rows = [row for sheet in sheets for row in sheet.rows if row.get("subject_type", PROJECT) == PROJECT]
                known = self._fields = {str(row["name"]): int(row["id"]) for row in rows}
            return known

    def me(self, ctx: CallContext) -> None:
        """Read the user that the token stands for."""
        self._sheet(self._http.send(left(ctx), "GET", "/users/me.json", write=False), "users", write=False)

    def _one(self, answer: Answer, collection: str) -> Sheet:
        sheet = self._sheet(answer, collection, write=True)
        if not sheet.refs:
            raise UnknownOutcome(f"{self.connection}: written, but the answer names nothing")
        return sheet

    def _sheet(self, answer: Answer, collection: str, *, write: bool) -> Sheet:
        said = answer.json
        if not isinstance(said, Mapping) or not _named(said.get("results")):
            kind = UnknownOutcome if write else Unavailable
            raise kind(f"{self.connection}: this is no answer of Kantata's: {answer.text[:80]!r}")
        return Sheet(said=said, collection=collection)


@contextmanager
def _one_record(collection: str, *, made: bool = False) -> Iterator[None]:
    """Read a 403: what one project withholds from the user is no reason to stop the connection.

    Only who may make no project or group at all lacks a right of the account (src: API reference, Errors: 403 goes
    by access groups and participation).
    """
    try:
        yield
    except AuthRevoked as error:
        if error.status != 403 or (made and collection != "stories"):
            raise
        raise Rejected(error.message, code="forbidden", status=403) from error


def _named(results: Any) -> bool:
    return isinstance(results, list) and all(
        isinstance(row, Mapping) and {"key", "id"} <= row.keys() for row in results
    )
