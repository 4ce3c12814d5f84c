"""A page: a template, the words of the person's language, and who that person is."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from api.deps import messages_of
from api.messages import LANGUAGES
from api.templating import templates


def page(request: Request, template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """Render ``template`` with ``shown``, ``t`` (texts), ``time`` (a UTC time as local text) and ``user``."""
    words = messages_of(request)
    settings = request.app.state.settings

    def local_time(when: dt.datetime | None) -> str:
        return words.time(when, settings.zone) if when else ""

    text = templates().get_template(template)
    return HTMLResponse(
        text.render(
            t=words.text,
            time=local_time,
            language=words.language,
            languages=LANGUAGES,
            here=request.url.path,
            user=getattr(request.state, "user", None),
            base=settings.base,
            **shown,
        ),
        status_code=status,
        headers={"Cache-Control": "no-store"},
    )


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
