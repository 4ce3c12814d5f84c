"""Visits: planning them, cancelling them, and the list of today."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.actions.desk import (
    CONSULTATION_PARTS,
    STAFF,
    consultation_of,
    refuse_withdrawn,
    require_role,
)
from api.core import Core
from archive import audit, identity
from archive.half_day import HalfDay, day_bounds, require_room
from archive.identity import PersonName
from archive.models import Case, Consultation, User, new_id, utc_now
from archive.standing import Standing, standing
from archive.states import lock_case
from archive.terms import Kind, Role, State
from config.errors import HalfDayFull, IllegalTransition, RequestRejected

PLANNERS = (Role.TECHNICIAN, Role.MANAGER)


@dataclass(frozen=True)
class Override:
    """Why a visit goes into a half-day that is full, and the name of who allows it."""

    reason: str
    by: str

    def __post_init__(self) -> None:
        """Raises RequestRejected."""
        if not self.reason.strip() or len(self.reason) > 1000:
            raise RequestRejected(problem="an override needs a reason of at most 1000 characters")
        if not self.by.strip() or len(self.by) > 64:
            raise RequestRejected(
                problem="an override needs the name of who allows it, at most 64 characters"
            )


@dataclass(frozen=True)
class Visit:
    """One line of the list of a day."""

    consultation: Consultation
    half_day: HalfDay
    standing: Standing


def schedule_consultation(
    core: Core,
    actor: User,
    *,
    title: str,
    kind: Kind,
    expert_id: str,
    scheduled_at: dt.datetime,
    patient_pseudonym: str | None = None,
    deputy_ids: Sequence[str] = (),
    override: Override | None = None,
) -> Consultation:
    """Plan one patient's visit; its case is ``scheduled`` until a consent is signed.

    A full half-day takes one more only with an ``override``, which is kept with it. Raises HalfDayFull, RequestRejected.
    """
    require_role(actor, *PLANNERS)
    if not title.strip():
        raise RequestRejected(problem="the title is empty")
    with core.catalog.write() as session:
        expert = session.get(User, expert_id)
        if expert is None or expert.role is not Role.EXPERT or expert.base_code != actor.base_code:
            raise RequestRejected(problem="expert_id names no expert of this base")
        overridden = _make_room(core, session, actor, scheduled_at, override)
        day = scheduled_at.astimezone(core.settings.zone)
        consultation = Consultation(
            id=f"{day:%Y%m%d}-{new_id(6)}",
            base_code=actor.base_code,
            kind=kind,
            title=title.strip(),
            expert_id=expert_id,
            patient_pseudonym=patient_pseudonym or f"P-{new_id(6)}",
            scheduled_at=scheduled_at,
            created_by=actor.id,
            deputy_ids=list(deputy_ids),
            override_reason=overridden.reason.strip() if overridden else None,
            override_by=overridden.by.strip() if overridden else None,
        )
        consultation.case = Case(base_code=actor.base_code, state=State.SCHEDULED)
        session.add(consultation)
        audit.record(session, actor.id, "consultation.schedule", consultation.id)
        if overridden:
            audit.record(
                session,
                actor.id,
                "consultation.override",
                consultation.id,
                reason=overridden.reason.strip(),
                allowed_by=overridden.by.strip(),
            )
        session.flush()
        return consultation


def _make_room(
    core: Core, session: Session, actor: User, when: dt.datetime, override: Override | None
) -> Override | None:
    """``override`` where it was needed; one that was given for a half-day with room left is none."""
    try:
        require_room(session, actor.base_code, HalfDay.of(when, core.settings.zone))
    except HalfDayFull:
        if override is None:
            raise
        return override
    return None


def cancel_consultation(core: Core, actor: User, consultation_id: str) -> Consultation:
    """The visit does not take place: it can no longer be signed for or recorded, and its place is free again.

    Repeating it is harmless. Raises IllegalTransition once its recording has begun.
    """
    require_role(actor, *PLANNERS)
    with core.catalog.write() as session:
        consultation = consultation_of(session, actor, consultation_id)
        case = lock_case(session, consultation_id)
        if consultation.cancelled_at is not None:
            return consultation
        if case.state not in (State.SCHEDULED, State.CONSENTED, State.WITHDRAWN):
            raise IllegalTransition(case=case.id, state=str(case.state), wanted="cancelled")
        consultation.cancelled_at = utc_now()
        consultation.cancelled_by = actor.id
        audit.record(session, actor.id, "consultation.cancel", consultation_id)
        return consultation


def list_today(core: Core, actor: User, day: dt.date | None = None) -> list[Visit]:
    """The visits of today (or of ``day``) in the base's zone, by time, without those that were cancelled."""
    require_role(actor, Role.TECHNICIAN, Role.MANAGER, Role.EXPERT)
    zone = core.settings.zone
    start, _, end = day_bounds(day or dt.datetime.now(zone).date(), zone)
    wanted = (
        select(Consultation)
        .where(
            Consultation.base_code == actor.base_code,
            Consultation.scheduled_at >= start,
            Consultation.scheduled_at < end,
            Consultation.cancelled_at.is_(None),
        )
        .options(*CONSULTATION_PARTS)
        .order_by(Consultation.scheduled_at, Consultation.id)
    )
    with core.catalog.read() as session:
        return [
            Visit(found, HalfDay.of(found.scheduled_at, zone), standing(session, found))
            for found in session.scalars(wanted)
        ]


def list_consultations(core: Core, actor: User, *, limit: int = 50, offset: int = 0) -> list[Consultation]:
    """Newest first, of the actor's base."""
    require_role(actor, *STAFF)
    query = (
        select(Consultation)
        .where(Consultation.base_code == actor.base_code)
        .options(*CONSULTATION_PARTS)
        .order_by(Consultation.scheduled_at.desc(), Consultation.id)
        .limit(limit)
        .offset(offset)
    )
    with core.catalog.read() as session:
        return list(session.scalars(query))


def show_consultation(core: Core, actor: User, consultation_id: str) -> Consultation:
    require_role(actor, *STAFF)
    with core.catalog.read() as session:
        consultation_of(session, actor, consultation_id)
        return session.scalars(
            select(Consultation).where(Consultation.id == consultation_id).options(*CONSULTATION_PARTS)
        ).one()


def register_names(core: Core, actor: User, consultation_id: str, names: Sequence[PersonName]) -> int:
    """Keep, sealed, whose names have to be taken out of what is said; returns how many. Nobody can read them back.

    From the next processing on they count. Raises NotFound, IllegalTransition for a withdrawn case, RequestRejected.
    """
    require_role(actor, *PLANNERS)
    with core.catalog.write() as session:
        consultation_of(session, actor, consultation_id)
        refuse_withdrawn(lock_case(session, consultation_id))
        audit.record(session, actor.id, "consultation.names", consultation_id, names=len(names))
    identity.keep_names(core.vault, consultation_id, names)
    return len(names)
