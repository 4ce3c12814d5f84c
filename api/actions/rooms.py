"""Rooms: hearing from their stations, looking at them, planning what is recorded in them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from api.actions.desk import consultation_of, refuse_withdrawn, require_role
from api.core import Core
from archive import rooms
from archive.models import Consultation, Room, RoomChange, RoomPlan, User, utc_now
from archive.rooms import AgentState, Planned
from archive.states import lock_case
from archive.terms import Role
from config.errors import NotFound, RequestRejected

ROOM_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
WATCHERS = (Role.TECHNICIAN, Role.MANAGER)
# A plan further away than this is a slip of the pen in the year.
PLAN_HORIZON = dt.timedelta(days=366)


def hear_room(core: Core, actor: User, code: str, state: AgentState, report: dict[str, Any]) -> Room:
    """A station reports; the room is one of the technician's base. Raises RequestRejected beyond the room limit."""
    require_role(actor, Role.TECHNICIAN)
    with core.catalog.write() as session:
        return rooms.hear(session, actor.base_code, code, state, report)


def list_rooms(core: Core, actor: User) -> list[Room]:
    """The rooms of the actor's base."""
    require_role(actor, *WATCHERS)
    with core.catalog.read() as session:
        return rooms.list_rooms(session, actor.base_code)


def room_changes(core: Core, actor: User, code: str, limit: int = 50) -> list[RoomChange]:
    """Newest first. Raises NotFound for a room the base does not have."""
    require_role(actor, *WATCHERS)
    with core.catalog.read() as session:
        if session.get(Room, (actor.base_code, code)) is None:
            raise NotFound(what="room", id=code)
        return rooms.changes_of(session, actor.base_code, code, limit)


def retire_room(core: Core, actor: User, code: str) -> None:
    require_role(actor, Role.MANAGER)
    with core.catalog.write() as session:
        rooms.retire(session, actor.base_code, code, actor.id)


def warnings_of(room: Room, core: Core, now: dt.datetime) -> list[str]:
    """What is wrong beside what the station says itself: words of ``room.warning.*``."""
    limits = core.settings.archive
    found = []
    if (now - room.heard_at).total_seconds() > limits.room_silent_s:
        found.append("silent")
    if abs(room.report["clock_skew_s"]) > limits.room_clock_s:
        found.append("clock")
    return found


def plan_room(
    core: Core,
    actor: User,
    code: str,
    consultation_id: str,
    *,
    starts_at: dt.datetime | None = None,
    length_s: float | None = None,
    automatic: bool = False,
) -> RoomPlan:
    """Say where, when and how long a consultation is recorded, and whether it starts by itself.

    Raises a ConsentRefused for an automatic start nobody has consented to, PlanOverlaps, RequestRejected.
    """
    require_role(actor, *WATCHERS)
    if not ROOM_CODE.fullmatch(code):
        raise RequestRejected(problem=f"{code[:40]!r} is no code of a room")
    with core.catalog.write() as session:
        consultation = consultation_of(session, actor, consultation_id)
        refuse_withdrawn(lock_case(session, consultation_id))
        when = starts_at or consultation.scheduled_at
        if abs(when - utc_now()) > PLAN_HORIZON:
            raise RequestRejected(problem="starts_at is more than a year away")
        wanted_s = length_s or core.settings.archive.plan_length_s
        return rooms.plan(session, consultation, code, when, wanted_s, automatic, actor.id)


def room_schedule(core: Core, actor: User, code: str, day: dt.date | None = None) -> list[Planned]:
    """What is planned for a room on a day, today when none is named. Raises RequestRejected beyond a year."""
    require_role(actor, *WATCHERS)
    zone = core.settings.zone
    now = utc_now().astimezone(zone).date()
    wanted = day or now
    if abs(wanted - now) > PLAN_HORIZON:
        raise RequestRejected(problem="the day is more than a year away")
    with core.catalog.read() as session:
        length_s = core.settings.archive.plan_length_s
        return rooms.schedule(session, actor.base_code, code, wanted, zone, length_s)


def shown_consultations(core: Core, actor: User, ids: set[str]) -> set[str]:
    """Which of the consultations that stations speak of are the base's own."""
    with core.catalog.read() as session:
        return {
            found.id
            for one in ids
            if (found := session.get(Consultation, one)) is not None and found.base_code == actor.base_code
        }
