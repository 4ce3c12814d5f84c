"""What a person can do, for the web's routes and the command line alike.

Every function takes the person acting, checks whether this person may do this to that, does it in one
transaction together with its trace in the access log, and raises errors of the tree in ``config.errors``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session, selectinload

from api.auth import hash_password
from api.core import Core
from archive import audit, consent, ledger, release
from archive.catalog import insert_once
from archive.consent import SignedForm
from archive.fixity import export_package
from archive.models import (
    Case,
    Consent,
    Consultation,
    FaceTemplate,
    Grant,
    Recording,
    Segment,
    User,
    new_id,
    utc_now,
)
from archive.states import lock_case, move
from archive.store import ObjectInfo
from archive.terms import Decision, Kind, Level, Purpose, Role, State
from config.errors import (
    AlreadyExists,
    Cancelled,
    ChecksumMismatch,
    ConsentFormRejected,
    ConsentRefused,
    ConsentWithdrawn,
    Forbidden,
    IllegalTransition,
    NotFound,
    NotTheExpert,
    RecordingClosed,
    RequestRejected,
    SegmentsMissing,
    YianError,
)
from processing.child import run_alone

# Whose work a case is while it is not yet public.
STAFF = frozenset({Role.TECHNICIAN, Role.REVIEWER, Role.EXPERT, Role.MANAGER})
USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
TRACK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
TRACK_ROLES: dict[str, tuple[str, ...]] = {
    "video": ("room", "desk", "hands", "tongue"),
    "audio": ("expert", "patient", "trainee", "room"),
}
# Every play begins with one of these, and is logged then: segments would drown the log.
PLAY_BEGINS = frozenset({"media/master.m3u8", "media/video.mp4"})
VIEWERS = frozenset({Role.REVIEWER, Role.EXPERT, Role.MANAGER})
REVIEWED_STATES = frozenset({State.IN_REVIEW, State.EXPERT_REVIEW, State.PUBLISHED, State.REJECTED})


def _require_role(actor: User, *roles: Role) -> None:
    if actor.role not in roles:
        raise Forbidden(action=f"{actor.role} is not {' or '.join(roles)}")


def _consultation_of(session: Session, actor: User, consultation_id: str) -> Consultation:
    """The consultation, if it is of the actor's base: another base's is as if it did not exist."""
    found = session.get(Consultation, consultation_id)
    if found is None or found.base_code != actor.base_code:
        raise NotFound(what="consultation", id=consultation_id)
    return found


def _case_of(session: Session, actor: User, case_id: str) -> Case:
    _consultation_of(session, actor, case_id)
    return lock_case(session, case_id)


# --- consultations and consent ---------------------------------------------------------------------------


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
    _require_role(actor, Role.TECHNICIAN, Role.MANAGER)
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
    _require_role(actor, *STAFF)
    query = (
        select(Consultation)
        .where(Consultation.base_code == actor.base_code)
        .options(*_CONSULTATION_PARTS)
        .order_by(Consultation.scheduled_at.desc(), Consultation.id)
        .limit(limit)
        .offset(offset)
    )
    with core.catalog.read() as session:
        return list(session.scalars(query))


def show_consultation(core: Core, actor: User, consultation_id: str) -> Consultation:
    _require_role(actor, *STAFF)
    with core.catalog.read() as session:
        _consultation_of(session, actor, consultation_id)
        return session.scalars(
            select(Consultation).where(Consultation.id == consultation_id).options(*_CONSULTATION_PARTS)
        ).one()


def sign_consent(core: Core, actor: User, consultation_id: str, form: SignedForm) -> Consent:
    _require_role(actor, Role.TECHNICIAN, Role.MANAGER)
    with core.catalog.write() as session:
        consultation = _consultation_of(session, actor, consultation_id)
        _refuse_withdrawn(lock_case(session, consultation_id))
        valid_days = core.settings.archive.consent_valid_days
        return consent.sign(session, core.vault, consultation, form, actor.id, valid_days)


def _refuse_withdrawn(case: Case) -> None:
    """A withdrawn case is on its way to deletion: nothing new is added to it, and no form revives it."""
    if case.state is State.WITHDRAWN:
        raise ConsentWithdrawn(consultation=case.id, purpose=str(Purpose.RECORD))


def withdraw_consent(core: Core, actor: User, consultation_id: str) -> Case:
    """Withdraw: processing stops, nothing plays any more, the case leaves the count. Repeating it is safe."""
    _require_role(actor, Role.TECHNICIAN, Role.EXPERT, Role.MANAGER)
    with core.catalog.write() as session:
        case = _case_of(session, actor, consultation_id)
        was = case.state
        consent.withdraw(session, consultation_id, actor.id)
        ledger.uncount_case(session, case)
    if was is State.PROCESSING:
        core.jobs.cancel(case.id, case.run)
    return case


def erase_case(core: Core, actor: User, case_id: str) -> Case:
    """Delete everything of a withdrawn case (PIPL art. 47): its key first, so that every copy is unreadable."""
    _require_role(actor, Role.MANAGER)
    with core.catalog.write() as session:
        case = _case_of(session, actor, case_id)
        if case.state is not State.WITHDRAWN:
            raise IllegalTransition(case=case.id, state=str(case.state), wanted="erased")
        audit.record(session, actor.id, "case.erase", case.id)
    core.vault.shred(case_id)
    for prefix in ("recordings", "work", "packages", "consents"):
        core.store.delete_prefix(f"{prefix}/{case_id}")
    return case


def enrol_expert(core: Core, actor: User, expert_id: str, photo: Path, consent_text: str) -> FaceTemplate:
    """Keep an expert's face template, sealed, so that the expert stays visible; it never leaves the premises.

    ``consent_text`` is what the expert signed for exactly this. Raises MediaRejected when the photograph does
    not show exactly one face.
    """
    _require_role(actor, Role.MANAGER)
    if len(consent_text.strip()) < 20:
        raise ConsentFormRejected(problem="the text of the expert's consent is missing")
    with core.catalog.read() as session:
        expert = session.get(User, expert_id)
        if expert is None or expert.role is not Role.EXPERT or expert.base_code != actor.base_code:
            raise NotFound(what="expert", id=expert_id)
    template_id = new_id()
    key = f"templates/{expert_id}/{template_id}.age"
    with tempfile.TemporaryDirectory(prefix="yian-") as folder:
        run_alone("make-template", {"photo": str(photo.resolve())}, core.settings, results=Path(folder))
        core.vault.seal_file(expert_id, Path(folder) / "template", key)
    with core.catalog.write() as session:
        template = FaceTemplate(
            id=template_id,
            expert_id=expert_id,
            key=key,
            consent_text_sha256=hashlib.sha256(consent_text.encode()).hexdigest(),
            enrolled_by=actor.id,
        )
        session.add(template)
        audit.record(session, actor.id, "expert.enrol", expert_id)
        return template


def forget_expert(core: Core, actor: User, expert_id: str) -> None:
    """Destroy every face template of an expert; published cases stay as they are."""
    _require_role(actor, Role.MANAGER, Role.EXPERT)
    if actor.role is Role.EXPERT and actor.id != expert_id:
        raise Forbidden(action="forget another expert")
    with core.catalog.write() as session:
        session.execute(delete(FaceTemplate).where(FaceTemplate.expert_id == expert_id))
        audit.record(session, actor.id, "expert.forget", expert_id)
    core.vault.shred(expert_id)
    core.store.delete_prefix(f"templates/{expert_id}")


# --- recording -------------------------------------------------------------------------------------------


def open_recording(
    core: Core,
    actor: User,
    consultation_id: str,
    *,
    rig: dict[str, Any],
    light: dict[str, Any] | None,
    started_at: dt.datetime,
    idempotency_key: str | None = None,
) -> Recording:
    """Permit a recording to begin. Raises a ConsentRefused: without it nothing may be recorded."""
    _require_role(actor, Role.TECHNICIAN)
    with core.catalog.write() as session:
        case = _case_of(session, actor, consultation_id)
        known = session.scalar(select(Recording).where(Recording.idempotency_key == idempotency_key))
        if idempotency_key is not None and known is not None:
            if known.consultation_id != consultation_id:
                raise AlreadyExists(what="idempotency key")
            return known
        consent.require(session, consultation_id, Purpose.RECORD)
        if case.state is not State.RECORDING:
            move(session, case, State.RECORDING, actor.id)
        recording = Recording(
            consultation_id=consultation_id,
            idempotency_key=idempotency_key,
            rig=rig,
            light=light,
            started_at=started_at,
            recorded_by=actor.id,
        )
        session.add(recording)
        session.flush()
        audit.record(session, actor.id, "recording.open", consultation_id, recording=recording.id)
        return recording


def _open_recording_of(session: Session, actor: User, recording_id: str) -> Recording:
    recording = session.get(Recording, recording_id)
    if recording is None:
        raise NotFound(what="recording", id=recording_id)
    _consultation_of(session, actor, recording.consultation_id)
    return recording


def put_segment(
    core: Core,
    actor: User,
    recording_id: str,
    *,
    track: str,
    index: int,
    received: Path,
    sha256: str,
    start_s: float,
    duration_s: float,
) -> bool:
    """Seal one segment into the store; True when it is new, False when the same bytes were there.

    Raises ChecksumMismatch when ``received`` is not what ``sha256`` says or other bytes are already kept
    under this place, RecordingClosed, or a ConsentRefused (withdrawn in mid-recording).
    """
    _require_role(actor, Role.TECHNICIAN)
    if not TRACK_NAME.fullmatch(track) or index < 0:
        raise RequestRejected(problem=f"{track[:40]!r} is no name of a track")
    found = sha256_of(received)
    if found != sha256.lower():
        raise ChecksumMismatch(name=f"{track}/{index}", expected=sha256.lower(), found=found)
    with core.catalog.read() as session:
        recording = _open_recording_of(session, actor, recording_id)
        consent.require(session, recording.consultation_id, Purpose.RECORD)
        if _same_segment(session, recording_id, track, index, found):
            return False
        if recording.completed_at is not None:
            raise RecordingClosed(recording=recording_id)
    key = f"recordings/{recording.consultation_id}/{recording_id}/{track}/{index:06d}-{found[:16]}.age"
    core.vault.seal_file(recording.consultation_id, received, key)
    with core.catalog.write() as session:
        _refuse_withdrawn(lock_case(session, recording.consultation_id))
        if session.get_one(Recording, recording_id).completed_at is not None:
            raise RecordingClosed(recording=recording_id)
        segment = Segment(
            recording_id=recording_id,
            track=track,
            index=index,
            start_s=start_s,
            duration_s=duration_s,
            size=received.stat().st_size,
            sha256=found,
            key=key,
        )
        if insert_once(session, segment, "recording_id", "track", "index"):
            return True
        _same_segment(session, recording_id, track, index, found)
        return False


def _same_segment(session: Session, recording_id: str, track: str, index: int, sha256: str) -> bool:
    kept = session.scalar(
        select(Segment).where(
            Segment.recording_id == recording_id, Segment.track == track, Segment.index == index
        )
    )
    if kept is not None and kept.sha256 != sha256:
        raise AlreadyExists(what=f"{track}/{index}")
    return kept is not None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_segments(core: Core, actor: User, recording_id: str) -> list[Segment]:
    _require_role(actor, Role.TECHNICIAN)
    with core.catalog.read() as session:
        return list(_open_recording_of(session, actor, recording_id).segments)


def complete_recording(
    core: Core, actor: User, recording_id: str, *, tracks: dict[str, Any], seconds: float
) -> Case:
    """Close a recording whose every segment has arrived; with the visit's last one its processing starts.

    Repeating it is safe. A recording that comes home after processing has begun is kept, sealed, all the same.

    Raises SegmentsMissing naming the first.
    """
    _require_role(actor, Role.TECHNICIAN)
    with core.catalog.write() as session:
        recording = _open_recording_of(session, actor, recording_id)
        case = lock_case(session, recording.consultation_id)
        session.refresh(recording)
        if recording.completed_at is None:
            _check_complete(recording, tracks)
            recording.tracks = tracks
            recording.seconds = seconds
            recording.completed_at = utc_now()
            audit.record(session, actor.id, "recording.complete", case.id, recording=recording.id)
            if case.state is State.RECORDING and not _awaits_another(session, recording):
                move(session, case, State.UPLOADED, actor.id)
                _begin_run(session, case, actor.id)
    if case.state is State.PROCESSING:
        core.jobs.start(case.id, case.run)
    return case


def _awaits_another(session: Session, recording: Recording) -> bool:
    """Whether another recording of the same visit has footage and is not closed: a station that crashed."""
    others = session.scalars(
        select(Recording).where(
            Recording.consultation_id == recording.consultation_id,
            Recording.id != recording.id,
            Recording.completed_at.is_(None),
        )
    )
    return any(other.segments for other in others)


def _check_complete(recording: Recording, tracks: dict[str, Any]) -> None:
    if not tracks:
        raise RequestRejected(problem="the recording has no track")
    for name, told in tracks.items():
        _check_track(name, told)
    arrived = {(segment.track, segment.index) for segment in recording.segments}
    wanted = {
        (name, index)
        for name, told in tracks.items()
        for index in set(range(told["segments"])) - set(told.get("lost", []))
    }
    if not all(any(name == track for track, _ in wanted) for name in tracks):
        raise RequestRejected(problem="a track has no segment")
    unclaimed = sorted(arrived - wanted)
    if unclaimed:
        track, index = unclaimed[0]
        raise RequestRejected(problem=f"{track}/{index} was uploaded but is not among the tracks")
    missing = sorted(wanted - arrived)
    if missing:
        track, index = missing[0]
        raise SegmentsMissing(count=len(missing), first=f"{track}/{index}")


def _check_track(name: str, told: Any) -> None:
    if not TRACK_NAME.fullmatch(name):
        raise RequestRejected(problem=f"{name[:40]!r} is no name of a track")
    plain = told if isinstance(told, dict) else {}
    roles = TRACK_ROLES.get(str(plain.get("kind")), ())
    lost = plain.get("lost", [])
    numbered = isinstance(plain.get("segments"), int) and isinstance(lost, list)
    if plain.get("role") not in roles or not numbered or not all(isinstance(n, int) for n in lost):
        raise RequestRejected(problem=f"track {name} needs kind, role and segments")


def _begin_run(session: Session, case: Case, actor_id: str) -> None:
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


# --- cases -----------------------------------------------------------------------------------------------

_CONSULTATION_PARTS = (
    selectinload(Consultation.expert),
    selectinload(Consultation.consents),
    selectinload(Consultation.case),
)
_CASE_PARTS = (
    selectinload(Case.consultation).selectinload(Consultation.expert),
    selectinload(Case.consultation).selectinload(Consultation.consents),
    selectinload(Case.history),
    selectinload(Case.reviews),
    selectinload(Case.steps),
)


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
    wanted = select(Case).join(Consultation).options(*_CASE_PARTS)
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
        case = session.scalar(select(Case).where(Case.id == case_id).options(*_CASE_PARTS))
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
    _require_role(actor, Role.REVIEWER, Role.EXPERT)
    with core.catalog.write() as session:
        case = _case_of(session, actor, case_id)
        wanted = Role.REVIEWER if release.level_of(case) is Level.COMPANY else Role.EXPERT
        _require_role(actor, wanted)
        consultation = case.consultation
        if wanted is Role.EXPERT and actor.id not in {consultation.expert_id, *consultation.deputy_ids}:
            raise NotTheExpert(case=case.id)
        case = release.decide(
            session, case_id, actor, decision, note=note, edits=edits, package_seal=package_seal
        )
        if case.state is State.REJECTED:
            _begin_run(session, case, actor.id)
    if case.state is State.PROCESSING:
        core.jobs.start(case.id, case.run)
    if case.state is State.PUBLISHED:
        core.store.delete_prefix(f"work/{case.id}")
    return case


def retry_case(core: Core, actor: User, case_id: str, *, edits: dict[str, Any] | None = None) -> Case:
    """Resume a failed case where it stopped; what had been finished is not done again.

    With ``edits`` (a reviewer's) it goes on from the blurring with these, so that a case whose verification
    failed can be repaired; the reviewer then counts among its producers.
    """
    _require_role(actor, Role.TECHNICIAN, Role.REVIEWER, Role.MANAGER)
    if edits is not None:
        _require_role(actor, Role.REVIEWER)
    with core.catalog.write() as session:
        case = _case_of(session, actor, case_id)
        if case.state is not State.FAILED:
            raise IllegalTransition(case=case.id, state=str(case.state), wanted=str(State.PROCESSING))
        if edits is not None:
            release.apply_edits(session, case, actor, edits)
        _begin_run(session, case, actor.id)
    core.jobs.start(case.id, case.run)
    return case


def export_case(core: Core, actor: User, case_id: str, folder: Path) -> Path:
    """Hand out a published case's package as a valid bag in a new folder, and log that it left.

    Raises IllegalTransition for a case that is not published, a ConsentRefused, PackageInvalid, AlreadyExists.
    """
    _require_role(actor, Role.MANAGER)
    with core.catalog.write() as session:
        case = _case_of(session, actor, case_id)
        if case.state is not State.PUBLISHED or case.package_prefix is None:
            raise IllegalTransition(case=case.id, state=str(case.state), wanted="exported")
        consent.require(session, case.id, Purpose.ARCHIVE)
        audit.record(session, actor.id, "case.export", case.id)
    target = folder / case.id
    export_package(core.store, case.package_prefix, target, case.package_seal)
    return target


def cancel_case(core: Core, actor: User, case_id: str) -> Case:
    """Stop the processing of a case; it can be retried. The worker ends its child processes at once."""
    _require_role(actor, Role.TECHNICIAN, Role.REVIEWER, Role.MANAGER)
    with core.catalog.write() as session:
        case = _case_of(session, actor, case_id)
        if case.state is not State.PROCESSING:
            raise IllegalTransition(case=case.id, state=str(case.state), wanted="cancelled")
        why = Cancelled(step="", detail=actor.name)
        move(session, case, State.FAILED, actor.id, reason=why.to_dict())
    core.jobs.cancel(case.id, case.run)
    return case


# --- watching --------------------------------------------------------------------------------------------


def media_stream(
    core: Core, actor: User, case_id: str, path: str, start: int = 0, length: int | None = None
) -> tuple[ObjectInfo, Iterator[bytes]]:
    """One file of a case's package, authorised anew at every call. ``path`` is relative to the payload."""
    with core.catalog.read() as session:
        case = session.get(Case, case_id)
        if case is None:
            raise NotFound(what="case", id=case_id)
        if actor.role is Role.TRAINEE:
            release.require_grant(session, case, actor)
        elif (
            actor.role not in VIEWERS
            or case.base_code != actor.base_code
            or case.state not in REVIEWED_STATES
        ):
            raise NotFound(what="case", id=case_id)
        else:
            consent.require(session, case.id, Purpose.THIRD_PARTY_PRODUCTION)
    key = f"{case.package_prefix}/data/{path}"
    info = core.store.stat(key) if case.package_prefix else None
    if info is None:
        raise NotFound(what="file", id=path)
    if path in PLAY_BEGINS and start == 0:
        with core.catalog.write() as session:
            audit.record(session, actor.id, "case.play", case.id, "ok", file=path)
    return info, core.store.stream(key, start, length)


def report_watch(core: Core, actor: User, case_id: str, spans: list[list[float]]) -> tuple[float, bool]:
    """Take a trainee's report of what was really played; (seconds seen, whether it counts as a session)."""
    _require_role(actor, Role.TRAINEE)
    with core.catalog.write() as session:
        case = session.get(Case, case_id)
        if case is None:
            raise NotFound(what="case", id=case_id)
        release.require_grant(session, case, actor)
        duration_s = float(case.summary.get("duration_s", 0.0))
        archive = core.settings.archive
        threshold_s = archive.watch_threshold_s
        if duration_s > 0:
            threshold_s = min(threshold_s, duration_s * archive.watch_threshold_share)
        seen_s, counted = ledger.report_watch(
            session, actor, case, spans, duration_s=duration_s, threshold_s=threshold_s
        )
        audit.record(session, actor.id, "case.watch", case.id, "ok", seen_s=round(seen_s, 1), counted=counted)
        return seen_s, counted


def counters(core: Core, actor: User) -> list[ledger.Counters]:
    """A manager compares every base of this installation; everybody else sees their own."""
    with core.catalog.read() as session:
        scope = None if actor.role is Role.MANAGER else actor.base_code
        return ledger.counters(session, core.settings.zone, scope)


# --- people ----------------------------------------------------------------------------------------------


def create_user(core: Core, actor: User, *, username: str, name: str, role: Role, password: str) -> User:
    """Add a person of the actor's base. Raises AlreadyExists, or RequestRejected for a weak password."""
    _require_role(actor, Role.MANAGER)
    if not USERNAME.fullmatch(username) or not name.strip():
        raise RequestRejected(
            problem="a login name is 2 to 64 of a-z, 0-9, '.', '_', '-'; the name is not empty"
        )
    user = User(
        username=username,
        name=name.strip(),
        role=role,
        base_code=actor.base_code,
        password_hash=hash_password(password),
    )
    with core.catalog.write() as session:
        if session.scalar(select(User).where(User.username == username)) is not None:
            raise AlreadyExists(what=f"user {username}")
        session.add(user)
        session.flush()
        audit.record(session, actor.id, "user.create", user.id, str(role))
        return user
