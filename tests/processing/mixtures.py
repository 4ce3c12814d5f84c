"""Two people at two microphones: mixtures of clean speech with a known answer, and the error against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processing.transcript import Turn
from tests.processing.media_files import Samples, write_sound

RATE_HZ = 16_000


@dataclass(frozen=True)
class Room:
    """How the voices reach the microphones; ``gains_db`` by role."""

    crosstalk_db: float = -14.0
    noise_db: float = -30.0
    delay_s: float = 0.0
    gains_db: Mapping[str, float] | None = None
    overlap_share: float = 0.2
    seed: int = 0


def mix(
    clips: Mapping[str, Sequence[Samples]], room: Room, folder: Path
) -> tuple[dict[str, Path], list[Turn]]:
    """Microphone files by role, and the true turns: speech with its pauses of up to half a second.

    Noise is ``noise_db`` below the level of each microphone's own voice while it speaks.
    """
    draw = np.random.default_rng(room.seed)
    roles = list(clips)
    order = [
        (role, clip)
        for row in zip(*clips.values(), strict=False)
        for role, clip in zip(roles, row, strict=True)
    ]
    placed: list[tuple[str, int, Samples]] = []
    at = RATE_HZ // 2
    for role, clip in order:
        placed.append((role, at, clip / (np.sqrt(np.mean(clip**2)) + 1e-9) * 0.05))
        overlaps = draw.random() < room.overlap_share
        gap_s = -draw.uniform(0.3, 1.0) if overlaps else draw.uniform(0.1, 0.9)
        at += len(clip) + round(gap_s * RATE_HZ)
    length = at + RATE_HZ
    voices = {role: np.zeros(length, np.float32) for role in roles}
    for role, start, clip in placed:
        voices[role][start : start + len(clip)] += clip
    files = {}
    for role in roles:
        others = sum(
            np.roll(voices[other], round(room.delay_s * RATE_HZ)) for other in roles if other != role
        )
        sound = voices[role] + 10 ** (room.crosstalk_db / 20) * others
        sound = sound + 0.05 * 10 ** (room.noise_db / 20) * draw.standard_normal(length).astype(np.float32)
        gain = 10 ** ((room.gains_db or {}).get(role, 0.0) / 20)
        files[role] = write_sound(folder / f"{role}.wav", np.clip(sound * gain, -1, 1).astype(np.float32))
    truth = [turn for role, start, clip in placed for turn in _spoken(role, start, clip)]
    return files, truth


def _spoken(role: str, start: int, clip: Samples) -> list[Turn]:
    hop = 160
    power = np.square(clip[: len(clip) // hop * hop]).reshape(-1, hop).mean(axis=1)
    power = np.convolve(power, np.ones(3) / 3, "same")
    loud = np.flatnonzero(power > 10 ** (-2.5) * np.percentile(power, 99))
    frames = [((start + index * hop) / RATE_HZ, (start + (index + 1) * hop) / RATE_HZ) for index in loud]
    sounds = [
        (begin, end) for begin, end in _joined(frames, 0.08) if end - begin >= 0.15
    ]  # no clicks of the tongue
    return [Turn(role, begin, end) for begin, end in _joined(sounds, 0.5)]


def _joined(spans: Sequence[tuple[float, float]], gap_s: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for begin, end in spans:
        if joined and begin - joined[-1][1] <= gap_s:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def error_rate(truth: Sequence[Turn], found: Sequence[Turn]) -> float:
    """Diarization error rate over 10 ms frames: no collar, overlap scored, roles as they are."""
    end_s = max([turn.end_s for turn in [*truth, *found]], default=0.0)
    roles = sorted({turn.role for turn in [*truth, *found]})
    said, heard = (_frames(turns, roles, end_s) for turns in (truth, found))
    missed_or_false = np.maximum(said.sum(0), heard.sum(0)) - (said & heard).sum(0)
    return float(missed_or_false.sum() / max(1, said.sum()))


def _frames(turns: Sequence[Turn], roles: Sequence[str], end_s: float) -> np.ndarray:
    grid = np.zeros((len(roles), round(end_s * 100) + 1), bool)
    for turn in turns:
        grid[roles.index(turn.role), round(turn.start_s * 100) : round(turn.end_s * 100)] = True
    return grid
