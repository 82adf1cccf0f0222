"""Graph's errors in our words: every code of the table, and what is left to the status."""

from __future__ import annotations

import pytest

from concordat.connectors.msgraph.errors import CODES, translate
from concordat.errors import Duplicate, RateLimited, VendorError
from concordat.sdk.rest import Answer

pytestmark = pytest.mark.fast


def said(code: str, status: int) -> Answer:
    return Answer(status=status, headers={"retry-after": "3"}, json={"error": {"code": code, "message": "why"}})


@pytest.mark.parametrize(("code", "kind"), CODES.items())
def test_every_code_of_the_table_is_translated(code: str, kind: type[VendorError]):
    error = translate(said(code, 400), True)
    assert type(error) is kind
    assert error.code == code


def test_what_the_table_does_not_know_is_left_to_the_status():
    assert translate(said("somethingNew", 400), True) is None
    assert translate(said("nameAlreadyExists", 504), True) is None
    assert type(translate(said("nameAlreadyExists", 409), True)) is Duplicate
    assert translate(Answer(status=404, headers={}), True) is None
    assert type(translate(Answer(status=509, headers={}), True)) is RateLimited
