"""How well a patient's voice is hidden, and what it costs: measured by the tests and by hand.

    python -m scripts.judge_voice SPEAKER=FILE… [--secrets 5]

Prints one JSON line a secret: the share of disguised utterances that a simple speaker verification still takes for their
speaker, the same share of the undisguised ones, characters wrong in a hundred on the demo before and after, and seconds
of sound disguised in a second. The verification compares means and spreads of mel cepstra: it needs no model, and
is weaker than a trained embedding. Give several utterances of each speaker.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio

from processing.vocoder import Doubles, Floats, Grid, take_apart
from processing.voice import disguise
from scripts.demo_asr_check import WHISPER_RATE_HZ, Heard, character_error_rate, load_model, transcribe

SPEECH_DIR = Path(__file__).parent / "demo_speech"
_CEPSTRA = 16
_PAUSE_S = 0.3

Voices = Mapping[str, Sequence[Floats]]


def demo_voices() -> dict[str, list[tuple[str, Floats]]]:
    """Text and 16 kHz sound of every turn of the demo, by role."""
    voices: dict[str, list[tuple[str, Floats]]] = {}
    for clip in json.loads((SPEECH_DIR / "dialogue.json").read_text(encoding="utf-8"))["clips"]:
        sound = decode_audio(str(SPEECH_DIR / clip["file"]), sampling_rate=WHISPER_RATE_HZ)
        voices.setdefault(clip["role"], []).append((clip["text"], np.asarray(sound, np.float32)))
    return voices


def disguise_together(
    sounds: Sequence[Floats], secret: bytes, rate_hz: int = WHISPER_RATE_HZ
) -> list[Floats]:
    """One speaker's utterances disguised as one recording, which they are in a case, and taken apart again."""
    pause = np.zeros(round(_PAUSE_S * rate_hz), np.float32)
    padded = [np.concatenate([pause, sound, pause]) for sound in sounds]
    changed = disguise(np.concatenate(padded), rate_hz, secret)
    return np.split(changed, np.cumsum([len(sound) for sound in padded])[:-1])


def error_rate(model: WhisperModel, clips: Sequence[tuple[str, Floats]]) -> float:
    """Wrong characters per character of ``clips`` (text, 16 kHz sound)."""
    return character_error_rate(Heard(text, transcribe(model, sound)) for text, sound in clips)


def voice_print(sound: Floats) -> Doubles:
    """Mean and spread of the mel cepstra of voiced 16 kHz speech, and its median pitch; (33,)."""
    speech = take_apart(sound[None], Grid(WHISPER_RATE_HZ))
    voiced = speech.voicing > 0.5
    bands = speech.bands[0, voiced].astype(np.float64)
    place = (np.arange(bands.shape[1]) + 0.5) * np.pi / bands.shape[1]
    cepstra = bands @ np.cos(np.outer(place, np.arange(1, _CEPSTRA + 1)))
    pitch = np.median(np.log(speech.pitch_hz[voiced]))
    return np.concatenate([cepstra.mean(axis=0), cepstra.std(axis=0), [pitch]])


@dataclass(frozen=True)
class Verification:
    """Accepts a speaker when prints are no farther apart than ``threshold``, where both errors are alike."""

    scale: Doubles
    threshold: float

    @classmethod
    def fit(cls, voices: Voices) -> Verification:
        prints = {name: [voice_print(sound) for sound in sounds] for name, sounds in voices.items()}
        within = np.mean([np.var(one, axis=0) for one in prints.values()], axis=0)
        scale = 1.0 / np.sqrt(within + 1e-9)
        same = [_apart(a, b, scale) for one in prints.values() for a, b in combinations(one, 2)]
        other = [
            _apart(a, b, scale) for one, two in combinations(prints.values(), 2) for a, b in product(one, two)
        ]
        candidates = sorted([*same, *other])
        threshold = min(
            candidates, key=lambda at: abs(np.mean(np.array(same) > at) - np.mean(np.array(other) <= at))
        )
        return cls(scale, float(threshold))

    def accepted(self, known: Sequence[Floats], asked: Sequence[Floats]) -> float:
        """Share of pairs of different utterances that are taken for one speaker."""
        prints = [[voice_print(sound) for sound in sounds] for sounds in (known, asked)]
        pairs = [(a, b) for i, a in enumerate(prints[0]) for j, b in enumerate(prints[1]) if i != j]
        return float(np.mean([_apart(a, b, self.scale) <= self.threshold for a, b in pairs]))


def _apart(one: Doubles, other: Doubles, scale: Doubles) -> float:
    return float(np.linalg.norm((one - other) * scale))


def _judge(voices: Voices, secret: bytes, model: WhisperModel) -> dict[str, float]:
    verification = Verification.fit(voices)
    started = time.perf_counter()
    hidden = {name: disguise_together(sounds, secret) for name, sounds in voices.items()}
    spent_s = time.perf_counter() - started
    sound_s = sum(len(sound) for sounds in hidden.values() for sound in sounds) / WHISPER_RATE_HZ
    demo = demo_voices()["patient"]
    changed = disguise_together([sound for _text, sound in demo], secret)
    after = [(text, sound) for (text, _before), sound in zip(demo, changed, strict=True)]
    return {
        "accepted": np.mean([verification.accepted(voices[name], hidden[name]) for name in voices]).item(),
        "accepted_undisguised": np.mean([verification.accepted(one, one) for one in voices.values()]).item(),
        "cer": error_rate(model, demo),
        "cer_disguised": error_rate(model, after),
        "times_real_time": sound_s / spent_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("speakers", nargs="+", metavar="SPEAKER=FILE")
    parser.add_argument("--secrets", type=int, default=5)
    asked = parser.parse_args()
    voices: dict[str, list[Floats]] = {}
    for speaker in asked.speakers:
        name, _, file = speaker.partition("=")
        voices.setdefault(name, []).append(
            np.asarray(decode_audio(file, sampling_rate=WHISPER_RATE_HZ), np.float32)
        )
    model = load_model()
    for number in range(asked.secrets):
        print(json.dumps(_judge(voices, b"%016d" % number, model)), flush=True)


if __name__ == "__main__":
    main()
