"""What an org does to a write by itself: locks, rules that see a copy, fields that it keeps to itself.

* A row lock that a trigger runs into is reported under the trigger's name, as
  CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY (src: issue SFDO-Community/declarative-lookup-rollup-summaries 1241):
  `lock_storm` with `inside`: true.
* A duplicate rule refuses an API's insert also where it would only warn a person, unless the call says
  `Sforce-Duplicate-Rule-Header: allowSave=true` (src: REST API Developer Guide, headers_duplicaterules;
  salesforce.stackexchange 66050): `duplicate_rule`.
* The amount of a deal with products is their sum; writing it is ignored without a word (src: Object Reference,
  Opportunity.Amount).
* A value that its field's type cannot take fails the parser, and with it every record of the call (src: issues
  texei/texei-sfdx-plugin 113, qoretechnologies/qore 3908).
* A trigger that runs out of Apex limits fails every record of its chunk, for their number alone (src: issue
  SFDO-Community/declarative-lookup-rollup-summaries 615): `partial_batch` with `over`.
* CurrencyIsoCode is defaulted on create and never null (src: Object Reference, CurrencyIsoCode).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concordat.twins.base import Twin
from concordat.twins.salesforce.schema import OBJECTS, Field, Problem, keep

__all__ = ["check_copy", "check_currency", "check_lock", "check_parsed", "refusals", "settled"]

Fields = dict[str, Any]


def check_lock(twin: Twin, object_: str, data: Mapping[str, Any]) -> None:
    """Refuse while `lock_storm` strikes."""
    key = str(data.get("Concordat_Key__c") or data.get("Id") or "")
    fault = twin.fault("lock_storm", object=object_, operation="write", key=key)
    if fault is None:
        return
    what = "unable to obtain exclusive access to this record"
    if fault.args.get("inside"):
        cause = f"System.DmlException: Update failed. First exception on row 0; first error: UNABLE_TO_LOCK_ROW, {what}"
        message = f"RollupTrigger: execution of AfterUpdate\n\ncaused by: {cause}: []"
        raise Problem("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message)
    raise Problem("UNABLE_TO_LOCK_ROW", f"{what} or 1 records: {data.get('AccountId') or data.get('Id') or '001'}")


def check_copy(twin: Twin, object_: str, data: Mapping[str, Any]) -> None:
    """Refuse a new record that looks like one that lives, while `duplicate_rule` strikes."""
    name = str(data.get("Name") or "").strip().lower()
    alive = (record for record in twin.store.all(object_) if not record.fields.get("IsDeleted"))
    alike = [record.ref for record in alive if name and str(record.fields.get("Name")).strip().lower() == name]
    if not alike or not twin.fault("duplicate_rule", object=object_, operation="create", key=name):
        return
    records = [{"record": {"attributes": {"type": object_}, "Id": ref}, "matchConfidence": 100.0} for ref in alike]
    matches = [{"entityType": object_, "rule": f"Standard_{object_}_Match_Rule_v1_0", "matchRecords": records}]
    said = {"allowSave": True, "duplicateRule": f"Standard_{object_}_Duplicate_Rule", "matchResults": matches}
    raise Problem("DUPLICATES_DETECTED", "Use one of these records?", (), {"duplicateResult": said})


def check_parsed(object_: str, data: Mapping[str, Any]) -> None:
    """Refuse a value of the wrong type, as the parser does before any record is looked at."""
    fields = OBJECTS[object_].fields if object_ in OBJECTS else {}
    for name, value in data.items():
        field = fields.get(name, Field(type="any"))
        try:
            keep(name, field, value) if field.type not in {"any", "reference"} else None
        except Problem as problem:
            if problem.code == "JSON_PARSER_ERROR":
                raise


def refusals(args: Mapping[str, Any], count: int) -> dict[int, Problem]:
    """Say which members of a collection `partial_batch` refuses, and with what."""
    if "over" in args:
        message = "RollupTrigger: System.LimitException: Too many DML rows: 10001"
        burden = Problem("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message)
        return dict.fromkeys(range(count), burden) if count > int(args["over"]) else {}
    code = args.get("code", "FIELD_CUSTOM_VALIDATION_EXCEPTION")
    problem = Problem(code, args.get("message", "the record was refused"))
    return dict.fromkeys(args.get("members", [count - 1]), problem)


def check_currency(kept: Mapping[str, Any], *, creating: bool) -> None:
    """Refuse to empty the currency of a record."""
    if not creating and "CurrencyIsoCode" in kept and kept["CurrencyIsoCode"] is None:
        message = "Currency ISO Code: bad value for restricted picklist field: null"
        raise Problem("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, ("CurrencyIsoCode",))


def settled(object_: str, present: Mapping[str, Any], fields: Fields) -> Fields:
    """Leave out what the org does not take from a write."""
    ignored = {"Amount"} if object_ == "Opportunity" and present.get("HasOpportunityLineItem") else set()
    if fields.get("CurrencyIsoCode", "") is None:
        ignored.add("CurrencyIsoCode")
    return {name: value for name, value in fields.items() if name not in ignored}
