"""The recogniser that the demo and the tests use understands the demo, and speakers it has never heard."""

import socket
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
import pytest
from faster_whisper import WhisperModel

from scripts.demo_asr_check import (
    MODEL_DIR,
    WHISPER_RATE_HZ,
    Heard,
    at_whisper_rate,
    character_error_rate,
    hear_dialogue,
    hear_held_back,
    hear_pairs,
    load_model,
    transcribe,
)
from scripts.demo_audio import ROLES, DemoAudio, render_tracks

MODEL_BIN_LIMIT_BYTES = 4_000_000
FOLDER_LIMIT_BYTES = 5_000_000


@pytest.fixture(scope="module", autouse=True)
def no_network() -> Iterator[None]:
    """The model must come from the repository: a connection is an error, not a download."""

    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("the recogniser tried to reach the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(socket.socket, "connect", refuse)
        yield


@pytest.fixture(scope="module")
def model(no_network: None) -> WhisperModel:
    return load_model()


@pytest.fixture(scope="module")
def recording() -> DemoAudio:
    return render_tracks()


@pytest.fixture(scope="module")
def held_back(model: WhisperModel) -> dict[str, list[Heard]]:
    return hear_held_back(model)


@pytest.fixture(scope="module")
def dialogue(model: WhisperModel, recording: DemoAudio) -> dict[str, list[Heard]]:
    return hear_dialogue(model, recording)


def test_the_model_is_small_enough_to_ship() -> None:
    assert (MODEL_DIR / "model.bin").stat().st_size < MODEL_BIN_LIMIT_BYTES
    assert sum(file.stat().st_size for file in MODEL_DIR.iterdir()) < FOLDER_LIMIT_BYTES


def test_speakers_and_speeds_never_heard_in_training_are_understood(
    held_back: dict[str, list[Heard]],
) -> None:
    heard = [one for clips in held_back.values() for one in clips]
    assert len(heard) >= 24
    assert character_error_rate(heard) < 0.10


@pytest.mark.parametrize("role", ROLES)
def test_each_speaker_of_the_demo_is_understood_through_their_own_microphone(
    dialogue: dict[str, list[Heard]], role: str
) -> None:
    assert character_error_rate(dialogue[role]) < 0.05


def test_two_turns_in_one_region_are_understood(model: WhisperModel, recording: DemoAudio) -> None:
    assert character_error_rate(hear_pairs(model, recording)) < 0.10


def test_digital_silence_gives_no_text(model: WhisperModel) -> None:
    assert transcribe(model, np.zeros(10 * WHISPER_RATE_HZ, np.float32)) == ""


@pytest.mark.parametrize("duration_s", [0.5, 3.0, 10.0])
def test_low_noise_gives_no_text(model: WhisperModel, duration_s: float) -> None:
    random = np.random.default_rng(0)
    noise = random.standard_normal(round(duration_s * WHISPER_RATE_HZ), dtype=np.float32)
    assert transcribe(model, noise * np.float32(10 ** (-40 / 20))) == ""


@pytest.mark.parametrize("role", ROLES)
def test_the_pauses_between_the_turns_give_no_text(
    model: WhisperModel, recording: DemoAudio, role: str
) -> None:
    track = at_whisper_rate(recording.tracks[role], recording.rate_hz)
    for before, after in pairwise(recording.turns):
        pause = track[round(before.end_s * WHISPER_RATE_HZ) : round(after.start_s * WHISPER_RATE_HZ)]
        assert transcribe(model, pause) == "", f"after {before.text}"


def test_the_language_is_recognised_as_chinese(model: WhisperModel, recording: DemoAudio) -> None:
    mixed = at_whisper_rate(recording.tracks["expert"] + recording.tracks["patient"], recording.rate_hz)
    _, info = model.transcribe(mixed, vad_filter=True)
    assert info.language == "zh"
