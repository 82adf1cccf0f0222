"""Kantata OX (Mavenlink API v1) as far as Concordat uses it.

Sources: the vendor's OpenAPI and API reference (developer.kantata.com, read through the copy in
api-evangelist/mavenlink), mavenlink_gem `lib/config/specification.yml`, singer-io/tap-mavenlink schemas, a
published answer of /workspaces. Behaviour that bites, on by default:

* Money goes in and comes out in different units: `price` is written in whole base units (350000 dollars),
  `price_in_cents` is read in minor units; of JPY both are the same (src: OpenAPI, PUT /workspaces/{id}).
* Rows side-loaded by `include` mix into the maps by id: only `results` says what was found.
* `only=` leaves out what it does not find; the show route of an archived record is a 404 unless
  `include_archived=true` (src: API reference, Request by ID).
* No idempotency key; the same POST twice makes two. The group's name alone is unique, in any case of letters.
* `external_reference` may be given inline when a project, task, group or time entry is created.
* 401 `Invalid OAuth 2 Request`; 422 with all validation errors, no codes; 429 without Retry-After.
* Deletes are final. There are no webhooks.
* Stamps have whole seconds and an offset. Ids are text, `account_id` and `subject_id` are numbers.
* What a request does not know is ignored [unsure].
* A budgeted project needs a price, which is an int32; projects of paid accounts are budgeted unless the request
  says otherwise; of others price and currency are ignored (src: OpenAPI, POST /workspaces, `price`, `budgeted`,
  `currency`).
* A project with a rate card keeps the card's currency: another is ignored, the rest is taken (src: OpenAPI,
  `currency` of workspaces).
* Custom fields of projects, tasks, groups may have the same name; a value of another object's field is refused
  (src: OpenAPI, `subject_type` of custom_fields; the refusal [unsure]).
* `matching` ignores stop words; what is left of none finds nothing (src: OpenAPI, GET /workspaces; the rest
  [unsure]).

Not played: bulk creation (what happens when one of many is refused is not documented), subscribed_events.

Options: `tokens` (list; default `kantata-token`), `search_lag` (seconds that lists lag behind writes; `only`
and show never do), `budgeted` (false: a free account, whose projects are not), `per_minute` (calls, then 429),
`unique_key` (the custom field "Concordat key" gets Kantata's unique constraint).
Faults of its own: `stale_read`, `silent_field_drop` (names as stored:
`price_in_cents`, `external_reference`, `custom_fields`, …), `quota_exhausted` (429), `lock_storm` (422 "is
locked" on writes), `token_expires_after`, `schema_drift` (`fields` vanish from answers), `page_shift` (after a
page a row is changed, so that it crosses the border of pages in lists by `updated_at`; `remove`: true, deleted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from concordat.twins.base import Call, Reply, Twin
from concordat.twins.kantata.account import SINGULAR, TYPE, Account, problem
from concordat.twins.kantata.acts import add_acts
from concordat.twins.kantata.lists import index, show
from concordat.twins.kantata.writes import READERS, Writes

__all__ = ["make"]

ROOT = "/api/v1"
CUSTOM_FIELDS = ("Concordat key", "Contract value", "Budget hours", "Budget cost", "Project number", "Entity")
"""Text fields that an administrator made for projects, as the connector's page asks for."""
NAMESAKES = {"Budget hours": "Story", "Entity": "WorkspaceGroup"}
"""Fields that other objects have under the same name."""

FIRST_ID = {name: (number + 1) * 10_000_000 for number, name in enumerate(SINGULAR)}


def make(options: Mapping[str, Any]) -> Twin:
    """Build the twin."""
    twin = Twin("kantata", options)
    for token in twin.options.get("tokens", ("kantata-token",)):
        twin.tokens.allow(token)
    twin.make_ref = lambda collection, number: str(FIRST_ID.get(collection, 0) + number)
    twin.no_route = lambda _call: _stamped(twin, Reply({"errors": [{"type": "system", "message": "Not Found"}]}, 404))
    twin.bad_json = lambda _call: problem(400, "system", "The request could not be parsed.").reply
    _furnish(twin)
    account = Account(twin)
    _Routes(twin, account).add()
    add_acts(twin, account)
    answer = twin.answer
    twin.answer = lambda call: _stamped(twin, answer(call))  # type: ignore[method-assign]
    return twin


def _furnish(twin: Twin) -> None:
    """Put in what every account has: its administrator and the custom fields."""
    name = {"full_name": "Integration User", "email_address": "integration@northbeam.example"}
    twin.store.put("users", "1", name)
    for title in CUSTOM_FIELDS:
        unique = title == "Concordat key" and bool(twin.options.get("unique_key"))
        fields = {
            "name": title,
            "value_type": "string",
            "subject_type": "Workspace",
            "unique_constraint": unique,
        }
        twin.store.put("custom_fields", twin.fresh("custom_fields"), fields)
    for title, subject in NAMESAKES.items():
        fields = {"name": title, "value_type": "string", "subject_type": subject, "unique_constraint": False}
        twin.store.put("custom_fields", twin.fresh("custom_fields"), fields)


def _stamped(twin: Twin, reply: Reply) -> Reply:
    """Add x-request-id, as every answer has, 401 included (src: api-evangelist, observed live)."""
    request = f"req-{twin.traffic.calls.total():08d}"
    return replace(reply, headers={**reply.headers, "x-request-id": request})


class _Routes:
    """The paths, each with and without `.json`."""

    def __init__(self, twin: Twin, account: Account) -> None:
        self.twin = twin
        self.account = account
        self.writes = Writes(account)
        self.minute = ("", 0)

    def add(self) -> None:
        """Register all of them; paths of one segment more come first."""
        self.twin.guard(self._guard)
        self._both("GET", "/users/me", "users", "read", self._me)
        self._both(
            "POST",
            "/external_references/create_or_update",
            "external_references",
            "create",
            self.writes.refer,
        )
        self._both("POST", "/custom_field_values", "custom_field_values", "create", self.writes.value)
        for collection in SINGULAR:
            self._both("GET", f"/{collection}", collection, "search", self._index)
            self._both("GET", f"/{collection}/{{id}}", collection, "read", self._show)
            if collection in READERS:
                self._both("POST", f"/{collection}", collection, "create", self._create)
                self._both("PUT", f"/{collection}/{{id}}", collection, "update", self._update)
            if collection in TYPE or collection in {"external_references", "custom_field_values"}:
                self._both("DELETE", f"/{collection}/{{id}}", collection, "delete", self._delete)

    def _both(self, method: str, path: str, collection: str, operation: str, handler: Any) -> None:
        for suffix in ("", ".json") if not path.endswith("{id}") else ("",):
            self.twin.route(method, ROOT + path + suffix, object=collection, operation=operation)(handler)

    def _guard(self, call: Call) -> None:
        if not self.twin.tokens.good(self.twin.bearer(call)):
            raise problem(401, "oauth", "Invalid OAuth 2 Request")
        if self.twin.fault("quota_exhausted", call) or self._too_many():
            raise problem(429, "system", "Too many requests. Please retry after a small delay.")

    def _too_many(self) -> bool:
        most = int(self.twin.options.get("per_minute", 0))
        now = self.twin.clock.now().isoformat(timespec="minutes")
        self.minute = (now, self.minute[1] + 1 if self.minute[0] == now else 1)
        return bool(most) and self.minute[1] > most

    def _me(self, _call: Call) -> Reply:
        user = self.twin.store.get("users", "1")
        return self.account.envelope("users", [(user, user.fields)] if user else [], ())

    def _index(self, call: Call) -> Reply:
        return self._drifted(call, index(self.account, call.object, call))

    def _show(self, call: Call) -> Reply:
        return self._drifted(call, show(self.account, call.object, call))

    def _create(self, call: Call) -> Reply:
        return self.writes.create(call.object, call)

    def _update(self, call: Call) -> Reply:
        return self.writes.update(call.object, call)

    def _delete(self, call: Call) -> Reply:
        return self.writes.delete(call.object, call)

    def _drifted(self, call: Call, reply: Reply) -> Reply:
        """Take the fields of `schema_drift` out of the rows."""
        fault = self.twin.fault("schema_drift", call)
        gone = set(fault.args.get("fields", ())) if fault else set()
        for row in reply.data.get(call.object, {}).values() if gone else ():
            for name in gone:
                row.pop(name, None)
        return reply
