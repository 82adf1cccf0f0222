"""The base of every twin: routes, one bookkeeping function, tokens, pushes and the `/__twin` pages.

A twin is one module with `make(options) -> Twin` and a line in `server.TWINS`. Handlers are plain functions
from `Call` to `Reply`; they run one at a time, so they need no locks. The proxy in front of every twin does
all that happens on the wire (latency, drops, 5xx); a handler asks `twin.fault(...)` only for behaviour of
its own. A whole twin, short:

    def make(options: Mapping[str, Any]) -> Twin:
        twin = Twin("acme", options)
        twin.tokens.allow("secret-token")                       # or issue() in a token route

        @twin.guard                                             # before every route but the open ones
        def guard(call: Call) -> None:
            if not twin.tokens.good(twin.bearer(call)):         # counts uses: token_expires_after works
                raise Refuse(401, {"error": "invalid_token"})
            if twin.fault("quota_exhausted", call):             # documented: 429 without Retry-After
                raise Refuse(429, {"error": "slow down"})

        @twin.route("POST", "/api/projects", object="projects")             # operation: create
        def create(call: Call) -> Reply:
            said = call.json["project"]                                     # Decimals, never floats
            if twin.store.where("projects", "ref_no", said["ref_no"]):      # indexed
                raise Refuse(409, {"error": "taken"})
            record = twin.commit("projects", "create", said["ref_no"], said,
                                 idempotency_key=call.headers.get("idempotency-key", ""))
            return Reply({"id": record.ref, **record.fields}, 201)

        @twin.route("GET", "/api/projects", object="projects", operation="search")
        def search(call: Call) -> Reply:
            found = twin.search("projects", "ref_no", call.query["ref_no"])  # stale_read works
            return Reply({"projects": [{"id": r.ref, **fields} for r, fields in found]})

        @twin.action("archive")      # POST /__twin/do {"action": "archive", "id": …}
        def archive(said: Mapping[str, Any]) -> Any:
            twin.store.put("projects", said["id"], {"archived": True})
            return {"id": said["id"]}

        return twin

What every twin gets without code: `silent_field_drop` (in `commit`), `stale_read` (in `search`/`visible`),
`token_expires_after` (in `tokens.good`), `clock_skew` (in `now()`), counts of calls, seeds, state, ledger.
"""

# ruff: noqa: A002  `object` is the word of the seam

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from concordat.twins.faults import Fault, Faults, Occasion
from concordat.twins.pushes import Pushes, Sign
from concordat.twins.store import Clock, Fields, Record, Store
from concordat.twins.wire import Call, Refuse, Reply, dump

__all__ = ["Call", "Record", "Refuse", "Reply", "Tokens", "Traffic", "Twin", "dump"]

Handler = Callable[[Call], Reply]
Action = Callable[[Mapping[str, Any]], Any]
Visible = Callable[[Record], Fields | None]

OPERATION = {
    "GET": "read",
    "HEAD": "read",
    "POST": "create",
    "PUT": "update",
    "PATCH": "update",
    "DELETE": "delete",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the vendor's."""

    method: str
    template: str
    pattern: re.Pattern[str]
    handler: Handler
    object: str
    operation: str
    open: bool


class Traffic:
    """Counts of calls that came, by method and path template, whatever became of them, and how many ran at once."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.faulted: Counter[str] = Counter()
        """Calls that a fault of the wire struck, by its kind."""
        self.running = 0
        self.most = 0

    def enter(self, name: str) -> None:
        """Count one call in."""
        self.calls[name] += 1
        self.running += 1
        self.most = max(self.most, self.running)

    def leave(self) -> None:
        """Count it out."""
        self.running -= 1

    def clear(self) -> None:
        """Start counting anew."""
        self.calls.clear()
        self.faulted.clear()
        self.most = self.running

    def as_json(self) -> dict[str, Any]:
        """Show it."""
        return {
            "total": self.calls.total(),
            "by_path": dict(sorted(self.calls.items())),
            "faulted": dict(sorted(self.faulted.items())),
            "max_parallel": self.most,
        }


class Tokens:
    """Bearer tokens of one twin. The fault `token_expires_after` ends each after `calls` uses."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._until: dict[str, datetime | None] = {}
        self._uses: Counter[str] = Counter()
        self._numbers = itertools.count(1)

    def allow(self, token: str) -> None:
        """Accept a fixed token for ever."""
        self._until[token] = None

    def issue(self, *, prefix: str = "token", lifetime: timedelta | None = None) -> str:
        """Make a new token."""
        token = f"{prefix}-{self._twin.system}-{next(self._numbers):06d}"
        self._until[token] = self._twin.now() + lifetime if lifetime else None
        return token

    def good(self, token: str) -> bool:
        """Count a use; False for an unknown, ended or used-up token."""
        if token not in self._until:
            return False
        self._uses[token] += 1
        fault = self._twin.fault("token_expires_after")
        used_up = fault is not None and self._uses[token] > int(fault.args.get("calls", 10))
        until = self._until[token]
        if used_up or (until is not None and self._twin.now() >= until):
            self.revoke(token)
            return False
        return True

    def revoke(self, token: str | None = None) -> None:
        """End one token, or all."""
        for each in [token] if token else list(self._until):
            self._until.pop(each, None)
            self._uses.pop(each, None)


class Twin:
    """One simulated system. `answer` is the whole of it: a function from call to reply."""

    def __init__(self, system: str, options: Mapping[str, Any] | None = None) -> None:
        """`options` are the twin's own, documented in its module; `seed` and `hooks` are common to all."""
        self.system = system
        self.options = dict(options or {})
        self.clock = Clock()
        self.faults = Faults(int(self.options.get("seed", 0)))
        self.store = Store(self.clock)
        self.pushes = Pushes(self.faults)
        self.tokens = Tokens(self)
        self.traffic = Traffic()
        self.actions: dict[str, Action] = {}
        self.make_ref: Callable[[str, int], str] = lambda _object, number: f"{number}"
        self.seeded: Callable[[str, Fields], Fields] = lambda _object, fields: fields
        self.no_route: Handler = lambda call: Reply({"error": f"no {call.method} {call.path}"}, 404)
        self.bad_json: Handler = lambda call: Reply({"error": f"unreadable body of {call.method}"}, 400)
        self._guard: Callable[[Call], None] = lambda _call: None
        self._routes: list[Route] = []
        self._numbers: dict[str, Iterator[int]] = {}

    # -- building

    def route(
        self,
        method: str,
        path: str,
        *,
        object: str = "",
        operation: str = "",
        open: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Serve a path. `{name}` is one segment (decoded in `call.params`), `{name:path}` the rest.

        `object` and `operation` are what fault matchers see; a segment called `{object}` gives the object.
        `open` routes skip the guard (token endpoints).
        """

        def add(handler: Handler) -> Handler:
            word = operation or OPERATION[method]
            self._routes.append(Route(method, path, _pattern(path), handler, object, word, open))
            return handler

        return add

    def guard(self, check: Callable[[Call], None]) -> Callable[[Call], None]:
        """Run before every route that is not open; raise `Refuse` to turn a call away."""
        self._guard = check
        return check

    def action(self, name: str) -> Callable[[Action], Action]:
        """Name a thing that a person does here: `POST /__twin/do {"action": name, …}`."""

        def add(act: Action) -> Action:
            self.actions[name] = act
            return act

        return add

    # -- answering

    def answer(self, call: Call) -> Reply:
        """Answer one call, as the vendor would."""
        found = self._find(call)
        if found is None:
            return self.no_route(call)
        route, call = found
        try:
            if not route.open:
                self._guard(call)
            return route.handler(call)
        except Refuse as refusal:
            return refusal.reply
        except ValueError:
            return self.bad_json(call)

    def named(self, call: Call) -> str:
        """Give the name under which a call is counted: its method and path template."""
        found = self._find(call)
        return f"{call.method} {found[0].template if found else '(no such path)'}"

    def occasion(self, call: Call) -> Occasion:
        """Say what a call is about, for fault matchers."""
        found = self._find(call)
        about = found[1] if found else call
        return Occasion(
            object=about.object, operation=about.operation, method=call.method, path=call.path, text=call.text
        )

    def _find(self, call: Call) -> tuple[Route, Call] | None:
        for route in self._routes:
            if route.method == call.method and (match := route.pattern.fullmatch(call.path)):
                params = {name: unquote(value) for name, value in match.groupdict().items()}
                about = params.get("object", route.object)
                return route, replace(call, params=params, object=about, operation=route.operation)
        return None

    # -- what handlers use

    def now(self) -> datetime:
        """Give the twin's time, skewed by `clock_skew`."""
        fault = self.fault("clock_skew")
        skew = timedelta(seconds=float(fault.args.get("seconds", 0))) if fault else timedelta(0)
        return self.clock.now() + skew

    def fault(
        self,
        kind: str,
        call: Call | None = None,
        *,
        object: str = "",
        operation: str = "",
        key: str = "",
    ) -> Fault | None:
        """Give the fault of this kind that strikes now, if any; each asking counts as one occasion."""
        if not self.faults:
            return None
        about = Occasion(
            object=object or (call.object if call else ""),
            operation=operation or (call.operation if call else ""),
            method=call.method if call else "",
            path=call.path if call else "",
            text=key or (call.text if call else ""),
        )
        return self.faults.active(kind, about)

    def commit(
        self,
        object: str,
        operation: str,
        key: str,
        fields: Mapping[str, Any],
        *,
        ref: str | None = None,
        idempotency_key: str = "",
        replace: bool = False,
    ) -> Record:
        """Write one record and its line in the ledger; the only way a call may change anything.

        `key` is the caller's own key of the record (external id, reference number), else the vendor's id.
        Without `ref` a new record is made. `operation` is free (`create`, `update`, `delete`, `archive`,
        …); `delete` takes the record away. `silent_field_drop` strikes here.
        """
        fault = self.fault("silent_field_drop", object=object, operation=operation, key=key)
        dropped = set(fault.args.get("fields", ())) if fault else set()
        kept = {name: value for name, value in fields.items() if name not in dropped}
        ref = ref or self.fresh(object)
        record = self.store.put(object, ref, kept, replace=replace)
        if operation == "delete":
            self.store.remove(object, ref)
        self.store.note(object, operation, key=key or ref, ref=ref, fields=kept, idempotency_key=idempotency_key)
        return record

    def fresh(self, object: str) -> str:
        """Make the next id of an object, in the vendor's shape (`make_ref`)."""
        numbers = self._numbers.setdefault(object, itertools.count(1))
        ref = self.make_ref(object, next(numbers))
        return self.fresh(object) if self.store.get(object, ref) else ref

    def visible(self, object: str) -> Visible:
        """Give what a search sees of a record: its fields, its former ones, or None; `stale_read` decides."""
        fault = self.fault("stale_read", object=object, operation="search")
        if fault is None:
            return lambda record: record.fields
        edge = self.clock.now() - timedelta(seconds=float(fault.args.get("seconds", 30)))
        return lambda record: (
            record.fields if record.changed_at <= edge else record.before if record.created_at <= edge else None
        )

    def search(self, object: str, name: str, value: Any) -> list[tuple[Record, Fields]]:
        """Find by one field, as a search that may lag would."""
        seen = self.visible(object)
        found = ((record, seen(record)) for record in self.store.where(object, name, value))
        return [(record, fields) for record, fields in found if fields is not None]

    def push(self, data: Any, sign: Sign, *, object: str = "") -> None:
        """Send a webhook to every registered hook; `data` is JSON, or bytes as they are."""
        body = data if isinstance(data, bytes) else dump(data)
        self.pushes.send(body, sign, object_=object)

    @staticmethod
    def bearer(call: Call) -> str:
        """Give the token of `Authorization: Bearer …`, or an empty text."""
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(:path)?\}", path)
    out = re.escape(parts[0])
    for name, whole, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        out += f"(?P<{name}>{'.+' if whole else '[^/]+'})" + re.escape(literal)
    return re.compile(out)
