"""Tryton's own ids for what canonical documents name by code: companies, countries, terms, statuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from concordat.connectors.tryton.desk import Desk, Row
from concordat.connectors.tryton.facts import TrytonSettings
from concordat.errors import Rejected

__all__ = ["TERM_FIELDS", "Company", "Directory", "term_of"]

Entry = TypeVar("Entry")

STATUSES: Mapping[str, str] = {
    "active": "Open",
    "on_hold": "On hold",
    "delivery_complete": "Done",
    "archived": "Archived",
}
"""Canonical project status to the name of a work status; the first and third come with Tryton."""

_DELTA = ("days", "weeks", "months", "day", "month", "weekday.index")
TERM_FIELDS = ["name", "lines.type", *(f"lines.relativedeltas.{part}" for part in _DELTA)]
"""What must be read of a payment term to understand it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Company:
    """One set of books."""

    id: int
    entity: str
    currency: str


class _Table(Generic[Entry]):
    """Entries by name. A missing name is looked for once more, because someone may have added it."""

    def __init__(self, load: Callable[[Desk], Mapping[str, Entry]]) -> None:
        self._load = load
        self._entries: Mapping[str, Entry] = {}

    def get(self, desk: Desk, name: str) -> Entry | None:
        if name not in self._entries:
            self._entries = self._load(desk)
        return self._entries.get(name)

    def names(self) -> str:
        return ", ".join(sorted(name for name in self._entries if not name.startswith("#"))[:12])


class Directory:
    """Look-ups of one connection. Safe for several threads: tables are replaced whole, never changed."""

    def __init__(self, settings: TrytonSettings) -> None:
        self._settings = settings
        self._companies = _Table(self._load_companies)
        self._countries = _Table(_load_countries)
        self._terms = _Table(_load_terms)
        self._statuses = _Table(_load_statuses)
        self.status_names: Mapping[str, str] = {**STATUSES, **settings.statuses}
        self.status_words: Mapping[str, str] = {name: word for word, name in self.status_names.items()}

    def company(self, desk: Desk, entity: str) -> Company:
        """Find the company of an entity."""
        found = self._companies.get(desk, entity)
        if found is None:
            known = self._companies.names()
            raise Rejected(f"Tryton has no company for entity {entity!r}; it has {known}.", field="entity")
        return found

    def company_by_id(self, desk: Desk, number: int) -> Company:
        """Find a company by its id in Tryton."""
        found = self._companies.get(desk, f"#{number}")
        if found is None:
            raise Rejected(f"Tryton's company {number} is not open to this user.", field="entity")
        return found

    def country(self, desk: Desk, code: str) -> int:
        """Find a country by its two letters."""
        found = self._countries.get(desk, code)
        if found is None:
            raise Rejected(f"Tryton has no country {code!r}; load it there.", field="country")
        return found

    def term(self, desk: Desk, text: str) -> int:
        """Find a payment term: `NET30` by what it means, any other by its exact name."""
        found = self._terms.get(desk, text)
        if found is None:
            known = self._terms.names()
            raise Rejected(f"Tryton has no payment term {text!r}; it has {known}.", field="payment_terms")
        return found

    def status(self, desk: Desk, word: str) -> int:
        """Find the work status for a canonical one."""
        name = self.status_names.get(word)
        found = self._statuses.get(desk, name) if name else None
        if found is None:
            remedy = f"add one named {name!r} there" if name else "give it a name in `statuses`"
            raise Rejected(f"Tryton has no work status for {word!r}: {remedy}.", field="status")
        return found

    def _load_companies(self, desk: Desk) -> Mapping[str, Company]:
        rows = desk.read("company.company", [], ["party.code", "party.name", "currency.code"])
        named = {number: entity for entity, number in self._settings.companies.items()}
        entries: dict[str, Company] = {}
        for row in rows:
            company = _company(row, named)
            entries |= {company.entity: company, f"#{company.id}": company}
            if not named:
                entries.setdefault(row["party."]["name"], company)
        return entries


def _company(row: Row, named: Mapping[int, str]) -> Company:
    entity = named.get(row["id"], row["party."]["code"])
    return Company(id=row["id"], entity=entity, currency=row["currency."]["code"])


def _load_countries(desk: Desk) -> Mapping[str, int]:
    return {row["code"]: row["id"] for row in desk.read("country.country", [], ["code"]) if row["code"]}


def _load_statuses(desk: Desk) -> Mapping[str, int]:
    return {row["name"]: row["id"] for row in desk.read("project.work.status", [], ["name"])}


def _load_terms(desk: Desk) -> Mapping[str, int]:
    """Two terms may mean the same; the one that was there first is taken."""
    entries: dict[str, int] = {}
    for row in desk.read("account.invoice.payment_term", [], TERM_FIELDS):
        entries.setdefault(term_of(row), row["id"])
    return entries


def term_of(row: Row) -> str:
    """Read a payment term as text: one remainder after whole days is `NET30`; any other keeps its name."""
    name = str(row["name"])
    match row["lines."]:
        case [{"type": "remainder", "relativedeltas.": [delta]}] if _only_days(delta):
            return f"NET{delta['days']}"
    return name


def _only_days(delta: Mapping[str, Any]) -> bool:
    fixed = any(delta.get(part) is not None for part in ("day", "month", "weekday."))
    return bool(delta["days"]) and not (fixed or delta["weeks"] or delta["months"])
