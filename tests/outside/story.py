"""What is sold at the firm: clients, contracts and deals from a chance, as records of the CRM; and people in HR."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

__all__ = ["Deal", "Story", "crm_records"]

Record = dict[str, Any]
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FOLD = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
ENTITIES = {"NB-US": ("USD", "US", "San Francisco"), "NB-UK": ("GBP", "GB", "London"), "NB-DE": ("EUR", "DE", "Berlin")}
ROLES = ("Consultant", "Engineer")
WORDS = ("Ærø", "O'Hara & Co", "Zażółć", "=1+1", "<b>Bold</b>", "Semi;Colon", "Kestrel", "Granite", "株式会社", "Delta")
WORK = ("ERP rollout", "Data platform", "Cloud migration", "Pricing study", "Portal rebuild", "Payroll review")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deal:
    """One deal with its client and contract, as the CRM keeps them."""

    account: Record
    contract: Record
    opportunity: Record

    @property
    def id(self) -> str:
        """The CRM's id."""
        return str(self.opportunity["Id"])

    @property
    def name(self) -> str:
        """What the project will be called."""
        return str(self.opportunity["Name"])

    @property
    def client(self) -> str:
        """The client's name."""
        return str(self.account["Name"])

    @property
    def cents(self) -> int:
        """The deal's amount in the smallest unit of its currency."""
        whole, _, rest = str(self.opportunity["Amount"]).partition(".")
        return int(whole) * 100 + int(rest.ljust(2, "0"))

    @property
    def currency(self) -> str:
        """Its currency."""
        return str(self.opportunity["CurrencyIsoCode"])


@dataclass(kw_only=True)
class Story:
    """Makes deals; two of one story never share a name or an id."""

    chance: random.Random
    made: list[Deal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._number = self.chance.randrange(10_000, 800_000) * 1000

    def deal(self, *, entity: str = "", stage: str = "Negotiation/Review", **changed: Mapping[str, Any]) -> Deal:
        """Make one deal. `account`, `contract` and `opportunity` change fields of the records."""
        self._number += 1
        number, entity = self._number, entity or self.chance.choice(sorted(ENTITIES))
        currency, country, town = ENTITIES[entity]
        start = date(2026, 9, 1) + timedelta(days=self.chance.randrange(200))
        amount = f"{self.chance.randrange(20_000, 900_000)}.{self.chance.randrange(100):02d}"
        account = self._account(number, currency, country) | dict(changed.get("account", {}))
        contract: Record = {
            "Id": _id("800", number),
            "AccountId": account["Id"],
            "Name": f"Contract {number}",
            "ContractNumber": f"{number:011d}",
            "Status": "Activated",
            "CurrencyIsoCode": currency,
            "Legal_Entity__c": entity,
            "StartDate": start.isoformat(),
            "EndDate": (start + timedelta(days=self.chance.randrange(60, 400))).isoformat(),
            "CustomerSignedDate": (start - timedelta(days=5)).isoformat(),
            "Value__c": amount,
            "Billing_Model__c": self.chance.choice(("fixed_fee", "time_and_material", "milestone")),
            "Billing_Terms__c": "monthly, NET30",
            "Budget_Hours__c": f"{self.chance.randrange(40, 2000)}.0",
            "Budget_Cost__c": f"{self.chance.randrange(10_000, 400_000)}.50",
        } | dict(changed.get("contract", {}))
        role = {"role": self.chance.choice(ROLES), "hours": "40", "from": start.isoformat(), "location": town}
        opportunity: Record = {
            "Id": _id("006", number),
            "AccountId": account["Id"],
            "ContractId": contract["Id"],
            "Name": f"{self.chance.choice(WORK)} {number}",
            "Deal_Number__c": f"D-{number}",
            "StageName": stage,
            "Type": "New Business",
            "Amount": amount,
            "CurrencyIsoCode": currency,
            "Legal_Entity__c": entity,
            "CloseDate": start.isoformat(),
            "Roles__c": json.dumps([{**role, "to": (start + timedelta(days=90)).isoformat()}]),
        } | dict(changed.get("opportunity", {}))
        self.made.append(Deal(account=account, contract=contract, opportunity=opportunity))
        return self.made[-1]

    def deals(self, number: int) -> Sequence[Deal]:
        """Make so many."""
        return [self.deal() for _ in range(number)]

    def people(self) -> Mapping[str, Sequence[Record]]:
        """Enough people of every role in every office, as records of HR."""
        desks = [(role, entity) for role in ROLES for entity in ENTITIES for _ in range(3)]
        return {"workers": [self._worker(number, *desk) for number, desk in enumerate(desks, 1)]}

    def _account(self, number: int, currency: str, country: str) -> Record:
        tax = str(self.chance.randrange(10**8, 10**9))
        return {
            "Id": _id("001", number),
            "Name": f"{self.chance.choice(WORDS)} {number}",
            "AccountNumber": f"C-{number}",
            "BillingCountryCode": country,
            "CurrencyIsoCode": currency,
            "Tax_Id__c": tax if country == "US" else country + tax,
            "Tax_Status__c": "registered",
            "Payment_Terms__c": "NET30",
            "Phone": "+1 5550100",
            "Billing_Email__c": "payables@client.example",
        }

    def _worker(self, number: int, role: str, entity: str) -> Record:
        return {
            "id": f"W-{number:05d}",
            "name": f"Worker {number}",
            "email": f"worker{number}@northbeam.example",
            "type": "Employee",
            "role": role,
            "grade": "C2",
            "company": entity,
            "location": ENTITIES[entity][2],
            "cost_center": f"0{400 + number}",
            "weekly_hours": "40",
        }


def crm_records(deals: Iterable[Deal]) -> Mapping[str, Sequence[Record]]:
    """Give what the CRM holds of these deals, parents first, each once."""
    deals = list(deals)
    return {
        "Account": list({deal.account["Id"]: deal.account for deal in deals}.values()),
        "Contract": list({deal.contract["Id"]: deal.contract for deal in deals}.values()),
        "Opportunity": [deal.opportunity for deal in deals],
    }


def _id(prefix: str, number: int) -> str:
    """Make an id as Salesforce does: 15 characters, and 3 that say which of them are capitals."""
    digits = ""
    for _ in range(9):
        number, rest = divmod(number, 62)
        digits = DIGITS[rest] + digits
    short = f"{prefix}zz0{digits}"
    bits = ("".join("1" if c.isupper() else "0" for c in short[i : i + 5][::-1]) for i in (0, 5, 10))
    return short + "".join(FOLD[int(five, 2)] for five in bits)
