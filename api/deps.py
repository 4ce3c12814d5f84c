"""What a route is handed: the opened core, the person acting, the words in that person's language."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from api.core import Core
from api.doors import actor
from api.messages import Language, Messages, as_language, load_messages
from archive.models import User

LANGUAGE_COOKIE = "yian_language"


def core_of(request: Request) -> Core:
    core: Core = request.app.state.core
    return core


def language_of(request: Request) -> Language:
    """What the person chose; for programs, what they ask for; else the installation's language."""
    chosen = as_language(request.cookies.get(LANGUAGE_COOKIE, ""))
    if chosen is None and request.url.path.startswith("/api/"):
        chosen = _accepted(request.headers.get("accept-language", ""))
    return chosen or request.app.state.settings.web.language


def messages_of(request: Request) -> Messages:
    return load_messages(language_of(request))


def _accepted(header: str) -> Language | None:
    ranked: list[tuple[float, Language]] = []
    for part in header.split(",")[:20]:
        tag, _, quality = part.partition(";")
        language = as_language(tag)
        if language is not None:
            ranked.append((_quality(quality), language))
    return max(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _quality(parameter: str) -> float:
    try:
        return float(parameter.strip().removeprefix("q=") or 1.0)
    except ValueError:
        return 0.0


InCore = Annotated[Core, Depends(core_of)]
Actor = Annotated[User, Depends(actor)]
Words = Annotated[Messages, Depends(messages_of)]
