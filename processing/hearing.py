"""What the microphones hear: spectra, loudness and how likely it is speech, half a minute at a time."""

from __future__ import annotations

import itertools
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from processing.audio import SPEECH_RATE_HZ, read_wav
from processing.silero import FRAME, speech_of

Floats = NDArray[np.floating[Any]]
Spectra = NDArray[np.complex64]
Microphone = tuple[Path, ...]  # 16 kHz mono WAVs, heard as one: their mean

WINDOW, HOP = 512, 128  # samples: 32 ms and 8 ms
HOP_S = HOP / SPEECH_RATE_HZ
BINS = WINDOW // 2 + 1
BLOCK_HOPS = 3752  # half a minute, in whole frames of the detector
LEAD = 128  # hops heard before and after each block: the detector's memory is warm, late sound is at hand
_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 28, 60.0, 7600.0
_CLIPPED = 0.985
_PORTION_HOPS = 128  # of every pitch: what is worked on fits into the processor's cache
_SHAPE = np.sqrt(np.hanning(WINDOW + 1)[:-1]).astype(np.float32)


@dataclass(frozen=True)
class Block:
    """A stretch of every microphone, with its lead on both sides; arrays are (microphones, ...).

    ``inner``: which hops are the block's own. ``spectra``: of every so many hops, as asked for. ``speech``: the chances of
    speech for each hop. ``clipped``: share of each hop's samples at full scale.
    """

    first_hop: int
    inner: slice
    spectra: Spectra
    speech: Floats
    clipped: Floats

    @property
    def powers(self) -> Floats:
        powers: Floats = np.empty(self.spectra.shape, np.float32)
        for part in portions(self.spectra.shape[1]):
            for power, spectra in zip(powers[:, part], self.spectra[:, part], strict=True):
                np.square(spectra.real, out=power)
                power += np.square(spectra.imag)
        return powers


def blocks(
    microphones: Sequence[Microphone],
    chances: Sequence[Floats],
    firsts: Iterable[int] | None = None,
    block_hops: int = BLOCK_HOPS,
    lead: int = LEAD,
    every: int = 1,
) -> Iterator[Block]:
    """Block after block of 16 kHz mono WAVs, or those that begin at the hops ``firsts``; a file that ends early goes on in
    silence.

    ``chances``: of each microphone, hop by hop, as :func:`processing.regions.chances_of` finds them. ``every``: hops from
    one spectrum to the next.
    """
    hops = hops_of(microphones)
    for first in range(0, hops, block_hops) if firsts is None else firsts:
        count = min(block_hops, hops - first)
        heard = count + 2 * lead
        spectra = np.empty((len(microphones), heard // every, BINS), np.complex64)
        clipped = np.empty((len(microphones), heard), np.float32)
        for index, microphone in enumerate(microphones):
            sound = stretch(microphone, first - lead, heard)
            _analyse(sound, spectra[index])
            clipped[index] = (np.abs(sound) >= _CLIPPED).reshape(-1, HOP).mean(axis=1)
        speech = np.stack([part_of(each, first - lead, heard) for each in chances])
        yield Block(first, slice(lead, lead + count), spectra, speech, clipped)


def portions(hops: int) -> Iterator[slice]:
    """A stretch of ``hops`` in pieces that are quickly worked on."""
    for first in range(0, hops, _PORTION_HOPS):
        yield slice(first, min(first + _PORTION_HOPS, hops))


def part_of(chances: Floats, first_hop: int, hops: int) -> Floats:
    """``hops`` of them from ``first_hop`` on; none beyond either end."""
    part = np.zeros(hops, np.float32)
    begin, end = max(0, first_hop), min(len(chances), first_hop + hops)
    if begin < end:
        part[begin - first_hop : end - first_hop] = chances[begin:end]
    return part


def hops_of(microphones: Sequence[Microphone]) -> int:
    """Hops of the longest file, in whole frames of the detector."""
    longest = 0
    for path in itertools.chain(*microphones):
        with wave.open(str(path), "rb") as source:
            longest = max(longest, source.getnframes())
    return -(-longest // FRAME) * (FRAME // HOP)


def stretch(microphone: Microphone, first_hop: int, hops: int) -> Floats:
    """(hops * HOP,) samples from ``first_hop`` on; silence before the beginning and after the end."""
    start_s, end_s = first_hop * HOP_S, (first_hop + hops) * HOP_S
    before = max(0, -first_hop) * HOP
    mixed = np.zeros(hops * HOP, np.float32)
    for path in microphone:
        sound = read_wav(path, max(0.0, start_s), end_s)
        sound /= len(microphone)
        mixed[before : before + len(sound)] += sound
    return mixed


def speech_chances(sounds: Floats) -> Floats:
    """Probability of speech at the middle of each hop of ``sounds`` (sounds, whole frames of 512 samples); (sounds, hops)."""
    chances = speech_of(sounds)
    at = np.arange(sounds.shape[1] // HOP) * HOP
    middles = np.arange(chances.shape[1]) * FRAME + FRAME / 2
    by_hop = np.zeros((len(sounds), len(at)), np.float32)
    for row, chance in zip(by_hop, chances, strict=True):
        row[:] = np.interp(at, middles, chance)
    return by_hop


def _analyse(sound: Floats, spectra: Spectra) -> None:
    """Fill ``spectra`` (rows, BINS), evenly spread over ``sound``: row k is centred on sample k * len(sound) / rows."""
    padded, step = np.pad(sound, WINDOW // 2), len(sound) // len(spectra)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::step][: len(spectra)]
    parts = spectra.view(np.float32)
    parts[:, 1] = parts[:, -1] = 0
    for part in portions(len(frames)):
        # Half of numpy's time. OpenCV leaves out the imaginary parts of the first and the last bin, which are 0.
        packed = cv2.dft(frames[part] * _SHAPE, flags=cv2.DFT_ROWS)
        parts[part, 0], parts[part, 2:-1] = packed[:, 0], packed[:, 1:]


def sound_of(spectra: Spectra, every: int = 1) -> Floats:
    """The inverse of spectra of every so many hops, one, two or four, by overlap and add; float32 samples."""
    parts, step = spectra.view(np.float32), every * HOP
    rows = np.zeros((len(parts) + WINDOW // step, step), np.float32)
    for part in portions(len(parts)):
        packed = np.concatenate([parts[part, :1], parts[part, 2:-1]], axis=1)
        frames = cv2.dft(packed, flags=cv2.DFT_INVERSE | cv2.DFT_ROWS | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
        np.multiply(frames, _SHAPE / (WINDOW / step / 2), out=frames)
        for late in range(WINDOW // step):
            rows[part.start + late : part.stop + late] += frames[:, late * step : (late + 1) * step]
    first = WINDOW // 2 // step
    return rows[first : first + len(parts)].reshape(-1)


@cache
def bands() -> Floats:
    """Averages bins into bands of equal width in mel (O'Shaughnessy, 1987); (BINS, bands)."""
    hz = np.arange(BINS) * SPEECH_RATE_HZ / WINDOW
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), _BANDS + 1)
    at = np.digitize(_mel(hz), edges) - 1
    member = (at[:, None] == np.arange(_BANDS)).astype(np.float32)
    member = member[:, member.any(axis=0)]
    return np.asarray(member / member.sum(axis=0), np.float32)


def _mel(hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2595 * np.log10(1 + np.asarray(hz) / 700))


def smooth(rows: Floats, width: int) -> Floats:
    """Running mean over ``width`` (odd) hops along the axis before the last of (..., hops, values)."""
    half = width // 2
    padded = np.pad(rows, [(0, 0)] * (rows.ndim - 2) + [(half, half), (0, 0)], mode="edge")
    hops = rows.shape[-2]
    total = np.zeros_like(rows, np.float32)
    for late in range(width):
        total += padded[..., late : late + hops, :]
    total /= width
    return total


def decibels(power: Floats | float, out: Floats | None = None) -> Floats:
    """``out``: where to put them, which may be ``power`` itself."""
    level = np.asarray(np.maximum(power, 1e-12, out=out), np.float32)
    np.log10(level, out=level)
    level *= 10
    return level
