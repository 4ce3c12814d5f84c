"""A consulting room to listen to: voices, the microphones that hear them, and the noise of both."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capture.rig import ffmpeg_binary

RATE_HZ = 16_000
BLOCK = RATE_HZ // 10
SPEECH = Path(__file__).parents[2] / "shared" / "media" / "audio" / "spk"

Sound = NDArray[np.float32]


def made_voice(rng: np.random.Generator, seconds: float, pitch_hz: float = 120.0) -> Sound:
    """Speech-like sound without any recording: a buzz at a wandering pitch and hiss, in syllables and phrases."""
    count = int(seconds * RATE_HZ)
    moments = np.arange(count) / RATE_HZ
    wander = np.interp(
        moments,
        np.arange(0, seconds + 1, 0.2),
        rng.normal(1, 0.1, int(seconds / 0.2) + 6)[: len(np.arange(0, seconds + 1, 0.2))],
    )
    phase = 2 * np.pi * np.cumsum(pitch_hz * wander) / RATE_HZ
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.maximum(0, np.sin(2 * np.pi * 3.7 * moments + rng.uniform(0, 6))) ** 0.7
    loudness = np.repeat(rng.uniform(0.3, 1.0, int(seconds / 0.27) + 2), int(0.27 * RATE_HZ))[:count]
    pauses = np.repeat(rng.random(int(seconds / 0.7) + 2) > 0.18, int(0.7 * RATE_HZ))[:count]
    sound = (buzz + 0.2 * rng.standard_normal(count)) * syllables * loudness * pauses
    return level(sound, -26)


def modulated_noise(rng: np.random.Generator, seconds: float) -> Sound:
    count = int(seconds * RATE_HZ)
    moments = np.arange(count) / RATE_HZ
    return level(rng.standard_normal(count) * np.maximum(0, np.sin(2 * np.pi * 3 * moments)) ** 2, -26)


def recorded_voices() -> dict[str, Sound]:
    """Real speakers, a minute or less of each; empty where the recordings are not at hand."""
    found: dict[str, list[Sound]] = {}
    for path in sorted(SPEECH.glob("*")) if SPEECH.is_dir() else []:
        speaker = path.name.split("-")[0] if path.suffix == ".flac" else path.name.rsplit("_", 1)[0]
        command = [ffmpeg_binary(), "-loglevel", "error", "-i", str(path), "-f", "f32le", "-ar", str(RATE_HZ)]
        raw = subprocess.run([*command, "-ac", "1", "-"], check=True, capture_output=True, timeout=60).stdout
        found.setdefault(speaker, []).append(np.frombuffer(raw, dtype=np.float32))
    return {speaker: level(np.concatenate(parts), -26) for speaker, parts in found.items()}


def level(sound: NDArray[np.floating], rms_dbfs: float) -> Sound:
    return np.asarray(sound * 10 ** (rms_dbfs / 20) / np.sqrt(np.square(sound).mean()), dtype=np.float32)


def gain(sound: Sound, db: float) -> Sound:
    return (sound * 10 ** (db / 20)).astype(np.float32)


def noise(rng: np.random.Generator, count: int, rms_dbfs: float) -> Sound:
    return (rng.standard_normal(count) * 10 ** (rms_dbfs / 20)).astype(np.float32)


@dataclass
class Room:
    """``hears[mic][talker]`` is the gain in dB from the talker's voice to the microphone."""

    hears: Mapping[str, Mapping[str, float]]
    floor_dbfs: Mapping[str, float]
    rng: np.random.Generator
    echo: float = 0.2
    lag: Mapping[str, int] = field(default_factory=dict)  # samples by which a device delivers later

    def mix(self, voices: Mapping[str, Sound], count: int) -> dict[str, Sound]:
        """Every microphone's signal (count,), from every talker's (count,)."""
        around = noise(self.rng, count, 0)
        heard = {}
        for mic, gains in self.hears.items():
            own = noise(self.rng, count, self.floor_dbfs[mic] - 6) + gain(around, self.floor_dbfs[mic] - 1.3)
            for talker, voice in voices.items():
                direct = gain(voice, gains[talker])
                late = np.zeros_like(direct)
                late[900:] = direct[:-900] * self.echo
                own = own + direct + late
            heard[mic] = np.roll(own, self.lag.get(mic, 0)).astype(np.float32)
        return heard


def blocks(heard: Mapping[str, Sound], size: int = BLOCK) -> Iterator[tuple[float, str, Sound]]:
    """(time in s, microphone, its next block), the microphones in turn."""
    count = min(len(sound) for sound in heard.values())
    for start in range(0, count - size + 1, size):
        for mic, sound in heard.items():
            yield (start + size) / RATE_HZ, mic, sound[start : start + size]
