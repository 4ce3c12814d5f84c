"""What a capture station asks the core beside its uploads: the list of today, and what it has to erase."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from api import actions
from api.deps import Actor, InCore, Words
from api.doors import Doors
from api.routes.recordings import INTACT
from api.schemas.base import Id
from api.schemas.cases import CaseState
from api.schemas.rooms import ErasedAnswer, StationErasedRequest
from api.schemas.today import TodayAnswer, TodayRow
from archive.terms import Role

doors = Doors("station")


@doors.get(
    "/api/station/today",
    roles=(Role.TECHNICIAN,),
    summary="Today's visits of one's base in its zone, each with whether it may be recorded",
)
def today(actor: Actor, core: InCore, words: Words) -> TodayAnswer:
    zone = core.settings.zone
    return TodayAnswer(visits=[TodayRow.of(v, words, zone) for v in actions.list_today(core, actor)])


@doors.get(
    "/api/station/erased",
    roles=(Role.TECHNICIAN,),
    summary="Which of these consultations are erased, so that a station keeps nothing of them",
)
def erased(
    actor: Actor, core: InCore, consultation: Annotated[list[Id], Query(min_length=1, max_length=200)]
) -> ErasedAnswer:
    return ErasedAnswer(erased=actions.erased_among(core, actor, consultation))


@doors.post(
    "/api/consultations/{id}/station-erased",
    roles=(Role.TECHNICIAN,),
    summary="Tell that a station has erased what it held of an erased consultation; repeating it is safe",
    dependencies=INTACT,
)
def station_erased(id: Id, asked: StationErasedRequest, actor: Actor, core: InCore) -> CaseState:
    at = asked.at.isoformat(timespec="seconds")
    return CaseState.of(
        actions.confirm_erased(core, actor, id, room=asked.room, sessions=asked.sessions, at=at)
    )
