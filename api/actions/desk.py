"""Who may do what to which visit and case: the checks that every action begins with."""

from __future__ import annotations

from sqlalchemy.orm import Session, selectinload

from archive.models import (
    Case,
    Consultation,
    User,
)
from archive.states import lock_case
from archive.terms import Purpose, Role, State
from config.errors import (
    ConsentWithdrawn,
    Forbidden,
    NotFound,
)

# Whose work a case is while it is not yet public.
STAFF = frozenset({Role.TECHNICIAN, Role.REVIEWER, Role.EXPERT, Role.MANAGER})


VIEWERS = frozenset({Role.REVIEWER, Role.EXPERT, Role.MANAGER})


REVIEWED_STATES = frozenset({State.IN_REVIEW, State.EXPERT_REVIEW, State.PUBLISHED, State.REJECTED})


def require_role(actor: User, *roles: Role) -> None:
    if actor.role not in roles:
        raise Forbidden(action=f"{actor.role} is not {' or '.join(roles)}")


def consultation_of(session: Session, actor: User, consultation_id: str) -> Consultation:
    """The consultation, if it is of the actor's base: another base's is as if it did not exist."""
    found = session.get(Consultation, consultation_id)
    if found is None or found.base_code != actor.base_code:
        raise NotFound(what="consultation", id=consultation_id)
    return found


def case_of(session: Session, actor: User, case_id: str) -> Case:
    consultation_of(session, actor, case_id)
    return lock_case(session, case_id)


CONSULTATION_PARTS = (
    selectinload(Consultation.expert),
    selectinload(Consultation.consents),
    selectinload(Consultation.case),
)


CASE_PARTS = (
    selectinload(Case.consultation).selectinload(Consultation.expert),
    selectinload(Case.consultation).selectinload(Consultation.consents),
    selectinload(Case.history),
    selectinload(Case.reviews),
    selectinload(Case.steps),
)


def refuse_withdrawn(case: Case) -> None:
    """A withdrawn case is on its way to deletion: nothing new is added to it, and no form revives it."""
    if case.state is State.WITHDRAWN:
        raise ConsentWithdrawn(consultation=case.id, purpose=str(Purpose.RECORD))
