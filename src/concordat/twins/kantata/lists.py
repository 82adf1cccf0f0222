"""Kantata's lists: filters, order and paging of the index routes, and the show routes with their trap."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from concordat.twins.base import Call, Record, Reply
from concordat.twins.kantata.account import SUBJECTS, TYPE, Account, problem

__all__ = ["include_of", "index", "show"]

Row = dict[str, Any]
Found = tuple[Record, Row]
Filter = Callable[[Account, str, str, str, Found], bool]

MOST = 200
SEARCHABLE = frozenset({"workspaces", "stories"})
CELL = re.compile(r"\((\d+):([^()]*)\)")
STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
        "this to was with",
    )
)
"""Words that `matching` ignores (src: OpenAPI, GET /workspaces)."""
TERM = re.compile(r"(title|description|group|custom_field_value|status):'([^']*)'|(\S+)")


def include_of(call: Call) -> tuple[str, ...]:
    """Give the associations asked for."""
    return tuple(name for name in call.query.get("include", "").split(",") if name)


def index(account: Account, collection: str, call: Call) -> Reply:
    """Answer a list."""
    query = call.query
    if collection in {"external_references", "custom_field_values"} and "subject_type" not in query:
        raise problem(400, "system", "The subject_type parameter is required.")
    if "search" in query and collection not in SEARCHABLE:
        raise problem(400, "system", f"Search is not supported for {collection}.")
    found, down = _ordered(collection, query, _matching(account, collection, query))
    page, meta = _page(found, query)
    answer = account.envelope(collection, page, include_of(call), meta)
    fault = account.twin.fault("page_shift", call) if page and meta["page_count"] > meta["page_number"] else None
    if fault is not None:
        remove = bool(fault.args.get("remove"))
        _shift(account, collection, found[-1][0] if down and not remove else page[0][0], remove=remove)
    return answer


def _shift(account: Account, collection: str, record: Record, *, remove: bool) -> None:
    """Somebody changes or deletes a row: in lists by change it crosses the border between two pages."""
    if remove:
        account.twin.store.remove(collection, record.ref)
    else:
        account.twin.store.put(collection, record.ref, {})


def show(account: Account, collection: str, call: Call) -> Reply:
    """Answer one record. An archived one is a 404 unless asked for (src: API reference, Request by ID)."""
    ref = call.params["id"].removesuffix(".json")
    record = account.twin.store.get(collection, ref)
    if record is None or not _default_filters(collection, call.query, record.fields):
        raise problem(404, "system", "The record could not be found.")
    return account.envelope(collection, [(record, record.fields)], include_of(call))


def _matching(account: Account, collection: str, query: Mapping[str, str]) -> list[Found]:
    """Give what passes every filter. `only` reads by id: it never lags and silently leaves out misses."""
    store = account.twin.store
    if "only" in query:
        records = [store.get(collection, ref.strip()) for ref in query["only"].split(",")]
        found = [(record, record.fields) for record in records if record is not None]
    else:
        seen = account.seen(collection)
        pairs = ((record, seen(record)) for record in _candidates(account, collection, query))
        found = [(record, fields) for record, fields in pairs if fields is not None]
    found = [f for f in found if _default_filters(collection, query, f[1])]
    asked = [name for name in query if name in FILTERS and not (name == "search" and "only" in query)]
    for name in asked:
        found = [f for f in found if FILTERS[name](account, collection, name, query[name], f)]
    return found


def _candidates(account: Account, collection: str, query: Mapping[str, str]) -> Iterable[Record]:
    """Go by an index where a filter allows it: an account holds many projects."""
    store = account.twin.store
    if refs := query.get("external_reference_service_model_refs"):
        rows = [
            r for ref in refs.split(",")[:MOST] for r in store.where("external_references", "service_model_ref", ref)
        ]
        return _subjects(account, collection, rows, "external_references")
    if cells := CELL.findall(query.get("by_custom_text_value", "")):
        rows = [r for cell in cells for r in store.where("custom_field_values", "_cell", ":".join(cell))]
        return _subjects(account, collection, rows, "custom_field_values")
    return store.all(collection)


def _subjects(account: Account, collection: str, rows: Iterable[Record], child: str) -> list[Record]:
    seen = account.seen(child)
    prefix = f"{TYPE.get(collection, '')}:"
    subjects = [row.fields["_subject"] for row in rows if seen(row) is not None]
    refs = dict.fromkeys(s.removeprefix(prefix) for s in subjects if s.startswith(prefix))
    records = [account.twin.store.get(collection, ref) for ref in refs]
    return [record for record in records if record is not None]


def _default_filters(collection: str, query: Mapping[str, str], fields: Row) -> bool:
    """Hide archived rows, on index and show alike, unless a filter asks for them."""
    if not fields.get("archived") or collection not in {"workspaces", "stories"}:
        return True
    asked = query.get("archived", "")
    names = ("include_archived", "show_archived")
    return asked in {"include", "only"} or any(query.get(name) == "true" for name in names)


# -- filters -------------------------------------------------------------------------------------


def _equals(_account: Account, _collection: str, name: str, value: str, found: Found) -> bool:
    return str(found[1].get(name)) == value


def _one_of(attribute: str) -> Filter:
    def check(_account: Account, _collection: str, _name: str, value: str, found: Found) -> bool:
        held = found[1].get(attribute)
        wanted = set(value.split(","))
        return bool(wanted & set(held)) if isinstance(held, list) else str(held) in wanted

    return check


def _reference(account: Account, collection: str, name: str, value: str, found: Found) -> bool:
    """Match a filter on an object's external references; lists of them are up to 200 ids."""
    attribute = name.removeprefix("external_reference_")
    wanted = {value} if attribute != "service_model_refs" else set(value.split(",")[:MOST])
    rows = account.children("external_references", collection, found[0].ref)
    return any(
        str(row.fields.get(attribute.removesuffix("s") if attribute.endswith("refs") else attribute)) in wanted
        for row in rows
    )


def _cell(account: Account, collection: str, _name: str, value: str, found: Found) -> bool:
    cells = {":".join(cell) for cell in CELL.findall(value)}
    rows = account.children("custom_field_values", collection, found[0].ref)
    return any(row.fields.get("_cell") in cells for row in rows)


def _stamp_filter(_account: Account, _collection: str, name: str, value: str, found: Found) -> bool:
    """Compare by whole seconds, as stamps are shown; `after` does not include the moment itself."""
    word, _, side = name.rpartition("_")
    at = found[0].created_at if word == "created" else found[0].changed_at
    said = datetime.fromisoformat(value)
    edge = said if said.tzinfo else said.replace(tzinfo=UTC)
    at = at.replace(microsecond=0)
    return at > edge if side == "after" else at < edge


def _similar(_account: Account, collection: str, _name: str, value: str, found: Found) -> bool:
    """Match names: each word must begin a word, stop words aside (src: OpenAPI, `matching` of workspaces)."""
    name = str(found[1].get("name" if collection == "workspace_groups" else "title", "")).lower()
    words = re.findall(r"\w+", name)
    parts = [part for part in re.findall(r"\w+", value.lower()) if part not in STOP]
    return bool(parts) and all(any(word.startswith(part) for word in words) for part in parts)


def _search(account: Account, collection: str, _name: str, value: str, found: Found) -> bool:
    return all(_term(account, collection, match, found) for match in TERM.finditer(value))


def _term(account: Account, collection: str, match: re.Match[str], found: Found) -> bool:
    """Find one keyword; `group` and `status` match whole names, the rest parts of the text."""
    record, fields = found
    names = [account.twin.store.get("workspace_groups", ref) for ref in fields.get("workspace_group_ids") or []]
    groups = [str(group.fields["name"]).lower() for group in names if group]
    cells = [str(c.fields["value"]).lower() for c in account.children("custom_field_values", collection, record.ref)]
    texts = {
        "title": [str(fields.get("title", "")).lower()],
        "description": [str(fields.get("description") or "").lower()],
        "custom_field_value": cells,
    }
    where, word = match[1], (match[2] if match[1] else match[3]).lower()
    if where == "group":
        return word in groups
    if where == "status":
        return word == str(fields.get("status", {}).get("message", "")).lower()
    places = texts[where] if where else [record.ref, *groups, *(t for ts in texts.values() for t in ts)]
    return any(word in text for text in places)


def _subject_type(_account: Account, _collection: str, _name: str, value: str, found: Found) -> bool:
    return value in SUBJECTS and str(found[1].get("subject_type")) == value


FILTERS: Mapping[str, Filter] = {
    "created_after": _stamp_filter,
    "created_before": _stamp_filter,
    "updated_after": _stamp_filter,
    "updated_before": _stamp_filter,
    "external_reference_service_name": _reference,
    "external_reference_service_model": _reference,
    "external_reference_service_model_ref": _reference,
    "external_reference_service_model_refs": _reference,
    "by_custom_text_value": _cell,
    "search": _search,
    "matching": _similar,
    "archived": lambda _a, _c, _n, value, found: value != "only" or bool(found[1].get("archived")),
    "companies_only": lambda _a, _c, _n, value, found: value != "true" or bool(found[1].get("company")),
    "workspace_groups": _one_of("workspace_group_ids"),
    "workspace_id": _one_of("workspace_id"),
    "user_id": _one_of("user_id"),
    "subject_type": _subject_type,
    "subject_id": _equals,
    "with_subject_id": _one_of("subject_id"),
    "with_custom_field_id": _one_of("custom_field_id"),
    "service_name": _equals,
    "service_model": _equals,
    "service_model_ref": _equals,
    "status": _equals,
}
"""Query parameter to filter. One that is not here is ignored, as Rails ignores what it does not know."""


# -- order and pages -----------------------------------------------------------------------------


def _ordered(collection: str, query: Mapping[str, str], found: list[Found]) -> tuple[list[Found], bool]:
    """Sort by `order`, and say whether downwards; a search comes by relevance instead, here the newest first."""
    default = "name:asc" if collection in {"workspace_groups", "custom_fields"} else "updated_at:desc"
    name, _, way = (default if "search" in query else query.get("order", default)).partition(":")

    def key(pair: Found) -> tuple[Any, int]:
        record, fields = pair
        stamp = {"created_at": record.created_at, "updated_at": record.changed_at}.get(name)
        return (stamp.timestamp() if stamp else str(fields.get(name) or ""), int(record.ref))

    down = way.lower() == "desc"
    return sorted(found, key=key, reverse=down), down


def _page(found: list[Found], query: Mapping[str, str]) -> tuple[list[Found], dict[str, int]]:
    """Cut a page: `limit`/`offset` win over `page`/`per_page`; never more than 200."""
    if "limit" in query and "offset" in query:
        size, start = min(int(query["limit"]), MOST), int(query["offset"])
    else:
        size = min(int(query.get("per_page", "20")), MOST)
        start = (max(int(query.get("page", "1")), 1) - 1) * size
    size = max(size, 1)
    pages = max(-(-len(found) // size), 1)
    meta = {"count": len(found), "page_count": pages, "page_number": start // size + 1, "page_size": size}
    return found[start : start + size], meta
