"""Northbeam Consulting, the firm of the demo and the tests: clients, contracts, deals and people from a seed.

Three legal entities: NB-US (USD), NB-UK (GBP), NB-DE (EUR). The same seed and scale give the same firm, byte for byte;
names include what breaks naive software: quotes, other scripts, long names, blanks, things that look like code.

    firm = northbeam(seed=7, deals=200)
    twins["salesforce"].seed(firm.salesforce())
    twins["workday"].seed({"workers": firm.workers})
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from concordat.twins.salesforce.schema import OBJECTS, full_id

__all__ = ["ENTITIES", "Firm", "northbeam"]

ENTITIES: Mapping[str, tuple[str, str, str]] = {
    "NB-US": ("USD", "US", "San Francisco"),
    "NB-UK": ("GBP", "GB", "London"),
    "NB-DE": ("EUR", "DE", "Berlin"),
}
"""Legal entity to currency, country and office."""

HOSTILE = (
    "O'Hara & Søn ApS",
    'The "Quoted" Company, Inc.',
    "Ærø Færgeselskab",
    "株式会社ノースビーム商事",
    "שלום תעשיות בע״מ",
    "Robert'); DROP TABLE clients;--",
    "=1+1 Holdings",
    "<b>Bold</b> Media & Co",
    "Zażółć Gęślą Jaźń sp. z o.o.",
    "Semi;Colon, Comma\\Backslash Ltd",
    "Emoji 🚀 Ventures",
    "Internationale Gesellschaft für die Entwicklung grenzüberschreitender Infrastrukturvorhaben mbH & Co. KG",
)
FIRST = ("Alder", "Bright", "Cobalt", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Indigo", "Juniper", "Kestrel")
SECOND = ("Energy", "Foods", "Health", "Insurance", "Logistics", "Motors", "Networks", "Retail", "Robotics", "Steel")
LEGAL = {"NB-US": "Inc.", "NB-UK": "Ltd", "NB-DE": "GmbH"}
WORK = ("ERP rollout", "Data platform", "Cloud migration", "Pricing study", "Portal rebuild", "Payroll review")
GIVEN = ("Ada", "Björn", "Chloé", "Dmitri", "Eşref", "Fatima", "Grace", "Hiroshi", "Inés", "Jürgen", "Kwame", "Łukasz")
FAMILY = ("Adeyemi", "Brown", "Castellano", "Dvořák", "Eriksen", "Fischer", "García", "Hughes", "O'Neill", "Müller")
ROLES = (("Consultant", "C2"), ("Senior Consultant", "C3"), ("Project Manager", "M1"), ("Engineer", "E2"))
MODELS = ("time_and_material", "fixed_fee", "milestone", "retainer", "capped")
TERMS = ("NET14", "NET30", "NET45", "NET60")
START = date(2026, 9, 1)


@dataclass(frozen=True, kw_only=True)
class Firm:
    """The generated firm. Records carry Salesforce's field names; workers carry canonical ones."""

    seed: int
    users: Sequence[Mapping[str, Any]]
    accounts: Sequence[Mapping[str, Any]]
    contracts: Sequence[Mapping[str, Any]]
    opportunities: Sequence[Mapping[str, Any]]
    workers: Sequence[Mapping[str, Any]]

    def salesforce(self) -> dict[str, list[Mapping[str, Any]]]:
        """Give the seed of the Salesforce twin, parents first."""
        return {
            "User": list(self.users),
            "Account": list(self.accounts),
            "Contract": list(self.contracts),
            "Opportunity": list(self.opportunities),
        }

    def seeds(self) -> dict[str, dict[str, Any]]:
        """Give the seed of every twin that needs one; the targets begin empty."""
        return {"salesforce": self.salesforce(), "workday": {"workers": list(self.workers)}}


def northbeam(*, seed: int, deals: int = 40, workers: int = 60) -> Firm:
    """Make the firm: one contract per deal, about four deals per client, no deal won yet."""
    chance = random.Random(f"northbeam:{seed}")  # noqa: S311  repeatable on purpose
    maker = _Maker(chance)
    users = [maker.user(number) for number in range(1, 6)]
    accounts = [maker.account(number) for number in range(1, max(3, deals // 4) + 1)]
    pairs = [maker.deal(number, chance.choice(accounts), chance.choice(users)) for number in range(1, deals + 1)]
    return Firm(
        seed=seed,
        users=users,
        accounts=accounts,
        contracts=[contract for contract, _ in pairs],
        opportunities=[opportunity for _, opportunity in pairs],
        workers=[maker.worker(number) for number in range(1, workers + 1)],
    )


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def user(self, number: int) -> dict[str, Any]:
        name = f"{self.chance.choice(GIVEN)} {self.chance.choice(FAMILY)}"
        return {"Id": _id("User", number), "Name": name, "Email": f"sales{number}@northbeam.example", "IsActive": True}

    def account(self, number: int) -> dict[str, Any]:
        entity = self.chance.choice(list(ENTITIES))
        currency, country, _ = ENTITIES[entity]
        return {
            "Id": _id("Account", number),
            "Name": self._client_name(number, entity),
            "AccountNumber": f"C-{number:05d}",
            "BillingCountryCode": country,
            "CurrencyIsoCode": currency,
            "Tax_Id__c": self._tax_id(country),
            "Tax_Status__c": "registered",
            "Payment_Terms__c": self.chance.choice(TERMS),
            "Phone": f"+{self.chance.randint(1, 49)} {self.chance.randint(1_000_000, 9_999_999)}",
            "Billing_Email__c": f"billing{number}@client.example",
            "Concordat_Key__c": None,
        }

    def deal(
        self, number: int, account: Mapping[str, Any], user: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        entity = next(name for name, about in ENTITIES.items() if about[0] == account["CurrencyIsoCode"])
        start = START + timedelta(days=self.chance.randint(0, 120))
        value, hours = self._money(20_000, 900_000), self.chance.randint(40, 4000)
        shared = {
            "AccountId": account["Id"],
            "OwnerId": user["Id"],
            "CurrencyIsoCode": account["CurrencyIsoCode"],
            "Legal_Entity__c": entity,
        }
        title = f"{self.chance.choice(WORK)} {number}"
        contract = {
            **shared,
            "Id": _id("Contract", number),
            "Name": title,
            "ContractNumber": f"{number + 100:08d}",
            "Status": "Activated",
            "StartDate": start.isoformat(),
            "EndDate": (start + timedelta(days=self.chance.randint(30, 500))).isoformat(),
            "CustomerSignedDate": (start - timedelta(days=7)).isoformat(),
            "Value__c": value,
            "Billing_Model__c": self.chance.choice(MODELS),
            "Billing_Terms__c": f"monthly, {account['Payment_Terms__c']}",
            "Budget_Hours__c": f"{hours}.0",
            "Budget_Cost__c": self._money(10_000, 400_000),
        }
        opportunity = {
            **shared,
            "Id": _id("Opportunity", number),
            "ContractId": contract["Id"],
            "Name": f"{account['Name'][:80]}: {title}",
            "Deal_Number__c": f"D-{number:05d}",
            "StageName": "Negotiation/Review",
            "Type": "New Business",
            "Amount": value,
            "CloseDate": start.isoformat(),
            "Roles__c": json.dumps(self._roles(entity, start, hours)),
        }
        return contract, opportunity

    def worker(self, number: int) -> dict[str, Any]:
        entity = self.chance.choice(list(ENTITIES))
        role, grade = self.chance.choice(ROLES)
        return {
            "number": f"W-{number:05d}",
            "name": f"{self.chance.choice(GIVEN)} {self.chance.choice(FAMILY)}",
            "email": f"worker{number}@northbeam.example",
            "kind": "employee" if self.chance.random() < 0.85 else "contractor",
            "grade": grade,
            "role": role,
            "entity": entity,
            "location": ENTITIES[entity][2],
            "cost_centre": f"0{self.chance.randint(400, 499)}",
            "active": self.chance.random() < 0.95,
            "available_minutes_per_week": self.chance.choice((0, 600, 1200, 2400, 2400)),
        }

    def _client_name(self, number: int, entity: str) -> str:
        if number % 3 == 0:
            again = f" {number}" if number > 3 * len(HOSTILE) else ""
            return HOSTILE[(number // 3 - 1) % len(HOSTILE)] + again
        return f"{self.chance.choice(FIRST)} {self.chance.choice(SECOND)} {number} {LEGAL[entity]}"

    def _tax_id(self, country: str) -> str:
        digits = f"{self.chance.randint(100_000_000, 999_999_999)}"
        return digits if country == "US" else f"{country}{digits}"

    def _money(self, low: int, high: int) -> str:
        cents = self.chance.choice((0, 0, 0, 50, self.chance.randint(1, 99)))
        return str(Decimal(self.chance.randint(low, high)) + Decimal(cents) / 100)

    def _roles(self, entity: str, start: date, hours: int) -> list[dict[str, str]]:
        roles = self.chance.sample(ROLES, self.chance.randint(1, 2))
        until = (start + timedelta(days=90)).isoformat()
        return [
            {
                "role": role,
                "hours": str(min(hours // len(roles), 400)),
                "from": start.isoformat(),
                "to": until,
                "location": ENTITIES[entity][2],
            }
            for role, _grade in roles
        ]


def _id(object_: str, number: int) -> str:
    return full_id(OBJECTS[object_].prefix, 1_000_000 + number)
