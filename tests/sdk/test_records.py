"""A page of a vendor's records: one that cannot be translated is a fault of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from concordat.errors import Rejected
from concordat.sdk.records import each
from concordat.sdk.spec import SourceRecord


def client(row: Mapping[str, Any]) -> SourceRecord:
    if row["name"] == "bad":
        raise Rejected("the name is bad")
    return SourceRecord(object="client", ref=row["id"], version=row["at"], fields={"name": row["name"]})


def read(*rows: Mapping[str, Any]) -> list[SourceRecord]:
    return each(rows, client, object_="client", ref=lambda row: row["id"])


def row(id_: int, **more: Any) -> dict[str, Any]:
    return {"id": str(id_), "at": "1", "name": f"Client {id_}", **more}


def test_one_that_cannot_be_translated_leaves_the_others() -> None:
    found = read(row(1), row(2, name="bad"), {"id": "3"})
    assert [one.ref for one in found] == ["1", "2", "3"]
    assert [one.fault for one in found] == ["", "Rejected: the name is bad", "KeyError: 'name'"]


def test_when_none_can_be_translated_the_shape_has_changed() -> None:
    with pytest.raises(KeyError, match="name"):
        read({"id": "1"}, {"id": "2"})


def test_a_row_without_an_id_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError, match="name"):
        read(row(1), {"at": "1"})
