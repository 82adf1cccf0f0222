"""Sets the firm up in a fresh Tryton over JSON-RPC: companies, books, products, employees, a service user."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from concordat.tryton_server.steps import Progress
from concordat.tryton_server.wire import Session

__all__ = ["COUNTRIES", "ENTITIES", "MODULES", "SERVICE_USER", "Entity", "build"]

MODULES = (
    "party", "company", "currency", "country", "account", "account_product", "account_invoice", "product",
    "project", "project_invoice", "project_revenue", "timesheet", "timesheet_cost", "company_work_time",
)  # fmt: skip

SERVICE_USER = "concordat"

_GROUPS = (
    "party.group_party_admin", "account.group_account", "project.group_project_admin",
    "project_invoice.group_project_invoice", "timesheet.group_timesheet_admin",
)  # fmt: skip

_CURRENCIES = {
    "USD": ("US Dollar", "$", "1.00"),
    "EUR": ("Euro", "€", "0.92"),
    "GBP": ("Pound Sterling", "£", "0.79"),
}

_TERMS = (14, 45, 90)
"""Days; Tryton brings 10, 15, 30 and 60 along."""

COUNTRIES = {
    "AT": "Austria", "AU": "Australia", "BE": "Belgium", "BG": "Bulgaria", "BR": "Brazil",
    "CA": "Canada", "CH": "Switzerland", "CN": "China", "CY": "Cyprus", "CZ": "Czechia",
    "DE": "Germany", "DK": "Denmark", "EE": "Estonia", "ES": "Spain", "FI": "Finland", "FR": "France",
    "GB": "United Kingdom", "GR": "Greece", "HK": "Hong Kong", "HR": "Croatia", "HU": "Hungary",
    "IE": "Ireland", "IL": "Israel", "IN": "India", "IT": "Italy", "JP": "Japan", "KR": "South Korea",
    "LT": "Lithuania", "LU": "Luxembourg", "LV": "Latvia", "MT": "Malta", "MX": "Mexico",
    "NL": "Netherlands", "NO": "Norway", "NZ": "New Zealand", "PL": "Poland", "PT": "Portugal",
    "RO": "Romania", "SE": "Sweden", "SG": "Singapore", "SI": "Slovenia", "SK": "Slovakia",
    "TR": "Türkiye", "US": "United States", "ZA": "South Africa",
}  # fmt: skip
"""Countries the firm does business with; Tryton ships none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """One legal entity of the firm, a company in Tryton."""

    code: str
    name: str
    currency: str
    country: str
    city: str
    zone: str
    rate: Decimal
    """List price of a consulting hour in the entity's currency."""
    cost: Decimal
    """Cost of an employee's hour."""
    people: tuple[str, ...]


ENTITIES = (
    Entity(
        code="NB-US", name="Northbeam Consulting Inc", currency="USD", country="US", city="Boston",
        zone="America/New_York", rate=Decimal(190), cost=Decimal(95), people=("Ada Whitfield", "Ben Ortiz"),
    ),
    Entity(
        code="NB-UK", name="Northbeam Consulting Ltd", currency="GBP", country="GB", city="London",
        zone="Europe/London", rate=Decimal(150), cost=Decimal(72), people=("Grace Holt", "Owen Pryce"),
    ),
    Entity(
        code="NB-DE", name="Northbeam Consulting GmbH", currency="EUR", country="DE", city="Hamburg",
        zone="Europe/Berlin", rate=Decimal(165), cost=Decimal(80), people=("Lena Brandt", "Jonas Keller"),
    ),
)  # fmt: skip


def build(session: Session, *, year: int, password: str, progress: Progress) -> dict[str, int]:
    """Set everything up as the administrator and return the company of each entity.

    Books are open for `year` and the year after. `password` becomes the service user's.
    """
    progress("currencies, countries and payment terms", 0.0)
    currencies = {code: _currency(session, code, year) for code in _CURRENCIES}
    countries = _countries(session)
    _payment_terms(session)
    _statuses(session)
    companies = {}
    for number, entity in enumerate(ENTITIES):
        progress(f"books of {entity.name}", 0.1 + 0.28 * number)
        companies[entity.code] = _company(session, entity, currencies[entity.currency], countries[entity.country])
        _books(session, entity, companies[entity.code], year)
    progress("the service user of Concordat", 0.95)
    _service_user(session, password, list(companies.values()))
    return companies


def _named(session: Session, name: str) -> int:
    """Find the id of a record that a module brought along."""
    module, record = name.split(".")
    return int(session.model("ir.model.data", "get_id", module, record))


def _currency(session: Session, code: str, year: int) -> int:
    name, symbol, rate = _CURRENCIES[code]
    found = session.search("currency.currency", [("code", "=", code)])
    values = {"name": name, "code": code, "symbol": symbol, "rounding": Decimal("0.01"), "digits": 2}
    currency = found[0] if found else session.create("currency.currency", values)[0]
    opening = dt.date(year - 1, 1, 1)
    session.create("currency.currency.rate", {"currency": currency, "date": opening, "rate": Decimal(rate)})
    return currency


def _countries(session: Session) -> dict[str, int]:
    ids = session.create("country.country", *({"code": code, "name": name} for code, name in COUNTRIES.items()))
    return dict(zip(COUNTRIES, ids, strict=True))


def _payment_terms(session: Session) -> None:
    for days in _TERMS:
        line = {"type": "remainder", "relativedeltas": [("create", [{"days": days}])]}
        name = f"Net {days} days"
        session.create("account.invoice.payment_term", {"name": name, "lines": [("create", [line])]})


def _statuses(session: Session) -> None:
    """Add to Open and Done: work can also rest, and a withdrawn project is put away without being done."""
    for name in ("On hold", "Archived"):
        session.create("project.work.status", {"name": name, "types": ["project", "task"]})


def _company(session: Session, entity: Entity, currency: int, country: int) -> int:
    party = session.create(
        "party.party",
        {
            "name": entity.name,
            "code": entity.code,
            "addresses": [("create", [{"city": entity.city, "country": country}])],
        },
    )[0]
    session.wizard(
        "company.company.config",
        ("company", {}),
        ("add", {"company": {"party": party, "currency": currency}}),
    )
    company = session.search("company.company", [("party", "=", party)])[0]
    session.model("res.user", "write", [session.user], {"companies": [("add", [company])], "company": company})
    session.refresh()
    session.model("company.company", "write", [company], {"timezone": entity.zone})
    return company


def _books(session: Session, entity: Entity, company: int, year: int) -> None:
    accounts = _chart(session, company)
    for each in (year, year + 1):
        _fiscal_year(session, entity, company, each)
    category = session.create(
        "product.category",
        {
            "name": f"Services {entity.code}",
            "accounting": True,
            "account_revenue": accounts["revenue"],
            "account_expense": accounts["expense"],
        },
    )[0]
    _products(session, entity, category)
    _employees(session, entity, company, year)


def _chart(session: Session, company: int) -> dict[str, int]:
    """Make the universal chart in English, with the four default accounts."""
    template = {"company": company, "account_template": _named(session, "account.account_template_root_en")}
    session.wizard("account.create_chart", ("account", {}), ("create_account", {"account": template}))
    accounts = {
        kind: session.search(
            "account.account",
            [(f"type.{kind}", "=", True), ("company", "=", company), ("closed", "!=", True)],
            1,
        )[0]
        for kind in ("receivable", "payable", "revenue", "expense")
    }
    properties = {
        "company": company,
        "account_receivable": accounts["receivable"],
        "account_payable": accounts["payable"],
        "category_account_expense": accounts["expense"],
        "category_account_revenue": accounts["revenue"],
    }
    session.model("account.configuration", "write", [1], _defaults(properties))
    return accounts


def _defaults(properties: dict[str, int]) -> dict[str, int]:
    return {f"default_{name}": value for name, value in properties.items() if name != "company"}


def _fiscal_year(session: Session, entity: Entity, company: int, year: int) -> None:
    moves = _named(session, "account.sequence_type_account_move")
    invoices = _named(session, "account_invoice.sequence_type_account_invoice")
    prefix = f"{entity.code}-{year}-"
    move, out, inward = session.create(
        "ir.sequence.strict",
        {"name": f"{prefix}moves", "sequence_type": moves, "company": company},
        {
            "name": f"{prefix}invoices",
            "sequence_type": invoices,
            "company": company,
            "prefix": prefix,
            "padding": 5,
        },
        {
            "name": f"{prefix}bills",
            "sequence_type": invoices,
            "company": company,
            "prefix": f"B{prefix}",
            "padding": 5,
        },
    )
    numbering: dict[str, Any] = {"company": company}
    numbering |= {"out_invoice_sequence": out, "out_credit_note_sequence": out}
    numbering |= {"in_invoice_sequence": inward, "in_credit_note_sequence": inward}
    fiscal_year = session.create(
        "account.fiscalyear",
        {
            "name": f"{entity.code} {year}",
            "company": company,
            "start_date": dt.date(year, 1, 1),
            "end_date": dt.date(year, 12, 31),
            "move_sequence": move,
            "invoice_sequences": [("create", [numbering])],
        },
    )
    session.model("account.fiscalyear", "create_period", fiscal_year)


def _products(session: Session, entity: Entity, category: int) -> None:
    """Make an hour, sold by time, and a fixed fee, sold by the piece."""
    wanted = (
        (f"Consulting hour {entity.code}", f"HOUR-{entity.code}", "product.uom_hour", entity.rate),
        (f"Fixed fee {entity.code}", f"FIX-{entity.code}", "product.uom_unit", Decimal(1000)),
    )
    for name, code, unit, price in wanted:
        session.create(
            "product.template",
            {
                "name": name,
                "type": "service",
                "default_uom": _named(session, unit),
                "list_price": price,
                "account_category": category,
                "products": [("create", [{"suffix_code": code}])],
            },
        )


def _employees(session: Session, entity: Entity, company: int, year: int) -> None:
    opening = dt.date(year, 1, 1)
    for number, name in enumerate(entity.people, start=1):
        party = session.create("party.party", {"name": name, "code": f"{entity.code}-E{number}"})[0]
        price = {"date": opening, "cost_price": entity.cost}
        session.create(
            "company.employee",
            {"party": party, "company": company, "start_date": opening, "cost_prices": [("create", [price])]},
        )


def _service_user(session: Session, password: str, companies: list[int]) -> None:
    groups = [_named(session, name) for name in _GROUPS]
    session.create(
        "res.user",
        {
            "name": "Concordat",
            "login": SERVICE_USER,
            "password": password,
            "groups": [("add", groups)],
            "companies": [("add", companies)],
            "company": companies[0],
            "company_filter": "all",
        },
    )
