"""The pipeline's steps from microphones to what may be read and heard; see ``processing.steps``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from processing.step import Job, Result, read_json, sources_of, write_json

if TYPE_CHECKING:
    from processing.audio import Source

TRANSCRIPT_FILES = ("transcript.json", "transcript.vtt", "transcript.srt", "transcript.txt", "turns.rttm")


def _microphones(job: Job) -> list[tuple[str, Source]]:
    """Role and file of every track that is heard, on the clock of the main camera."""
    from processing.audio import Source

    plan, told, folder = sources_of(job)
    start_s = told[plan["main_camera"]]["start_s"]
    return [
        (
            told[name]["role"] if told[name]["kind"] == "audio" else "room",
            Source(folder / told[name]["file"], told[name]["start_s"] - start_s),
        )
        for name in plan["sound"]
    ]


def audio_step(job: Job) -> Result:
    """One 16 kHz channel per role for recognition, lined up with the main camera and with each other."""
    from processing import audio, clock

    by_role: dict[str, list[Source]] = {}
    for role, source in _microphones(job):
        by_role.setdefault(role, []).append(source)
    channels = {role: job.out / f"{role}.wav" for role in sorted(by_role)}
    for role, path in channels.items():
        audio.speech_wav(by_role[role], path)
    # The picture's own clock, where the camera hears: captions have to fit what is seen.
    fits = clock.correct_clock(channels, "room" if "room" in channels else "")
    write_json(job.out / "clock.json", {role: asdict(fit) for role, fit in fits.items()})
    notes = [
        {
            "code": "clock-corrected",
            "track": role,
            "ms": round(1000 * fit.offset_s),
            "ppm": round(fit.drift_ppm),
        }
        for role, fit in fits.items()
        if fit.corrected
    ]
    return {"roles": sorted(by_role), "notes": notes}


def _channels(job: Job) -> dict[str, Path]:
    return {path.stem: path for path in sorted(job.inputs["audio"].glob("*.wav"))}


def regions(job: Job) -> Result:
    """Where there is speech in each microphone."""
    import numpy as np

    from processing.regions import all_chances, regions_of

    chances = all_chances(_channels(job), job.progress)
    for role, each in chances.items():
        np.save(job.out / f"{role}.npy", each)
    spoken = {role: regions_of(each) for role, each in chances.items()}
    write_json(job.out / "regions.json", spoken)
    return {
        "speech_s": {role: round(sum(end - start for start, end in each), 1) for role, each in spoken.items()}
    }


def speakers(job: Job) -> Result:
    """Who speaks when, from which microphone hears whom best."""
    import numpy as np

    from processing import rttm, speakers

    heard = {path.stem: np.load(path, allow_pickle=False) for path in job.inputs["regions"].glob("*.npy")}
    found = speakers.turns_of(_channels(job), job.speech, job.progress, heard_before=heard)
    notes = [found.note] if found.note else []
    write_json(job.out / "turns.json", [turn.to_dict() for turn in found.turns])
    write_json(job.out / "notes.json", notes)
    (job.out / "turns.rttm").write_text(rttm.to_rttm(found.turns, job.params["case"]))
    return {
        "turns": len(found.turns),
        "speakers": sorted({turn.role for turn in found.turns}),
        "notes": notes,
    }


def transcribe_step(job: Job) -> Result:
    """What was said, word by word, as the model heard it; nothing of it leaves before it is redacted."""
    from processing import transcribe
    from processing.transcript import Turn

    turns = [Turn.from_dict(raw) for raw in read_json(job.inputs["speakers"] / "turns.json")]
    heard = transcribe.recognise(_channels(job), turns, job.speech, job.progress)
    write_json(job.out / "heard.json", heard.to_dict())
    return {"turns": len(heard.said), "unheard": len(heard.unheard)}


def merge_step(job: Job) -> Result:
    """Who said what: words and speakers become the transcript."""
    from processing.merge import Recognised, merge

    notes = tuple(note["code"] for note in read_json(job.inputs["speakers"] / "notes.json"))
    heard = Recognised.from_dict(read_json(job.inputs["transcribe"] / "heard.json"))
    text = merge(heard, job.speech, notes=notes)
    write_json(job.out / "transcript.json", text.to_dict())
    spoken = sorted({line.role for line in text.lines})
    return {"lines": len(text.lines), "speakers": spoken, "model": text.model}


def redact(job: Job) -> Result:
    """The text without what identifies the patient, and the published sound without the same."""
    from processing import protect, published_sound, transcribe
    from processing.clock import ClockFit
    from processing.names import RegisteredName
    from processing.redaction_edits import parse_redaction_edits
    from processing.transcript import STAFF_ROLES, Transcript, Turn

    names = [RegisteredName(**name) for name in job.params["names"]]
    edits = parse_redaction_edits(job.params["edits"])
    turns = [Turn.from_dict(raw) for raw in read_json(job.inputs["speakers"] / "turns.json")]
    done = protect.protect(
        Transcript.from_dict(read_json(job.inputs["merge"] / "transcript.json")), names, edits
    )
    transcribe.write_outputs(done.transcript, turns, job.params["case"], job.out)
    write_json(job.out / "spans.json", done.secret_list())
    write_json(job.out / "redactions.json", [span.published() for span in done.spans])
    disguise = None
    if job.params["voice_secret"]:
        # Whoever is not known to be somebody else may be the patient.
        patient = tuple((turn.start_s, turn.end_s) for turn in turns if turn.role not in STAFF_ROLES)
        disguise = published_sound.Disguise(patient, bytes.fromhex(job.params["voice_secret"]))
    fits = {role: ClockFit(**told) for role, told in read_json(job.inputs["audio"] / "clock.json").items()}
    sources = [fits[role].on_reference(source) for role, source in _microphones(job)]
    if sources:
        published_sound.publish_sound(
            sources,
            job.out / "sound.m4a",
            job.media.audio_kbps,
            hidden=done.spans,
            disguise=disguise,
            progress=job.progress,
        )
    kinds = Counter(span.kind for span in done.spans)
    return {
        "redacted": dict(sorted(kinds.items())),
        "spans": [span.id for span in done.found],
        "voice_disguised": disguise is not None,
    }


SPEECH_FUNCTIONS: dict[str, Callable[[Job], Result]] = {
    "audio": audio_step,
    "regions": regions,
    "speakers": speakers,
    "transcribe": transcribe_step,
    "merge": merge_step,
    "redact": redact,
}
