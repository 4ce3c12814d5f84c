"""Consulting rooms: what each station last said of itself, and which consultation is planned where and when."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, selectinload

from archive import audit, consent
from archive.models import Case, Consultation, Room, RoomChange, RoomPlan, utc_now
from archive.terms import Purpose, State
from config.errors import ConsentRefused, NotFound, PlanOverlaps, RequestRejected

# A typing mistake in a station's settings makes a room; a loop of mistakes must not fill the catalogue.
MAX_ROOMS = 50
MAX_CHANGES = 500
# A recording that lies behind is not started again by itself.
STARTABLE = frozenset({State.CONSENTED})
NOON = dt.time(12)


class AgentState(StrEnum):
    IDLE = "idle"
    CHECKING = "checking"
    READY = "ready"
    RECORDING = "recording"
    PAUSED = "paused"
    UPLOADING = "uploading"
    ERROR = "error"


@dataclass(frozen=True)
class Planned:
    """A consultation as a room's plan shows it. ``start_refused``: why a recording may not start, an error's code.

    ``automatic`` is never true while a recording may not start.
    """

    consultation: Consultation
    starts_at: dt.datetime
    length_s: float
    automatic: bool
    start_refused: str | None
    half: str


def hear(session: Session, base_code: str, code: str, state: AgentState, report: dict[str, Any]) -> Room:
    """Keep what a station says of itself now; a change of state is remembered. Raises RequestRejected.

    ``report`` is plain data for the rooms page; ``since`` and ``clock`` in it are the station's own times, and its
    clock's deviation is kept as ``clock_skew_s``, positive when it is ahead of ours.
    """
    now = utc_now()
    skew = report["clock"] - now
    room = session.get(Room, (base_code, code), with_for_update=True)
    changed = room is None or room.state != str(state) or room.report.get("problems") != report["problems"]
    if room is None:
        _check_count(session, base_code)
        room = Room(base_code=base_code, code=code)
        session.add(room)
    room.state, room.heard_at, room.retired_at = str(state), now, None
    # Told by a clock that may be wrong: what counts is how long ago it was for the station.
    room.since = _plausible(report["since"] - skew, now)
    room.report = {
        **{name: value for name, value in report.items() if name not in ("since", "clock")},
        "clock_skew_s": round(skew.total_seconds(), 1),
    }
    session.flush()
    if changed:
        _remember(session, room)
    return room


def _plausible(when: dt.datetime, now: dt.datetime) -> dt.datetime:
    return when if now - dt.timedelta(days=366) < when <= now else now


def _check_count(session: Session, base_code: str) -> None:
    count = session.scalar(select(func.count()).select_from(Room).where(Room.base_code == base_code))
    if (count or 0) >= MAX_ROOMS:
        raise RequestRejected(problem=f"this base has {MAX_ROOMS} rooms already")


def _remember(session: Session, room: Room) -> None:
    problems = list(room.report["problems"])
    session.add(RoomChange(base_code=room.base_code, room=room.code, state=room.state, problems=problems))
    session.flush()
    of_room = (RoomChange.base_code == room.base_code, RoomChange.room == room.code)
    newest = select(RoomChange.id).where(*of_room).order_by(RoomChange.id.desc())
    oldest_kept = session.scalar(newest.offset(MAX_CHANGES - 1).limit(1))
    if oldest_kept is not None:
        session.execute(delete(RoomChange).where(*of_room, RoomChange.id < oldest_kept))


def list_rooms(session: Session, base_code: str) -> list[Room]:
    """The base's rooms that nobody has retired, by their codes."""
    wanted = select(Room).where(Room.base_code == base_code, Room.retired_at.is_(None))
    return list(session.scalars(wanted.order_by(Room.code)))


def changes_of(session: Session, base_code: str, code: str, limit: int = MAX_CHANGES) -> list[RoomChange]:
    """Newest first."""
    wanted = select(RoomChange).where(RoomChange.base_code == base_code, RoomChange.room == code)
    return list(session.scalars(wanted.order_by(RoomChange.id.desc()).limit(limit)))


def retire(session: Session, base_code: str, code: str, actor_id: str) -> None:
    """Hide a room that is no more, until it is heard of again. Raises NotFound."""
    room = session.get(Room, (base_code, code))
    if room is None or room.retired_at is not None:
        raise NotFound(what="room", id=code)
    room.retired_at = utc_now()
    audit.record(session, actor_id, "room.retire", f"{base_code}/{code}")


def plan(
    session: Session,
    consultation: Consultation,
    code: str,
    starts_at: dt.datetime,
    length_s: float,
    automatic: bool,
    actor_id: str,
) -> RoomPlan:
    """Plan a consultation for a room, instead of what was planned for it before.

    Raises a ConsentRefused when it shall start by itself and nobody has consented to a recording, and PlanOverlaps
    when another one that starts by itself has the room at that time.
    """
    if automatic:
        consent.require(session, consultation.id, Purpose.RECORD)
        _check_free(session, consultation, code, starts_at, length_s)
    row = session.get(RoomPlan, consultation.id)
    if row is None:
        row = RoomPlan(consultation_id=consultation.id, base_code=consultation.base_code)
        session.add(row)
    row.room, row.starts_at, row.length_s, row.automatic = code, starts_at, length_s, automatic
    row.planned_by, row.planned_at = actor_id, utc_now()
    audit.record(
        session,
        actor_id,
        "room.plan",
        consultation.id,
        room=code,
        starts_at=starts_at.astimezone(dt.UTC).isoformat(),
        length_s=length_s,
        automatic=automatic,
    )
    session.flush()
    return row


def _check_free(
    session: Session, consultation: Consultation, code: str, starts_at: dt.datetime, length_s: float
) -> None:
    ends_at = starts_at + dt.timedelta(seconds=length_s)
    others = session.scalars(
        select(RoomPlan).where(
            RoomPlan.base_code == consultation.base_code,
            RoomPlan.room == code,
            RoomPlan.automatic,
            RoomPlan.consultation_id != consultation.id,
            RoomPlan.starts_at < ends_at,
        )
    )
    for other in others:
        if other.starts_at + dt.timedelta(seconds=other.length_s) > starts_at:
            raise PlanOverlaps(place=code, consultation=other.consultation_id)


def schedule(
    session: Session, base_code: str, code: str, day: dt.date, zone: ZoneInfo, length_s: float
) -> list[Planned]:
    """What is planned for a room on ``day``, in order. ``length_s`` is for what nobody has given a length.

    A consultation without a plan belongs to the room when the base has no other.
    """
    begins = dt.datetime.combine(day, dt.time(), zone)
    ends = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone)
    only_room = all(room.code == code for room in list_rooms(session, base_code))
    rows = session.execute(
        select(Consultation, RoomPlan)
        .outerjoin(RoomPlan, RoomPlan.consultation_id == Consultation.id)
        .options(
            selectinload(Consultation.expert),
            selectinload(Consultation.consents),
            selectinload(Consultation.case),
        )
        .where(
            Consultation.base_code == base_code,
            func.coalesce(RoomPlan.starts_at, Consultation.scheduled_at) >= begins,
            func.coalesce(RoomPlan.starts_at, Consultation.scheduled_at) < ends,
        )
    )
    found = [
        _planned(session, consultation, held, length_s, zone)
        for consultation, held in rows
        if (held.room == code if held is not None else only_room)
    ]
    return sorted(found, key=lambda one: (one.starts_at, one.consultation.id))


def _planned(
    session: Session, consultation: Consultation, held: RoomPlan | None, length_s: float, zone: ZoneInfo
) -> Planned:
    refused = _why_not(session, consultation.case)
    starts_at = held.starts_at if held else consultation.scheduled_at
    return Planned(
        consultation=consultation,
        starts_at=starts_at,
        length_s=held.length_s if held else length_s,
        automatic=held is not None
        and held.automatic
        and refused is None
        and consultation.case.state in STARTABLE,
        start_refused=refused,
        half="morning" if starts_at.astimezone(zone).time() < NOON else "afternoon",
    )


def _why_not(session: Session, case: Case) -> str | None:
    try:
        consent.require(session, case.id, Purpose.RECORD)
    except ConsentRefused as refusal:
        return refusal.code
    return None
