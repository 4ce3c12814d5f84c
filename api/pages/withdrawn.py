"""Withdrawn cases: who took back what, when and why, and the manager's two decisions."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import RedirectResponse, Response

from api import actions
from api.actions.holding import today
from api.deps import Actor, InCore
from api.doors import Doors
from api.pages.render import page
from api.schemas.base import Id, Reason
from archive.terms import Role

doors = Doors("pages", in_schema=False)

MANAGER = (Role.MANAGER,)


@doors.get("/withdrawn", roles=MANAGER, summary="Withdrawn cases")
def show(request: Request, actor: Actor, core: InCore) -> Response:
    found, names = actions.list_held(core, actor)
    day = today(core)
    return page(
        request,
        "withdrawn.html",
        rows=[{"held": held, "waits": held.waits(day)} for held in found],
        names=names,
        tomorrow=(day + dt.timedelta(days=1)).isoformat(),
    )


@doors.post("/withdrawn/{id}/erase", roles=MANAGER, summary="Erase a withdrawn case from the page")
def erase(
    id: Id,
    actor: Actor,
    core: InCore,
    sure: Annotated[bool, Form()],
    reason: Annotated[str, Form(max_length=1000, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    if sure:
        actions.erase_case(core, actor, id, reason)
    return RedirectResponse("/withdrawn", status_code=303)


@doors.post("/withdrawn/{id}/keep", roles=MANAGER, summary="Keep a withdrawn case sealed from the page")
def keep(
    id: Id,
    actor: Actor,
    core: InCore,
    reason: Annotated[Reason, Form()],
    until: Annotated[dt.date, Form()],
) -> Response:
    actions.keep_case(core, actor, id, reason, until)
    return RedirectResponse("/withdrawn", status_code=303)
