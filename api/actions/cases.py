"""Cases: finding them, reviewing them, resuming, stopping and handing them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from api.actions.desk import CASE_PARTS, case_of, require_role
from api.actions.moments import require_resolved
from api.core import Core
from archive import audit, consent, release
from archive.fixity import export_package
from archive.models import (
    Case,
    Consultation,
    Grant,
    User,
)
from archive.states import move
from archive.terms import Decision, Level, Purpose, Role, State
from config.errors import (
    Cancelled,
    ConsentRefused,
    IllegalTransition,
    NotFound,
    NotTheExpert,
    YianError,
)


def begin_run(session: Session, case: Case, actor_id: str) -> None:
    """Move a case into processing, or to failed when the patient's permission does not cover it."""
    try:
        consent.require(session, case.id, Purpose.THIRD_PARTY_PRODUCTION)
    except ConsentRefused as refusal:
        if case.state is not State.FAILED:
            move(session, case, State.FAILED, actor_id, reason=refusal.to_dict())
            return
        raise
    case.run += 1
    case.takeovers = 0
    move(session, case, State.PROCESSING, actor_id)


def list_cases(
    core: Core,
    actor: User,
    *,
    state: State | None = None,
    query: str = "",
    limit: int = 50,
    offset: int = 0,
) -> list[Case]:
    """Newest first. A trainee sees published cases opened to their base; the others see their base's."""
    wanted = select(Case).join(Consultation).options(*CASE_PARTS)
    if actor.role is Role.TRAINEE:
        granted = select(Grant.case_id).where(
            Grant.base_code == actor.base_code, Grant.purpose == release.TEACHING
        )
        wanted = wanted.where(Case.state == State.PUBLISHED, Case.id.in_(granted))
    else:
        wanted = wanted.where(Case.base_code == actor.base_code)
    if state is not None:
        wanted = wanted.where(Case.state == state)
    if query.strip():
        word = query.strip()
        wanted = wanted.where(
            or_(Consultation.title.icontains(word, autoescape=True), Case.id.contains(word, autoescape=True))
        )
    wanted = wanted.order_by(Consultation.scheduled_at.desc(), Case.id.desc()).limit(limit).offset(offset)
    with core.catalog.read() as session:
        return list(session.scalars(wanted))


def show_case(core: Core, actor: User, case_id: str) -> Case:
    """Raises NotFound also for what the actor may not see."""
    with core.catalog.read() as session:
        case = session.scalar(select(Case).where(Case.id == case_id).options(*CASE_PARTS))
        if case is None:
            raise NotFound(what="case", id=case_id)
        try:
            _check_visible(session, actor, case)
        except YianError as error:
            raise NotFound(what="case", id=case_id) from error
        return case


def _check_visible(session: Session, actor: User, case: Case) -> None:
    if actor.role is Role.TRAINEE:
        release.require_grant(session, case, actor)
    elif case.base_code != actor.base_code:
        raise NotFound(what="case", id=case.id)


def decide(
    core: Core,
    actor: User,
    case_id: str,
    decision: Decision,
    *,
    note: str = "",
    edits: dict[str, Any] | None = None,
    package_seal: str | None = None,
) -> Case:
    """Sign the company's or the expert's side of the review, whichever the case waits for."""
    require_role(actor, Role.REVIEWER, Role.EXPERT)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        wanted = Role.REVIEWER if release.level_of(case) is Level.COMPANY else Role.EXPERT
        require_role(actor, wanted)
        consultation = case.consultation
        if wanted is Role.EXPERT and actor.id not in {consultation.expert_id, *consultation.deputy_ids}:
            raise NotTheExpert(case=case.id)
        case = release.decide(
            session, case_id, actor, decision, note=note, edits=edits, package_seal=package_seal
        )
        if case.state is State.REJECTED:
            begin_run(session, case, actor.id)
    if case.state is State.PROCESSING:
        core.jobs.start(case.id, case.run)
    if case.state is State.PUBLISHED:
        core.store.delete_prefix(f"work/{case.id}")
    return case


def retry_case(core: Core, actor: User, case_id: str, *, edits: dict[str, Any] | None = None) -> Case:
    """Resume a failed case where it stopped; what had been finished is not done again.

    One whose verification failed goes on once every moment is answered for; before, VerificationFailed is
    raised. With ``edits`` (a reviewer's) it goes on from the blurring with these, so that a case whose verification
    failed can be repaired; the reviewer then counts among its producers.
    """
    require_role(actor, Role.TECHNICIAN, Role.REVIEWER, Role.MANAGER)
    if edits is not None:
        require_role(actor, Role.REVIEWER)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        if case.state is not State.FAILED:
            raise IllegalTransition(case=case.id, state=str(case.state), wanted=str(State.PROCESSING))
        if edits is not None:
            release.apply_edits(session, case, actor, edits)
        else:
            require_resolved(core, session, case)
        begin_run(session, case, actor.id)
    core.jobs.start(case.id, case.run)
    return case


def export_case(core: Core, actor: User, case_id: str, folder: Path) -> Path:
    """Hand out a published case's package as a valid bag in a new folder, and log that it left.

    Raises IllegalTransition for a case that is not published, a ConsentRefused, PackageInvalid, AlreadyExists.
    """
    require_role(actor, Role.MANAGER)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        if case.state is not State.PUBLISHED or case.package_prefix is None:
            raise IllegalTransition(case=case.id, state=str(case.state), wanted="exported")
        consent.require(session, case.id, Purpose.ARCHIVE)
        audit.record(session, actor.id, "case.export", case.id)
    target = folder / case.id
    export_package(core.store, case.package_prefix, target, case.package_seal)
    return target


def cancel_case(core: Core, actor: User, case_id: str) -> Case:
    """Stop the processing of a case; it can be retried. The worker ends its child processes at once."""
    require_role(actor, Role.TECHNICIAN, Role.REVIEWER, Role.MANAGER)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        if case.state is not State.PROCESSING:
            raise IllegalTransition(case=case.id, state=str(case.state), wanted="cancelled")
        why = Cancelled(step="", detail=actor.name)
        move(session, case, State.FAILED, actor.id, reason=why.to_dict())
    core.jobs.cancel(case.id, case.run)
    return case
