"""The connector: one document library, behind the seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NoReturn
from urllib.parse import quote

from concordat.connectors.msgraph.errors import translate
from concordat.connectors.msgraph.facts import BATCH, FACTS, GraphSettings
from concordat.connectors.msgraph.names import folder_name, key_of, read_name
from concordat.errors import Missing, Rejected, Unavailable, UnknownOutcome, VendorError
from concordat.sdk.auth import Anonymous, CachedToken, ClientCredentials, token_errors
from concordat.sdk.rest import Answer as Heard
from concordat.sdk.rest import Http, status_error
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

__all__ = ["GraphConnector", "connect"]

SCOPE = "https://graph.microsoft.com/.default"
PAGE = 999
Part = tuple[str, str, Mapping[str, Any] | None]
"""One request: method, path below the version, body."""


def connect(settings: GraphSettings, *, connection: str) -> GraphConnector:
    """Make the connector; nothing is opened until its first call."""
    return GraphConnector(settings, connection=connection)


class GraphConnector:
    """One library. Keeps an access token and the ids of the library and its folder, all of which it can win back."""

    facts = FACTS

    def __init__(self, settings: GraphSettings, *, connection: str) -> None:
        self._connection = connection
        self._settings = settings
        self._login = Http(settings.login, Anonymous(), connection=connection, errors=token_errors)
        tokens = ClientCredentials(
            http=self._login,
            path=f"/{quote(settings.tenant)}/oauth2/v2.0/token",
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
            scope=SCOPE,
            place="form",
        )
        base = f"{settings.url.rstrip('/')}/v1.0"
        self._http = Http(base, CachedToken(tokens), connection=connection, errors=translate)
        self._drive = f"/drives/{quote(settings.drive, safe='!')}" if settings.drive else ""

    def ping(self, ctx: CallContext) -> None:
        """Prove the credentials, the library and its folder."""
        self._folder(self._settings.folder, timed(ctx))

    def changes(self, object_: str, cursor: str | None, ctx: CallContext) -> ChangePage:  # noqa: ARG002
        """Refuse: a library is no source here."""
        _unserved(f"changes of a {object_}")

    def fetch_source(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[SourceRecord]:  # noqa: ARG002
        """Refuse: a library is no source here."""
        _unserved(f"a {object_} as a source")

    def write(self, intents: Sequence[WriteIntent], ctx: CallContext) -> Sequence[WriteResult]:
        """Create or rename up to 20 folders in one $batch; a single one goes by itself. Results in order."""
        ctx = timed(ctx)
        planned = [self._planned(intent, ctx) for intent in intents]
        parts = [part for part in planned if not isinstance(part, VendorError)]
        heard = iter(self._all(parts, ctx, write=True))
        return [
            WriteResult(error=part) if isinstance(part, VendorError) else _result(intent, next(heard))
            for intent, part in zip(intents, planned, strict=True)
        ]

    def find(self, object_: str, record_keys: Sequence[str], ctx: CallContext) -> Mapping[str, Sequence[Observed]]:
        """List the folder and its archive, and pick by the key at the end of a name. Exact, unlike search."""
        _workspace(object_)
        wanted = set(record_keys)
        found: dict[str, list[Observed]] = {}
        for item, archived in self._listed(timed(ctx)):
            key = key_of(str(item.get("name", "")))
            if key in wanted:
                found.setdefault(key, []).append(self._observed(item, archived=archived))
        return found

    def match(self, object_: str, fields: JsonObject, ctx: CallContext) -> Sequence[Observed]:
        """Find folders of the same name, ours or somebody's."""
        _workspace(object_)
        name = str(fields.get("name") or "").strip().casefold()
        seen = (self._observed(item, archived=archived) for item, archived in self._listed(timed(ctx)))
        return [one for one in seen if str(one.fields["name"]).casefold() == name] if name else []

    def fetch(self, object_: str, refs: Sequence[str], ctx: CallContext) -> Sequence[Observed]:
        """Read folders back by id."""
        _workspace(object_)
        ctx = timed(ctx)
        drive = self._library(ctx)
        wanted = [quote(ref, safe="") for ref in dict.fromkeys(refs)]
        answers: list[Heard | VendorError] = []
        for at in range(0, len(wanted), BATCH):
            parts: list[Part] = [("GET", f"{drive}/items/{ref}", None) for ref in wanted[at : at + BATCH]]
            answers += self._all(parts, ctx, write=False)
        items = [answer.json for answer in map(_read, answers) if answer.status != 404]
        return [self._observed(item, archived=self._is_archived(item)) for item in items]

    def ask(
        self,
        question: str,
        questions: Sequence[JsonObject],  # noqa: ARG002
        ctx: CallContext,  # noqa: ARG002
    ) -> Sequence[Answer]:
        """Refuse: a library answers no questions."""
        _unserved(f"the question {question!r}")

    def decode_push(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Push:  # noqa: ARG002
        """Refuse: nothing here needs to be told of changes."""
        _unserved("pushes")

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()
        self._login.close()

    # -- planning one intent

    def _planned(self, intent: WriteIntent, ctx: CallContext) -> Part | VendorError:
        try:
            return self._part(intent, ctx)
        except VendorError as error:
            return error

    def _part(self, intent: WriteIntent, ctx: CallContext) -> Part:
        _workspace(intent.object)
        strange = sorted(set(intent.fields) - FACTS.targets["workspace"].fields)
        if strange:
            raise Rejected(f"Microsoft Graph holds no {strange[0]!r} of a workspace.", field=strange[0])
        drive = self._library(ctx)
        if intent.operation == "put" and intent.ref is None:
            name = folder_name(intent.fields, intent.record_key)
            body = {"name": name, "folder": {}, "@microsoft.graph.conflictBehavior": "fail"}
            return "POST", f"{drive}{_by_path(self._settings.folder)}:/children", body
        if intent.ref is None:
            raise Rejected(f"{intent.operation} needs the folder's id.")
        path = f"{drive}/items/{quote(intent.ref, safe='')}"
        if intent.operation == "lock":
            self._lock(path, ctx)
            return "GET", path, None
        return "PATCH", path, self._change(intent, ctx)

    def _change(self, intent: WriteIntent, ctx: CallContext) -> dict[str, Any]:
        if intent.operation == "put":
            return {"name": folder_name(intent.fields, intent.record_key)}
        if intent.operation == "archive":
            return {"parentReference": {"id": self._archive(ctx)}}
        if intent.operation == "reactivate":
            return {"parentReference": {"id": self._folder(self._settings.folder, ctx)}}
        raise Rejected(f"Microsoft Graph has no {intent.operation!r} for a workspace.")

    def _lock(self, path: str, ctx: CallContext) -> None:
        """Turn every grant made on the folder itself to reading; inherited ones are not Graph's to change."""
        for grant in _value(self._http.send(left(ctx), "GET", f"{path}/permissions", write=False)):
            if "write" in grant.get("roles", ()) and not grant.get("inheritedFrom"):
                one, body = f"{path}/permissions/{quote(grant['id'], safe='')}", {"roles": ["read"]}
                self._http.send(left(ctx), "PATCH", one, json=body, write=True, idempotent=True)

    # -- places

    def _library(self, ctx: CallContext) -> str:
        """Give the library's path; asked for once."""
        if not self._drive:
            site = self._http.send(
                left(ctx), "GET", f"/sites/{quote(self._settings.site, safe=':/')}", write=False
            ).json
            drive = self._http.send(left(ctx), "GET", f"/sites/{quote(site['id'], safe=',')}/drive", write=False).json
            self._drive = f"/drives/{quote(drive['id'], safe='!')}"
        return self._drive

    def _folder(self, path: str, ctx: CallContext) -> str:
        try:
            answer = self._http.send(left(ctx), "GET", f"{self._library(ctx)}{_by_path(path)}", write=False)
        except Missing as error:
            raise Rejected(f"There is no folder {path!r} in the library.", code=error.code) from error
        return str(answer.json["id"])

    def _archive(self, ctx: CallContext) -> str:
        """Give the archive's id, made when it is not there; two at once make one."""
        path = f"{self._library(ctx)}{_by_path(self._settings.folder)}:/children"
        body = {"name": self._settings.archive, "folder": {}, "@microsoft.graph.conflictBehavior": "fail"}
        answer = self._http.send(left(ctx), "POST", path, json=body, write=True, idempotent=True, allow={409})
        return str(answer.json["id"]) if answer.ok else self._folder(self._archived_path, ctx)

    @property
    def _archived_path(self) -> str:
        return f"{self._settings.folder.strip('/')}/{self._settings.archive}"

    def _listed(self, ctx: CallContext) -> list[tuple[Mapping[str, Any], bool]]:
        live = self._children(self._settings.folder, ctx)
        there = any(item.get("name") == self._settings.archive for item in live)
        old = self._children(self._archived_path, ctx) if there else []
        return [(item, False) for item in live if item.get("name") != self._settings.archive] + [(i, True) for i in old]

    def _children(self, path: str, ctx: CallContext) -> list[Mapping[str, Any]]:
        next_ = f"{self._library(ctx)}{_by_path(path)}:/children?$top={PAGE}"
        items: list[Mapping[str, Any]] = []
        while next_:
            answer = self._http.send(left(ctx), "GET", next_, write=False)
            items += _value(answer)
            next_ = str(answer.json.get("@odata.nextLink", ""))
        return items

    # -- sending

    def _all(self, parts: Sequence[Part], ctx: CallContext, *, write: bool) -> list[Heard | VendorError]:
        """Send one request by itself, several as a $batch, and give an answer or an error for each."""
        if not parts:
            return []
        if len(parts) == 1:
            return [self._alone(parts[0], ctx, write=write)]
        answer = self._http.send(left(ctx), "POST", "/$batch", json={"requests": _numbered(parts)}, write=write)
        said = answer.json.get("responses", ()) if isinstance(answer.json, Mapping) else ()
        by_id = {str(one.get("id")): one for one in said}
        return [self._heard(by_id.get(str(number)), write=write) for number in range(len(parts))]

    def _alone(self, part: Part, ctx: CallContext, *, write: bool) -> Heard | VendorError:
        method, path, body = part
        try:
            return self._http.send(left(ctx), method, path, json=body, write=write, allow={404} if not write else ())
        except VendorError as error:
            return error

    def _heard(self, said: Mapping[str, Any] | None, *, write: bool) -> Heard | VendorError:
        if said is None:
            kind = UnknownOutcome if write else Unavailable
            return kind(f"{self._connection}: the batch has no answer to one of its requests")
        headers = {str(name).lower(): str(value) for name, value in (said.get("headers") or {}).items()}
        answer = Heard(status=int(said["status"]), headers=headers, json=said.get("body"))
        if answer.ok or (answer.status == 404 and not write):
            return answer
        return translate(answer, write) or status_error(answer, connection=self._connection, write=write)

    # -- reading

    def _observed(self, item: Mapping[str, Any], *, archived: bool) -> Observed:
        name = str(item.get("name", ""))
        return Observed(
            ref=str(item["id"]),
            record_key=key_of(name),
            fields=read_name(name),
            version=str(item.get("eTag", "")),
            url=str(item.get("webUrl", "")),
            archived=archived,
        )

    def _is_archived(self, item: Mapping[str, Any]) -> bool:
        path = str(item.get("parentReference", {}).get("path", ""))
        return path.endswith(f"root:/{quote(self._archived_path)}")


def _unserved(what: str) -> NoReturn:
    raise Rejected(f"Microsoft Graph does not serve {what} here.")


def _workspace(object_: str) -> None:
    if object_ != "workspace":
        _unserved(f"a {object_}")


def _by_path(path: str) -> str:
    return f"/root:/{quote(path.strip('/'))}"


def _numbered(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [
        {
            "id": str(number),
            "method": method,
            "url": path,
            **({"body": body, "headers": {"Content-Type": "application/json"}} if body is not None else {}),
        }
        for number, (method, path, body) in enumerate(parts)
    ]


def _value(answer: Heard) -> list[Mapping[str, Any]]:
    found = answer.json.get("value") if isinstance(answer.json, Mapping) else None
    if not isinstance(found, list):
        raise Unavailable("Microsoft Graph: a listing without `value`", status=answer.status)
    return found


def _read(answer: Heard | VendorError) -> Heard:
    if isinstance(answer, VendorError):
        raise answer
    return answer


def _result(intent: WriteIntent, heard: Heard | VendorError) -> WriteResult:
    if isinstance(heard, VendorError):
        return WriteResult(error=_named(heard, intent))
    said = heard.json if isinstance(heard.json, Mapping) else {}
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
