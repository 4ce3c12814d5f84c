"""The sound of the demo recording: two speakers, two microphones, each hearing the other a little.

Only numpy and PyAV are needed: the speech itself was rendered once and lies in `demo_speech`.
"""

import json
import wave
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SPEECH_DIR = Path(__file__).with_name("demo_speech")
ROLES = ("expert", "patient")

_FIRST_TURN_S = 1.0
_GAP_S = (0.3, 0.9)
# Who goes on after a pause begins a new turn only if the pause is longer than one within a sentence.
_PAUSE_S = 0.9
_SPEECH_PEAK = 0.5
_CROSS_TALK_DB = -14.0
# How much later each microphone hears the other speaker: about 60 and 80 cm further away.
_CROSS_TALK_DELAY_S = {"expert": 0.0024, "patient": 0.0018}
_NOISE_DBFS = -50.0
_SEED = 8


@dataclass(frozen=True)
class Turn:
    """Who says what, and when: the ground truth of the recording."""

    role: str
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class DemoAudio:
    """What each microphone recorded (float32, mono, by role), and the turns that were spoken."""

    rate_hz: int
    tracks: dict[str, NDArray[np.float32]]
    turns: list[Turn]


def read_mono(path: Path, rate_hz: int) -> NDArray[np.float32]:
    """Decode a sound file to mono at a sample rate."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate_hz)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def write_wav(path: Path, sound: NDArray[np.float32], repeats: int = 1) -> Path:
    """Write ``sound`` (samples,) so many times over, clipped at full scale: a 16 kHz mono 16-bit WAV."""
    samples = (np.clip(sound, -1.0, 1.0) * 32767).astype(np.int16).tobytes()
    with wave.open(str(path), "wb") as sink:
        sink.setparams((1, 2, 16_000, 0, "NONE", ""))
        for _ in range(repeats):
            sink.writeframes(samples)
    return path


def render_tracks(
    speech_dir: Path = SPEECH_DIR, duration_s: float = 40.0, rate_hz: int = 48_000
) -> DemoAudio:
    """Lay the turns out in time and mix what each microphone hears of them; the same every time."""
    random = np.random.default_rng(_SEED)
    clips = json.loads((speech_dir / "dialogue.json").read_text(encoding="utf-8"))["clips"]
    length = round(duration_s * rate_hz)
    spoken = {role: np.zeros(length, np.float32) for role in ROLES}
    turns: list[Turn] = []
    start_s = _FIRST_TURN_S
    for clip, following in zip(clips, [*clips[1:], None], strict=True):
        signal = read_mono(speech_dir / clip["file"], rate_hz)
        start = round(start_s * rate_hz)
        if start + len(signal) > length:
            raise ValueError(f"the dialogue does not fit into {duration_s} s")
        spoken[clip["role"]][start : start + len(signal)] = signal * (_SPEECH_PEAK / np.abs(signal).max())
        end_s = start_s + len(signal) / rate_hz
        turns.append(Turn(clip["role"], round(start_s, 3), round(end_s, 3), clip["text"]))
        goes_on = following is not None and following["role"] == clip["role"]
        start_s = end_s + (_PAUSE_S if goes_on else random.uniform(*_GAP_S))
    tracks = {}
    for role, other in zip(ROLES, reversed(ROLES), strict=True):
        late = round(_CROSS_TALK_DELAY_S[role] * rate_hz)
        heard = np.concatenate([np.zeros(late, np.float32), spoken[other][: length - late]])
        noise = random.standard_normal(length, dtype=np.float32)
        track = spoken[role] + heard * 10 ** (_CROSS_TALK_DB / 20) + noise * 10 ** (_NOISE_DBFS / 20)
        tracks[role] = track.astype(np.float32)
    return DemoAudio(rate_hz, tracks, turns)
