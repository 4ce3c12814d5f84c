"""Recordings on their way in: opened with consent, segment by segment, closed when everything is here."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.actions.cases import begin_run
from api.actions.desk import STAFF, case_of, consultation_of, refuse_withdrawn, require_role
from api.core import Core
from archive import audit, consent
from archive.catalog import insert_once
from archive.models import (
    Case,
    Recording,
    RecordingNote,
    Segment,
    User,
    utc_now,
)
from archive.states import lock_case, move
from archive.store import sha256_of
from archive.terms import Purpose, Role, State
from config.errors import (
    AlreadyExists,
    ChecksumMismatch,
    NotFound,
    RecordingClosed,
    RequestRejected,
    SegmentsMissing,
)

TRACK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


TRACK_ROLES: dict[str, tuple[str, ...]] = {
    "video": ("room", "desk", "hands", "tongue"),
    "audio": ("expert", "patient", "trainee", "room"),
}


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
    require_role(actor, Role.TECHNICIAN)
    with core.catalog.write() as session:
        case = case_of(session, actor, consultation_id)
        known = session.scalar(select(Recording).where(Recording.idempotency_key == idempotency_key))
        # Also where it is known already: a station asks again whether what was refused is wanted now.
        consent.require(session, consultation_id, Purpose.RECORD)
        if idempotency_key is not None and known is not None:
            if known.consultation_id != consultation_id:
                raise AlreadyExists(what="idempotency key")
            return known
        if case.state is not State.RECORDING and not _came_late(session, consultation_id, started_at):
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


def _came_late(session: Session, consultation_id: str, started_at: dt.datetime) -> bool:
    """Whether a recording began before the visit's others were closed: it was made without the network, and others of the
    visit came home first. It is kept whatever has become of the case since."""
    closed = session.scalars(
        select(Recording.completed_at).where(
            Recording.consultation_id == consultation_id, Recording.completed_at.is_not(None)
        )
    )
    return any(at is not None and started_at <= at for at in closed)


def _open_recording_of(session: Session, actor: User, recording_id: str) -> Recording:
    recording = session.get(Recording, recording_id)
    if recording is None:
        raise NotFound(what="recording", id=recording_id)
    consultation_of(session, actor, recording.consultation_id)
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
    sealed: bool = False,
) -> bool:
    """Seal one segment into the store; True when it is new, False when the same bytes were there.

    ``sealed``: ``received`` was sealed to the base by the station; ``sha256`` is of the plain bytes all the same.

    Raises ChecksumMismatch when ``received`` is not what ``sha256`` says, AlreadyExists when other bytes are kept
    in this place, RecordingClosed, or a ConsentRefused (withdrawn in mid-recording).
    """
    require_role(actor, Role.TECHNICIAN)
    if not TRACK_NAME.fullmatch(track) or index < 0:
        raise RequestRejected(problem=f"{track[:40]!r} is no name of a track")
    wanted = sha256.lower()
    found = wanted if sealed else sha256_of(received)
    if found != wanted:
        raise ChecksumMismatch(name=f"{track}/{index}", expected=wanted, found=found)
    with core.catalog.read() as session:
        recording = _open_recording_of(session, actor, recording_id)
        consent.require(session, recording.consultation_id, Purpose.RECORD)
        if _same_segment(session, recording_id, track, index, found):
            return False
        if recording.completed_at is not None:
            raise RecordingClosed(recording=recording_id)
    key = f"recordings/{recording.consultation_id}/{recording_id}/{track}/{index:06d}-{found[:16]}.age"
    if sealed:
        size = core.vault.take_over(recording.consultation_id, received, key, found)
    else:
        size = received.stat().st_size
        core.vault.seal_file(recording.consultation_id, received, key)
    with core.catalog.write() as session:
        refuse_withdrawn(lock_case(session, recording.consultation_id))
        if session.get_one(Recording, recording_id).completed_at is not None:
            raise RecordingClosed(recording=recording_id)
        segment = Segment(
            recording_id=recording_id,
            track=track,
            index=index,
            start_s=start_s,
            duration_s=duration_s,
            size=size,
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


def require_wanted(core: Core, actor: User, recording_id: str) -> None:
    """Raises what speaks against more footage of a recording, before any of it is taken in: a ConsentRefused,
    NotFound."""
    require_role(actor, Role.TECHNICIAN)
    with core.catalog.read() as session:
        recording = _open_recording_of(session, actor, recording_id)
        consent.require(session, recording.consultation_id, Purpose.RECORD)


def add_note(
    core: Core, actor: User, recording_id: str, *, id: str, kind: str, at_s: float, data: dict[str, Any]
) -> bool:
    """Keep a station's note with its recording; True when it is new, False when it was there.

    It shows nobody, so it is kept also where the consent was withdrawn meanwhile. Raises AlreadyExists when the id
    belongs to another recording's note.
    """
    require_role(actor, Role.TECHNICIAN)
    with core.catalog.write() as session:
        _open_recording_of(session, actor, recording_id)
        note = RecordingNote(
            id=id, recording_id=recording_id, kind=kind, at_s=at_s, data=data, kept_at=utc_now()
        )
        if insert_once(session, note, "id"):
            return True
        if session.get_one(RecordingNote, id).recording_id != recording_id:
            raise AlreadyExists(what="note")
        return False


def list_notes(core: Core, actor: User, recording_id: str) -> list[RecordingNote]:
    """What the station noted while recording, in order of time."""
    require_role(actor, *STAFF)
    with core.catalog.read() as session:
        recording = _open_recording_of(session, actor, recording_id)
        return _notes_of(session, recording.id)


def case_notes(core: Core, actor: User, case_id: str) -> list[RecordingNote]:
    """What the station noted in every recording of a case, in order of time; nothing for a trainee."""
    if actor.role not in STAFF:
        return []
    with core.catalog.read() as session:
        consultation_of(session, actor, case_id)
        recordings = session.scalars(
            select(Recording.id).where(Recording.consultation_id == case_id).order_by(Recording.started_at)
        )
        return [note for recording in recordings.all() for note in _notes_of(session, recording)]


def _notes_of(session: Session, recording_id: str) -> list[RecordingNote]:
    chosen = select(RecordingNote).where(RecordingNote.recording_id == recording_id)
    return list(session.scalars(chosen.order_by(RecordingNote.at_s, RecordingNote.kept_at, RecordingNote.id)))


def list_segments(core: Core, actor: User, recording_id: str) -> list[Segment]:
    require_role(actor, Role.TECHNICIAN)
    with core.catalog.read() as session:
        return list(_open_recording_of(session, actor, recording_id).segments)


def complete_recording(
    core: Core, actor: User, recording_id: str, *, tracks: dict[str, Any], seconds: float, notes: int = 0
) -> Case:
    """Close a recording whose every segment has arrived; with the visit's last one its processing starts.

    Repeating it is safe. A recording that comes home after processing has begun is kept, sealed, all the same.

    ``notes``: how many of them the station made. Raises SegmentsMissing naming the first segment, or the notes, that
    are not here.
    """
    require_role(actor, Role.TECHNICIAN)
    with core.catalog.write() as session:
        recording = _open_recording_of(session, actor, recording_id)
        case = lock_case(session, recording.consultation_id)
        session.refresh(recording)
        if recording.completed_at is None:
            _check_complete(recording, tracks)
            away = notes - len(_notes_of(session, recording.id))
            if away > 0:
                raise SegmentsMissing(count=away, first="notes")
            recording.tracks = tracks
            recording.seconds = seconds
            recording.completed_at = utc_now()
            audit.record(session, actor.id, "recording.complete", case.id, recording=recording.id)
            if case.state is State.RECORDING and not _awaits_another(session, recording):
                move(session, case, State.UPLOADED, actor.id)
                begin_run(session, case, actor.id)
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
