"""What identifies the patient goes into the vault's list and nowhere else: not into text, captions or sound."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.errors import EditsRejected
from config.settings import MediaSettings, SpeechSettings, VisionSettings
from processing import speech_steps
from processing.clock import ClockFit
from processing.step import Job
from processing.transcript import Line, Transcript, Turn, Word
from tests.processing.media_files import correlation, read_sound, speech, write_sound

RATE_HZ = 48_000
SAID = "我叫王建国，电话幺三八零零幺三八零零零。"
SECRETS = ("王建国", "建国", "幺三八", "13800138000")


@dataclass(frozen=True)
class Recording:
    folders: dict[str, Path]
    name_s: tuple[float, float]
    voice: np.ndarray


def words_of(text: str, start_s: float, each_s: float) -> tuple[Word, ...]:
    return tuple(
        Word(character, round(start_s + at * each_s, 3), round(start_s + (at + 1) * each_s, 3), 0.9)
        for at, character in enumerate(text)
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Two microphones in both of which the patient tells name and telephone number from 2 s on."""
    root = tmp_path_factory.mktemp("inputs")
    folders = {name: root / name for name in ("ingest", "probe", "audio", "speakers", "merge")}
    for folder in folders.values():
        folder.mkdir()
    voice = 0.3 * speech(9, 5, RATE_HZ)
    write_sound(folders["ingest"] / "patient.flac", voice, RATE_HZ)
    write_sound(folders["ingest"] / "expert.flac", 0.3 * voice, RATE_HZ)
    told = {
        name: {"kind": "audio", "role": name, "start_s": 0.0, "file": f"{name}.flac"}
        for name in ("expert", "patient")
    }
    told["room"] = {"kind": "video", "role": "room", "start_s": 0.0, "file": "room.mp4"}
    plan = {"cameras": ["room"], "main_camera": "room", "sound": ["expert", "patient"]}
    turn = Turn("patient", 2.0, 6.5)
    line = Line.heard(turn, words_of(SAID, 2.0, 0.2))
    text = Transcript("zh", "demo", (line,), (), 9.0)
    for name, file, content in (
        ("ingest", "tracks.json", told),
        ("probe", "plan.json", plan),
        ("speakers", "turns.json", [turn.to_dict()]),
        ("audio", "clock.json", {"expert": asdict(ClockFit()), "patient": asdict(ClockFit())}),
        ("merge", "transcript.json", text.to_dict()),
    ):
        (folders[name] / file).write_text(json.dumps(content))
    return Recording(folders, (2.0 + 2 * 0.2, 2.0 + 5 * 0.2), voice)


def run(recording: Recording, folder: Path, **params: Any) -> tuple[Path, dict[str, Any]]:
    (folder / "out").mkdir(parents=True)
    told = {
        "case": "20261124-AAAAAA",
        "names": [{"text": "王建国", "relation": "patient"}],
        "edits": {},
        "voice_secret": "",
        **params,
    }
    job = Job(folder, recording.folders, told, SpeechSettings(), VisionSettings(), MediaSettings())
    return folder / "out", speech_steps.redact(job)


def part(sound: np.ndarray, from_s: float, to_s: float) -> np.ndarray:
    return sound[round(from_s * RATE_HZ) : round(to_s * RATE_HZ)]


def test_nothing_that_is_published_holds_what_identifies_the_patient(
    recording: Recording, tmp_path: Path
) -> None:
    out, told = run(recording, tmp_path / "job")
    assert told["redacted"] == {"name": 1, "phone": 1}
    published = [out / name for name in (*speech_steps.TRANSCRIPT_FILES, "redactions.json")]
    for path in published:
        text = path.read_text()
        assert not [secret for secret in SECRETS if secret in text], path.name
    assert "我叫[姓名]，电话[电话]。" in (out / "transcript.txt").read_text()
    listed = json.loads((out / "spans.json").read_text())
    assert listed[0]["text"] == "王建国"
    assert {span["id"] for span in listed} == set(told["spans"])
    assert all(span["hidden"] for span in listed)


def test_the_words_are_gone_from_the_sound_of_every_microphone_and_the_rest_is_kept(
    recording: Recording, tmp_path: Path
) -> None:
    out, _told = run(recording, tmp_path / "job")
    sound = read_sound(out / "sound.m4a", RATE_HZ)
    from_s, to_s = recording.name_s
    assert (
        correlation(
            part(sound, from_s - 0.08, to_s + 0.08), part(recording.voice, from_s - 0.08, to_s + 0.08)
        )
        < 0.1
    )
    assert correlation(part(sound, 0.5, 2.0), part(recording.voice, 0.5, 2.0)) > 0.85
    assert correlation(part(sound, 7.0, 8.8), part(recording.voice, 7.0, 8.8)) > 0.85


def test_a_reviewer_has_a_span_heard_again_and_names_a_time_that_was_missed(
    recording: Recording, tmp_path: Path
) -> None:
    _out, told = run(recording, tmp_path / "first")
    phone = next(span for span in told["spans"] if span.startswith("phone"))
    edits = {"keep": [phone], "add": [{"start_s": 0.5, "end_s": 1.0, "kind": "address"}]}
    out, again = run(recording, tmp_path / "second", edits=edits)
    assert again["redacted"] == {"address": 1, "name": 1}
    assert "电话幺三八" in (out / "transcript.txt").read_text()
    sound = read_sound(out / "sound.m4a", RATE_HZ)
    assert correlation(part(sound, 0.5, 1.0), part(recording.voice, 0.5, 1.0)) < 0.1
    hidden = {span["id"]: span["hidden"] for span in json.loads((out / "spans.json").read_text())}
    assert hidden[phone] is False
    with pytest.raises(EditsRejected):
        run(recording, tmp_path / "third", edits={"keep": ["name-0123456789ab"]})


def test_the_patients_voice_is_another_one_where_the_consent_wants_it(
    recording: Recording, tmp_path: Path
) -> None:
    out, told = run(recording, tmp_path / "job", names=[], voice_secret="7b" * 32)
    assert told["voice_disguised"]
    sound = read_sound(out / "sound.m4a", RATE_HZ)
    assert correlation(part(sound, 2.2, 3.4), part(recording.voice, 2.2, 3.4)) < 0.5
    assert correlation(part(sound, 7.0, 8.8), part(recording.voice, 7.0, 8.8)) > 0.85
    again, _ = run(recording, tmp_path / "again", names=[], voice_secret="7b" * 32)
    assert (again / "sound.m4a").read_bytes() == (out / "sound.m4a").read_bytes()
