"""Kantata's refusals, row by row of the table."""

from __future__ import annotations

import pytest

from concordat.connectors.kantata.errors import STATUS, UNCERTAIN, VALIDATION, translate
from concordat.errors import Rejected, Unavailable, UnknownOutcome
from concordat.sdk.rest import Answer

pytestmark = pytest.mark.fast

DECLARED = {400, 401, 403, 404, 422, 429, 503, 504}
"""Every failure that the OpenAPI or the API reference names."""


def test_the_table_reads_every_declared_status():
    assert set(STATUS) | UNCERTAIN | {422} >= DECLARED
    for status in DECLARED - {422, 504}:
        body = {"errors": [{"type": "system", "message": "No"}]}
        error = translate(Answer(status=status, headers={}, json=body), True)
        assert type(error) is STATUS[status]
        assert "No" in str(error)
    for status in UNCERTAIN:
        assert type(translate(Answer(status=status, headers={}), True)) is UnknownOutcome
        assert type(translate(Answer(status=status, headers={}), False)) is Unavailable
    assert translate(Answer(status=418, headers={}), True) is None


def test_validation_goes_by_its_words():
    for words, kind in VALIDATION.items():
        body = {"errors": [{"type": "validation", "message": f"Title {words}", "field": "title"}]}
        error = translate(Answer(status=422, headers={}, json=body), True)
        assert type(error) is kind
        assert error.field == "name"
    mixed = [{"message": "has already been taken"}, {"message": "can't be blank", "field": "due_date"}]
    error = translate(Answer(status=422, headers={}, json={"errors": mixed}), True)
    assert (type(error), error.field if error else "") == (Rejected, "end_date")
    assert type(translate(Answer(status=422, headers={}, json=["?"]), True)) is Rejected
