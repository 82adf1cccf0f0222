"""What people do in the twin's org (`POST /__twin/do`), and the signed hint that each change sends.

win_deal {id|number|ids|count} · lose_deal · reverse_deal (back to negotiation) · change_amount {id, amount} ·
fill {object, id, fields} · win_extension {id: of the original deal, amount, …} · make {object, fields} ·
delete {object, id} · merge {id: of the account that goes, into}. A deal is named by `id` or by `number`
(Deal_Number__c); fields are Salesforce's own names.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from concordat.twins.base import Twin
from concordat.twins.salesforce.org import Org
from concordat.twins.salesforce.schema import Problem

__all__ = ["add_acts", "hint"]

WATCHED = frozenset({"Account", "Contract", "Opportunity"})
WON, LOST, OPEN = "Closed Won", "Closed Lost", "Negotiation/Review"
Said = Mapping[str, Any]
Act = Callable[[Said], Any]


def hint(twin: Twin, object_: str, refs: Sequence[str], *, person: bool = False) -> None:
    """Send the hint that these records changed; one hint may name many, as a relay merges."""
    if object_ not in WATCHED or not twin.pushes.hooks or not (person or twin.options.get("echo", True)):
        return
    at = f"{twin.now():%Y-%m-%dT%H:%M:%SZ}"
    stamp = str(int(twin.now().timestamp()))
    number = len(twin.pushes.log) + 1
    event = f"e{number:08d}-{refs[0]}"

    def sign(body: bytes, secret: str) -> Mapping[str, str]:
        digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        kind = {"Content-Type": "application/json"}
        return {**kind, "X-Concordat-Timestamp": stamp, "X-Concordat-Signature": f"sha256={digest}"}

    twin.push({"event": event, "object": object_, "ids": list(refs), "at": at}, sign, object=object_)


def add_acts(twin: Twin, org: Org) -> None:
    """Serve every act."""
    desk = _Desk(twin, org)
    acts: Mapping[str, Act] = {
        "win_deal": desk.stage(WON),
        "lose_deal": desk.stage(LOST),
        "reverse_deal": desk.stage(OPEN),
        "change_amount": desk.change_amount,
        "fill": desk.fill,
        "win_extension": desk.win_extension,
        "make": desk.make,
        "delete": desk.delete,
        "merge": desk.merge,
    }
    for name, act in acts.items():
        twin.action(name)(_plainly(act))


class _Desk:
    """A person at the org's pages."""

    def __init__(self, twin: Twin, org: Org) -> None:
        self.twin = twin
        self.org = org

    def stage(self, word: str) -> Act:
        """Move deals to a stage, hints merged by 200."""

        def act(said: Said) -> Any:
            refs = list(_deals(self.org, said))
            for ref in refs:
                self.org.edit("Opportunity", ref, {"StageName": word})
            for start in range(0, len(refs), 200):
                hint(self.twin, "Opportunity", refs[start : start + 200], person=True)
            return {"ids": refs}

        return act

    def change_amount(self, said: Said) -> Any:
        """Change a deal's amount."""
        (ref,) = _deals(self.org, said)
        return self._edited("Opportunity", ref, {"Amount": said["amount"]})

    def fill(self, said: Said) -> Any:
        """Fill fields of any record."""
        return self._edited(said.get("object", "Account"), said["id"], said["fields"])

    def win_extension(self, said: Said) -> Any:
        """Win a further deal that extends one."""
        (original,) = _deals(self.org, said)
        return self._made("Opportunity", _extension(self.org, original, said))

    def make(self, said: Said) -> Any:
        """Make any record by hand."""
        return self._made(said["object"], said["fields"])

    def delete(self, said: Said) -> Any:
        """Move a record into the recycle bin."""
        record = self.org.find(said["object"], said["id"])
        self.twin.store.put(said["object"], record.ref, self.org.deleted(said["object"], record.fields))
        return self._hinted(said["object"], record.ref)

    def merge(self, said: Said) -> Any:
        """Merge one account into another."""
        self.org.merge("Account", said["id"], said["into"])
        return self._hinted("Account", said["into"])

    def _edited(self, object_: str, ref: str, fields: Said) -> Any:
        self.org.edit(object_, ref, fields)
        return self._hinted(object_, ref)

    def _made(self, object_: str, fields: Said) -> Any:
        return self._hinted(object_, self.org.make(object_, fields))

    def _hinted(self, object_: str, ref: str) -> Any:
        hint(self.twin, object_, [ref], person=True)
        return {"id": ref}


def _extension(org: Org, original: str, said: Said) -> dict[str, Any]:
    old = org.find("Opportunity", original).fields
    own = ("AccountId", "ContractId", "OwnerId", "CurrencyIsoCode", "CloseDate", "Legal_Entity__c")
    given = {"amount": "Amount", "name": "Name", "number": "Deal_Number__c", "close_date": "CloseDate"}
    return {
        **{name: old[name] for name in own},
        "Name": f"{old['Name'][:108]} (extension)",
        "StageName": WON,
        "Type": said.get("type", "Extension"),
        "Extends__c": original,
        **{given[word]: value for word, value in said.items() if word in given and word != "number"},
        **({"Deal_Number__c": said["new_number"]} if "new_number" in said else {}),
    }


def _deals(org: Org, said: Said) -> Iterator[str]:
    if "ids" in said:
        yield from said["ids"]
    elif "id" in said:
        yield said["id"]
    elif "number" in said:
        found = org.twin.store.where("Opportunity", "Deal_Number__c", said["number"])
        if not found:
            raise Problem("NOT_FOUND", f"no deal {said['number']}")
        yield found[0].ref
    else:
        waiting = (r for r in org.twin.store.all("Opportunity") if not r.fields["IsClosed"])
        yield from (record.ref for record in itertools.islice(waiting, int(said["count"])))


def _plainly(act: Act) -> Act:
    def run(said: Said) -> Any:
        try:
            return act(said)
        except Problem as problem:
            raise LookupError(f"{problem.code}: {problem.message}") from problem

    return run
