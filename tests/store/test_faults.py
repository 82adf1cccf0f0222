"""The table of PostgreSQL's errors: each says what to do, and the rest is the caller's."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolTimeout

from concordat.errors import Contended, NotReachable
from concordat.store.database import meaning
from concordat.store.database.faults import MEANING

EXPECTED = {
    "08006": NotReachable,
    "25P03": Contended,
    "25P04": Contended,
    "28P01": NotReachable,
    "3D000": NotReachable,
    "40001": Contended,
    "40P01": Contended,
    "53100": NotReachable,
    "53200": NotReachable,
    "53300": NotReachable,
    "55P03": Contended,
    "57014": NotReachable,
    "57P01": NotReachable,
    "57P02": NotReachable,
    "57P03": NotReachable,
    "57P05": NotReachable,
    "58030": NotReachable,
    "23505": None,
    "23514": None,
    "42501": None,
    "42601": None,
    "22P02": None,
    "XX001": None,
}


@pytest.mark.parametrize(("state", "kind"), EXPECTED.items())
def test_every_state_says_what_to_do(state: str, kind: type[Exception] | None):
    ours = meaning(errors.lookup(state)("vendor's words"))
    assert type(ours) is (kind or type(None))
    assert ours is None or state in str(ours)


def test_every_line_of_the_table_is_tried():
    assert not [prefix for prefix in MEANING if not any(state.startswith(prefix) for state in EXPECTED)]


def test_every_lock_and_every_undo_of_the_driver_is_contention():
    """A class of the driver that says the transaction was undone may not slip through a later release."""
    known = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, psycopg.Error)]
    undone = [kind for kind in known if (getattr(kind, "sqlstate", None) or "").startswith("40")]
    assert undone
    assert {type(meaning(kind())) for kind in undone} == {Contended}


def test_errors_without_a_state_are_the_clients():
    assert isinstance(meaning(psycopg.OperationalError("connection refused")), NotReachable)
    assert isinstance(meaning(PoolTimeout("full")), NotReachable)
    assert meaning(psycopg.ProgrammingError("a bug of ours")) is None
