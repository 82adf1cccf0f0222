"""Whose value holds: the owner's, always; anybody else's only where the contract says so."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from concordat.core.agree import agrees
from concordat.core.contract import Ownership
from concordat.core.ownership import Member, judge, merge, owned_fields

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
            assert agrees(changes[name], merged.fields[name]), "by meaning: nothing is written in several ways"
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


# ── one thing in several systems ──────────────────────────────────────────────────────────────────

CHANGES = st.tuples(SYSTEMS, NAMES, VALUES)


def members(held: dict[str, dict[str, Any]], was: dict[str, dict[str, Any]], touched: str) -> list[Member]:
    return [
        Member(system=s, fields=held[s], was=was[s] if s == touched else None, touched=s == touched, source=s == "crm")
        for s in held
    ]


@given(OWNS, FIELDS, FIELDS, CHANGES)
def test_the_owners_value_holds_and_only_edits_are_answered(
    owns: dict[str, Ownership], crm: dict[str, Any], erp: dict[str, Any], change: tuple[str, str, Any]
) -> None:
    by, name, value = change
    was = {"crm": crm, "erp": erp, "psa": dict(erp)}
    held = {system: {**fields, **({name: value} if system == by else {})} for system, fields in was.items()}
    judged = judge(members(held, was, by), owns)
    assert judged.holds.keys() <= owns.keys()
    for field, rule in owns.items():
        theirs = held[rule.system].get(field)
        if theirs is not None and rule.others != "accept":
            assert judged.holds[field] == theirs
    assert {edit.system for edit in judged.edits} <= {by}
    assert {edit.conflict.field for edit in judged.edits} <= {name}
    assert all(owns[edit.conflict.field].system != edit.system for edit in judged.edits)
    assert judged.owned.keys() <= judged.holds.keys()


@given(OWNS, FIELDS, SYSTEMS)
def test_systems_that_agree_ask_for_nothing(owns: dict[str, Ownership], fields: dict[str, Any], by: str) -> None:
    """Our own write that comes back says what holds: it is no edit, whatever was held before."""
    held = {system: dict(fields) for system in ("crm", "erp", "psa")}
    judged = judge(members(held, {"crm": {}, "erp": {}, "psa": {}}, by), owns)
    assert judged.edits == ()
    assert judged.carry == {}
    assert judged.owned == {}
