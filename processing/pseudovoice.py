"""A voice that nobody has, drawn from a secret, and one speaker's speech turned into it.

Pitch is moved to a level, and its melody to a width, that have nothing to do with the speaker; formants are moved, each
by its own factor; most of what sets the speaker's average spectrum apart from anybody's is taken away; and all of
it wanders slowly. How far is drawn from a secret, so that no one inverse undoes every case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from processing.vocoder import BANDS, Doubles, Floats, Grid, Speech, Synthesiser, take_apart

Span = tuple[int, int]
Read = Callable[[int, int], Floats]

SECRET_BYTES = 16
_BLOCK_HOPS = 1250  # 10 s at a time

# What the secret decides lies within these ranges. Farther, and the demo's recogniser, which knows synthetic voices only,
# gets more than five characters in a hundred wrong. A low voice becomes a high one, a high one low: farthest away.
_HIGH_VOICE_HZ = 150.0
_LOW_HZ, _HIGH_HZ = (90.0, 125.0), (180.0, 240.0)
_MELODY = (0.10, 0.16)  # spread of the natural logarithm of pitch
_STRETCH, _STRETCH_APART = (0.11, 0.15), 0.03  # natural logarithms
_FORMANTS_HZ = np.array([500.0, 1500.0, 3500.0])  # where the three factors hold, roughly F1, F2 and above
_TILT_DB, _RIPPLE_DB, _RIPPLES = 1.0, 1.0, 4
_WANDER_S, _PITCH_WANDER, _STRETCH_WANDER = 1.5, 0.03, 0.03
# Voices that were measured fall by 5 to 12 dB an octave. How much of a speaker's distance from that is taken away,
# of its broad shape (over so many bands on both sides) and of its detail:
_FALL_DB, _FALL_FROM_HZ = 6.0, 250.0
_BROAD_BANDS, _BROAD_SHARE, _DETAIL_SHARE, _AT_MOST_DB = 10, 0.7, 0.15, 15.0
_DB = float(np.log(10) / 10)
_SURELY_VOICED = 0.5


@dataclass(frozen=True)
class Recording:
    """Stretches of sound at one rate; ``read`` gives (channels, samples) of a part of a stretch."""

    rate_hz: int
    stretches: Sequence[Span]
    read: Read

    @cached_property
    def grid(self) -> Grid:
        return Grid(self.rate_hz)

    def speech(self, stretch: Span) -> Iterator[tuple[int, Speech]]:
        """Blocks of hops and the number of their first; enough of them to ring out after the end.

        What lies beyond the stretch counts as silence, so that nothing of it can find its way in.
        """
        first, last = stretch
        hop, half = self.grid.hop, self.grid.window_samples // 2
        hops = -(-(last - first + self.grid.size // 2) // hop)
        for number in range(0, hops, _BLOCK_HOPS):
            begin = first + number * hop - half
            end = begin + (min(_BLOCK_HOPS, hops - number) - 1) * hop + 2 * half
            inside = self.read(max(first, min(begin, last)), max(first, min(end, last)))
            before = max(0, first - begin)
            after = end - begin - before - inside.shape[1]
            yield number, take_apart(np.pad(inside, ((0, 0), (before, after))), self.grid)


@dataclass(frozen=True)
class _Speaker:
    """``pitch`` and ``melody``: median and spread of the logarithm of Hz; ``bands`` (BANDS,): the average spectrum."""

    pitch: float
    melody: float
    bands: Floats


def _get_to_know(recording: Recording) -> _Speaker | None:
    """The speaker of all stretches together; None where nobody speaks."""
    pitches: list[Floats] = []
    bands = np.zeros(BANDS)
    for stretch in recording.stretches:
        for _number, speech in recording.speech(stretch):
            sure = speech.voicing > _SURELY_VOICED
            pitches.append(np.log(speech.pitch_hz[sure]))
            bands += speech.bands[:, sure].mean(axis=0, dtype=np.float64).sum(axis=0)
    voiced = np.concatenate([np.zeros(0, np.float32), *pitches])
    if not len(voiced):
        return None
    low, middle, high = (float(part) for part in np.percentile(voiced, [16, 50, 84]))
    return _Speaker(middle, max(0.5 * (high - low), 1e-3), (bands / len(voiced)).astype(np.float32))


class PseudoVoice:
    """From one speaker of a recording to the voice that a secret stands for."""

    def __init__(self, secret: bytes, recording: Recording) -> None:
        if len(secret) < SECRET_BYTES:
            raise ValueError(f"a secret of at least {SECRET_BYTES} bytes is needed")
        digest = hashlib.blake2b(secret, person=b"yian voice").digest()
        random = np.random.default_rng(int.from_bytes(digest))
        self._recording = recording
        self._speaker = _get_to_know(recording)
        centres_hz = recording.grid.centres_hz
        side = -1 if self._speaker and self._speaker.pitch > np.log(_HIGH_VOICE_HZ) else 1
        self._pitch = random.uniform(*np.log(_HIGH_HZ if side > 0 else _LOW_HZ))
        self._melody = random.uniform(*_MELODY)
        self._stretch = side * random.uniform(*_STRETCH) + random.uniform(-_STRETCH_APART, _STRETCH_APART, 3)
        self._timbre = _timbre(random, centres_hz) * _DB
        if self._speaker:
            self._timbre_lost = _evened(self._speaker.bands, centres_hz)
        self._wander_seed, self._noise_seed = (int(seed) for seed in random.integers(2**63, size=2))

    def sounds(self, stretch: Span) -> Iterator[Floats]:
        """The stretch in the other voice, block by block, (channels, samples) each."""
        grid = self._recording.grid
        random = np.random.default_rng([self._noise_seed, stretch[0]])
        synthesiser = Synthesiser(grid, random)
        lag, left = grid.size // 2, stretch[1] - stretch[0]
        for number, speech in self._recording.speech(stretch):
            hops = number + np.arange(len(speech.pitch_hz))
            changed = self._changed(speech, (stretch[0] + hops * grid.hop) / grid.rate_hz)
            sound = synthesiser.put_together(changed)[:, lag:][:, :left]
            lag, left = 0, left - sound.shape[1]
            yield sound

    def _changed(self, speech: Speech, times_s: Doubles) -> Speech:
        if self._speaker is None:
            return speech
        grid = self._recording.grid
        pitch_wander, *stretch_wander = self._wander(times_s)
        melody = _smooth(np.log(speech.pitch_hz.astype(np.float64)) - self._speaker.pitch) * min(
            1.0, self._melody / self._speaker.melody
        )
        pitch = self._pitch + melody + _PITCH_WANDER * pitch_wander
        stretch = self._stretch + _STRETCH_WANDER * np.stack(stretch_wander, axis=1)
        bands = _moved(speech.bands + self._timbre_lost, stretch, grid.centres_hz) + self._timbre
        return replace(speech, pitch_hz=np.exp(pitch).astype(np.float32), bands=bands.astype(np.float32))

    def _wander(self, times_s: Doubles) -> Doubles:
        """(4, hops) from -1 to 1: a new aim every 1.5 s of the recording, a straight way between."""
        aims = np.random.default_rng(self._wander_seed).uniform(-1, 1, (int(times_s[-1] / _WANDER_S) + 2, 4))
        return np.stack([np.interp(times_s / _WANDER_S, np.arange(len(aims)), aim) for aim in aims.T])


def _timbre(random: np.random.Generator, centres_hz: Doubles) -> Doubles:
    """(BANDS,) in dB: a slope and a few waves that belong to the new voice."""
    place = np.linspace(0, np.pi, BANDS)
    waves = np.cos(np.outer(np.arange(1, _RIPPLES + 1), place) + random.uniform(0, 2 * np.pi, (_RIPPLES, 1)))
    slope_db = random.uniform(-_TILT_DB, _TILT_DB) * np.log2(centres_hz / 1000.0)
    timbre: Doubles = slope_db + random.uniform(-_RIPPLE_DB, _RIPPLE_DB, _RIPPLES) @ waves
    return timbre


def _evened(bands: Floats, centres_hz: Doubles) -> Doubles:
    """(BANDS,) what to add to bring the speaker's average spectrum near anybody's."""
    anybody = -_FALL_DB * _DB * np.log2(1 + centres_hz / _FALL_FROM_HZ)
    apart = anybody - bands
    apart -= np.median(apart)
    broad = _smooth(apart, _BROAD_BANDS)
    evened: Doubles = _BROAD_SHARE * broad + _DETAIL_SHARE * (apart - broad)
    return np.clip(evened, -_AT_MOST_DB * _DB, _AT_MOST_DB * _DB)


def _moved(bands: Doubles, stretch: Doubles, centres_hz: Doubles) -> Doubles:
    """(channels, hops, BANDS) with formants moved by exp(stretch); stretch (hops, 3) at three formants."""
    share = np.stack([np.interp(np.log(centres_hz), np.log(_FORMANTS_HZ), row) for row in np.eye(3)])
    places = np.interp(centres_hz * np.exp(-stretch @ share), centres_hz, np.arange(BANDS))
    whole = np.minimum(places.astype(np.intp), BANDS - 2)
    part = places - whole
    rows = np.arange(len(places))[:, None]
    moved: Doubles = bands[:, rows, whole] * (1 - part) + bands[:, rows, whole + 1] * part
    return moved


def _smooth(melody: Doubles, reach: int = 3) -> Doubles:
    return np.convolve(np.pad(melody, reach, "edge"), _bell(reach), "valid")


def _bell(reach: int) -> Doubles:
    window = np.hanning(2 * reach + 3)[1:-1]
    bell: Doubles = window / window.sum()
    return bell
