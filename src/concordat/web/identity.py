"""Who asks: a session's cookie, or the API's token; and the token that every form must carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from concordat.operations.sessions import Person, find_person, same
from concordat.store.database import Database
from concordat.web.edge import in_thread
from concordat.web.problems import Refused

__all__ = ["COOKIE", "Acting", "Deciding", "Door", "Looking", "SignedOut", "Visiting", "check_form", "check_own"]

COOKIE = "concordat_session"
FORM_HEADER = "X-CSRF-Token"
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, kw_only=True)
class Door:
    """What it takes to know somebody."""

    db: Database
    token: str
    """The API's operator token."""
    units: tuple[str, ...]
    """What that token may see."""

    async def person(self, request: Request) -> Person | None:
        """Say who asks; None for a stranger."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer":
            known = same(given.strip(), self.token)
            return Person(name="api", role="operator", units=self.units) if known else None
        return await self.visitor(request)

    async def visitor(self, request: Request) -> Person | None:
        """Say whose session a browser sends; None for a stranger."""
        session = request.cookies.get(COOKIE, "")
        return await in_thread(lambda: find_person(self.db, session)) if session else None


async def looking(request: Request) -> Person:
    """Let somebody through who is signed in; with a cookie, a write also carries the form's token."""
    door: Door = request.app.state.door
    person = await door.person(request)
    if person is None:
        raise Refused(
            401,
            "Nobody is signed in.",
            remedy="Send `Authorization: Bearer` with the firm's API token, or open a login link.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if request.method in WRITES and person.csrf and not same(request.headers.get(FORM_HEADER, ""), person.csrf):
        raise Refused(403, "The request carries no form token.", remedy=f"Send it as {FORM_HEADER}.")
    return person


def _acting(person: Annotated[Person, Depends(looking)]) -> Person:
    if not person.acts:
        raise Refused(403, f"The role {person.role} looks and does not act.", remedy="Ask an operator.")
    return person


def _deciding(person: Annotated[Person, Depends(looking)]) -> Person:
    if not person.decides:
        raise Refused(403, f"The role {person.role} looks and does not decide.", remedy="Ask an approver.")
    return person


Looking = Annotated[Person, Depends(looking)]
"""Somebody who is signed in."""
Acting = Annotated[Person, Depends(_acting)]
"""Somebody whose role may move work."""
Deciding = Annotated[Person, Depends(_deciding)]
"""Somebody whose role may agree to a change."""


class SignedOut(Refused):
    """A page was asked for by a stranger: they are shown how to get a link."""

    def __init__(self) -> None:
        super().__init__(401, "Nobody is signed in.", remedy="Open a login link; `concordat login` makes one.")


async def visiting(request: Request) -> Person:
    """Let somebody see a page who came through a login link."""
    door: Door = request.app.state.door
    person = await door.visitor(request)
    if person is None:
        raise SignedOut
    return person


Visiting = Annotated[Person, Depends(visiting)]
"""Somebody with a session in a browser."""


def check_own(person: Person, given: str) -> None:
    """Refuse a form that was not made for this session."""
    if not same(given, person.csrf):
        raise Refused(403, "This form was made for another session.", remedy="Go back, reload the page, try again.")


def check_form(person: Person, given: str) -> None:
    """Refuse a form that was not made for this session, or whose sender only looks."""
    check_own(person, given)
    if not person.acts:
        raise Refused(403, f"The role {person.role} looks and does not act.", remedy="Ask an operator.")
