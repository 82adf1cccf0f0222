"""The connector: one document library, behind the seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from concordat.connectors.msgraph.desk import Desk, Item, Part
from concordat.connectors.msgraph.facts import FACTS, GraphSettings
from concordat.connectors.msgraph.locks import Locks
from concordat.connectors.msgraph.names import folder_name, key_of, read_name
from concordat.errors import Missing, Rejected, UnknownOutcome, VendorError
from concordat.sdk.rest import Answer as Heard
from concordat.sdk.serving import Unserved, by_key, judged, served
from concordat.sdk.spec import CallContext, JsonObject, Observed, WriteIntent, WriteResult
from concordat.sdk.timing import timed

__all__ = ["GraphConnector", "connect"]


def connect(settings: GraphSettings, *, connection: str) -> GraphConnector:
    """Make the connector; nothing is opened until its first call."""
    return GraphConnector(settings, connection=connection)


class GraphConnector(Unserved):
    """One library."""

    facts = FACTS

    def __init__(self, settings: GraphSettings, *, connection: str) -> None:
        self._desk = Desk(settings, connection)
        self._locks = Locks(self._desk, settings.lock_column)

    def ping(self, ctx: CallContext) -> None:
        """Prove the credentials, the library and its folder."""
        self._desk.folder(timed(ctx))

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Create or rename up to 20 folders in one $batch; a single one goes by itself. Results in order.

        What a lock takes is several calls and is done folder by folder.
        """
        ctx = timed(ctx)
        planned = [self._planned(intent, ctx) for intent in intents]
        requests = [part for part in planned if not isinstance(part, VendorError)]
        heard = iter(self._desk.send(requests, ctx, write=True))
        return [
            WriteResult(error=part) if isinstance(part, VendorError) else self._finished(intent, next(heard), ctx)
            for intent, part in zip(intents, planned, strict=True)
        ]

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """List the folder and its archive, and pick by the key at the end of a name. Exact, unlike search."""
        served(FACTS, object_)
        wanted, ctx = set(record_keys), timed(ctx)
        hits = [item for item in self._desk.listed(ctx) if key_of(str(item.get("name", ""))) in wanted]
        return by_key(self._shown(hits, ctx), wanted)

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Find folders of the same name, ours or somebody's."""
        served(FACTS, object_)
        name, ctx = str(fields.get("name") or "").strip().casefold(), timed(ctx)
        if not name:
            return []
        items = self._desk.listed(ctx)
        return self._shown([i for i in items if str(read_name(str(i.get("name", "")))["name"]).casefold() == name], ctx)

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read folders back by id."""
        served(FACTS, object_)
        return [self._observed(item) for item in self._desk.items(refs, timed(ctx))]

    def close(self) -> None:
        """Close the sockets."""
        self._desk.close()

    # -- writing

    def _planned(self, intent: WriteIntent, ctx: CallContext) -> Part | VendorError:
        try:
            judged(FACTS, intent)
            return self._create(intent, ctx) if intent.ref is None else self._part(intent, intent.ref, ctx)
        except VendorError as error:
            return error

    def _create(self, intent: WriteIntent, ctx: CallContext) -> Part:
        name = folder_name(intent.fields, intent.record_key)
        body = {"name": name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail"}
        return "POST", self._desk.children(ctx), body

    def _part(self, intent: WriteIntent, ref: str, ctx: CallContext) -> Part:
        """Give the one request that names or moves the folder; its lock is set before."""
        path, body = self._desk.item(ref, ctx), self._change(intent, ctx)
        locked = {"lock": True, "reactivate": False}.get(intent.operation, intent.fields.get("locked"))
        if locked:
            self._locks.shut(path, ctx)
        elif intent.operation == "reactivate" or "locked" in intent.fields:
            self._locks.open(path, ctx)
        return ("PATCH", path, body) if body else ("GET", path, None)

    def _change(self, intent: WriteIntent, ctx: CallContext) -> dict[str, Any]:
        named = set(intent.fields) - {"locked"}
        if intent.operation == "archive":
            return {"parentReference": {"id": self._desk.archive(ctx)}}
        if intent.operation == "reactivate":
            return {"parentReference": {"id": self._desk.folder(ctx)}}
        if intent.operation == "lock" or not named:
            return {}
        return {"name": folder_name(intent.fields, intent.record_key)}

    def _finished(self, intent: WriteIntent, heard: Heard | VendorError, ctx: CallContext) -> WriteResult:
        """Lock what was to be made locked; a folder that is made and not locked is doubt about the whole."""
        result = _result(intent, heard)
        if result.ref and intent.ref is None and intent.fields.get("locked"):
            try:
                self._locks.shut(self._desk.item(result.ref, ctx), ctx)
            except VendorError as error:
                says = f"The folder is made and not locked: {error}"
                return WriteResult(error=UnknownOutcome(says, code=error.code))
        return result

    # -- reading

    def _shown(self, items: Sequence[Item], ctx: CallContext) -> list[Observed]:
        """Read what a listing found once more, with what a listing does not show."""
        return [self._observed(item) for item in self._desk.items([str(item["id"]) for item in items], ctx)]

    def _observed(self, item: Item) -> Observed:
        name = str(item.get("name", ""))
        return Observed(
            ref=str(item["id"]),
            record_key=key_of(name),
            fields={**read_name(name), "locked": self._locks.holds(item)},
            version=str(item.get("eTag", "")),
            url=str(item.get("webUrl", "")),
            archived=self._desk.is_archived(item),
        )


def _result(intent: WriteIntent, heard: Heard | VendorError) -> WriteResult:
    if isinstance(heard, VendorError):
        return WriteResult(error=_named(heard, intent))
    said = heard.json if isinstance(heard.json, Mapping) else {}
    if intent.ref is None and not said.get("id"):
        return WriteResult(error=UnknownOutcome("Microsoft Graph: made, but the answer names nothing"))
    disposition: Literal["created", "updated"] = "created" if intent.ref is None else "updated"
    return WriteResult(
        ref=said.get("id") or intent.ref,
        disposition=disposition,
        version=str(said.get("eTag", "")),
        url=str(said.get("webUrl", "")),
    )


def _named(error: VendorError, intent: WriteIntent) -> VendorError:
    """Say what a refusal is about: the name, or the folder that holds them all."""
    if type(error) is Rejected and error.code in {"invalidRequest", "pathIsTooLong"}:
        return Rejected(error.message, code=error.code, field="name", status=error.status)
    if type(error) is Missing and intent.ref is None:
        return Rejected("The folder that holds the workspaces is not in the library.", code=error.code, status=404)
    return error
