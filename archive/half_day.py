"""Half-days of a clinic: at most ten visits each, by appointment (the programme's rule)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.models import Base, Consultation
from config.errors import HalfDayFull

MOST_VISITS = 10
NOON = dt.time(12)


@dataclass(frozen=True)
class HalfDay:
    """The morning or the afternoon of one calendar day in a base's zone; noon belongs to the afternoon."""

    day: dt.date
    part: Literal["am", "pm"]
    zone: ZoneInfo

    @classmethod
    def of(cls, when: dt.datetime, zone: ZoneInfo) -> HalfDay:
        local = when.astimezone(zone)
        return cls(local.date(), "am" if local.time() < NOON else "pm", zone)

    def bounds(self) -> tuple[dt.datetime, dt.datetime]:
        """Its first moment and the first one after it, in UTC. With daylight saving it may last 11 or 13 hours."""
        start, noon, end = day_bounds(self.day, self.zone)
        return (start, noon) if self.part == "am" else (noon, end)


def day_bounds(day: dt.date, zone: ZoneInfo) -> tuple[dt.datetime, dt.datetime, dt.datetime]:
    """Midnight, noon and the next midnight of a calendar day in ``zone``, in UTC."""

    def moment(date: dt.date, clock: dt.time) -> dt.datetime:
        return dt.datetime.combine(date, clock, tzinfo=zone).astimezone(dt.UTC)

    return moment(day, dt.time()), moment(day, NOON), moment(day + dt.timedelta(days=1), dt.time())


def visits_of(session: Session, base_code: str, half: HalfDay) -> int:
    """How many visits of every kind are planned into it; cancelled ones do not count."""
    start, end = half.bounds()
    counted = session.scalar(
        select(func.count())
        .select_from(Consultation)
        .where(
            Consultation.base_code == base_code,
            Consultation.scheduled_at >= start,
            Consultation.scheduled_at < end,
            Consultation.cancelled_at.is_(None),
        )
    )
    return counted or 0


def require_room(session: Session, base_code: str, half: HalfDay) -> None:
    """Raises HalfDayFull unless one more visit may be planned. Holds other planners off until the transaction ends."""
    session.get_one(Base, base_code, with_for_update={"key_share": True})
    if visits_of(session, base_code, half) >= MOST_VISITS:
        raise HalfDayFull(day=half.day.isoformat(), half_day=half.part, most=MOST_VISITS)
