"""Consulting rooms: what their stations report, and what is planned in them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import Query, Response

from api import actions
from api.deps import Actor, InCore
from api.doors import Doors
from api.schemas.base import Id
from api.schemas.rooms import (
    PlanAnswer,
    PlannedAnswer,
    PlanRequest,
    RoomAnswer,
    RoomChangeAnswer,
    RoomCode,
    RoomHeard,
    RoomReport,
    RoomsAnswer,
    ScheduleAnswer,
)
from archive.models import utc_now
from archive.rooms import AgentState
from archive.terms import Role

doors = Doors("rooms")

WATCHERS = (Role.TECHNICIAN, Role.MANAGER)
REPORT_BYTES = 16 * 1024


@doors.put(
    "/api/rooms/{room}/state",
    roles=(Role.TECHNICIAN,),
    summary="A station reports its state; sent at every change and as a heartbeat",
    body_bytes=REPORT_BYTES,
)
def report(room: RoomCode, told: RoomReport, actor: Actor, core: InCore) -> RoomHeard:
    plain = told.model_dump(mode="json", exclude={"state", "since", "clock"})
    kept = actions.hear_room(
        core, actor, room, told.state, {**plain, "since": told.since, "clock": told.clock}
    )
    return RoomHeard(
        state=AgentState(kept.state), heard_at=kept.heard_at, clock_skew_s=kept.report["clock_skew_s"]
    )


@doors.get("/api/rooms", roles=WATCHERS, summary="Every room of one's base, as it was last heard of")
def list_rooms(actor: Actor, core: InCore) -> RoomsAnswer:
    now = utc_now()
    found = actions.list_rooms(core, actor)
    return RoomsAnswer(
        rooms=[RoomAnswer.of(room, actions.warnings_of(room, core, now), now) for room in found]
    )


@doors.get("/api/rooms/{room}/changes", roles=WATCHERS, summary="A room's changes of state, newest first")
def list_changes(
    room: RoomCode, actor: Actor, core: InCore, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> list[RoomChangeAnswer]:
    return [RoomChangeAnswer.of(change) for change in actions.room_changes(core, actor, room, limit)]


@doors.post(
    "/api/rooms/{room}/retire",
    roles=(Role.MANAGER,),
    summary="Hide a room that is no more, until it reports again",
    status_code=204,
)
def retire(room: RoomCode, actor: Actor, core: InCore) -> Response:
    actions.retire_room(core, actor, room)
    return Response(status_code=204)


@doors.get(
    "/api/rooms/{room}/schedule",
    roles=WATCHERS,
    summary="What is recorded in a room on a day, in order; a station keeps it for when the core is away",
)
def schedule(room: RoomCode, actor: Actor, core: InCore, day: dt.date | None = None) -> ScheduleAnswer:
    now = utc_now()
    wanted = day or now.astimezone(core.settings.zone).date()
    return ScheduleAnswer(
        room=room,
        day=wanted,
        timezone=core.settings.base.timezone,
        made_at=now,
        planned=[PlannedAnswer.of(one) for one in actions.room_schedule(core, actor, room, wanted)],
    )


@doors.put(
    "/api/rooms/{room}/schedule/{id}",
    roles=WATCHERS,
    summary="Plan a consultation for a room; an automatic start is refused without consent",
)
def plan(room: RoomCode, id: Id, asked: PlanRequest, actor: Actor, core: InCore) -> PlanAnswer:
    kept = actions.plan_room(
        core,
        actor,
        room,
        id,
        starts_at=asked.starts_at,
        length_s=asked.length_s,
        automatic=asked.automatic,
    )
    return PlanAnswer(
        consultation=id,
        room=kept.room,
        starts_at=kept.starts_at,
        length_s=kept.length_s,
        automatic=kept.automatic,
    )
