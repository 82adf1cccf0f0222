"""A field that is emptied in a document is empty in Tryton, or refused by its name; nothing else moves."""

from __future__ import annotations

from typing import Any

import pytest

from concordat.connectors.tryton import SPEC, TrytonConnector
from concordat.errors import Rejected
from tests.tryton.documents import CLIENT, intent, made, project, put
from tests.tryton.running import call

pytestmark = pytest.mark.slow

KEPT = {
    "client": set[str](),
    "project": {"name", "status", "entity", "currency"},
    "contract_line": {"name", "status"},
}
"""What Tryton always has."""


def whole(erp: TrytonConnector, object_: str) -> dict[str, Any]:
    if object_ == "client":
        return dict(CLIENT)
    party = made(erp, intent("client", CLIENT))
    if object_ == "project":
        return project(party)
    work = made(erp, intent("project", project(party)))
    return {
        "name": "Phase two",
        "project": {"ref": work, "name": "", "number": ""},
        "amount": {"amount": "1.00", "currency": "EUR"},
        "budget_hours": "7.5",
        "start_date": "2027-06-01",
        "end_date": "2027-07-01",
    }


@pytest.mark.parametrize("object_", sorted(KEPT))
def test_every_field_can_be_emptied_or_says_that_it_cannot(erp: TrytonConnector, object_: str) -> None:
    document = whole(erp, object_)
    wanted = intent(object_, document)
    ref = made(erp, wanted)
    before = dict(erp.fetch(object_, [ref], call())[0].fields)
    for field in sorted(SPEC.facts.targets[object_].fields):
        (result,) = put(erp, intent(object_, {**document, field: None}, wanted.record_key, ref=ref))
        seen = erp.fetch(object_, [ref], call())[0].fields
        if field in KEPT[object_]:
            assert isinstance(result.error, Rejected), field
            assert (result.error.field, seen) == (field, before)
        else:
            assert (result.error, seen[field]) == (None, None), field
        assert put(erp, intent(object_, document, wanted.record_key, ref=ref))[0].error is None
        assert erp.fetch(object_, [ref], call())[0].fields == before


@pytest.mark.parametrize("object_", ["project", "contract_line"])
def test_a_document_of_one_field_rests_a_work_and_takes_it_up_again(erp: TrytonConnector, object_: str) -> None:
    wanted = intent(object_, whole(erp, object_))
    ref = made(erp, wanted)
    before = erp.fetch(object_, [ref], call())[0].fields
    for word, disposition in (("on_hold", "updated"), ("on_hold", "unchanged"), ("active", "updated")):
        (result,) = put(erp, intent(object_, {"status": word}, wanted.record_key, ref=ref))
        assert (result.error, result.disposition) == (None, disposition)
        assert erp.fetch(object_, [ref], call())[0].fields == {**before, "status": word}
