"""Moments the privacy verification found: who may look at them, and who answers for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.actions.desk import VIEWERS, case_of, consultation_of, require_role
from api.core import Core
from archive import alarms, audit, consent, release
from archive.models import Case, Resolution, User
from archive.terms import Finding, Purpose, Role
from config.errors import MomentUnseen, NotFound, VerificationChanged
from processing.moments import thumbnail_of
from processing.results import Results

STEP = "verify"


@dataclass(frozen=True)
class Moment:
    """One alarm of a case's current edit (as ``processing.moments.Alarm`` tells it) and what was said about it."""

    alarm: dict[str, Any]
    pictured: bool
    resolution: Resolution | None


def list_moments(core: Core, actor: User, case_id: str) -> tuple[Case, list[Moment]]:
    """The case and its current edit's moments in the order of their time; none before its verification.

    Raises NotFound for another base's case, or a ConsentRefused.
    """
    require_role(actor, *VIEWERS)
    with core.catalog.read() as session:
        case = _viewed(session, actor, case_id)
        answers = alarms.resolutions(session, case)
    manifest = _results(core).manifest(case, STEP)
    raised = manifest["result"]["alarms"] if manifest else []
    if not manifest or not raised:
        return case, []
    with core.catalog.write() as session:
        audit.record(session, actor.id, "moments.view", case.id, edit=case.edit)
    return case, [
        Moment(alarm, thumbnail_of(alarm["id"]) in manifest["files"], answers.get(alarm["id"]))
        for alarm in sorted(raised, key=lambda alarm: float(alarm["first_s"]))
    ]


def moment_thumbnail(core: Core, actor: User, case_id: str, moment: str) -> bytes:
    """The JPEG of one moment, with what was found hidden. Raises NotFound or a ConsentRefused."""
    require_role(actor, *VIEWERS)
    with core.catalog.read() as session:
        case = _viewed(session, actor, case_id)
    return _results(core).read(case, STEP, thumbnail_of(moment))


def resolve_moment(
    core: Core,
    actor: User,
    case_id: str,
    moment: str,
    finding: Finding,
    reason: str,
    edit: int | None = None,
) -> Resolution:
    """Answer for one moment by name. ``edit``: the one whose moment was looked at; None: the current one.

    Raises NotFound, VerificationChanged, MomentUnseen, IllegalTransition, ProducerMayNotApprove,
    AlreadyResolved, or a ConsentRefused.
    """
    require_role(actor, Role.REVIEWER)
    with core.catalog.write() as session:
        case = case_of(session, actor, case_id)
        consent.require(session, case.id, Purpose.THIRD_PARTY_PRODUCTION)
        if edit is not None and edit != case.edit:
            raise VerificationChanged(case=case.id)
        manifest = _results(core).manifest(case, STEP) or {"files": [], "result": {"alarms": []}}
        if moment not in {alarm["id"] for alarm in manifest["result"]["alarms"]}:
            raise NotFound(what="moment", id=moment)
        if thumbnail_of(moment) not in manifest["files"]:
            raise MomentUnseen(case=case.id, moment=moment)
        return alarms.resolve(session, case, actor, moment, finding, reason)


def is_producer(core: Core, case: Case, actor: User) -> bool:
    """Whether ``actor`` had a part in making the case, and so may not answer for it."""
    with core.catalog.read() as session:
        return actor.id in release.producers(session, session.get_one(Case, case.id))


def tracked_faces(core: Core, case: Case) -> dict[str, Any]:
    """By camera, the face tracks of a case that has failed: what edits to repair it can speak of."""
    told: dict[str, Any] = _results(core).told(case, "blur").get("cameras", {})
    return told


def require_resolved(core: Core, session: Session, case: Case) -> None:
    """Raises VerificationFailed for a case that has failed at its verification and still waits for answers."""
    if alarms.waits_for_answers(case):
        alarms.require_answered(session, case, _results(core).told(case, STEP))


def _viewed(session: Session, actor: User, case_id: str) -> Case:
    consultation_of(session, actor, case_id)
    consent.require(session, case_id, Purpose.THIRD_PARTY_PRODUCTION)
    return session.get_one(Case, case_id)


def _results(core: Core) -> Results:
    # Only manifests and single files are read here; nothing is fetched into a worker's folder.
    return Results(core.store, core.vault, core.settings.home / "workers")
