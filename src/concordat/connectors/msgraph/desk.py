"""One library's calls: where things are, listings to their last page, and $batch with an answer for each member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from concordat.connectors.msgraph.errors import translate
from concordat.connectors.msgraph.facts import BATCH, GraphSettings
from concordat.errors import Missing, Rejected, Unavailable, UnknownOutcome, VendorError
from concordat.sdk.auth import Anonymous, CachedToken, ClientCredentials, token_errors
from concordat.sdk.rest import Answer as Heard
from concordat.sdk.rest import Http, status_error
from concordat.sdk.serving import parts
from concordat.sdk.spec import CallContext
from concordat.sdk.timing import left

__all__ = ["EXPAND", "Desk", "Item", "Part", "kept"]

SCOPE = "https://graph.microsoft.com/.default"
PAGE = 999
EXPAND = "$expand=listItem($expand=fields)"
"""What shows an item's columns with it."""
Item = Mapping[str, Any]
Part = tuple[str, str, Mapping[str, Any] | None]
"""One request: method, path below the version, body."""


class Desk:
    """The calls. Keeps an access token and the id of the library, both of which it can win back."""

    def __init__(self, settings: GraphSettings, connection: str) -> None:
        self._connection = connection
        self._settings = settings
        self._login = Http(settings.login, Anonymous(), connection=connection, errors=token_errors)
        source = ClientCredentials(
            http=self._login,
            path=f"/{quote(settings.tenant)}/oauth2/v2.0/token",
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
            scope=SCOPE,
            place="form",
        )
        self._tokens = CachedToken(source)
        base = f"{settings.url.rstrip('/')}/v1.0"
        self._http = Http(base, self._tokens, connection=connection, errors=translate)
        self._drive = f"/drives/{quote(settings.drive, safe='!')}" if settings.drive else ""

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()
        self._login.close()

    # -- places

    def library(self, ctx: CallContext) -> str:
        """Give the library's path; asked for once."""
        if not self._drive:
            site = self.read(f"/sites/{quote(self._settings.site, safe=':/')}", ctx)
            drive = self.read(f"/sites/{quote(_word(site, 'id'), safe=',')}/drive", ctx)
            self._drive = f"/drives/{quote(_word(drive, 'id'), safe='!')}"
        return self._drive

    def item(self, ref: str, ctx: CallContext) -> str:
        """Give the path of an item by its id."""
        return f"{self.library(ctx)}/items/{quote(ref, safe='')}"

    def children(self, ctx: CallContext) -> str:
        """Give the path at which workspaces are made and listed."""
        return f"{self.library(ctx)}{_by_path(self._settings.folder)}:/children"

    def folder(self, ctx: CallContext) -> str:
        """Give the id of the folder of workspaces."""
        return self._id_of(self._settings.folder, ctx)

    def archive(self, ctx: CallContext) -> str:
        """Give the archive's id, made when it is not there; two at once make one."""
        body = {"name": self._settings.archive, "folder": {}, "@microsoft.graph.conflictBehavior": "fail"}
        answer = self._http.send(
            left(ctx), "POST", self.children(ctx), json=body, write=True, idempotent=True, allow={409}
        )
        return _word(answer.json, "id") if answer.ok else self._id_of(self._archived_path, ctx)

    def is_archived(self, item: Item) -> bool:
        """Say whether an item lies in the archive. Names are compared without regard to case, as SharePoint does."""
        path = unquote(str((item.get("parentReference") or {}).get("path", ""))).casefold()
        return path.endswith(f"root:/{unquote(self._archived_path)}".casefold())

    def listed(self, ctx: CallContext) -> list[Item]:
        """List the folder and its archive."""
        live = self.all(f"{self.children(ctx)}?$top={PAGE}", ctx)
        archives = [item for item in live if self._is_archive(item)]
        old = [self.all(f"{self.item(_word(one, 'id'), ctx)}/children?$top={PAGE}", ctx) for one in archives]
        return [item for item in live if not self._is_archive(item)] + [item for items in old for item in items]

    def _is_archive(self, item: Item) -> bool:
        return str(item.get("name", "")).casefold() == self._settings.archive.casefold()

    @property
    def _archived_path(self) -> str:
        return f"{self._settings.folder.strip('/')}/{self._settings.archive}"

    def _id_of(self, path: str, ctx: CallContext) -> str:
        try:
            return _word(self.read(f"{self.library(ctx)}{_by_path(path)}", ctx), "id")
        except Missing as error:
            raise Rejected(f"There is no folder {path!r} in the library.", code=error.code) from error

    # -- calls

    def read(self, path: str, ctx: CallContext) -> Item:
        """Read one thing."""
        answer = self._http.send(left(ctx), "GET", path, write=False)
        return answer.json if isinstance(answer.json, Mapping) else {}

    def change(self, path: str, body: Mapping[str, Any], ctx: CallContext, *, gone: bool = False) -> None:
        """Change one thing; a repeat changes nothing more. With `gone`, what is not there any more is no failure."""
        allow = {404} if gone else ()
        self._http.send(left(ctx), "PATCH", path, json=body, write=True, idempotent=True, allow=allow)

    def all(self, path: str, ctx: CallContext) -> list[Item]:
        """Read a listing to its end: a page may be short, or empty, before the last one."""
        items: list[Item] = []
        while path:
            page = self.read(path, ctx)
            found = page.get("value")
            if not isinstance(found, list):
                raise Unavailable(f"{self._connection}: a listing without `value`")
            items += found
            path = str(page.get("@odata.nextLink") or "")
        return items

    def items(self, refs: Sequence[str], ctx: CallContext) -> Iterator[Item]:
        """Read items by id, with their columns; one that is gone is left out."""
        shown = f"?{EXPAND}" if self._settings.lock_column else ""
        wanted: list[Part] = [("GET", f"{self.item(ref, ctx)}{shown}", None) for ref in dict.fromkeys(refs)]
        for part in parts(wanted, BATCH):
            for answer in self.send(part, ctx, write=False):
                if isinstance(answer, Missing):
                    continue
                if isinstance(answer, VendorError):
                    raise answer
                if answer.status != 404 and isinstance(answer.json, Mapping):
                    yield answer.json

    def send(self, requests: Sequence[Part], ctx: CallContext, *, write: bool) -> list[Heard | VendorError]:
        """Send one request by itself, several as a $batch, and give an answer or an error for each.

        A member that was turned away because the token ended in between was not carried out: it is sent again, once.
        A batch that is refused as a whole goes one by one, so that its culprit stands alone.
        """
        if len(requests) < 2:
            return [self._alone(part, ctx, write=write) for part in requests]
        used = self._tokens.headers(left(ctx))
        try:
            answers = self._batch(requests, ctx, write=write)
        except Rejected:
            return [self._alone(part, ctx, write=write) for part in requests]
        late = [number for number, answer in enumerate(answers) if getattr(answer, "status", 0) == 401]
        if late:
            self._tokens.renew(used, left(ctx))
            again = self._batch([requests[number] for number in late], ctx, write=write)
            for number, answer in zip(late, again, strict=True):
                answers[number] = answer
        return answers

    def _batch(self, requests: Sequence[Part], ctx: CallContext, *, write: bool) -> list[Heard | VendorError]:
        answer = self._http.send(left(ctx), "POST", "/$batch", json={"requests": _numbered(requests)}, write=write)
        said = answer.json.get("responses") if isinstance(answer.json, Mapping) else None
        by_id = {str(one.get("id")): one for one in said or () if isinstance(one, Mapping)}
        return [self._heard(by_id.get(str(number)), write=write) for number in range(len(requests))]

    def _alone(self, part: Part, ctx: CallContext, *, write: bool) -> Heard | VendorError:
        method, path, body = part
        try:
            return self._http.send(left(ctx), method, path, json=body, write=write, allow={404} if not write else ())
        except VendorError as error:
            return error

    def _heard(self, said: Mapping[str, Any] | None, *, write: bool) -> Heard | VendorError:
        status = str((said or {}).get("status", ""))
        if said is None or not status.isdigit():
            kind = UnknownOutcome if write else Unavailable
            return kind(f"{self._connection}: the batch has no answer to one of its requests")
        headers = {str(name).lower(): str(value) for name, value in (said.get("headers") or {}).items()}
        answer = Heard(status=int(status), headers=headers, json=said.get("body"))
        if answer.ok or (answer.status == 404 and not write):
            return answer
        return translate(answer, write) or status_error(answer, connection=self._connection, write=write)


def kept(item: Item, column: str) -> str:
    """Give what a column of an item says."""
    fields = (item.get("listItem") or {}).get("fields") or {}
    return str(fields.get(column) or "").strip()


def _word(said: Any, name: str) -> str:
    """Give a word that every good answer has; one without it is no answer."""
    if not isinstance(said, Mapping) or not said.get(name):
        raise Unavailable(f"Microsoft Graph: an answer without `{name}`")
    return str(said[name])


def _by_path(path: str) -> str:
    return f"/root:/{quote(path.strip('/'))}"


def _numbered(requests: Sequence[Part]) -> list[dict[str, Any]]:
    json = {"Content-Type": "application/json"}
    return [
        {
            "id": str(number),
            "method": method,
            "url": path,
            **({"body": body, "headers": json} if body is not None else {}),
        }
        for number, (method, path, body) in enumerate(requests)
    ]
