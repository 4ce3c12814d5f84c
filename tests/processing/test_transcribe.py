"""What was said, by whom."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import webvtt

from config.errors import ModelMissing, NotMedia
from config.settings import SpeechSettings
from processing import transcribe
from processing.diarize import turns_per_microphone
from processing.media import run_ffmpeg
from processing.transcript import Transcript, Turn
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


def test_a_turn_that_breaks_the_recogniser_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = SimpleNamespace(word="好", start=0.3, end=0.6, probability=0.9)
    segment = SimpleNamespace(
        text="好", start=0.0, end=1.0, no_speech_prob=0.0, avg_logprob=-0.1, words=[word]
    )

    class Fragile:
        calls = 0

        def transcribe(self, _sound: object, **_options: object) -> tuple[list[SimpleNamespace], None]:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("no luck")
            return [segment], None

    monkeypatch.setattr(transcribe, "load_model", lambda _settings: Fragile())
    path = write_sound(tmp_path / "a.wav", np.zeros(8 * RATE_HZ, np.float32))
    turns = [Turn("expert", at, at + 1.0) for at in (1.0, 3.0, 5.0)]
    transcript = transcribe.transcribe({"expert": path}, turns, DEMO)
    assert [line.start_s for line in transcript.lines] == [1.0, 5.0]
    assert transcript.unheard == (turns[1],)


@pytest.mark.parametrize(
    ("text", "length_s", "no_speech", "logprob"),
    [
        ("谢谢观看", 2.0, 0.9, -1.5),
        ("好的好的好的好的好的好的", 4.0, 0.1, -0.2),
        ("请不吝点赞订阅转发打赏支持明镜与点点栏目", 0.5, 0.1, -0.2),
        ("……", 1.0, 0.1, -0.2),
    ],
    ids=["doubtful", "repeated", "too fast", "no words"],
)
def test_invented_text_is_dropped(text: str, length_s: float, no_speech: float, logprob: float) -> None:
    assert transcribe._is_invented(text, length_s, no_speech, logprob)
    assert not transcribe._is_invented("最近总是头晕，没有力气。", 2.7, 0.1, -0.3)
    assert not transcribe._is_invented("ask what you can do for your country", 2.5, 0.1, -0.3)


def test_a_long_turn_is_heard_in_parts_cut_where_it_is_quiet(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 70 * RATE_HZ).astype(np.float32)
    for pause_s in (20.0, 41.0, 60.0):
        sound[round(pause_s * RATE_HZ) : round((pause_s + 0.3) * RATE_HZ)] = 0
    path = write_sound(tmp_path / "a.wav", np.clip(sound, -1, 1))
    windows = list(transcribe._windows(path, Turn("expert", 0.5, 69.0)))
    assert [end for _start, end in windows[:-1]] == pytest.approx([20.15, 41.15, 60.15], abs=0.2)
    assert windows[0][0] == pytest.approx(0.3)
    assert windows[-1][1] == pytest.approx(69.2)
    assert all(end - start <= 28.0 for start, end in windows)


@pytest.mark.parametrize("model", ["no-such-model", "EMPTY"])
def test_a_missing_model_is_named(model: str, tmp_path: Path) -> None:
    wanted = str(tmp_path) if model == "EMPTY" else model
    with pytest.raises(ModelMissing) as caught:
        transcribe.load_model(SpeechSettings(model=wanted))
    assert caught.value.data["model"] == wanted


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(NotMedia):
        transcribe.transcribe_files({"expert": tmp_path / "a.wav"}, tmp_path / "out", DEMO)
    assert list((tmp_path / "out").iterdir()) == []
