"""Visits and the patient's consent to them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select

from api.actions.desk import (
    CONSULTATION_PARTS,
    STAFF,
    case_of,
    consultation_of,
    refuse_withdrawn,
    require_role,
)
from api.core import Core
from archive import attachments, audit, consent, identity, ledger
from archive.consent import SignedForm
from archive.identity import PersonName
from archive.models import (
    Case,
    Consent,
    Consultation,
    User,
    new_id,
)
from archive.states import lock_case
from archive.terms import Kind, Role, State
from config.errors import (
    IllegalTransition,
    RequestRejected,
)


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
) -> Consultation:
    """Plan one patient's visit; its case is ``scheduled`` until a consent is signed."""
    require_role(actor, Role.TECHNICIAN, Role.MANAGER)
    if not title.strip():
        raise RequestRejected(problem="the title is empty")
    with core.catalog.write() as session:
        expert = session.get(User, expert_id)
        if expert is None or expert.role is not Role.EXPERT or expert.base_code != actor.base_code:
            raise RequestRejected(problem="expert_id names no expert of this base")
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
        )
        consultation.case = Case(base_code=actor.base_code, state=State.SCHEDULED)
        session.add(consultation)
        audit.record(session, actor.id, "consultation.schedule", consultation.id)
        session.flush()
        return consultation


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


def sign_consent(core: Core, actor: User, consultation_id: str, form: SignedForm) -> Consent:
    require_role(actor, Role.TECHNICIAN, Role.MANAGER)
    with core.catalog.write() as session:
        consultation = consultation_of(session, actor, consultation_id)
        refuse_withdrawn(lock_case(session, consultation_id))
        valid_days = core.settings.archive.consent_valid_days
        return consent.sign(session, core.vault, consultation, form, actor.id, valid_days)


def register_names(core: Core, actor: User, consultation_id: str, names: Sequence[PersonName]) -> int:
    """Keep, sealed, whose names have to be taken out of what is said; returns how many. Nobody can read them back.

    From the next processing on they count. Raises NotFound, IllegalTransition for a withdrawn case, RequestRejected.
    """
    require_role(actor, Role.TECHNICIAN, Role.MANAGER)
    with core.catalog.write() as session:
        consultation_of(session, actor, consultation_id)
        refuse_withdrawn(lock_case(session, consultation_id))
        audit.record(session, actor.id, "consultation.names", consultation_id, names=len(names))
    identity.keep_names(core.vault, consultation_id, names)
    return len(names)


def withdraw_consent(core: Core, actor: User, consultation_id: str) -> Case:
    """Withdraw: processing stops, nothing plays any more, the case leaves the count. Repeating it is safe."""
    require_role(actor, Role.TECHNICIAN, Role.EXPERT, Role.MANAGER)
    with core.catalog.write() as session:
        case = case_of(session, actor, consultation_id)
        was = case.state
        consent.withdraw(session, consultation_id, actor.id)
        ledger.uncount_case(session, case)
    if was is State.PROCESSING:
        core.jobs.cancel(case.id, case.run)
    return case


def erase_case(core: Core, actor: User, case_id: str) -> Case:
    """Delete everything of a withdrawn case (PIPL art. 47): its key first, so that every copy is unreadable."""
    require_role(actor, Role.MANAGER)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        if case.state is not State.WITHDRAWN:
            raise IllegalTransition(case=case.id, state=str(case.state), wanted="erased")
        attachments.forget_notes(session, case.id)
        audit.record(session, actor.id, "case.erase", case.id)
    core.vault.shred(case_id)
    for prefix in ("recordings", "work", "packages", "consents", identity.PREFIX, attachments.PREFIX):
        core.store.delete_prefix(f"{prefix}/{case_id}")
    return case
