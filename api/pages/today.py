"""The visits of today on the core's web: whether each may be recorded, and the way to its consent form."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from api import actions
from api.deps import Actor, InCore, Words
from api.doors import Doors
from api.pages.render import page
from archive.half_day import MOST_VISITS
from archive.terms import Role

doors = Doors("pages", in_schema=False)


@doors.get("/today", roles=(Role.TECHNICIAN, Role.MANAGER), summary="The visits of today")
def show(request: Request, actor: Actor, core: InCore, words: Words) -> Response:
    visits = actions.list_today(core, actor)
    halves: list[dict[str, Any]] = [
        {"part": part, "visits": [visit for visit in visits if visit.half_day.part == part]}
        for part in ("am", "pm")
    ]

    def clock(visit: actions.Visit) -> str:
        return f"{visit.consultation.scheduled_at.astimezone(core.settings.zone):%H:%M}"

    return page(request, "today.html", halves=halves, most=MOST_VISITS, clock=clock)
