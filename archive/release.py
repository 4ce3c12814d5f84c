"""The double review and publication: two different people sign exactly the bytes that become public."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive import audit, consent, ledger
from archive.catalog import insert_once
from archive.edits import check_edits, merge_edits
from archive.models import Case, Grant, Recording, Resolution, Review, User, utc_now
from archive.states import lock_case, move
from archive.terms import Decision, Finding, Level, Purpose, State
from config.errors import (
    AlreadyDecided,
    EditsRejected,
    GrantMissing,
    IllegalTransition,
    PackageChanged,
    ProducerMayNotApprove,
    SamePerson,
    VerificationFailed,
)

_LEVEL_OF = {State.IN_REVIEW: Level.COMPANY, State.EXPERT_REVIEW: Level.EXPERT}
TEACHING = "teaching"


def producers(session: Session, case: Case) -> set[str]:
    """Everybody who made this case: who recorded it, and whoever's edits are in it."""
    recorded = session.scalars(
        select(Recording.recorded_by).where(Recording.consultation_id == case.id)
    ).all()
    edited = [review.user_id for review in case.reviews if review.edits]
    return {*recorded, *edited}


def _keepers(session: Session, case: Case) -> set[str]:
    """Who has said of a face the verification found that it is the expert's: as good as an edit that keeps it."""
    said = select(Resolution.user_id).where(
        Resolution.case_id == case.id,
        Resolution.edit == case.edit,
        Resolution.finding == Finding.EXPERT,
    )
    return set(session.scalars(said))


def level_of(case: Case) -> Level:
    """Whose signature the case waits for. Raises IllegalTransition when it waits for none."""
    level = _LEVEL_OF.get(case.state)
    if level is None:
        raise IllegalTransition(case=case.id, state=str(case.state), wanted="review")
    return level


def decide(
    session: Session,
    case_id: str,
    user: User,
    decision: Decision,
    *,
    note: str = "",
    edits: dict[str, Any] | None = None,
    package_seal: str | None = None,
) -> Case:
    """Sign for or against the package as it is now; the second approval publishes and counts the case.

    ``package_seal`` is that of the package the user has seen; ``edits`` (by camera) go with a rejection, and
    what they do not mention stays as it was.

    Raises IllegalTransition, AlreadyDecided, SamePerson, ProducerMayNotApprove, VerificationFailed, EditsRejected, or a ConsentRefused when the
    patient's permission to archive no longer holds. Nothing changes when it raises.
    """
    case = lock_case(session, case_id)
    level = level_of(case)
    if package_seal is not None and package_seal != case.package_seal:
        raise PackageChanged(case=case.id)
    if decision is Decision.APPROVE:
        if edits:
            raise EditsRejected(problem="an approval changes nothing; reject the case to have it edited")
        _check_approver(session, case, user)
        _check_verified(case)
    check_edits(edits or {}, case.summary)
    review = Review(
        case_id=case.id,
        edit=case.edit,
        level=level,
        user_id=user.id,
        decision=decision,
        note=note,
        edits=edits or {},
        package_seal=case.package_seal,
    )
    if not insert_once(session, review, "case_id", "edit", "level"):
        raise AlreadyDecided(case=case.id, level=str(level))
    session.expire(case, ["reviews"])
    audit.record(session, user.id, f"review.{level}", case.id, str(decision), seal=case.package_seal)
    if decision is Decision.REJECT:
        case.edit += 1
        case.edits = merge_edits(case.edits, edits or {})
        move(session, case, State.REJECTED, user.id, note=note)
    elif level is Level.COMPANY:
        move(session, case, State.EXPERT_REVIEW, user.id, note=note)
    else:
        _publish(session, case, user, note)
    return case


def apply_edits(session: Session, case: Case, user: User, edits: dict[str, Any]) -> None:
    """Give a failed case new edits; whoever does this has produced it and can no longer approve it.

    Raises EditsRejected.
    """
    check_edits(edits, case.summary)
    session.add(
        Review(
            case_id=case.id,
            edit=case.edit,
            level=Level.COMPANY,
            user_id=user.id,
            decision=Decision.REJECT,
            edits=edits,
            package_seal=case.package_seal or "",
        )
    )
    audit.record(session, user.id, "case.edit", case.id)
    case.edit += 1
    case.edits = merge_edits(case.edits, edits)


def _check_approver(session: Session, case: Case, user: User) -> None:
    if user.id in producers(session, case) | _keepers(session, case):
        raise ProducerMayNotApprove(case=case.id)
    if any(r.user_id == user.id and r.edit == case.edit for r in case.reviews):
        raise SamePerson(case=case.id)


def _check_verified(case: Case) -> None:
    found = case.summary.get("verification", {})
    if found.get("verdict") not in ("pass", "resolved"):
        raise VerificationFailed(case=case.id, moments=found.get("moments"))


def _publish(session: Session, case: Case, user: User, note: str) -> None:
    consent.require(session, case.id, Purpose.ARCHIVE)
    move(session, case, State.PUBLISHED, user.id, note=note)
    case.published_at = utc_now()
    ledger.count_case(session, case)
    grant(session, case, case.base_code, TEACHING, user.id)


def grant(session: Session, case: Case, base_code: str, purpose: str, actor: str) -> None:
    """Open a case to the people of a base for one purpose; repeating it changes nothing."""
    row = Grant(case_id=case.id, base_code=base_code, purpose=purpose, granted_by=actor)
    if insert_once(session, row, "case_id", "base_code", "purpose"):
        audit.record(session, actor, "case.grant", case.id, purpose, base=base_code)


def require_grant(session: Session, case: Case, user: User, purpose: str = TEACHING) -> None:
    """Raises GrantMissing unless ``user`` may play the published ``case``, now, for ``purpose``.

    Consent is asked again at every play: it can have been withdrawn or run out since publication.
    """
    consent.require(session, case.id, Purpose.ARCHIVE)
    found = session.scalar(
        select(Grant).where(
            Grant.case_id == case.id, Grant.base_code == user.base_code, Grant.purpose == purpose
        )
    )
    if case.state is not State.PUBLISHED or found is None:
        raise GrantMissing(case=case.id)
