"""Withdrawn cases and what a manager decides about them."""

from __future__ import annotations

from api import actions
from api.actions.holding import today
from api.deps import Actor, InCore
from api.doors import Doors
from api.schemas.base import Id
from api.schemas.cases import CaseState
from api.schemas.withdrawn import HeldAnswer, KeepRequest
from archive.terms import Role

doors = Doors("withdrawn")

MANAGER = (Role.MANAGER,)


@doors.get("/api/withdrawn", roles=MANAGER, summary="Withdrawn cases; those that wait for a decision first")
def list_held(actor: Actor, core: InCore) -> list[HeldAnswer]:
    found, _ = actions.list_held(core, actor)
    return [HeldAnswer.of(held, today(core)) for held in found]


@doors.post(
    "/api/cases/{id}/keep-sealed",
    roles=MANAGER,
    summary="Keep a withdrawn case sealed because a law obliges to, until a day to decide again",
)
def keep(id: Id, asked: KeepRequest, actor: Actor, core: InCore) -> CaseState:
    actions.keep_case(core, actor, id, asked.reason, asked.until)
    return CaseState.of(actions.show_case(core, actor, id))
