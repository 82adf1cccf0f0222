"""Every error as a problem (RFC 9457): what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from concordat.engine.world import log
from concordat.errors import Contended, Invalid, NotFound, NotReachable, UserError

__all__ = ["MEDIA_TYPE", "Fault", "Problem", "Refused", "install", "problem"]

MEDIA_TYPE = "application/problem+json"
LONGEST, MOST = 100, 20
"""Characters of a place, and faults, that are told."""


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(frozen=True)

    place: str = Field(description="Where: `query.limit`, `body.step`.")
    says: str = Field(description="What is wrong there.")


class Problem(BaseModel):
    """Problem details as RFC 9457 has them, with a remedy."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(default="about:blank", description="`about:blank`: the status says it all.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="One sentence about this very case.")
    remedy: str = Field(default="", description="What to do about it.")
    faults: Sequence[Fault] = Field(default=(), description="Every single fault, where there are several.")


class Refused(UserError):  # noqa: N818 - named like the rest of the tree
    """A refusal with a status of its own: signing in, forms, limits, idempotency."""

    def __init__(
        self, status: int, message: str, *, remedy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.headers = dict(headers or {})


def problem(
    status: int,
    detail: str,
    *,
    remedy: str = "",
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make the answer."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, remedy=remedy, faults=faults)
    return Response(body.model_dump_json(), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


Page = Callable[[Request, int, str, str], Response]
"""Makes a page of trouble: request, status, detail, remedy."""


def install(app: FastAPI, page: Page) -> None:
    """Translate every error that leaves an endpoint: a problem for programs, a page for people."""
    app.state.trouble = page
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(UserError, _user)
    app.add_exception_handler(Contended, _contended)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(Exception, _bug)


def _told(
    request: Request,
    status: int,
    detail: str,
    *,
    remedy: str = "",
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    person = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/api/", "/hooks/"))
    if not person:
        return problem(status, detail, remedy=remedy, faults=faults, headers=headers)
    page: Page = request.app.state.trouble
    answer = page(request, status, detail, remedy)
    answer.headers.update(headers or {})
    return answer


async def _refused(request: Request, error: Any) -> Response:
    return _told(request, error.status, error.message, remedy=error.remedy, headers=error.headers)


async def _user(request: Request, error: Any) -> Response:
    if isinstance(error, NotReachable):
        # The reason names hosts and logins: it belongs in the log, not in the answer.
        log.warning("door.not_reachable", error=str(error))
        says = "The database is not to be reached at this moment; nothing was taken."
        return _told(request, 503, says, remedy="Send it again shortly.", headers={"Retry-After": "5"})
    status = 404 if isinstance(error, NotFound) else 400 if isinstance(error, Invalid) else 409
    return _told(request, status, error.message, remedy=error.remedy)


async def _contended(request: Request, _error: Any) -> Response:
    says = "Somebody else changed the same thing at this moment; nothing was changed here."
    return _told(request, 503, says, remedy="Send it again.", headers={"Retry-After": "1"})


async def _unfit(request: Request, error: Any) -> Response:
    found = error.errors()
    if any(e["loc"][:1] == ("path",) for e in found):
        return _told(request, 404, "There is nothing at this address.")
    faults = [Fault(place=_place(e["loc"]), says=e["msg"]) for e in found[:MOST]]
    return _told(request, 422, "The request does not fit what is described.", remedy="Mend each fault.", faults=faults)


def _place(words: Sequence[object]) -> str:
    """Where it is; a name that somebody sent is cut, and written so that JSON can hold it."""
    return ".".join(str(word)[:LONGEST] for word in words).encode("utf-8", "replace").decode()


async def _plain(request: Request, error: Any) -> Response:
    return _told(request, error.status_code, _sentence(error.status_code), headers=error.headers)


def _sentence(status: int) -> str:
    said = {
        404: "There is nothing at this address.",
        405: "This address does not take that method.",
        413: "That is larger than anything this address takes.",
    }
    return said.get(status, HTTPStatus(status).phrase + ".")


async def _bug(request: Request, error: Any) -> Response:
    log.error("door.bug", error_class=type(error).__name__)
    return _told(request, 500, "This is a fault of Concordat's own.", remedy="Look at its log, and report it.")
