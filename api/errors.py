"""How an error reaches a person: RFC 9457 problem JSON for programs, a page for browsers, in their language."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from api.deps import messages_of
from api.messages import Messages
from api.pages.render import page
from config.errors import NotFound, NotLoggedIn, RequestRejected, TooManyAttempts, YianError

PROBLEM_TYPE = "application/problem+json"
# What the framework refuses before any code of ours runs, as far as it is not of the tree.
_PLAIN = {405: "method-not-allowed", 413: "too-large"}
RETRY_UNAVAILABLE_S = 5


def install_errors(app: FastAPI) -> None:
    """Let every error of the application pass through this one place."""
    app.add_exception_handler(YianError, _on_yian_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_plain_error)


def unexpected(request: Request, error: Exception) -> Response:
    """An error nobody planned: a short reference for the user, everything else for the log."""
    reference = secrets.token_hex(4)
    structlog.get_logger().error("internal_error", reference=reference, exc_info=error)
    words = messages_of(request)
    what, then = words.error(YianError())
    return _render(request, words, 500, "internal", what, then, {"reference": reference})


async def _on_yian_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, YianError)
    words = messages_of(request)
    if isinstance(error, NotLoggedIn) and _is_page(request):
        return RedirectResponse(f"/login?next={quote(request.url.path)}", status_code=303)
    what, then = words.error(error)
    data: dict[str, Any] = dict(error.data)
    if error.status >= 500:
        # Paths, hosts and tools' words are for the log, where the reference leads.
        data = {"reference": secrets.token_hex(4)}
        structlog.get_logger().error("request_failed", code=error.code, data=error.data, **data)
    response = _render(request, words, error.status, error.code, what, then, data)
    if isinstance(error, TooManyAttempts):
        response.headers["Retry-After"] = str(error.data.get("wait_s", 60))
    elif error.transient:
        response.headers["Retry-After"] = str(RETRY_UNAVAILABLE_S)
    return response


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    # What was sent is never sent back: it may be a password.
    return await _on_yian_error(request, RequestRejected(problem=f"{place}: {first['msg']}"))


async def _on_plain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _on_yian_error(request, NotFound(what="address", id=request.url.path[:120]))
    code = _PLAIN.get(error.status_code)
    if code is None:
        return await _on_yian_error(request, RequestRejected(problem=str(error.detail)))
    words = messages_of(request)
    what, then = words.text(f"error.{code}"), words.text(f"error.{code}.next")
    return _render(request, words, error.status_code, code, what, then, {})


def _is_page(request: Request) -> bool:
    return not request.url.path.startswith(("/api/", "/static/"))


def _render(
    request: Request, words: Messages, status: int, code: str, what: str, then: str, data: dict[str, Any]
) -> Response:
    title = words.text(f"problem.{status}")
    if _is_page(request):
        shown = {"title": title, "what": what, "then": then, "reference": data.get("reference")}
        return page(request, "error.html", status=status, **shown)
    problem = {
        "type": f"urn:yian:error:{code}",
        "title": title,
        "status": status,
        "detail": what,
        "code": code,
        "data": data,
        "next": then,
    }
    return JSONResponse(problem, status_code=status, media_type=PROBLEM_TYPE)
