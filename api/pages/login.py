"""The pages for logging in and out, and the choice of language."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from api.auth import authenticate, close_session, open_session
from api.deps import LANGUAGE_COOKIE, InCore, Words
from api.doors import ANYONE, EVERY_ROLE, Doors
from api.messages import Language
from api.pages.render import page
from api.routes.login import clear_session_cookie, set_session_cookie
from config.errors import NotLoggedIn, TooManyAttempts

doors = Doors("pages", in_schema=False)

YEAR_S = 365 * 24 * 3600


@doors.get("/login", roles=ANYONE, summary="The page to log in")
def show_login(request: Request, next: Annotated[str, Query(max_length=300)] = "/") -> Response:
    if request.state.user is not None:
        return RedirectResponse(local_path(next), status_code=303)
    return page(request, "login.html", next=local_path(next), problem=None, username="")


@doors.post("/login", roles=ANYONE, summary="Log in from the page")
async def log_in(
    request: Request,
    core: InCore,
    words: Words,
    username: Annotated[str, Form(max_length=64)] = "",
    password: Annotated[str, Form(max_length=256)] = "",
    next: Annotated[str, Form(max_length=300)] = "/",
) -> Response:
    try:
        user = await run_in_threadpool(authenticate, core, username.strip().replace("\0", ""), password)
    except (NotLoggedIn, TooManyAttempts) as error:
        problem = (
            words.text("login.refused") if isinstance(error, NotLoggedIn) else " ".join(words.error(error))
        )
        shown = {"next": local_path(next), "problem": problem, "username": username}
        return page(request, "login.html", status=error.status, **shown)
    answer = RedirectResponse(local_path(next), status_code=303)
    set_session_cookie(answer, core, await run_in_threadpool(open_session, core, user))
    return answer


@doors.post("/logout", roles=EVERY_ROLE, summary="Log out from the page")
def log_out(request: Request, core: InCore) -> Response:
    close_session(core, request.state.token)
    answer = RedirectResponse("/login", status_code=303)
    clear_session_cookie(answer, core)
    return answer


@doors.post("/language", roles=ANYONE, summary="Choose the language of the pages")
async def choose_language(
    request: Request,
    language: Annotated[Language, Form()],
    next: Annotated[str, Form(max_length=300)] = "/",
) -> Response:
    answer = RedirectResponse(local_path(next), status_code=303)
    secure = request.app.state.settings.web.https
    answer.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, samesite="lax", httponly=True, secure=secure)
    return answer


def local_path(path: str) -> str:
    """``path`` if it lies on this site, else the start page: a login must not lead elsewhere."""
    # A browser reads "//host" and "/\\host" as another site.
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
