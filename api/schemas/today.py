"""Today's list, as a station and the desk see it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from archive.terms import Kind, State

if TYPE_CHECKING:
    from api.actions import Visit
    from api.messages import Messages


class TodayRow(BaseModel):
    """One visit of today, as a station needs it. Only with ``may_record`` may it be recorded.

    ``consent``: signed, missing, withdrawn, expired or not_granted, for recording; ``consent_text`` says it in words.
    ``purposes`` are those that hold now. ``override_reason``: why it was planned into a full half-day.
    """

    id: str
    scheduled_at: dt.datetime
    half_day: Literal["am", "pm"]
    kind: Kind
    title: str
    expert: str
    patient: str
    state: State
    may_record: bool
    consent: str
    consent_text: str
    purposes: list[str]
    since: dt.datetime | None
    until: dt.datetime | None
    withdrawn_at: dt.datetime | None
    disguise_voice: bool
    override_reason: str | None
    override_by: str | None

    @classmethod
    def of(cls, visit: Visit, words: Messages, zone: ZoneInfo) -> TodayRow:
        told, stands = visit.consultation, visit.standing
        until = words.time(stands.until, zone) if stands.until else ""
        return cls(
            id=told.id,
            scheduled_at=told.scheduled_at,
            half_day=visit.half_day.part,
            kind=told.kind,
            title=told.title,
            expert=told.expert.name,
            patient=told.patient_pseudonym,
            state=told.case.state,
            may_record=stands.may_record,
            consent=stands.code,
            consent_text=words.text(f"standing.{stands.code}", until=until),
            purposes=list(stands.purposes),
            since=stands.since,
            until=stands.until,
            withdrawn_at=stands.withdrawn_at,
            disguise_voice=stands.disguise_voice,
            override_reason=told.override_reason,
            override_by=told.override_by,
        )


class TodayAnswer(BaseModel):
    visits: list[TodayRow]
