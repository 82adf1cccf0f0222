"""The Graph connector against its twin: folders that people can read and that are never made twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from concordat.connectors import msgraph
from concordat.connectors.msgraph.names import folder_name, read_name
from concordat.errors import (
    AuthRevoked,
    Missing,
    RateLimited,
    Rejected,
    Unavailable,
    UnknownOutcome,
    VendorError,
)
from concordat.sdk.conformance import Bench, Check, checks
from concordat.sdk.spec import CallContext, WriteIntent
from concordat.twins.server import TwinHandle, start_twins

CTX = CallContext(correlation_id="c-1", timeout=5)
KEY = "CC-ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.fixture
def twin() -> Iterator[TwinHandle]:
    with start_twins(["msgraph"]) as twins:
        yield twins["msgraph"]


def connector(twin: TwinHandle, **changes: Any) -> msgraph.GraphConnector:
    given = {
        "tenant": "contoso", "client_id": "concordat", "client_secret": "secret", "url": twin.url,
        "login": twin.url, "site": "contoso.sharepoint.com:/sites/projects", **changes,
    }  # fmt: skip
    made: msgraph.GraphConnector = msgraph.SPEC.connect(msgraph.GraphSettings(**given), connection="documents")
    return made


@pytest.fixture
def documents(twin: TwinHandle) -> Iterator[msgraph.GraphConnector]:
    made = connector(twin)
    yield made
    made.close()


@pytest.fixture
def bench(twin: TwinHandle, documents: msgraph.GraphConnector) -> Bench:
    def example(number: int) -> Mapping[str, Any]:
        name = f'Migration: phase {number}/3 "A"'
        client = f"Acme #{number} \uff5e GmbH"
        return {"name": name, "client_name": client, "project_name": name, "locked": number == 2}

    def held(_object: str) -> int:
        return sum("(CC-" in item["name"] for item in twin.state("driveItems"))

    return Bench(connector=documents, examples={"workspace": example}, held=held)


@pytest.mark.parametrize("check", checks(msgraph.SPEC.facts), ids=str)
def test_conforms(check: Check, bench: Bench):
    check(bench)


def intent(key: str = KEY, name: str = "Migration", **more: Any) -> WriteIntent:
    fields = {"name": name, "client_name": "Acme", "project_name": name}
    return WriteIntent(**{"object": "workspace", "record_key": key, "write_key": f"{key}-1", "fields": fields, **more})


def outcome(documents: msgraph.GraphConnector, *intents: WriteIntent) -> list[str]:
    results = documents.write(intents, CTX)
    return [type(result.error).__name__ if result.error else result.disposition for result in results]


def test_a_folder_is_named_for_people_and_ends_with_its_key(twin: TwinHandle, documents: msgraph.GraphConnector):
    result = documents.write([intent()], CTX)[0]
    assert twin.state("driveItems")[-1]["name"] == f"Acme · Migration ({KEY})"
    seen = documents.find("workspace", [KEY], CTX)[KEY][0]
    assert (seen.ref, seen.record_key, seen.version, seen.url) == (result.ref, KEY, result.version, result.url)


def test_equal_project_names_of_two_clients_do_not_meet(documents: msgraph.GraphConnector):
    assert outcome(documents, intent("CC-A"), intent("CC-B")) == ["created", "created"]
    assert sorted(documents.find("workspace", ["CC-A", "CC-B", "CC-C"], CTX)) == ["CC-A", "CC-B"]


def test_the_same_folder_again_is_a_duplicate(twin: TwinHandle, documents: msgraph.GraphConnector):
    assert outcome(documents, intent()) == ["created"]
    assert outcome(documents, intent(), intent("CC-B")) == ["Duplicate", "created"]
    assert len(twin.ledger()) == 2


def test_a_lost_answer_is_doubt_for_every_member_and_all_are_found(twin: TwinHandle, documents: msgraph.GraphConnector):
    twin.fault(kind="commit_then_drop", object="driveItems", operation="batch", nth=1)
    with pytest.raises(UnknownOutcome):
        documents.write([intent(f"CC-{n}") for n in range(20)], CTX)
    assert len(documents.find("workspace", [f"CC-{n}" for n in range(20)], CTX)) == 20


def test_a_batch_answers_each_member_though_graph_answers_in_any_order(
    twin: TwinHandle, documents: msgraph.GraphConnector
):
    twin.fault(kind="partial_batch", members=[1])
    results = documents.write([intent("CC-1"), intent("CC-2"), intent("CC-3", name="")], CTX)
    assert [type(result.error) for result in results] == [type(None), RateLimited, Rejected]
    assert isinstance(results[1].error, RateLimited)
    assert results[1].error.retry_after == timedelta(seconds=10)
    assert documents.fetch("workspace", [str(results[0].ref)], CTX)[0].record_key == "CC-1"


def test_a_changed_name_renames_the_folder(twin: TwinHandle, documents: msgraph.GraphConnector):
    ref = documents.write([intent()], CTX)[0].ref
    assert outcome(documents, intent(name="Migration II", ref=ref)) == ["updated"]
    assert documents.fetch("workspace", [str(ref)], CTX)[0].fields["name"] == "Migration II"
    assert [line["operation"] for line in twin.ledger()] == ["create", "update"]


def test_archive_and_reactivate_move_the_folder(documents: msgraph.GraphConnector):
    ref = str(documents.write([intent()], CTX)[0].ref)
    assert outcome(documents, intent(operation="archive", ref=ref, fields={})) == ["updated"]
    assert documents.find("workspace", [KEY], CTX)[KEY][0].archived
    assert documents.fetch("workspace", [ref], CTX)[0].archived
    assert outcome(documents, intent(operation="reactivate", ref=ref, fields={})) == ["updated"]
    assert not documents.fetch("workspace", [ref], CTX)[0].archived


def test_lock_takes_writing_from_grants_made_on_the_folder(twin: TwinHandle, documents: msgraph.GraphConnector):
    ref = str(documents.write([intent()], CTX)[0].ref)
    grants = [
        {"id": "1", "roles": ["write"]},
        {"id": "2", "roles": ["write"], "inheritedFrom": {"id": "root"}},
        {"id": "3", "roles": ["owner"]},
    ]
    twin.twin.store.put("driveItems", ref, {"permissions": grants})
    assert outcome(documents, intent(operation="lock", ref=ref, fields={})) == ["updated"]
    kept = next(item for item in twin.state("driveItems") if item["id"] == ref)["permissions"]
    assert [grant["roles"] for grant in kept] == [["read"], ["write"], ["owner"]]


def roles(twin: TwinHandle, ref: str) -> list[Any]:
    held = next(one for one in twin.state("driveItems") if one["id"] == ref)
    return [grant["roles"] for grant in held["permissions"]]


def locked(documents: msgraph.GraphConnector, ref: str) -> Any:
    return documents.fetch("workspace", [ref], CTX)[0].fields["locked"]


GRANTS = [
    {"id": "w/1", "roles": ["write"]}, {"id": "r2", "roles": ["read"]},
    {"id": "i3", "roles": ["write"], "inheritedFrom": {"id": "root"}}, {"id": "o4", "roles": ["owner"]},
]  # fmt: skip


def test_a_document_locks_a_workspace_and_gives_it_back(twin: TwinHandle, documents: msgraph.GraphConnector):
    ref = str(documents.write([intent()], CTX)[0].ref)
    twin.twin.store.put("driveItems", ref, {"permissions": GRANTS})
    shut = [["read"], ["read"], ["write"], ["owner"]]
    for fields, state, kept in (
        ({"locked": True}, True, shut),
        ({"locked": True}, True, shut),
        ({"locked": False}, False, [["write"], ["read"], ["write"], ["owner"]]),
        ({"locked": None}, False, [["write"], ["read"], ["write"], ["owner"]]),
        ({"name": "Other", "client_name": None, "project_name": "Other", "locked": True}, True, shut),
    ):
        assert outcome(documents, intent(ref=ref, fields=fields)) == ["updated"]
        assert (locked(documents, ref), roles(twin, ref)) == (state, kept)
    assert documents.find("workspace", [KEY], CTX)[KEY][0].fields["name"] == "Other"
    assert outcome(documents, intent(ref=ref, operation="reactivate", fields={})) == ["updated"]
    assert (locked(documents, ref), roles(twin, ref)[0]) == (False, ["write"])
    assert [line["object"] for line in twin.ledger()].count("driveItems") == 3


def test_a_lock_that_breaks_off_reads_as_not_locked_and_is_finished_by_the_next(
    twin: TwinHandle, documents: msgraph.GraphConnector
):
    ref = str(documents.write([intent()], CTX)[0].ref)
    twin.twin.store.put("driveItems", ref, {"permissions": [*GRANTS, {"id": "w5", "roles": ["write"]}]})
    twin.fault(kind="commit_then_drop", object="permissions", operation="update", nth=2)
    assert outcome(documents, intent(ref=ref, fields={"locked": True})) == ["UnknownOutcome"]
    assert locked(documents, ref) is False
    assert documents.find("workspace", [KEY], CTX)[KEY][0].fields["locked"] is False
    assert outcome(documents, intent(ref=ref, fields={"locked": True})) == ["updated"]
    assert locked(documents, ref) is True
    assert outcome(documents, intent(ref=ref, fields={"locked": False})) == ["updated"]
    assert roles(twin, ref) == [["write"], ["read"], ["write"], ["owner"], ["write"]]


def test_a_grant_that_somebody_took_away_does_not_stop_the_giving_back(
    twin: TwinHandle, documents: msgraph.GraphConnector
):
    ref = str(documents.write([intent()], CTX)[0].ref)
    twin.twin.store.put("driveItems", ref, {"permissions": GRANTS})
    assert outcome(documents, intent(ref=ref, fields={"locked": True})) == ["updated"]
    twin.twin.store.put("driveItems", ref, {"permissions": GRANTS[1:]})
    assert outcome(documents, intent(ref=ref, fields={"locked": False})) == ["updated"]
    assert locked(documents, ref) is False


def test_a_lock_needs_its_column_and_says_so(twin: TwinHandle):
    documents = connector(twin, lock_column="Elsewhere")
    ref = str(documents.write([intent()], CTX)[0].ref)
    (result,) = documents.write([intent(ref=ref, fields={"locked": True})], CTX)
    assert isinstance(result.error, Rejected)
    assert (result.error.field, "Elsewhere" in str(result.error)) == ("locked", True)
    assert outcome(documents, intent(ref=ref, fields={"locked": False})) == ["updated"]
    assert outcome(documents, intent("CC-B", fields={"name": "B", "locked": True})) == ["UnknownOutcome"]
    documents.close()


def test_without_a_column_nothing_is_locked_and_no_column_is_asked_for(twin: TwinHandle):
    documents = connector(twin, lock_column="")
    ref = str(documents.write([intent()], CTX)[0].ref)
    twin.fault(kind="status", status=403, key="expand", body={"error": {"code": "accessDenied", "message": "no"}})
    assert outcome(documents, intent(ref=ref, fields={"locked": True})) == ["Rejected"]
    assert outcome(documents, intent(ref=ref, fields={"locked": False})) == ["updated"]
    assert locked(documents, ref) is False
    documents.close()


@pytest.mark.parametrize("gone", ["client_name", "project_name"])
def test_what_is_emptied_is_read_back_as_empty(documents: msgraph.GraphConnector, gone: str):
    ref = str(documents.write([intent()], CTX)[0].ref)
    fields = {"name": "Migration", "client_name": "Acme", "project_name": "Programme", gone: None}
    assert outcome(documents, intent(ref=ref, fields=fields)) == ["updated"]
    seen = documents.fetch("workspace", [ref], CTX)[0].fields
    assert {name: seen[name] for name in fields} == fields
    assert outcome(documents, intent(ref=ref, fields={**fields, "name": None})) == ["Rejected"]


@pytest.mark.parametrize(
    ("status", "commit", "kind"),
    [
        (401, False, "created"),
        (409, True, "Duplicate"),
        (423, False, "Locked"),
        (503, False, "Unavailable"),
        (504, True, "UnknownOutcome"),
        (509, False, "RateLimited"),
    ],
)
def test_a_member_of_a_batch_fails_for_its_own_reason(
    twin: TwinHandle, documents: msgraph.GraphConnector, status: int, *, commit: bool, kind: str
):
    documents.ping(CTX)
    twin.fault(kind="partial_batch", members=[1], status=status, commit=commit, nth=1)
    assert outcome(documents, intent("CC-1"), intent("CC-2"), intent("CC-3")) == ["created", kind, "created"]
    found = documents.find("workspace", ["CC-1", "CC-2", "CC-3"], CTX)
    assert ("CC-2" in found) is (commit or kind == "created")
    assert all(len(seen) == 1 for seen in found.values())


def test_a_token_that_is_refused_for_good_in_a_batch_needs_a_person(
    twin: TwinHandle, documents: msgraph.GraphConnector
):
    twin.fault(kind="partial_batch", members=[0, 1], status=401)
    assert outcome(documents, intent("CC-1"), intent("CC-2")) == ["AuthRevoked", "AuthRevoked"]
    assert documents.find("workspace", ["CC-1", "CC-2"], CTX) == {}


@pytest.mark.parametrize(
    "body",
    [{}, {"responses": None}, {"responses": [7, {"id": "0"}, {"id": "1", "status": "?"}]}],
)
def test_an_odd_answer_to_a_batch_is_doubt(twin: TwinHandle, documents: msgraph.GraphConnector, body: dict[str, Any]):
    documents.ping(CTX)
    twin.fault(kind="status", status=200, operation="batch", body=body)
    assert outcome(documents, intent("CC-1"), intent("CC-2")) == ["UnknownOutcome", "UnknownOutcome"]


def test_a_batch_that_is_refused_as_a_whole_goes_one_by_one(twin: TwinHandle, documents: msgraph.GraphConnector):
    documents.ping(CTX)
    refusal = {"error": {"code": "BadRequest", "message": "Invalid batch payload format."}}
    twin.fault(kind="status", status=400, operation="batch", body=refusal)
    twin.fault(kind="status", status=400, operation="create", key="CC-2", body=refusal)
    assert outcome(documents, intent("CC-1"), intent("CC-2"), intent("CC-3")) == ["created", "Rejected", "created"]


def test_an_answer_that_names_nothing_is_doubt(twin: TwinHandle, documents: msgraph.GraphConnector):
    documents.ping(CTX)
    twin.fault(kind="status", status=201, operation="create", body={})
    assert outcome(documents, intent()) == ["UnknownOutcome"]


def test_an_empty_page_is_not_the_end_of_a_listing(twin: TwinHandle, documents: msgraph.GraphConnector):
    twin.twin.options["empty_page"] = True
    assert outcome(documents, intent()) == ["created"]
    assert len(documents.find("workspace", [KEY], CTX)[KEY]) == 1


def test_an_archive_is_the_archive_however_it_is_written(twin: TwinHandle, documents: msgraph.GraphConnector):
    ref = str(documents.write([intent()], CTX)[0].ref)
    twin.seed({"driveItems": [{"id": "A1", "name": "ARCHIVE", "under": "Workspaces"}]})
    assert outcome(documents, intent(operation="archive", ref=ref, fields={})) == ["updated"]
    assert documents.find("workspace", [KEY], CTX)[KEY][0].archived
    assert documents.fetch("workspace", [ref], CTX)[0].archived


def test_two_folders_with_one_key_are_both_shown(twin: TwinHandle, documents: msgraph.GraphConnector):
    documents.write([intent()], CTX)
    twin.seed({"driveItems": [{"id": "X2", "name": f"Copy ({KEY})", "under": "Workspaces/Archive"}]})
    found = documents.find("workspace", [KEY], CTX)[KEY]
    assert sorted(one.archived for one in found) == [False, True]


def test_look_alikes_made_by_hand_are_found(twin: TwinHandle, documents: msgraph.GraphConnector):
    twin.seed({"driveItems": [{"id": "X1", "name": "migration", "under": "Workspaces"}]})
    found = documents.match("workspace", {"name": "Migration"}, CTX)
    assert [(one.ref, one.record_key) for one in found] == [("X1", "")]
    assert documents.match("workspace", {}, CTX) == []


def test_a_long_listing_is_read_to_its_end(
    twin: TwinHandle, documents: msgraph.GraphConnector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("concordat.connectors.msgraph.desk.PAGE", 3)
    twin.seed({"driveItems": [{"name": f"P (CC-{n})", "under": "Workspaces"} for n in range(8)]})
    assert len(documents.find("workspace", [f"CC-{n}" for n in range(8)], CTX)) == 8


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 'a"b*c:d<e>f?g/h\\i|j#k%l~', "client_name": "Acme", "project_name": "x"},
        {"name": "\uff5ewide\uff1a and narrow~:", "client_name": None, "project_name": "\uff5ewide\uff1a and narrow~:"},
        {"name": "ends with a dot.", "client_name": "A · B", "project_name": "x_vti_y"},
        {"name": "only a name", "client_name": None, "project_name": "another"},
        {"name": "no project", "client_name": "Acme", "project_name": None},
        {"name": "tab\tand\nline", "client_name": "A ·", "project_name": "· B"},
        {"name": "…", "client_name": "…", "project_name": "‧·␉"},
        {"name": "x_VTI_y", "client_name": "\uff3fvti_", "project_name": "_vti_"},
    ],
)
def test_names_come_back_as_they_went(twin: TwinHandle, documents: msgraph.GraphConnector, fields: dict[str, Any]):
    result = documents.write([intent(fields=fields)], CTX)[0]
    assert result.error is None
    assert documents.fetch("workspace", [str(result.ref)], CTX)[0].fields == {**fields, "locked": False}


def test_a_name_that_cannot_be_kept_whole_is_rejected():
    with pytest.raises(Rejected, match="characters"):
        folder_name({"name": "n" * 240}, KEY)
    with pytest.raises(Rejected, match="characters"):
        folder_name({"name": "\U0001f600" * 120}, KEY)
    assert read_name("made by hand")["name"] == "made by hand"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "quota_exhausted", "seconds": 7}, RateLimited),
        ({"kind": "status", "status": 503, "headers": {"Retry-After": "5"}}, Unavailable),
        ({"kind": "commit_then_504"}, UnknownOutcome),
        ({"kind": "commit_then_drop"}, UnknownOutcome),
    ],
)
def test_what_goes_wrong_on_the_way(
    twin: TwinHandle, documents: msgraph.GraphConnector, fault: dict[str, Any], kind: type[VendorError]
):
    documents.ping(CTX)
    twin.fault(object="driveItems", operation="create", **fault)
    assert type(documents.write([intent()], CTX)[0].error) is kind


def test_credentials_and_folder_are_proven_by_a_ping(twin: TwinHandle, documents: msgraph.GraphConnector):
    documents.ping(CTX)
    twin.do("expire_tokens")
    documents.ping(CTX)
    for changes, kind in (({"client_secret": "x"}, AuthRevoked), ({"folder": "Nowhere"}, Rejected)):
        other = connector(twin, drive="b!drive1", **changes)
        with pytest.raises(kind):
            other.ping(CTX)
        other.close()


def test_a_library_must_be_named_and_its_folder_be_there(twin: TwinHandle):
    with pytest.raises(ValueError, match="name a `site`"):
        connector(twin, site="")
    nowhere = connector(twin, folder="Nowhere")
    assert outcome(nowhere, intent()) == ["Rejected"]
    nowhere.close()


def test_a_folder_that_is_gone_is_missing(documents: msgraph.GraphConnector):
    assert type(documents.write([intent(ref="nothing")], CTX)[0].error) is Missing
    assert documents.fetch("workspace", ["nothing", "nor this"], CTX) == []


def test_a_folder_that_is_gone_for_good_hides_no_other(twin: TwinHandle, documents: msgraph.GraphConnector):
    refs = [str(documents.write([intent(key)], CTX)[0].ref) for key in ("CC-1", "CC-2")]
    twin.fault(kind="status", status=410, path=refs[0], body={"error": {"code": "itemGone", "message": "gone"}})
    assert documents.fetch("workspace", refs[:1], CTX) == []
    twin.heal()
    twin.fault(kind="partial_batch", members=[0], status=410)
    assert [seen.ref for seen in documents.fetch("workspace", refs, CTX)] == refs[1:]
