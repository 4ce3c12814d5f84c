"""What was said, by whom."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import webvtt

from config.errors import ModelMissing, NotMedia
from config.settings import SpeechSettings
from processing import transcribe
from processing.diarize import turns_per_microphone
from processing.media import run_ffmpeg
from processing.transcript import Transcript, Turn, Word
from processing.whisper import Heard, load_model
from processing.windows import Window
from tests.processing.media_files import Movie, read_sound, write_movie, write_sound

CLIPS = Path(__file__).parents[2] / "scripts" / "demo_speech"
RATE_HZ = 16_000
DEMO = SpeechSettings(threads=2)


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """Four turns of the demo at two microphones with cross-talk, and what is said in them."""
    clips = json.loads((CLIPS / "dialogue.json").read_text())["clips"][:4]
    voices = {"expert": [np.zeros(RATE_HZ, np.float32)], "patient": [np.zeros(RATE_HZ, np.float32)]}
    for clip in clips:
        sound = read_sound(CLIPS / clip["file"])
        for role, parts in voices.items():
            parts += [sound if role == clip["role"] else 0 * sound, np.zeros(RATE_HZ * 7 // 10, np.float32)]
    tracks = {role: np.concatenate(parts) for role, parts in voices.items()}
    noise = np.random.default_rng(0).normal(0, 5e-4, len(tracks["expert"])).astype(np.float32)
    folder = tmp_path_factory.mktemp("dialogue")
    files = {
        "expert": write_sound(folder / "expert.wav", tracks["expert"] + 0.2 * tracks["patient"] + noise),
        "patient": write_sound(folder / "patient.wav", tracks["patient"] + 0.2 * tracks["expert"] - noise),
    }
    return files, [(clip["role"], clip["text"]) for clip in clips]


def spoken(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def test_each_turn_is_recognised_once_from_the_microphone_of_its_role(
    dialogue: tuple[dict[str, Path], list[tuple[str, str]]],
) -> None:
    files, said = dialogue
    shares: list[float] = []
    turns = turns_per_microphone(files)
    transcript = transcribe.transcribe(files, turns, DEMO, shares.append)
    assert [(line.role, spoken(line.text)) for line in transcript.lines] == [
        (role, spoken(text)) for role, text in said
    ]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    for line, turn in zip(transcript.lines, turns, strict=True):
        assert (line.start_s, line.end_s) == (turn.start_s, turn.end_s)
        times = [time_s for word in line.words for time_s in (word.start_s, word.end_s)]
        assert line.start_s <= times[0] <= times[-1] <= line.end_s


def test_the_whole_way_works_offline_on_any_container(
    dialogue: tuple[dict[str, Path], list[tuple[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, said = dialogue
    movie = write_movie(tmp_path / "camera.mp4", Movie(seconds=12, sound=read_sound(files["expert"], 48_000)))
    run_ffmpeg(["-i", str(files["patient"]), "-ac", "2", "-ar", "44100", str(tmp_path / "patient.mp3")])

    def refuse(*_args: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    sources = {"expert": movie, "patient": tmp_path / "patient.mp3"}
    transcript = transcribe.transcribe_files(sources, tmp_path / "out", DEMO)
    assert [line.role for line in transcript.lines] == [role for role, _text in said]
    names = {"transcript.json", "transcript.vtt", "transcript.srt", "transcript.txt", "turns.rttm"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    stored = json.loads((tmp_path / "out" / "transcript.json").read_text())
    assert Transcript.from_dict(stored) == transcript
    assert len(webvtt.read(str(tmp_path / "out" / "transcript.vtt"))) == len(transcript.lines)


def test_silence_and_noise_give_an_empty_transcript(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 5 * RATE_HZ).astype(np.float32)
    sources = {
        "expert": write_sound(tmp_path / "a.wav", noise),
        "patient": write_sound(tmp_path / "b.wav", 0 * noise),
    }
    assert transcribe.transcribe_files(sources, tmp_path / "out", DEMO).lines == ()
    assert (tmp_path / "out" / "transcript.vtt").read_text() == "WEBVTT\n"


class Fragile:
    """A recogniser that breaks down over the turn at 3 s, however it is asked."""

    batch = 4

    def __init__(self, _settings: SpeechSettings) -> None:
        self.asked: list[int] = []

    def hear(self, windows: Sequence[Window]) -> list[Heard]:
        self.asked.append(len(windows))
        pieces = [piece for window in windows for piece in window.pieces]
        if any(piece.turn.start_s == 3.0 for piece in pieces):
            raise RuntimeError("no luck")
        return [
            Heard(piece, (Word("好", piece.turn.start_s, piece.turn.start_s + 0.3, 0.9),)) for piece in pieces
        ]


@pytest.mark.parametrize("model", ["demo", "another"])
def test_a_turn_that_breaks_the_recogniser_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr(transcribe, "Recogniser", Fragile)
    path = write_sound(tmp_path / "a.wav", np.zeros(8 * RATE_HZ, np.float32))
    turns = [Turn("expert", at, at + 1.0) for at in (1.0, 3.0, 5.0)]
    transcript = transcribe.transcribe({"expert": path}, turns, SpeechSettings(model=model))
    assert [line.start_s for line in transcript.lines] == [1.0, 5.0]
    assert transcript.unheard == (turns[1],)


@pytest.mark.parametrize("model", ["no-such-model", "EMPTY"])
def test_a_missing_model_is_named(model: str, tmp_path: Path) -> None:
    wanted = str(tmp_path) if model == "EMPTY" else model
    with pytest.raises(ModelMissing) as caught:
        load_model(SpeechSettings(model=wanted))
    assert caught.value.data["model"] == wanted


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(NotMedia):
        transcribe.transcribe_files({"expert": tmp_path / "a.wav"}, tmp_path / "out", DEMO)
    assert not (tmp_path / "out").exists()
