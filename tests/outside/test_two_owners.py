"""Payment terms belong to the ERP: finance's terms everywhere, a seller's edit written back, an automation stopped."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from tests.outside.books import await_in_step, step
from tests.outside.firm import Firm
from tests.outside.story import Deal, Story, crm_records
from tests.outside.wait import never_within, until

TERMS: Mapping[str, str] = {"NET14": "5", "NET15": "1", "NET45": "6", "NET60": "3"}
"""What the firm calls them, and what the ERP does. `NET30` is what every client begins with."""
FIELD = "Payment_Terms__c"


class Client:
    """One client, as the CRM and the ERP hold it."""

    def __init__(self, firm: Firm, deal: Deal) -> None:
        self.firm = firm
        self.deal = deal
        self.account = str(deal.account["Id"])
        self.customer = str(step(firm.api.of(deal.id), "client_in_erp")["ref"])
        self.since = len(firm.twins["crm"].ledger("Account"))
        self.before = len(firm.twins["erp"].ledger("customer"))

    def crm(self) -> Mapping[str, Any]:
        return next(row for row in self.firm.twins["crm"].state("Account") if row["id"] == self.account)

    def erp(self) -> Mapping[str, Any]:
        return next(row for row in self.firm.twins["erp"].state("customer") if row["id"] == self.customer)

    def erp_terms(self) -> str:
        """What the ERP keeps, whatever shape it keeps it in."""
        held = self.erp()["terms"]
        return str(held["id"] if isinstance(held, Mapping) else held)

    def finance(self, terms: str) -> None:
        """Finance changes the terms where they belong."""
        self.firm.twins["erp"].do("edit", object="customer", id=self.customer, fields={"terms": TERMS[terms]})

    def seller(self, **fields: str) -> None:
        """A seller changes the account."""
        self.firm.crm("fill", object="Account", id=self.account, fields=fields)

    def writes(self) -> int:
        """How often the account was written to, by anybody but a person."""
        lines = self.firm.twins["crm"].ledger("Account")[self.since :]
        return sum(1 for line in lines if line["key"] == self.account or self.account in str(line))


def begin(firm: Firm, story: Story) -> Client:
    """A deal in step, whose client both systems know."""
    deal = story.deal()
    firm.twins["crm"].seed(crm_records([deal]))
    firm.crm("win_deal", id=deal.id)
    await_in_step(firm, [deal])
    return Client(firm, deal)


def conflicts(firm: Firm, client: Client) -> list[Mapping[str, Any]]:
    mine = (client.account, client.customer, client.deal.name, client.deal.client)
    return [c for c in firm.api.cases() if "belongs to erp" in c["title"] and any(word in str(c) for word in mine)]


def test_finances_terms_hold_everywhere(firm: Firm, story: Story, chance: random.Random) -> None:
    client = begin(firm, story)
    theirs, sellers = chance.sample(sorted(TERMS), 2)
    untouched = {name: value for name, value in client.crm().items() if name.endswith("__c") and name != FIELD}
    client.finance(theirs)
    until("finance's terms to reach the CRM", lambda: client.crm()[FIELD] == theirs, within=40)
    phone = f"+49 30 {chance.randrange(10**5, 10**6)}"
    client.seller(**{FIELD: sellers, "Phone": phone})
    until("the seller's terms to be written back", lambda: client.crm()[FIELD] == theirs, within=40)
    until("the seller's phone to reach the ERP", lambda: client.erp().get("phone") == phone, within=40)
    assert client.crm()["Phone"] == phone, "another field of the same edit is the seller's to change"
    assert client.erp_terms() == TERMS[theirs], "the owner is not written to"
    after = {name: value for name, value in client.crm().items() if name in untouched and name != "Concordat_Key__c"}
    assert after == {name: value for name, value in untouched.items() if name != "Concordat_Key__c"}
    assert client.writes() == 2, "one write for finance's edit, one for the seller's"
    never_within("writing goes on", lambda: client.writes() > 2, seconds=6)
    assert conflicts(firm, client) == []


def test_an_automation_that_overwrites_every_answer_is_stopped(firm: Firm, story: Story, chance: random.Random) -> None:
    client = begin(firm, story)
    theirs, wanted = chance.sample(sorted(TERMS), 2)
    client.finance(theirs)
    until("finance's terms to reach the CRM", lambda: client.crm()[FIELD] == theirs, within=40)
    carried = client.writes()

    lag = chance.choice((0.0, 4.0))
    seen = [0.0]

    def automate() -> bool:
        """The CRM's own automation, at once or a little after every write: it puts back what it wants."""
        if client.crm()[FIELD] == wanted:
            seen[0] = 0.0
        elif seen[0] and time.monotonic() - seen[0] >= lag:
            client.seller(**{FIELD: wanted})
        else:
            seen[0] = seen[0] or time.monotonic()
        return bool(conflicts(firm, client))

    client.seller(**{FIELD: wanted})
    until("the conflict to be a case", automate, within=120)
    assert client.writes() - carried <= 2
    never_within("the writing to go on", lambda: automate() and client.writes() - carried > 2, seconds=8)
    assert client.erp_terms() == TERMS[theirs], "the ERP goes on holding its own"
    (case,) = conflicts(firm, client)
    assert "payment_terms belongs to erp" in case["title"], "whoever is asked is told whose the field is"
    assert case["owner"]
    client.seller(**{FIELD: theirs})
    until("the case to end with the quarrel", lambda: not conflicts(firm, client), within=40)
