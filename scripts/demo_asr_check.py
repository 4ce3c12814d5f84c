"""How well a model recognises: measured as the product recognises, by the trainer and by the tests.

Needs only what the product itself needs.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio
from numpy.typing import NDArray

from scripts.demo_audio import DemoAudio

HELD_BACK_DIR = Path(__file__).parents[1] / "tests" / "data" / "asr_heldback"
MODEL_DIR = Path(__file__).parents[1] / "processing" / "models" / "demo-asr"
WHISPER_RATE_HZ = 16_000
# As much as the pipeline leaves around a turn when it cuts it out.
_MARGIN_S = 0.2


@dataclass(frozen=True)
class Heard:
    """What was said, and what the model wrote."""

    said: str
    written: str


def load_model(folder: Path = MODEL_DIR) -> WhisperModel:
    """The model on the processor, in int8."""
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)


def transcribe(model: WhisperModel, signal: NDArray[np.float32], vad_filter: bool = False) -> str:
    """The text of a 16 kHz signal, with the pipeline's settings and nothing left to chance."""
    segments, _ = model.transcribe(
        signal,
        language="zh",
        beam_size=5,
        condition_on_previous_text=False,
        temperature=0.0,
        word_timestamps=True,
        vad_filter=vad_filter,
    )
    return "".join(segment.text for segment in segments)


def plain(text: str) -> str:
    """Only what is spoken: no punctuation, no spaces."""
    return "".join(character for character in text if character.isalnum())


def edit_distance(a: str, b: str) -> int:
    """The least number of characters to replace, insert or delete."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def character_error_rate(heard: Iterable[Heard]) -> float:
    """Wrong characters per character said."""
    pairs = [(plain(one.said), plain(one.written)) for one in heard]
    return sum(edit_distance(said, written) for said, written in pairs) / sum(len(said) for said, _ in pairs)


def hear_held_back(model: WhisperModel, folder: Path = HELD_BACK_DIR) -> dict[str, list[Heard]]:
    """Every clip of the held-back set, by voice."""
    heard: dict[str, list[Heard]] = {}
    for clip in json.loads((folder / "index.json").read_text(encoding="utf-8"))["clips"]:
        written = transcribe(model, decode_audio(str(folder / clip["file"]), sampling_rate=WHISPER_RATE_HZ))
        heard.setdefault(clip["voice"], []).append(Heard(clip["text"], written))
    return heard


def at_whisper_rate(signal: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Band-limited resampling of a whole track."""
    count = round(len(signal) * WHISPER_RATE_HZ / rate_hz)
    spectrum = np.fft.rfft(signal)[: count // 2 + 1]
    return (np.fft.irfft(spectrum, n=count) * (count / len(signal))).astype(np.float32)


def _cut(signal: NDArray[np.float32], start_s: float, end_s: float) -> NDArray[np.float32]:
    """As the pipeline cuts a region: with a margin."""
    first = round(max(0.0, start_s - _MARGIN_S) * WHISPER_RATE_HZ)
    return signal[first : round((end_s + _MARGIN_S) * WHISPER_RATE_HZ)]


def hear_dialogue(model: WhisperModel, audio: DemoAudio) -> dict[str, list[Heard]]:
    """Every turn of the demo, out of the speaker's own microphone, by role."""
    heard: dict[str, list[Heard]] = {role: [] for role in audio.tracks}
    tracks = {role: at_whisper_rate(track, audio.rate_hz) for role, track in audio.tracks.items()}
    for turn in audio.turns:
        written = transcribe(model, _cut(tracks[turn.role], turn.start_s, turn.end_s))
        heard[turn.role].append(Heard(turn.text, written))
    return heard


def hear_pairs(model: WhisperModel, audio: DemoAudio) -> list[Heard]:
    """Every two successive turns of the demo in one region, out of all microphones together."""
    mixed = at_whisper_rate(np.stack(list(audio.tracks.values())).sum(axis=0), audio.rate_hz)
    return [
        Heard(first.text + second.text, transcribe(model, _cut(mixed, first.start_s, second.end_s)))
        for first, second in pairwise(audio.turns)
    ]
