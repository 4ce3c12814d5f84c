"""One clock for all microphones: how far each channel's own clock is off, heard from what they have in common.

Every voice reaches every microphone, so two seconds of one channel are found again in another (GCC-PHAT: Knapp and
Carter, 1976). Where they are found, over the length of the recording, lies on a line: its height is the wrong start
stamp, its slope the drift between two crystals, each good to some 50 ppm.
"""

from __future__ import annotations

import math
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.audio import SPEECH_RATE_HZ, Source, read_wav, wav_seconds

Floats = NDArray[np.floating[Any]]

FARTHEST_S = 5.0
_WINDOW_S = 2.0
_WINDOWS = 120  # spread over the recording
_CLEAR_PEAK = 9.0  # times the scatter of the correlation; noise alone reaches 5 in this many lags
_BAND_HZ = (200.0, 4000.0)
_SAME_LINE_S = 0.012  # sound crosses a room of 4 m in this time, either way
_FARTHEST_WAY_S, _OTHER_WAY_SHARE = 0.15, 0.2
_FEWEST, _LEAST_SHARE = 4, 0.5  # of the clear windows
_DRIFT_SPAN_S = 60.0  # a shorter stretch tells no drift from the way of the sound
_MOST_PPM = 300.0
_WORTH_S = 0.01
_TAPS, _PHASES = 32, 512


@dataclass(frozen=True)
class ClockFit:
    """Time t of the reference is ``t + offset_s + drift_ppm * 1e-6 * t`` in the channel.

    ``windows`` agree on it to within ``scatter_s`` (root mean square). ``corrected``: the channel was rewritten.
    With fewer than four windows that agree nothing is claimed: offset and drift are 0.
    """

    offset_s: float = 0.0
    drift_ppm: float = 0.0
    windows: int = 0
    scatter_s: float = 0.0
    corrected: bool = False

    def at(self, time_s: float) -> float:
        return time_s + self.offset_s + self.drift_ppm * 1e-6 * time_s

    def on_reference(self, source: Source) -> Source:
        """The file behind a corrected channel, for ``mixdown``, on the clock of the reference."""
        if not self.corrected:
            return source
        stretch = 1 + self.drift_ppm * 1e-6
        return Source(source.path, (source.start_s - self.offset_s) / stretch, self.drift_ppm)


def correct_clock(channels: Mapping[str, Path], reference: str = "") -> dict[str, ClockFit]:
    """Put 16 kHz mono WAVs on the clock of ``reference`` (the first where none is named), in place.

    A channel within 10 ms of it everywhere, or with too little in common with it, stays as it is, bit for bit.
    Offsets of up to 5 s and drifts of up to 300 ppm are found. Memory does not grow with length.
    """
    names = list(channels)
    reference = reference or (names[0] if names else "")
    fits = {name: ClockFit() for name in names}
    for name in names:
        if name != reference:
            fit = _fit(*_lags(channels[reference], channels[name]))
            length_s = wav_seconds(channels[name])
            if max(abs(fit.at(0.0)), abs(fit.at(length_s) - length_s)) > _WORTH_S:
                _rewrite(channels[name], fit)
                fit = ClockFit(fit.offset_s, fit.drift_ppm, fit.windows, fit.scatter_s, corrected=True)
            fits[name] = fit
    return fits


def _lags(reference: Path, channel: Path) -> tuple[Floats, Floats]:
    """Where (s, of the reference) windows were found again, and how much later in the channel (s)."""
    length_s = wav_seconds(reference)
    times, lags = [], []
    count = min(_WINDOWS, int(length_s / _WINDOW_S))
    for start_s in np.linspace(0.0, max(0.0, length_s - _WINDOW_S), count):
        lag_s = _lag_s(reference, channel, float(start_s))
        if lag_s is not None:
            times.append(float(start_s) + _WINDOW_S / 2)
            lags.append(lag_s)
    return np.array(times), np.array(lags)


def _lag_s(reference: Path, channel: Path, start_s: float) -> float | None:
    begin_s = max(0.0, start_s - FARTHEST_S)
    sought = read_wav(reference, start_s, start_s + _WINDOW_S)
    heard = read_wav(channel, begin_s, start_s + _WINDOW_S + FARTHEST_S)
    if len(heard) < len(sought) or not sought.any() or not heard.any():
        return None
    size = 1 << (len(sought) + len(heard)).bit_length()
    lowest, highest = (hz * size / SPEECH_RATE_HZ for hz in _BAND_HZ)
    band = slice(math.ceil(lowest), math.floor(highest) + 1)
    cross = np.fft.rfft(heard, size)[band] * np.conj(np.fft.rfft(sought, size)[band])
    strength = np.abs(cross)
    cross /= strength + 1e-3 * strength.sum() / (size // 2 + 1) + 1e-20
    found = np.fft.irfft(np.pad(cross, (band.start, 0)), size)[: len(heard) - len(sought) // 2]
    peak = int(found.argmax())
    if found[peak] < _CLEAR_PEAK * found.std():
        return None
    return begin_s + peak / SPEECH_RATE_HZ - start_s


def _fit(times_s: Floats, lags_s: Floats) -> ClockFit:
    """The line that most windows agree on, then least squares through those.

    Where one person's words come late in the channel and another's early, sound is slow (echo cancellers, radio links)
    and not the clock: it takes as long one way as the other, so the truth lies half-way.
    """
    best = np.zeros(len(times_s), bool)
    for offset_s, drift in _candidates(times_s, lags_s):
        agree = np.abs(lags_s - offset_s - drift * times_s) < _SAME_LINE_S
        if agree.sum() > best.sum():
            best = agree
    if best.sum() < _FEWEST:
        return ClockFit()
    drift, offset_s = 0.0, float(np.mean(lags_s[best]))
    if np.ptp(times_s[best]) > _DRIFT_SPAN_S:
        drift, offset_s = (float(number) for number in np.polyfit(times_s[best], lags_s[best], 1))
    apart_s = lags_s - offset_s - drift * times_s
    other_way = ~best & (np.abs(apart_s) < _FARTHEST_WAY_S)
    agreeing = int(best.sum() + other_way.sum())
    if agreeing < _LEAST_SHARE * len(times_s):
        return ClockFit()
    if other_way.sum() > _OTHER_WAY_SHARE * best.sum():
        offset_s += float(np.median(apart_s[other_way])) / 2
    scatter_s = float(np.sqrt(np.mean(np.square(apart_s[best]))))
    return ClockFit(round(offset_s, 5), round(drift * 1e6, 2), agreeing, round(scatter_s, 5))


def _candidates(times_s: Floats, lags_s: Floats) -> Iterator[tuple[float, float]]:
    """Lines through every window: level, and through every later one that is far enough away."""
    for one in range(len(times_s)):
        yield float(lags_s[one]), 0.0
        for other in range(one + 1, len(times_s)):
            span_s = times_s[other] - times_s[one]
            drift = (lags_s[other] - lags_s[one]) / span_s
            if span_s > _DRIFT_SPAN_S and abs(drift) < _MOST_PPM * 1e-6:
                yield float(lags_s[one] - drift * times_s[one]), float(drift)


def _rewrite(path: Path, fit: ClockFit) -> None:
    """Resample ``path`` so that its sample n is what the reference heard at n; renamed into place at the end."""
    kernels = _kernels()
    partial = path.with_suffix(".part")
    length = round(wav_seconds(path) * SPEECH_RATE_HZ)
    first, rate = fit.offset_s * SPEECH_RATE_HZ, 1 + fit.drift_ppm * 1e-6
    until = max(0, int((length - first) / rate))
    with wave.open(str(partial), "wb") as sink:
        sink.setparams((1, 2, SPEECH_RATE_HZ, 0, "NONE", ""))
        for begin in range(0, until, SPEECH_RATE_HZ):
            at = first + rate * np.arange(begin, min(begin + SPEECH_RATE_HZ, until))
            sound = _interpolated(path, at, kernels)
            sink.writeframes(np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16).tobytes())
    partial.replace(path)


def _interpolated(path: Path, at: Floats, kernels: Floats) -> Floats:
    """The samples of ``path`` at the positions ``at`` (samples, fractions allowed); silence beyond its ends."""
    low, high = int(at[0]) - _TAPS, int(at[-1]) + _TAPS
    part = read_wav(path, max(0, low) / SPEECH_RATE_HZ, max(0, high) / SPEECH_RATE_HZ).astype(np.float64)
    part = np.pad(part, (max(0, -low), 0))
    part = np.pad(part, (0, max(0, high - low + 1 - len(part))))
    whole = np.floor(at).astype(np.intp)
    phase = np.round((at - whole) * _PHASES).astype(np.intp)
    windows = np.lib.stride_tricks.sliding_window_view(part, _TAPS)[whole - low - _TAPS // 2 + 1]
    sound: Floats = np.einsum("ij,ij->i", windows, kernels[phase])
    return sound


def _kernels() -> Floats:
    """Windowed sinc for each fraction of a sample; (phases + 1, taps)."""
    fractions = np.arange(_PHASES + 1)[:, None] / _PHASES
    distance = np.arange(_TAPS)[None, :] - (_TAPS // 2 - 1) - fractions
    kernels = np.sinc(distance) * np.square(np.cos(np.pi * distance / (_TAPS + 2)))
    return np.asarray(kernels / kernels.sum(axis=1, keepdims=True))
