"""Logging in and out, and who one is."""

from __future__ import annotations

from fastapi import Request, Response

from api.auth import authenticate, close_session, open_session
from api.core import Core
from api.deps import Actor, InCore
from api.doors import ANYONE, EVERY_ROLE, SESSION_COOKIE, Doors
from api.schemas.people import LoginAnswer, LoginRequest, UserAnswer

doors = Doors("login")


@doors.post("/api/login", roles=ANYONE, summary="Log in; sets the session cookie and returns a token")
def log_in(asked: LoginRequest, response: Response, core: InCore) -> LoginAnswer:
    token = open_session(core, authenticate(core, asked.username, asked.password))
    set_session_cookie(response, core, token)
    return LoginAnswer(token=token)


@doors.post(
    "/api/logout", roles=EVERY_ROLE, summary="Log out; the token opens nothing any more", status_code=204
)
def log_out(request: Request, response: Response, core: InCore) -> None:
    close_session(core, request.state.token)
    clear_session_cookie(response, core)


@doors.get("/api/me", roles=EVERY_ROLE, summary="The logged-in user")
def me(actor: Actor) -> UserAnswer:
    return UserAnswer.of(actor)


def set_session_cookie(response: Response, core: Core, token: str) -> None:
    web = core.settings.web
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(web.session_hours * 3600),
        httponly=True,
        samesite="strict",
        secure=web.https,
    )


def clear_session_cookie(response: Response, core: Core) -> None:
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict", secure=core.settings.web.https)
