"""Whose value holds: the owner's, always; anybody else's only where the contract says so."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from concordat.core.contract import Ownership
from concordat.core.ownership import merge, owned_fields

NAMES = st.sampled_from(["phone", "terms", "status", "name"])
VALUES = st.none() | st.text(max_size=3) | st.integers(0, 3) | st.booleans()
FIELDS = st.dictionaries(NAMES, VALUES)
SYSTEMS = st.sampled_from(["crm", "erp", "psa"])
RULES = st.builds(Ownership, system=SYSTEMS, others=st.sampled_from(["revert", "accept", "raise"]))
OWNS = st.dictionaries(NAMES, RULES)


def test_two_owners_of_one_field_as_in_the_story() -> None:
    """Payment terms belong to the ERP; a seller changes them in the CRM."""
    owns = owned_fields({"client.payment_terms": Ownership(system="erp", others="revert")}, "client")
    merged = merge({"payment_terms": "NET45"}, {"payment_terms": "NET60"}, "crm", owns)
    assert merged.fields == {"payment_terms": "NET45"}
    conflict = merged.reverted["payment_terms"]
    assert (conflict.owner, conflict.holds, conflict.asked) == ("erp", "NET45", "NET60")


def test_the_same_number_written_otherwise_is_no_edit() -> None:
    owns = {"rate": Ownership(system="erp", others="raise")}
    assert merge({"rate": "100.00"}, {"rate": "100.0"}, "crm", owns).raised == {}


def test_only_this_objects_fields_are_owned() -> None:
    rule = Ownership(system="erp", others="revert")
    assert owned_fields({"client.phone": rule, "project.phone": rule, "clients.x": rule}, "client") == {"phone": rule}


@given(record=FIELDS, changes=FIELDS, system=SYSTEMS, owns=OWNS)
def test_the_owners_value_always_holds(
    record: dict[str, Any], changes: dict[str, Any], system: str, owns: dict[str, Ownership]
) -> None:
    merged = merge(record, changes, system, owns)
    for name, rule in owns.items():
        if rule.system == system and name in changes:
            assert str(merged.fields[name]).strip() == str(changes[name]).strip()
        elif rule.others != "accept" and record.get(name) is not None:
            assert merged.fields[name] == record[name]


@given(record=FIELDS, changes=FIELDS, system=SYSTEMS, owns=OWNS)
def test_merging_again_changes_nothing(
    record: dict[str, Any], changes: dict[str, Any], system: str, owns: dict[str, Ownership]
) -> None:
    once = merge(record, changes, system, owns)
    twice = merge(once.fields, changes, system, owns)
    assert twice.fields == once.fields
    assert twice.changed == frozenset()
    assert (twice.reverted, twice.raised) == (once.reverted, once.raised)


@given(record=FIELDS, changes=FIELDS, system=SYSTEMS, owns=OWNS)
def test_every_edit_is_taken_reverted_or_raised_and_only_one_of_them(
    record: dict[str, Any], changes: dict[str, Any], system: str, owns: dict[str, Ownership]
) -> None:
    merged = merge(record, changes, system, owns)
    fates = [merged.changed, merged.reverted.keys(), merged.raised.keys()]
    assert sum(map(len, fates)) == len(set().union(*fates))
    assert set().union(*fates) <= changes.keys()
    assert merged.fields.keys() == record.keys() | merged.changed


@given(record=FIELDS, first=FIELDS, second=FIELDS, owns=OWNS)
def test_where_others_are_accepted_the_newest_holds(
    record: dict[str, Any], first: dict[str, Any], second: dict[str, Any], owns: dict[str, Ownership]
) -> None:
    open_ = {name: Ownership(system=rule.system, others="accept") for name, rule in owns.items()}
    merged = merge(merge(record, first, "crm", open_).fields, second, "psa", open_)
    for name, value in second.items():
        assert str(merged.fields[name] or "").strip() == str(value or "").strip()
