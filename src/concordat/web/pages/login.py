"""Signing in by a one-time link, signing out, and the calm page in between; the reader's look."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from starlette.responses import RedirectResponse

from concordat.operations.sessions import sign_in, sign_out
from concordat.store.database import Database
from concordat.web.console import NEVER, THEMES, Console
from concordat.web.edge import in_thread
from concordat.web.identity import COOKIE, Visiting, check_own
from concordat.web.problems import Refused

__all__ = ["router"]

YEAR = 365 * 86_400


def router(console: Console, db: Database, *, secure: bool) -> APIRouter:
    """Serve the door. `secure`: cookies travel on HTTPS alone."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/login")
    async def login(request: Request, token: Annotated[str, Query(max_length=200)] = "") -> Response:
        if not token:
            return console.page(request, "login.html", person=None, now=NEVER, spent=False)
        signed = await in_thread(lambda: sign_in(db, token))
        if signed is None:
            return console.page(request, "login.html", person=None, now=NEVER, spent=True, status=401)
        answer = RedirectResponse("/", 303)
        lasts = int(signed.lasts.total_seconds())
        answer.set_cookie(
            COOKIE, signed.token, max_age=lasts, httponly=True, samesite="strict", secure=secure, path="/"
        )
        return answer

    @routes.post("/logout")
    async def logout(request: Request, person: Visiting, csrf: Annotated[str, Form()] = "") -> Response:
        check_own(person, csrf)
        await in_thread(lambda: sign_out(db, request.cookies.get(COOKIE, "")))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure, path="/")
        return answer

    @routes.post("/theme")
    async def theme(
        person: Visiting,
        csrf: Annotated[str, Form()] = "",
        theme: Annotated[str, Form()] = "",
        back: Annotated[str, Form(max_length=2000)] = "/",
    ) -> Response:
        check_own(person, csrf)
        if theme and theme not in THEMES:
            raise Refused(400, "There is no such look.")
        answer = RedirectResponse(_inside(back), 303)
        if theme:
            answer.set_cookie("concordat_theme", theme, max_age=YEAR, samesite="strict", secure=secure, path="/")
        else:
            answer.delete_cookie("concordat_theme", path="/")
        return answer

    return routes


def _inside(back: str) -> str:
    """An address of ours, whatever was sent."""
    inside = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    return back if inside else "/"
