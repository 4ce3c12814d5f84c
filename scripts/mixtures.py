"""People at microphones of their own: mixtures of clean speech in which the true turns are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from processing.transcript import Turn
from scripts.demo_audio import write_wav

Samples = NDArray[np.float32]

RATE_HZ = 16_000
_LEVEL = 0.05  # root mean square of each clip at its own microphone
_HOP = 160

Noise = Literal["white", "room", "babble"]
Fault = Literal["dead", "noise", "clipped"]


@dataclass(frozen=True)
class Room:
    """How the voices reach the microphones.

    ``crosstalk_db``: a voice in another's microphone over the same voice in its own. ``snr_db``: a voice in its own
    microphone over the noise there. ``far_late_s``: how much later a voice reaches another's microphone.
    ``late_s``: how much later a whole channel is. ``overlap``: share of the talking time in which two people talk.
    """

    crosstalk_db: float = -14.0
    snr_db: float = 30.0
    noise: Noise = "white"
    far_late_s: float = 0.0
    late_s: Mapping[str, float] = field(default_factory=dict)
    gains_db: Mapping[str, float] = field(default_factory=dict)
    overlap: float = 0.0
    rt60_s: float = 0.0
    room_microphone: bool = False
    faults: Mapping[str, Fault] = field(default_factory=dict)
    pause_s: float = 0.5
    seed: int = 0


def mix(
    clips: Mapping[str, Sequence[Samples]], room: Room, folder: Path
) -> tuple[dict[str, Path], list[Turn]]:
    """Microphone files by role, and the true turns on the clock of the first.

    The truth is made as an annotator makes it, from the clean voice alone: 10 ms frames that stand out of the clip's
    own noise are speech, clicks under 0.15 s are not, and a pause of up to ``room.pause_s`` is part of its turn.
    """
    draw = np.random.default_rng(room.seed)
    placed, length = _place(clips, room, draw)
    voices = {role: np.zeros(length, np.float32) for role in clips}
    for role, start, clip in placed:
        voices[role][start : start + len(clip)] += clip
    babble = _babble([clip for each in clips.values() for clip in each], length, draw)
    microphones = [*clips, *(["room"] if room.room_microphone else [])]
    files = {}
    for name in microphones:
        sound = sum(_heard(voices[role], role, name, room, draw) for role in voices)
        sound = sound + _LEVEL * 10 ** (-room.snr_db / 20) * _noise(room.noise, length, babble, draw)
        sound = _delayed(sound, room.late_s.get(name, 0.0)) * 10 ** (room.gains_db.get(name, 0.0) / 20)
        files[name] = write_wav(folder / f"{name}.wav", _broken(sound, room.faults.get(name), draw))
    clock = round(room.late_s.get(microphones[0], 0.0) * RATE_HZ)
    turns = [_spoken(role, start + clock, clip, room.pause_s) for role, start, clip in placed]
    return files, [turn for each in turns for turn in each]


def _place(
    clips: Mapping[str, Sequence[Samples]], room: Room, draw: np.random.Generator
) -> tuple[list[tuple[str, int, Samples]], int]:
    """Clips in turn, role by role; ``room.overlap`` = d / (T - d) where neighbours of length T share d."""
    rounds = max(len(each) for each in clips.values())
    each_role = {role: list(islice(cycle(each), rounds)) for role, each in clips.items()}
    order = [(role, each_role[role][index]) for index in range(rounds) for role in clips]
    placed: list[tuple[str, int, Samples]] = []
    at = RATE_HZ
    free = dict.fromkeys(clips, 0)
    for role, clip in order:
        sound = clip / (np.sqrt(np.mean(clip**2)) + 1e-9) * _LEVEL
        if placed and room.overlap:
            shorter = min(len(placed[-1][2]), len(sound))
            at -= round(shorter * min(0.8, draw.uniform(0.7, 1.3) * room.overlap * 1.4 / (1 + room.overlap)))
        else:
            at += round(draw.uniform(0.1, 1.0) * RATE_HZ)
        at = max(at, free[role])
        placed.append((role, at, sound.astype(np.float32)))
        at += len(sound)
        free[role] = at + RATE_HZ // 10
    return placed, max(start + len(clip) for _role, start, clip in placed) + RATE_HZ


def _heard(voice: Samples, role: str, microphone: str, room: Room, draw: np.random.Generator) -> Samples:
    own = role == microphone
    level_db = 0.0 if own else room.crosstalk_db
    sound = voice if own else _delayed(voice, room.far_late_s)
    if room.rt60_s:
        return _direct_and_tail(sound, level_db, room.rt60_s, draw)
    return np.asarray(sound * 10 ** (level_db / 20), np.float32)


def _delayed(sound: Samples, delay_s: float) -> Samples:
    """By any fraction of a sample, as a turn of phase."""
    if not delay_s:
        return sound
    room_for_it = np.pad(sound, (0, RATE_HZ // 4))
    spectrum = np.fft.rfft(room_for_it)
    spectrum *= np.exp(-2j * np.pi * np.fft.rfftfreq(len(room_for_it)) * delay_s * RATE_HZ)
    return np.fft.irfft(spectrum, len(room_for_it))[: len(sound)].astype(np.float32)


def _direct_and_tail(sound: Samples, direct_db: float, rt60_s: float, draw: np.random.Generator) -> Samples:
    """A diffuse tail is as loud everywhere: 10 dB under the direct sound at the voice's own microphone."""
    clock = np.arange(round(rt60_s * RATE_HZ)) / RATE_HZ
    response = draw.standard_normal(len(clock)) * 10 ** (-3 * clock / rt60_s)
    response[: RATE_HZ // 500] = 0.0
    response *= 10 ** (-10 / 20) / np.sqrt(np.sum(response**2))
    response[0] = 10 ** (direct_db / 20)
    size = len(sound) + len(response)
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)
    return wet[: len(sound)].astype(np.float32)


def _noise(kind: Noise, length: int, babble: Samples, draw: np.random.Generator) -> Samples:
    """Root mean square 1. 'room' falls by 6 dB an octave above 100 Hz, as ventilation does, with a little hum."""
    white = draw.standard_normal(length)
    if kind == "white":
        return white.astype(np.float32)
    if kind == "babble":
        return _unit(_delayed(babble, draw.uniform(0, 0.02)) + 0.2 * white)
    spectrum = np.fft.rfft(white) / np.maximum(np.fft.rfftfreq(length, 1 / RATE_HZ), 100.0)
    hum = np.sin(2 * np.pi * 100 * np.arange(length) / RATE_HZ)
    return _unit(_unit(np.fft.irfft(spectrum, length)) + 0.3 * hum)


def _babble(clips: Sequence[Samples], length: int, draw: np.random.Generator) -> Samples:
    """Sixteen people in the corridor: voices backwards, each faster or slower than it was, so that none is known."""
    ring = np.concatenate([_unit(clip) for clip in clips])[::-1]
    crowd = []
    for speed in np.linspace(0.75, 1.3, 16):
        at = (draw.uniform(0, len(ring)) + speed * np.arange(length)) % len(ring)
        crowd.append(np.interp(at, np.arange(len(ring)), ring))
    return _unit(np.sum(crowd, axis=0))


def _unit(sound: np.ndarray) -> Samples:
    return np.asarray(sound / np.sqrt(np.mean(sound**2)), np.float32)


def _broken(sound: Samples, fault: Fault | None, draw: np.random.Generator) -> Samples:
    if fault == "dead":
        return np.zeros_like(sound)
    if fault == "noise":
        return (0.002 * draw.standard_normal(len(sound))).astype(np.float32)
    return sound * 10 if fault == "clipped" else sound


def _spoken(role: str, start: int, clip: Samples, pause_s: float) -> list[Turn]:
    """From where the voice leaves the hum of its own room to where it drowns in it, 0.2 s at most; no breath is as loud."""
    lifted = np.append(clip[0], clip[1:] - 0.95 * clip[:-1])[: len(clip) // _HOP * _HOP]
    power = np.convolve(np.square(lifted).reshape(-1, _HOP).mean(axis=1), np.ones(5) / 5, "same")
    level_db = 10 * np.log10(power + 1e-10)
    floor_db, peak_db = np.percentile(level_db, [5, 98])
    heard = level_db > max(min(floor_db + 5, peak_db - 20), peak_db - 35)
    clear = level_db > max(min(floor_db + 10, peak_db - 15), peak_db - 22)
    near = np.convolve(clear, np.ones(41), "same") > 0
    frames = [
        (index * _HOP / RATE_HZ, (index + 1) * _HOP / RATE_HZ) for index in np.flatnonzero(heard & near)
    ]
    sounds = [
        (start / RATE_HZ + begin, start / RATE_HZ + end)
        for begin, end in _joined(frames, 0.1)
        if clear[round(begin * RATE_HZ / _HOP) : round(end * RATE_HZ / _HOP)].sum() >= 10
    ]
    return [Turn(role, begin, end) for begin, end in _joined(sounds, pause_s)]


def _joined(spans: Sequence[tuple[float, float]], gap_s: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for begin, end in spans:
        if joined and begin - joined[-1][1] <= gap_s:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined
