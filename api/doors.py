"""The doors of the web: no route without saying who may pass, and a guard in front of each.

``Doors`` is the only way routes come into the application; ``check_doors`` refuses to start one that got in
otherwise. A guard also turns away what another site makes a logged-in browser send (CSRF).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Mount
from starlette.types import Message, Receive

from api.auth import user_of
from api.core import Core
from archive.models import User
from archive.terms import Role
from config.errors import Forbidden, NotLoggedIn, SettingsInvalid

SESSION_COOKIE = "yian_session"
# Files everybody may see, logged in or not: styles and scripts.
PUBLIC_MOUNTS = frozenset({"/static"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Bodies are small, unless a route says otherwise.
BODY_BYTES = 1024 * 1024

EVERY_ROLE = frozenset(Role)
ANYONE: frozenset[Role] = frozenset()

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True)
class Guard:
    """Lets in who is logged in with one of ``roles``; with none named, everybody.

    Leaves the user (or None) in ``request.state.user`` and the token in ``request.state.token``. Raises
    NotLoggedIn or Forbidden, before a single byte of the body is read.
    """

    roles: frozenset[Role]

    def __call__(self, request: Request) -> None:
        core: Core = request.app.state.core
        token = bearer_token(request) or request.cookies.get(SESSION_COOKIE)
        user = user_of(core, token) if token else None
        request.state.user = user
        request.state.token = token
        if request.method not in SAFE_METHODS and not _from_here(request):
            raise Forbidden(action="a request sent by another site")
        if self.roles and user is None:
            raise NotLoggedIn()
        if self.roles and user is not None and user.role not in self.roles:
            raise Forbidden(action=f"{request.method} {request.scope['route'].path}")


class GuardedRoute(APIRoute):
    """A route behind its guard. ``body_bytes``: the largest body it takes; None: the endpoint sees to that."""

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, guard: Guard, body_bytes: int | None, **options: Any
    ) -> None:
        self.guard = guard
        self.body_bytes = body_bytes
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            await run_in_threadpool(self.guard, request)
            return await handle(Request(request.scope, _limited(request, self.body_bytes)))

        return guarded


def _limited(request: Request, most_bytes: int | None) -> Receive:
    """The request's body, cut off with a 413 where it grows too large, whatever length it declared."""
    arrived = 0

    async def receive() -> Message:
        nonlocal arrived
        message = await request.receive()
        arrived += len(message.get("body", b""))
        if most_bytes is not None and arrived > most_bytes:
            raise HTTPException(413)
        return message

    return receive


@dataclass(frozen=True)
class Door:
    path: str
    endpoint: Callable[..., Any]
    method: str
    roles: frozenset[Role]
    options: dict[str, Any]


class Doors:
    """A folder's routes. Each is declared with its roles and a summary for the API's description."""

    def __init__(self, tag: str, *, in_schema: bool = True) -> None:
        self._tag = tag
        self._in_schema = in_schema
        self._doors: list[Door] = []

    def get(
        self, path: str, *, roles: Iterable[Role], summary: str, **options: Any
    ) -> Callable[[Endpoint], Endpoint]:
        return self._add("GET", path, roles, summary, options)

    def post(
        self, path: str, *, roles: Iterable[Role], summary: str, **options: Any
    ) -> Callable[[Endpoint], Endpoint]:
        return self._add("POST", path, roles, summary, options)

    def put(
        self, path: str, *, roles: Iterable[Role], summary: str, **options: Any
    ) -> Callable[[Endpoint], Endpoint]:
        return self._add("PUT", path, roles, summary, options)

    def _add(
        self, method: str, path: str, roles: Iterable[Role], summary: str, options: dict[str, Any]
    ) -> Callable[[Endpoint], Endpoint]:
        def keep(endpoint: Endpoint) -> Endpoint:
            told = {"summary": summary, "body_bytes": BODY_BYTES, **options}
            self._doors.append(Door(path, endpoint, method, frozenset(roles), told))
            return endpoint

        return keep

    def open(self, app: FastAPI) -> None:
        """Put the routes into the application, each behind its guard."""
        for door in self._doors:
            described: dict[str, Any] = {"x-roles": sorted(door.roles) or ["anyone"]}
            described["security"] = [{"cookie": []}, {"bearer": []}] if door.roles else []
            route = GuardedRoute(
                door.path,
                door.endpoint,
                guard=Guard(door.roles),
                methods=[door.method],
                tags=[self._tag],
                include_in_schema=self._in_schema,
                openapi_extra=described,
                **door.options,
            )
            app.router.routes.append(route)


def roles_of(route: BaseRoute) -> frozenset[Role] | None:
    """Who may pass a route (empty: anyone); None when nobody has said."""
    if isinstance(route, Mount) and route.path in PUBLIC_MOUNTS:
        return ANYONE
    return route.guard.roles if isinstance(route, GuardedRoute) else None


def check_doors(app: FastAPI) -> None:
    """Raises SettingsInvalid when a route has come in without a guard."""
    for route in app.routes:
        if roles_of(route) is None:
            raise SettingsInvalid(problem=f"the route {getattr(route, 'path', route)} declares no roles")


def bearer_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def actor(request: Request) -> User:
    """The logged-in user, whom the guard has let in."""
    user: User | None = request.state.user
    if user is None:
        raise NotLoggedIn()
    return user


def _from_here(request: Request) -> bool:
    """Whether an unsafe request comes from our own pages, or from a program that carries its token itself.

    A browser always says where a request comes from (Fetch Metadata, or Origin in old ones); what says nothing
    is no browser, and then only its cookie could be abused.
    """
    if bearer_token(request):
        return True
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    return SESSION_COOKIE not in request.cookies
