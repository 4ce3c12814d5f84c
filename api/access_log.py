"""One line per request: who, what, with what answer, how long. Never an address' parameters, never a body."""

from __future__ import annotations

import time

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import unexpected

# Asked for every few seconds by monitors, and telling nothing.
QUIET = frozenset({"/api/health", "/static"})

# What web servers have agreed to log when the other side hung up.
CLIENT_LEFT = 499


class AccessLog:
    """ASGI middleware. It is also where an error nobody planned is caught, so that it is logged once."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        scope.setdefault("state", {})
        status = 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting_send)
        except ClientDisconnect:
            # Nobody is left to be answered.
            status = CLIENT_LEFT
        except Exception as error:
            answer = unexpected(Request(scope), error)
            if status:
                # Part of the answer is out: only breaking the connection tells that the rest is missing.
                raise
            await answer(scope, receive, noting_send)
        finally:
            _log(scope, status, (time.perf_counter() - started) * 1000)


def _log(scope: Scope, status: int, took_ms: float) -> None:
    static = "/static" if scope["path"].startswith("/static/") else "(no route)"
    template = getattr(scope.get("route"), "path", static)
    if template in QUIET and status < 400:
        return
    user = scope["state"].get("user")
    structlog.get_logger().info(
        "request",
        user=user.id if user else None,
        method=scope["method"],
        route=template,
        status=status,
        ms=round(took_ms, 1),
    )
