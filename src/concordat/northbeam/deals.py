"""The deals of a demo, drawn from a seed: each with its part in the story."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from concordat.errors import Bug
from concordat.twins.northbeam import Firm, northbeam

__all__ = ["Deal", "Part", "Plot", "plot"]

Row = Mapping[str, Any]
PER_CLIENT = 4
"""Deals that the generator makes for one client, on average; the plot takes one or two of them."""
LONG_AGO = "2025-06-30T10:00:00.000+0000"
HOURS = "80"
"""Most hours that one role of a deal asks for, so that the firm's people suffice."""


class Part(StrEnum):
    """What a deal is in the story for."""

    PLAIN = "plain"
    TRIPLED = "tripled"
    """Its push arrives three times."""
    LOST = "lost"
    """The PSA makes its project and the answer is lost."""
    OUTAGE = "outage"
    """It is won while HR is down."""
    INCOMPLETE = "incomplete"
    """It lacks a tax number and billing terms, which are filled in later."""
    AGAIN = "again"
    """The second deal of a client that has one already."""
    BEFORE = "before"
    """It was won before the contracts began, and its project was made by hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deal:
    """One deal, as outsiders know it: by the CRM's ids and by names."""

    id: str
    number: str
    name: str
    client: str
    client_name: str
    contract: str
    part: Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """Who does what: deals in the order in which they are won, and what the twins hold before."""

    deals: Sequence[Deal]
    seeds: Mapping[str, Mapping[str, Sequence[Row]]]
    """System to object to records."""
    filled: Sequence[tuple[str, str, Mapping[str, str]]]
    """What mends the incomplete deal: CRM object, id, fields."""

    @property
    def won(self) -> Sequence[Deal]:
        """Deals that are won during the demo."""
        return [deal for deal in self.deals if deal.part is not Part.BEFORE]

    @property
    def clients(self) -> Sequence[str]:
        """Ids of the clients of those deals, each once."""
        return list(dict.fromkeys(deal.client for deal in self.won))

    def of(self, part: Part) -> Sequence[Deal]:
        """Deals with this part."""
        return [deal for deal in self.deals if deal.part is part]


def plot(seed: int, *, scale: float = 1.0) -> Plot:
    """Make the story of this seed. Scale 1 is twelve deals to win; fewer than eight would leave parts out."""
    wanted = max(8, round(12 * scale))
    firm = _firm(seed, wanted)
    accounts = {account["Id"]: dict(account) for account in firm.accounts}
    contracts = {contract["Id"]: dict(contract) for contract in firm.contracts}
    by_client: dict[str, list[dict[str, Any]]] = {}
    for opportunity in firm.opportunities:
        by_client.setdefault(opportunity["AccountId"], []).append(_eased(opportunity))
    chosen = _cast(by_client, wanted, random.Random(f"plot:{seed}"))  # noqa: S311  repeatable on purpose
    old, _ = chosen[-1]
    _lived_long_ago(accounts[old["AccountId"]], contracts[old["ContractId"]], old)
    gone = next(deal for deal, part in chosen if part is Part.INCOMPLETE)
    filled = _emptied(accounts[gone["AccountId"]], contracts[gone["ContractId"]])
    deals = [_deal(row, accounts[row["AccountId"]], part) for row, part in chosen]
    crm: dict[str, list[Row]] = {
        "User": list(firm.users),
        "Account": [accounts[id_] for id_ in dict.fromkeys(deal.client for deal in deals)],
        "Contract": [contracts[deal.contract] for deal in deals],
        "Opportunity": [row for row, _ in chosen],
    }
    seeds: dict[str, dict[str, list[Row]]] = {
        "salesforce": crm,
        "workday": {"workers": [_hired(worker) for worker in firm.workers if worker["active"]]},
    }
    return Plot(deals=deals, seeds={**seeds, **_by_hand(old, accounts[old["AccountId"]])}, filled=filled)


def _firm(seed: int, clients: int) -> Firm:
    """Make a firm in which at least so many clients have a deal; chance may give some of them none."""
    for more in (1, 2, 4, 8):
        firm = northbeam(seed=seed, deals=PER_CLIENT * (clients + 1) * more, workers=72 + 4 * clients)
        if len({opportunity["AccountId"] for opportunity in firm.opportunities}) > clients:
            return firm
    raise Bug(f"Seed {seed} gives fewer than {clients} clients with a deal.")


def _cast(
    by_client: Mapping[str, list[dict[str, Any]]], wanted: int, chance: random.Random
) -> list[tuple[dict[str, Any], Part]]:
    """Give every deal its part: the first ones by the story, the rest by chance; the last is the old one."""
    twice = next(client for client, rows in by_client.items() if len(rows) > 1)
    once = [rows[0] for client, rows in by_client.items() if client != twice]
    old, fresh = once[0], once[1 : wanted - 1]
    fixed = [Part.TRIPLED, Part.LOST, Part.INCOMPLETE, Part.OUTAGE, Part.OUTAGE, Part.OUTAGE]
    more = [chance.choice([Part.PLAIN, Part.PLAIN, Part.TRIPLED]) for _ in fresh[len(fixed) :]]
    cast = list(zip(fresh, [*fixed, *more], strict=True))
    first, second = by_client[twice][:2]
    return [(first, Part.PLAIN), *cast, (second, Part.AGAIN), (old, Part.BEFORE)]


def _eased(opportunity: Row) -> dict[str, Any]:
    """Ask for no more people than the firm has."""
    roles = json.loads(opportunity["Roles__c"])
    eased = [{**role, "hours": min(role["hours"], HOURS, key=Decimal)} for role in roles]
    return {**opportunity, "Roles__c": json.dumps(eased)}


def _hired(worker: Row) -> dict[str, str]:
    """Say it in the words of HR."""
    same = {name: worker[name] for name in ("name", "email", "role", "grade", "location")}
    return {
        **same,
        "id": worker["number"],
        "type": "Employee" if worker["kind"] == "employee" else "Contractor",
        "company": worker["entity"],
        "cost_center": worker["cost_centre"],
        "weekly_hours": str(worker["available_minutes_per_week"] // 60),
    }


def _lived_long_ago(account: dict[str, Any], contract: dict[str, Any], opportunity: dict[str, Any]) -> None:
    stamps = {"CreatedDate": LONG_AGO, "LastModifiedDate": LONG_AGO, "SystemModstamp": LONG_AGO}
    for record in (account, contract, opportunity):
        record.update(stamps)
    opportunity.update(StageName="Closed Won", LastStageChangeDate=LONG_AGO, CloseDate=LONG_AGO[:10])


def _emptied(account: dict[str, Any], contract: dict[str, Any]) -> list[tuple[str, str, dict[str, str]]]:
    """Take what will be missing out of the records, and say how it is filled in."""
    tax, terms = account["Tax_Id__c"], contract["Billing_Terms__c"]
    account["Tax_Id__c"] = contract["Billing_Terms__c"] = None
    return [
        ("Account", account["Id"], {"Tax_Id__c": tax}),
        ("Contract", contract["Id"], {"Billing_Terms__c": terms}),
    ]


def _deal(row: Row, account: Row, part: Part) -> Deal:
    return Deal(
        id=row["Id"],
        number=row["Deal_Number__c"],
        name=row["Name"],
        client=row["AccountId"],
        client_name=account["Name"],
        contract=row["ContractId"],
        part=part,
    )


def _by_hand(old: Row, account: Row) -> dict[str, dict[str, list[Row]]]:
    """Put what people made long ago for the old deal into PSA and ERP."""
    cents = int(Decimal(old["Amount"]) * 100)
    project = {"title": old["Name"], "currency": old["CurrencyIsoCode"], "price_in_cents": cents}
    shared = {"subsidiary": {"id": "1"}}
    customer = {"id": "900", "entityId": account["AccountNumber"], "companyName": account["Name"], **shared}
    number = {"id": "901", "entityId": old["Deal_Number__c"]}
    job = {**number, "companyName": old["Name"], "parent": {"id": "900"}, **shared}
    return {"kantata": {"workspaces": [project]}, "netsuite": {"customer": [customer], "job": [job]}}
