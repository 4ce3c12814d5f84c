"""What goes over the wire about consulting rooms: reports of their stations, plans of their half-days."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from api.schemas.base import Id, Name, Request, Seconds
from archive.models import Room, RoomChange
from archive.rooms import AgentState, Planned
from archive.terms import Kind, State

RoomCode = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
ProblemCode = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,47}$")]
Verdict = Literal["pass", "fail", "indeterminate"]


def _of_this_century(when: dt.datetime) -> dt.datetime:
    """Near the ends of the calendar no arithmetic is possible."""
    if not 2000 <= when.year < 2100:
        raise ValueError("a time between 2000 and 2100 is expected")
    return when


Time = Annotated[AwareDatetime, AfterValidator(_of_this_century)]
# What a JSON reader in a browser still counts exactly.
Count = Annotated[int, Field(ge=0, le=2**53)]
PlanLength = Annotated[float, Field(ge=60, le=4 * 3600, allow_inf_nan=False)]


class QueueReport(Request):
    """What waits to be uploaded."""

    count: Count = 0
    bytes: Count = 0
    oldest_at: Time | None = None


class RoomReport(Request):
    """What a station says of itself. Times are by its own clock, which is ``clock``."""

    state: AgentState
    since: Time
    clock: Time
    name: Annotated[Name, Field(max_length=64)] | None = None
    """How people call the room."""
    consultation: Id | None = None
    space_left_s: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    """Recording that still fits on the disk."""
    queue: QueueReport = QueueReport()
    problems: Annotated[tuple[ProblemCode, ...], Field(max_length=20)] = ()
    light: Verdict | None = None
    sound: Verdict | None = None
    agent: Annotated[Name, Field(max_length=32)] | None = None
    """The version of the station's program."""


class StationErasedRequest(Request):
    """How many recordings of an erased consultation a room's station has erased, and when by its own clock."""

    room: RoomCode
    sessions: Annotated[int, Field(ge=1, le=10_000)]
    at: Time


class ErasedAnswer(BaseModel):
    """Of the consultations asked about, those that are erased."""

    erased: list[Id]


class RoomHeard(BaseModel):
    """``clock_skew_s``: how far the station's clock is ahead of the core's."""

    state: AgentState
    heard_at: dt.datetime
    clock_skew_s: float


class RoomChangeAnswer(BaseModel):
    state: str
    problems: list[str]
    at: dt.datetime

    @classmethod
    def of(cls, change: RoomChange) -> RoomChangeAnswer:
        return cls(state=change.state, problems=change.problems, at=change.at)


class RoomAnswer(BaseModel):
    """A room as its station last described it. ``warnings``: silent, clock."""

    room: str
    name: str | None
    state: str
    since: dt.datetime
    heard_at: dt.datetime
    silent_s: float
    clock_skew_s: float
    consultation: str | None
    space_left_s: float | None
    queue: QueueReport
    problems: list[str]
    warnings: list[str]
    light: Verdict | None
    sound: Verdict | None
    agent: str | None

    @classmethod
    def of(cls, room: Room, warnings: list[str], now: dt.datetime) -> RoomAnswer:
        return cls(
            **{
                **room.report,
                "room": room.code,
                "state": room.state,
                "since": room.since,
                "heard_at": room.heard_at,
                "silent_s": round((now - room.heard_at).total_seconds(), 1),
                "warnings": warnings,
            }
        )


class RoomsAnswer(BaseModel):
    rooms: list[RoomAnswer]


class PlanRequest(Request):
    """What is not said is as planned with the visit: its time, the usual length, no automatic start."""

    starts_at: Time | None = None
    length_s: PlanLength | None = None
    automatic: bool = False


class PlanAnswer(BaseModel):
    consultation: str
    room: str
    starts_at: dt.datetime
    length_s: float
    automatic: bool


class PlannedAnswer(BaseModel):
    """``start_refused``: the error that a start meets now, consent-missing for instance; None: it may start."""

    consultation: str
    title: str
    kind: Kind
    expert: str
    patient_pseudonym: str
    state: State
    starts_at: dt.datetime
    length_s: Seconds
    half: Literal["morning", "afternoon"]
    automatic: bool
    start_refused: str | None

    @classmethod
    def of(cls, planned: Planned) -> PlannedAnswer:
        told = planned.consultation
        return cls(
            consultation=told.id,
            title=told.title,
            kind=told.kind,
            expert=told.expert.name,
            patient_pseudonym=told.patient_pseudonym,
            state=told.case.state,
            starts_at=planned.starts_at,
            length_s=planned.length_s,
            half="morning" if planned.half == "morning" else "afternoon",
            automatic=planned.automatic,
            start_refused=planned.start_refused,
        )


class ScheduleAnswer(BaseModel):
    """``made_at``: when the core made it, for a station that shows it without a network."""

    room: str
    day: dt.date
    timezone: str
    made_at: dt.datetime
    planned: list[PlannedAnswer]
