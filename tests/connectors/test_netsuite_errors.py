"""NetSuite's errors in our words: every code of the table, what a text tells, and what is left to the status."""

from __future__ import annotations

from datetime import timedelta

import pytest

from concordat.connectors.netsuite.errors import CODES, translate
from concordat.errors import Busy, Duplicate, Unavailable, VendorError, VersionConflict
from concordat.sdk.rest import Answer

pytestmark = pytest.mark.fast


def said(code: str, detail: str = "") -> Answer:
    body = {"o:errorDetails": [{"detail": detail, "o:errorCode": code}]}
    return Answer(status=400, headers={}, json=body)


@pytest.mark.parametrize(("code", "kind"), CODES.items())
def test_every_code_of_the_table_is_translated(code: str, kind: type[VendorError]):
    error = translate(said(code, "why"), True)
    assert type(error) is kind
    assert (error.code, error.status) == (code, 400)


def test_a_record_that_exists_is_a_duplicate_and_the_rest_is_left_to_the_status():
    detail = "Error while accessing a resource. This record already exists."
    assert type(translate(said("USER_ERROR", detail), True)) is Duplicate
    assert translate(said("SOMETHING_NEW"), True) is None
    assert type(translate(said("UNEXPECTED_ERROR"), False)) is Unavailable
    assert translate(Answer(status=500, headers={}, json=said("USER_ERROR").json), True) is None
    busy = translate(Answer(status=429, headers={"retry-after": "7"}), True)
    assert isinstance(busy, Busy)
    assert busy.retry_after == timedelta(seconds=7)
    assert type(translate(said("USER_ERROR", "Record has been changed."), True)) is VersionConflict
