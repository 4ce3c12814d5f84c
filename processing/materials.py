"""What a step is told beside the results of earlier steps, and what a finished case tells about itself."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive import alarms
from archive.edits import SPEECH
from archive.facts import ConsentFacts, PackageFacts, facts_to_dict
from archive.identity import names_of, voice_secret
from archive.models import Case, FaceTemplate, Recording, RecordingNote, Transition
from archive.terms import State
from config.errors import NotFound
from processing.pauses import kept_s, pauses_of

if TYPE_CHECKING:
    from processing.pipeline import Pipeline

_MOST_PPM = 100.0  # crystals of cameras and sound cards keep to 20–50


def gather(pipeline: Pipeline, step: str, case_id: str, folder: Path) -> dict[str, Any]:
    """The parameters of one step; what lies sealed in the store is opened into the step's own folder."""
    with pipeline.catalog.read() as session:
        case = session.get_one(Case, case_id)
        params: dict[str, Any] = {"case": case_id, "kind": str(case.consultation.kind)}
        if step == "ingest":
            params["tracks"] = _open_segments(pipeline, session, case, folder / "segments")
        if step == "probe":
            params["notes"] = _recording_notes(session, case)
        if step == "blur":
            params["edits"] = {camera: said for camera, said in case.edits.items() if camera != SPEECH}
        if step == "redact":
            params["names"] = [asdict(name) for name in names_of(pipeline.vault, case_id)]
            params["edits"] = case.edits.get(SPEECH, {})
            params["voice_secret"] = _voice_secret(pipeline, case)
        if step in ("blur", "verify"):
            params["templates"] = _open_templates(pipeline, session, case, folder / "templates")
        if step == "package":
            params["facts"] = facts_to_dict(_package_facts(pipeline, session, case))
            params["light"] = _recordings(session, case)[0].light
            params["notes"] = _notes(pipeline, case)
            params["resolutions"] = _resolutions(pipeline, session, case)
        return params


def _voice_secret(pipeline: Pipeline, case: Case) -> str:
    """In hex; empty where the patient did not ask for another voice."""
    consents = case.consultation.consents
    return voice_secret(pipeline.vault, case.id).hex() if consents and consents[-1].disguise_voice else ""


def _notes(pipeline: Pipeline, case: Case) -> list[dict[str, Any]]:
    """What everybody who looks at the case should know about how it came about."""
    told = [pipeline.results.told(case, step) for step in ("probe", "audio", "speakers")]
    return [note for each in told for note in each.get("notes", [])]


def _recordings(session: Session, case: Case) -> list[Recording]:
    """The parts a visit was recorded in, oldest first: usually one, more after a station crashed."""
    found = session.scalars(
        select(Recording)
        .where(Recording.consultation_id == case.id, Recording.completed_at.is_not(None))
        .order_by(Recording.started_at, Recording.id)
    ).all()
    if not found:
        raise NotFound(what="recording", id=case.id)
    return list(found)


def _open_segments(pipeline: Pipeline, session: Session, case: Case, folder: Path) -> dict[str, Any]:
    """The segments of every track in order, with their places on one clock.

    Each recording of a visit has a clock of its own; on the common one it begins where the one before has ended. What lies
    in a privacy pause is left out, and with it a track of which nothing else was recorded.
    """
    tracks: dict[str, Any] = {}
    begin_s = 0.0
    for number, recording in enumerate(_recordings(session, case)):
        for name, told in recording.tracks.items():
            track = {"kind": told["kind"], "role": told["role"], "whole": told.get("whole", False)}
            tracks.setdefault(name, track | {"parts": [], "starts_s": [], "lasts_s": [], "ends_s": []})
            (folder / name).mkdir(parents=True, exist_ok=True)
        pauses = pauses_of(session, recording)
        for segment in recording.segments:
            track = tracks[segment.track]
            lasts_s = kept_s(segment.start_s, segment.duration_s, pauses)
            if not lasts_s and segment.duration_s:
                continue
            part = folder / segment.track / f"{number:03d}-{segment.index:06d}{_suffix(track)}"
            pipeline.vault.open_file(case.id, segment.key, part)
            track["parts"].append(str(part))
            track["starts_s"].append(begin_s + segment.start_s)
            track["lasts_s"].append(None if lasts_s == segment.duration_s else lasts_s)
            track["ends_s"].append(begin_s + segment.start_s + lasts_s)
        begin_s = max((each for track in tracks.values() for each in track["ends_s"]), default=0.0)
    for track in tracks.values():
        gaps_s = [start - end for end, start in zip(track.pop("ends_s"), track["starts_s"][1:], strict=False)]
        track["longest_gap_s"] = max([0.0, *gaps_s])
    return {name: track for name, track in tracks.items() if track["parts"]}


def _recording_notes(session: Session, case: Case) -> list[dict[str, Any]]:
    """What reviewers should know about how the visit was recorded."""
    parts = _recordings(session, case)
    notes: list[dict[str, Any]] = []
    if len(parts) > 1:
        notes.append({"code": "recorded-in-parts", "parts": len(parts)})
    for recording in parts:
        for name, told in recording.tracks.items():
            if told.get("lost"):
                notes.append({"code": "segments-lost", "track": name, "count": len(told["lost"])})
        notes += _drifts(session, recording)
    return notes


def _drifts(session: Session, recording: Recording) -> list[dict[str, Any]]:
    """Devices whose clock ran further off than a sound crystal's, as the station measured last. Their segments lie on the
    station's clock, so joining has put them right; the device is worth a look."""
    told = select(RecordingNote).where(
        RecordingNote.recording_id == recording.id, RecordingNote.kind == "clock"
    )
    newest: dict[str, float] = {}
    for note in session.scalars(told.order_by(RecordingNote.at_s, RecordingNote.id)):
        ppm = note.data.get("drift_ppm")
        if isinstance(ppm, int | float):
            newest[str(note.data.get("track"))] = float(ppm)
    return [
        {"code": "clock-drift", "track": track, "ppm": round(ppm)}
        for track, ppm in sorted(newest.items())
        if abs(ppm) >= _MOST_PPM
    ]


def _suffix(track: dict[str, Any]) -> str:
    if track["whole"]:
        return ".media"
    return ".mkv" if track["kind"] == "video" else ".flac"


def _open_templates(pipeline: Pipeline, session: Session, case: Case, folder: Path) -> list[str]:
    expert_id = case.consultation.expert_id
    rows = session.scalars(select(FaceTemplate).where(FaceTemplate.expert_id == expert_id))
    folder.mkdir()
    opened = []
    for row in rows:
        path = folder / row.id
        pipeline.vault.open_file(expert_id, row.key, path)
        opened.append(str(path))
    return sorted(opened)


def _package_facts(pipeline: Pipeline, session: Session, case: Case) -> PackageFacts:
    consultation = case.consultation
    signed = consultation.consents[-1]
    begun = session.scalars(
        select(Transition.at)
        .where(Transition.case_id == case.id, Transition.new == State.PROCESSING)
        .order_by(Transition.id.desc())
    ).first()
    assert begun is not None
    base = pipeline.settings.base
    return PackageFacts(
        case=case.id,
        title=consultation.title,
        kind=str(consultation.kind),
        base_code=case.base_code,
        base_name=base.name,
        expert_name=consultation.expert.name,
        patient_pseudonym=consultation.patient_pseudonym,
        recorded_at=_recordings(session, case)[0].started_at,
        packaged_at=begun,
        language=pipeline.settings.speech.language,
        rights=base.rights,
        consent=ConsentFacts(
            id=signed.id,
            purposes=tuple(p for p in signed.purposes if p not in signed.withdrawn_purposes),
            text=signed.text,
            text_sha256=signed.text_sha256,
            signer_pseudonym=signed.signer_pseudonym,
            signed_at=signed.signed_at,
            expires_at=signed.expires_at,
            signature_sha256=signed.signature_sha256,
            witness_pseudonym=hashlib.sha256(signed.witness_id.encode()).hexdigest()[:12],
        ),
    )


def _resolutions(pipeline: Pipeline, session: Session, case: Case) -> list[dict[str, Any]]:
    """Every alarm of the verification with who said what about it, for the package to prove it."""
    answers = alarms.resolutions(session, case)
    return [
        {**alarm, "resolution": alarms.to_dict(answers[alarm["id"]])}
        for alarm in pipeline.results.told(case, "verify")["alarms"]
    ]


def _verification(pipeline: Pipeline, case: Case) -> dict[str, Any]:
    """How the attack on our own output ended: ``resolved`` when it failed and every alarm of it was answered."""
    told = pipeline.results.told(case, "verify")
    with pipeline.catalog.read() as session:
        alarms.require_answered(session, case, told)
    return {
        "verdict": "resolved" if told["verdict"] == "fail" else told["verdict"],
        "moments": told["moments"],
        "alarms": len(told["alarms"]),
        "examined_frames": told["examined_frames"],
    }


def summarise(pipeline: Pipeline, case: Case) -> dict[str, Any]:
    """The numbers of a finished case, as its page and the command line show them."""
    probe = pipeline.results.told(case, "probe")
    return {
        "duration_s": probe["duration_s"],
        "cameras": probe["cameras"],
        "main_camera": probe["main_camera"],
        "notes": _notes(pipeline, case),
        "speech": {**pipeline.results.told(case, "merge"), **pipeline.results.told(case, "redact")},
        "faces": pipeline.results.told(case, "blur")["cameras"],
        "verification": _verification(pipeline, case),
        "package": pipeline.results.told(case, "package"),
        "step_seconds": pipeline.seconds_by_step(case),
    }
