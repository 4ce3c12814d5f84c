"""Alarms of the privacy verification, and the named people who answer for each that it may stay as it is.

An answer holds for the one edit whose output was looked at. A face that is really visible is not answered here:
it is hidden by edits, and what comes of them is verified anew.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from archive import audit
from archive.catalog import insert_once
from archive.facts import utc_text
from archive.models import Case, Resolution, User
from archive.release import producers
from archive.terms import Finding, State
from config.errors import AlreadyResolved, IllegalTransition, ProducerMayNotApprove, VerificationFailed


def resolve(
    session: Session, case: Case, user: User, moment: str, finding: Finding, reason: str
) -> Resolution:
    """Keep what ``user`` says about an alarm of the case's current edit. ``reason``: 1 to 1000 characters.

    The caller has seen to it that there is such an alarm. Raises IllegalTransition unless the case waits for
    exactly this, ProducerMayNotApprove, AlreadyResolved.
    """
    if not waits_for_answers(case):
        raise IllegalTransition(case=case.id, state=str(case.state), wanted="resolved")
    if user.id in producers(session, case):
        raise ProducerMayNotApprove(case=case.id)
    row = Resolution(
        case_id=case.id, edit=case.edit, moment=moment, user_id=user.id, finding=finding, reason=reason
    )
    if not insert_once(session, row, "case_id", "edit", "moment"):
        raise AlreadyResolved(case=case.id, moment=moment)
    audit.record(session, user.id, "moment.resolve", case.id, str(finding), moment=moment, edit=case.edit)
    return resolutions(session, case)[moment]


def waits_for_answers(case: Case) -> bool:
    """Whether it is the verification of its current edit that a case has failed at."""
    return case.state is State.FAILED and (case.reason or {}).get("code") == VerificationFailed.code


def resolutions(session: Session, case: Case) -> dict[str, Resolution]:
    """The answers to the alarms of the case's current edit, by alarm; those to other edits never count."""
    rows = session.scalars(
        select(Resolution)
        .where(Resolution.case_id == case.id, Resolution.edit == case.edit)
        .options(selectinload(Resolution.user))
    )
    return {row.moment: row for row in rows}


def require_resolved(session: Session, case: Case, raised: Collection[str]) -> None:
    """Raises VerificationFailed while an alarm of ``raised`` is unanswered, and when there is none to answer."""
    left = set(raised) - resolutions(session, case).keys()
    if left or not raised:
        raise VerificationFailed(case=case.id, moments=len(left))


def require_answered(session: Session, case: Case, verification: dict[str, Any]) -> None:
    """The same for what a verification told about itself; one that passed waits for nobody."""
    if verification.get("verdict") == "fail":
        require_resolved(session, case, [alarm["id"] for alarm in verification["alarms"]])


def to_dict(answer: Resolution) -> dict[str, Any]:
    """An answer as plain data, for the package."""
    return {
        "by": answer.user_id,
        "role": str(answer.user.role),
        "finding": str(answer.finding),
        "reason": answer.reason,
        "at": utc_text(answer.at),
    }
