"""Who is looking: one-time links, sessions, and the token of the API."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from concordat.errors import Invalid
from concordat.store.database import Database
from concordat.store.queries import QUERIES

__all__ = ["ROLES", "Person", "Signed", "api_token", "find_person", "one_time_link", "same", "sign_in", "sign_out"]

LINK_LASTS = timedelta(minutes=15)
SESSION_LASTS = timedelta(hours=12)
ROLES = ("viewer", "operator", "approver", "engineer", "board", "auditor")
ACTS = frozenset({"operator", "engineer"})
"""Roles that may move work."""
DECIDES = ACTS | {"approver"}
"""Roles that may agree to a change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody who is signed in, and what exists for them."""

    name: str
    role: str
    units: tuple[str, ...]
    csrf: str = ""
    """What a form of theirs must carry; empty for a client with a token, which has no cookie to ride on."""

    @property
    def decides(self) -> bool:
        """Whether this role may agree to a late change, or refuse it."""
        return self.role in DECIDES

    @property
    def acts(self) -> bool:
        """Whether this role may move work."""
        return self.role in ACTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A fresh session: the cookie's value and how long it lasts."""

    token: str
    person: Person
    lasts: timedelta = SESSION_LASTS


def one_time_link(db: Database, *, person: str, role: str, units: Sequence[str]) -> str:
    """Make a link's token: good once, for 15 minutes. Only its digest is stored."""
    if role not in ROLES:
        raise Invalid(f"There is no role {role}.", remedy=f"There is: {', '.join(ROLES)}.")
    if not units or not person:
        raise Invalid("A login needs a person and at least one unit.")
    token = secrets.token_urlsafe(32)
    with db.app(units) as conn:
        conn.execute(
            QUERIES.session.make_link,
            {
                "digest": _digest(token),
                "person": person,
                "role": role,
                "units": list(units),
                "seconds": LINK_LASTS.total_seconds(),
            },
        )
    return token


def sign_in(db: Database, token: str) -> Signed | None:
    """Spend a link for a session of twelve hours; None when it is unknown, old or spent."""
    with db.app([]) as conn:
        row = conn.execute(QUERIES.session.use_link, {"digest": _digest(token)}).fetchone()
        if row is None:
            return None
        session, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        lasts = SESSION_LASTS.total_seconds()
        conn.execute(QUERIES.session.open, {**row, "digest": _digest(session), "csrf": csrf, "seconds": lasts})
    person = Person(name=row["person"], role=row["role"], units=tuple(row["units"]), csrf=csrf)
    return Signed(token=session, person=person)


def find_person(db: Database, session: str) -> Person | None:
    """Say whose session this is; None when there is none, or it is over."""
    with db.app([]) as conn:
        row = conn.execute(QUERIES.session.find, {"digest": _digest(session)}).fetchone()
    if row is None:
        return None
    return Person(name=row["person"], role=row["role"], units=tuple(row["units"]), csrf=row["csrf"])


def sign_out(db: Database, session: str) -> None:
    """End a session."""
    with db.app([]) as conn:
        conn.execute(QUERIES.session.close, {"digest": _digest(session)})


def api_token(folder: Path) -> str:
    """Read the operator token of the API from `<folder>/api.token`; made once, readable by its owner alone."""
    file = folder / "api.token"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32) + "\n")
    return file.read_text().strip()


def same(given: str, wanted: str) -> bool:
    """Compare two secrets without telling by time how much of them agrees."""
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
