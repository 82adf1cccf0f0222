r"""Microsoft Graph for one document library: sites, drive items, permissions, delta, $batch, Entra tokens.

Options: `tenant` (contoso), `client_id` (concordat), `client_secret` (secret), `site`
(contoso.sharepoint.com:/sites/projects), `drive` (b!drive1), `folders` (made at the start; default Workspaces),
`columns` (text columns of the library; default ConcordatLock), `empty_page` (false: begin each listing with a page
that is empty and not the last).
Acts: `rename` {"id", "name"}, `forget_delta`, `expire_tokens`.

Quirks, each with its source:
- conflictBehavior fail: 409 nameAlreadyExists; replace leaves a folder as it is and answers 200
  (src: driveitem-post-children; learn.microsoft.com/answers/questions/2101794)
- names: no " * : < > ? / \ |, no dot at the end, some reserved, at most 400 characters of path
  (src: learn.microsoft.com/graph/onedrive-addressing-driveitems; support.microsoft.com, invalid file names)
- `description` is not kept: it exists on OneDrive personal only (src: resources/driveitem)
- $batch takes 20 requests, answers 200 whatever becomes of each, in any order: this twin answers backwards
  (src: learn.microsoft.com/graph/json-batching)
- members of a batch fail each for its own reason, under the batch's 200: `partial_batch` takes `status` (429; 401, 409,
  423, 503, 504, 509) and `commit` (the member is carried out all the same) (src: the same page)
- a page of a listing may hold nothing and not be the last (src: learn.microsoft.com/graph/paging)
- columns of the library show with $expand=listItem($expand=fields) and change by PATCH …/listItem/fields; a column
  that is not there is a 400 (src: learn.microsoft.com/graph/api/listitem-update); grants and columns stand in the
  ledger as `permissions` and `listItems`, for they are things of their own
- names are compared without regard to case (src: support.microsoft.com, invalid file names)
- 429 with Retry-After, code activityLimitReached (src: concepts/throttling)
- a delta token that is gone: 410 with Location (src: driveitem-delta)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from concordat.twins.base import Call, Refuse, Reply, Twin, dump
from concordat.twins.faults import Fault
from concordat.twins.msgraph.drive import ITEMS, Drive, problem

__all__ = ["make"]

BASE = "/v1.0"
MOST = 20
LIFETIME = timedelta(seconds=3599)
SCOPE = "https://graph.microsoft.com/.default"
DEFAULTS = {
    "tenant": "contoso",
    "client_id": "concordat",
    "client_secret": "secret",
    "site": "contoso.sharepoint.com:/sites/projects",
    "drive": "b!drive1",
    "folders": ["Workspaces"],
    "columns": ["ConcordatLock"],
    "empty_page": False,
}
MEMBER: Mapping[int, tuple[str, str]] = {
    401: ("InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."),
    409: ("nameAlreadyExists", "An item with the same name already exists under the parent"),
    410: ("itemGone", "The resource is gone."),
    423: ("resourceLocked", "The resource is locked."),
    429: ("activityLimitReached", "Throttled"),
    503: ("serviceNotAvailable", "The service is not available."),
    504: ("UnknownError", "The gateway gave up."),
    509: ("activityLimitReached", "Bandwidth limit exceeded."),
}
"""What a member of a batch is told when `partial_batch` spoils it."""


def make(options: Mapping[str, Any]) -> Twin:
    """Build the tenant."""
    twin = Twin("msgraph", {**DEFAULTS, **options})
    twin.make_ref = lambda _object, number: f"01NORTHBEAM{number:023d}"
    twin.no_route = lambda _call: problem(400, "BadRequest", "Resource not found for the segment.").reply
    twin.bad_json = lambda _call: problem(400, "BadRequest", "Unable to read JSON request payload.").reply
    graph = _Graph(twin)
    twin.guard(graph.guard)
    graph.serve()
    return twin


class _Graph:
    """The routes, and what they share."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.drive = Drive(twin, twin.options["drive"])
        self._inside = False
        """Within a batch: whoever sent it was let in already."""
        self.epoch = 1
        """Delta tokens of an earlier epoch are gone."""
        for path in twin.options["folders"]:
            self.drive.seed(path)
        twin.seeded = self._seeded

    def serve(self) -> None:
        """Put every path in place."""
        route, drive = self.twin.route, f"{BASE}/drives/{{drive}}"
        path = "/{tenant}/oauth2/v2.0/token"
        route("POST", path, operation="token", open=True)(self.token)
        route("POST", f"{BASE}/$batch", object=ITEMS, operation="batch")(self.batch)
        route("GET", f"{BASE}/sites/{{host}}:/{{path:path}}", object="sites")(self.site)
        route("GET", f"{BASE}/sites/{{site}}/drive", object="drives")(self.of_site)
        route("GET", drive, object="drives")(self.library)
        route("GET", f"{drive}/root/delta", object=ITEMS, operation="search")(self.delta)
        for way in ("/root", "/root:/{path:path}:", "/items/{id}"):
            route("GET", f"{drive}{way}/children", object=ITEMS, operation="search")(self.listing)
            route("POST", f"{drive}{way}/children", object=ITEMS)(self.create)
        route("PATCH", f"{drive}/items/{{id}}/listItem/fields", object="listItems")(self.columns)
        route("GET", f"{drive}/items/{{id}}/permissions", object="permissions")(self.permissions)
        perm = f"{drive}/items/{{id}}/permissions/{{permission}}"
        route("PATCH", perm, object="permissions")(self.repermit)
        route("DELETE", perm, object="permissions")(self.unpermit)
        route("POST", f"{drive}/items/{{id}}/invite", object="permissions")(self.invite)
        for way in ("/root", "/root:/{path:path}", "/items/{id}"):
            route("GET", f"{drive}{way}", object=ITEMS)(self.get)
            route("PATCH", f"{drive}{way}", object=ITEMS)(self.patch)
            route("DELETE", f"{drive}{way}", object=ITEMS)(self.delete)
        for name in ("rename", "forget_delta", "expire_tokens"):
            self.twin.action(name)(getattr(self, name))

    # -- who may call

    def token(self, call: Call) -> Reply:
        """Answer Entra's token endpoint (src: learn.microsoft.com/entra, v2-oauth2-client-creds-grant-flow)."""
        form, options = call.form, self.twin.options
        if call.params["tenant"] != options["tenant"]:
            raise _entra(400, "invalid_request", 90002, "Tenant not found.")
        known = (form.get("client_id"), form.get("client_secret")) == (options["client_id"], options["client_secret"])
        if form.get("grant_type") != "client_credentials" or not known:
            raise _entra(401, "invalid_client", 7000215, "Invalid client secret provided.")
        if form.get("scope") != SCOPE:
            raise _entra(400, "invalid_scope", 70011, "The provided value for scope is not valid.")
        token = self.twin.tokens.issue(prefix="eyJ", lifetime=LIFETIME)
        said = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}
        return Reply(said)

    def guard(self, call: Call) -> None:
        """Turn away bad tokens and a crowd."""
        if not self._inside and not self.twin.tokens.good(self.twin.bearer(call)):
            raise problem(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
        self.throttle(call)

    def throttle(self, call: Call) -> None:
        """Answer 429 while the fault says so; `seconds` goes into Retry-After."""
        fault = self.twin.fault("quota_exhausted", call)
        if fault:
            wait = str(fault.args.get("seconds", 10))
            raise problem(429, "activityLimitReached", "The request has been throttled", {"Retry-After": wait})

    # -- sites and drives

    def site(self, call: Call) -> Reply:
        """Find a site by its address."""
        known = f"{call.params['host']}:/{call.params['path']}"
        if known.lower() != self.twin.options["site"].lower():
            raise problem(404, "itemNotFound", "Requested site could not be found")
        return Reply({"id": self._site_id, "displayName": "Projects", "webUrl": "https://" + known.replace(":", "")})

    def of_site(self, call: Call) -> Reply:
        """Give the default library of a site."""
        if call.params["site"] != self._site_id:
            raise problem(404, "itemNotFound", "Requested site could not be found")
        return Reply(self._library())

    def library(self, call: Call) -> Reply:
        """Give a drive."""
        self._known(call)
        return Reply(self._library())

    @property
    def _site_id(self) -> str:
        return f"{self.twin.options['site'].partition(':')[0]},site-1,web-1"

    def _library(self) -> dict[str, Any]:
        return {"id": self.drive.id, "driveType": "documentLibrary", "name": "Documents"}

    def _known(self, call: Call) -> Drive:
        if call.params["drive"] != self.drive.id:
            raise problem(404, "itemNotFound", "The resource could not be found.")
        return self.drive

    # -- items

    def _item(self, call: Call) -> Any:
        drive = self._known(call)
        if "path" in call.params:
            return drive.by_path(call.params["path"])
        return drive.at(call.params.get("id", "root"))

    def get(self, call: Call) -> Reply:
        """Show one item; $expand=listItem shows its columns with it."""
        record = self._item(call)
        shown = self.drive.show(record)
        if call.query.get("$expand", "").startswith("listItem("):
            shown["listItem"] = {"fields": {"FileLeafRef": shown["name"], **record.fields.get("columns", {})}}
        return Reply(shown)

    def columns(self, call: Call) -> Reply:
        """Set columns of an item; null empties one."""
        record, said = self._item(call), call.json
        unknown = sorted(set(said) - set(self.twin.options["columns"]))
        if unknown:
            raise problem(400, "invalidRequest", f"Field '{unknown[0]}' is not recognized")
        kept = {**record.fields.get("columns", {}), **said}
        self.drive.column(record, {name: value for name, value in kept.items() if value is not None})
        return Reply(said)

    def create(self, call: Call) -> Reply:
        """Make a folder below an item."""
        record, status = self.drive.create(self._item(call), call.json)
        return Reply(self.drive.show(record), status)

    def patch(self, call: Call) -> Reply:
        """Rename or move an item."""
        etag = call.headers.get("if-match", "")
        return Reply(self.drive.show(self.drive.change(self._item(call), call.json, etag=etag)))

    def delete(self, call: Call) -> Reply:
        """Delete an item."""
        self.drive.delete(self._item(call))
        return Reply(None, 204)

    def listing(self, call: Call) -> Reply:
        """List children in pages of $top (200, at most 999), continued by @odata.nextLink."""
        parent = self._item(call)
        top, after = min(int(call.query.get("$top", "200")), 999), int(call.query.get("$skiptoken", "0"))
        if self.twin.options["empty_page"] and "$skiptoken" not in call.query:
            again = f"{_origin(call)}{call.path}?$top={top}&$skiptoken=0"
            return Reply({"value": [], "@odata.nextLink": again})
        found = list(self.drive.children(parent.ref))
        said: dict[str, Any] = {"value": [self.drive.show(r, fields) for r, fields in found[after : after + top]]}
        if after + top < len(found):
            said["@odata.nextLink"] = f"{_origin(call)}{call.path}?$top={top}&$skiptoken={after + top}"
        return Reply(said)

    def delta(self, call: Call) -> Reply:
        """Give what changed since a token; an item shows once, as it is now."""
        self._known(call)
        token = call.query.get("token", "")
        link = f"{_origin(call)}{call.path}?token={self.epoch}.{len(self.drive.changes)}"
        if token == "latest":  # noqa: S105  a word of the vendor's
            return Reply({"value": [], "@odata.deltaLink": link})
        epoch, _, since = token.partition(".")
        if token and epoch != str(self.epoch):
            again = {"Location": f"{_origin(call)}{call.path}"}
            raise problem(410, "resyncChangesApplyDifferences", "Resync required.", again)
        refs = self.drive.changes[int(since) :] if token else [r.ref for r in self.twin.store.all(ITEMS)]
        return Reply({"value": [self._changed(ref) for ref in dict.fromkeys(refs)], "@odata.deltaLink": link})

    def _changed(self, ref: str) -> dict[str, Any]:
        record = self.twin.store.get(ITEMS, ref)
        return self.drive.show(record) if record else {"id": ref, "deleted": {"state": "deleted"}}

    # -- permissions

    def permissions(self, call: Call) -> Reply:
        """List who may do what."""
        return Reply({"value": self._item(call).fields["permissions"]})

    def invite(self, call: Call) -> Reply:
        """Give people roles on an item (src: driveitem-invite)."""
        record, said = self._item(call), call.json
        number = len(record.fields["permissions"]) + 1
        new = [
            {"id": f"perm-{number + i}", "roles": list(said["roles"]), "grantedToV2": {"user": {"email": who["email"]}}}
            for i, who in enumerate(said["recipients"])
        ]
        self.drive.permit(record, [*record.fields["permissions"], *new])
        return Reply({"value": new})

    def repermit(self, call: Call) -> Reply:
        """Change the roles of one grant; an inherited one is refused (src: permission-update)."""
        record, grant = self._grant(call)
        changed = {**grant, "roles": list(call.json["roles"])}
        kept = [changed if one["id"] == grant["id"] else one for one in record.fields["permissions"]]
        self.drive.permit(record, kept)
        return Reply(changed)

    def unpermit(self, call: Call) -> Reply:
        """Take one grant away."""
        record, grant = self._grant(call)
        self.drive.permit(record, [one for one in record.fields["permissions"] if one["id"] != grant["id"]])
        return Reply(None, 204)

    def _grant(self, call: Call) -> tuple[Any, Mapping[str, Any]]:
        record = self._item(call)
        for grant in record.fields["permissions"]:
            if grant["id"] == call.params["permission"] and not grant.get("inheritedFrom"):
                return record, grant
        raise problem(404, "itemNotFound", "The permission could not be found.")

    # -- batch

    def batch(self, call: Call) -> Reply:
        """Carry out up to 20 requests; `partial_batch` throttles some (`members`, default the last)."""
        requests = (call.json or {}).get("requests")
        if not isinstance(requests, list) or not 0 < len(requests) <= MOST:
            raise problem(400, "BadRequest", f"A batch takes between 1 and {MOST} requests.")
        if len({str(one.get("id", "")) for one in requests}) < len(requests):
            raise problem(400, "BadRequest", "Ids of requests in a batch must be unique.")
        fault = self.twin.fault("partial_batch", call)
        spoilt = {int(n) % len(requests) for n in fault.args.get("members", [-1])} if fault else set()
        answers = [
            _answer(one, self._spoilt(call, one, fault) if fault and number in spoilt else self._inner(call, one))
            for number, one in enumerate(requests)
        ]
        return Reply({"responses": answers[::-1]})

    def _spoilt(self, call: Call, said: Mapping[str, Any], fault: Fault) -> Reply:
        if fault.args.get("commit"):
            self._inner(call, said)
        status = int(fault.args.get("status", 429))
        wait = {"Retry-After": "10"} if status in {429, 503, 509} else {}
        return problem(status, *MEMBER[status], wait).reply

    def _inner(self, call: Call, said: Mapping[str, Any]) -> Reply:
        url = urlsplit("/" + str(said.get("url", "")).lstrip("/"))
        headers = {name.lower(): str(value) for name, value in (said.get("headers") or {}).items()}
        if "body" in said and "content-type" not in headers:
            return problem(400, "BadRequest", "A request with a body needs Content-Type.").reply
        inner = replace(
            call,
            method=str(said.get("method", "")).upper(),
            path=f"{BASE}{url.path}",
            query_string=url.query,
            headers={
                **headers,
                "authorization": call.headers.get("authorization", ""),
                "host": call.headers.get("host", ""),
            },
            body=dump(said["body"]) if "body" in said else b"",
        )
        self._inside = True
        try:
            return self.twin.answer(inner)
        finally:
            self._inside = False

    # -- what a person does

    def rename(self, said: Mapping[str, Any]) -> Any:
        """Rename an item by hand."""
        record = self.drive.at(str(said["id"]))
        place = f"{record.fields['parent']}/{str(said['name']).casefold()}"
        self.twin.store.put(ITEMS, record.ref, {"name": said["name"], "place": place})
        self.drive.changes.append(record.ref)
        return self.drive.show(record)

    def forget_delta(self, _said: Mapping[str, Any]) -> Any:
        """Let every delta token be gone."""
        self.epoch += 1
        return {"epoch": self.epoch}

    def expire_tokens(self, _said: Mapping[str, Any]) -> Any:
        """End every access token."""
        self.twin.tokens.revoke()
        return {}

    def _seeded(self, _object: str, fields: dict[str, Any]) -> dict[str, Any]:
        parent = fields.get("parent") or self.drive.seed(str(fields.pop("under", ""))).ref
        place = f"{parent}/{str(fields['name']).casefold()}"
        return {"permissions": [], "columns": {}, **fields, "parent": parent, "place": place}


def _answer(said: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **reply.headers}
    return {"id": said.get("id"), "status": reply.status, "headers": headers, "body": reply.data}


def _origin(call: Call) -> str:
    return f"http://{call.headers.get('host', '')}"


def _entra(status: int, error: str, number: int, says: str) -> Refuse:
    said = {"error": error, "error_description": f"AADSTS{number}: {says}", "error_codes": [number]}
    return Refuse(status, said)
