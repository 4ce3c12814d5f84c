"""Speech taken apart and put together again: pitch, voicing and a coarse spectrum in between, nothing else.

The sound that comes out is made of new pulses and new noise. Of what went in only these few numbers per 8 ms are
used, so what they do not hold (phase, the shape of the glottal pulse, single harmonics, jitter, everything above
8 kHz) cannot be found in the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

HOP_S = 0.008
BANDS = 40
_TOP_HZ, _LOWEST_BAND_HZ = 8000.0, 60.0
_UNVOICED_WIDTH_HZ = 150.0
_FAINTEST = 1e-12
# Pitch of speakers, in steps of 2 %; periodicity is looked for below the second formant of most vowels.
_PITCHES_HZ: Doubles = np.geomspace(70.0, 420.0, 90)
_PERIODIC_BELOW_HZ = 1600.0
_LEAP_COST = 1.5  # per octave and hop
_LOW_COST = 0.02  # per octave: a period repeats at twice its length too
_VOICED_FROM, _VOICED_FULLY = 0.4, 0.8
_DISPERSION_S = 0.012
_BREATH_HZ = 3500.0  # about where voices turn from pulses to noise


@dataclass(frozen=True)
class Speech:
    """All that is kept of a sound, hop by hop.

    ``pitch_hz`` (hops,), a guess where nothing is voiced; ``voicing`` (hops,) from 0 to 1; ``bands`` (channels, hops,
    BANDS), natural logarithm of power per bin; ``power`` (channels, hops), energy of the windowed hop.
    """

    pitch_hz: Floats
    voicing: Floats
    bands: Floats
    power: Floats


@dataclass(frozen=True)
class Grid:
    """Hops, windows and bands at one sampling rate."""

    rate_hz: int

    @cached_property
    def hop(self) -> int:
        return max(1, round(HOP_S * self.rate_hz))

    @property
    def window_samples(self) -> int:
        return 4 * self.hop

    @cached_property
    def size(self) -> int:
        """Samples of a transform: the window, and room for the filter to ring."""
        return 1 << int(np.ceil(np.log2(self.window_samples * 1.3)))

    @cached_property
    def window(self) -> Floats:
        return np.hanning(self.window_samples + 1)[:-1].astype(np.float32)

    @cached_property
    def bins_hz(self) -> Doubles:
        """Only the bins that are used at all."""
        every = np.arange(self.size // 2 + 1, dtype=np.float64) * (self.rate_hz / self.size)
        used: Doubles = every[every <= _TOP_HZ]
        return used

    @cached_property
    def centres_hz(self) -> Doubles:
        """Evenly spaced on the mel scale (O'Shaughnessy 1987)."""
        low, high = 1127.0 * np.log1p(np.array([_LOWEST_BAND_HZ, self.bins_hz[-1]]) / 700.0)
        centres: Doubles = 700.0 * np.expm1(np.linspace(low, high, BANDS) / 1127.0)
        return centres

    @cached_property
    def spread(self) -> Floats:
        """(BANDS, bins): from bands to bins by linear interpolation."""
        columns = [np.interp(self.bins_hz, self.centres_hz, row) for row in np.eye(BANDS)]
        return np.stack(columns).astype(np.float32)

    @cached_property
    def dispersion(self) -> NDArray[np.complex64]:
        """(bins,): delays a pulse the more the higher the frequency, or all of it would stand in one sample."""
        delayed = np.exp(-1j * np.pi * _DISPERSION_S * np.square(self.bins_hz) / _TOP_HZ)
        return delayed.astype(np.complex64)

    @cached_property
    def window_repeats(self) -> Doubles:
        """(pitches,): autocorrelation of the window at each pitch's period, relative to none."""
        lags = np.fft.irfft(np.square(np.abs(np.fft.rfft(self.window, 4 * self.size))))
        repeats: Doubles = np.interp(self.rate_hz / _PITCHES_HZ, np.arange(len(lags)), lags / lags[0])
        return repeats

    def spectra(self, samples: Floats) -> NDArray[np.complex64]:
        """(..., hops, bins) of (..., samples): every whole window, a hop apart."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, self.window_samples, axis=-1)
        framed = windows[..., :: self.hop, :] * self.window
        spectrum = np.fft.rfft(framed, self.size, axis=-1)[..., : len(self.bins_hz)]
        return spectrum.astype(np.complex64, copy=False)


def take_apart(samples: Floats, grid: Grid) -> Speech:
    """(channels, samples) described hop by hop; the first hop is the middle of the first window."""
    power = np.square(np.abs(grid.spectra(samples))).astype(np.float32)
    pitch_hz, voicing = _pitch(power.sum(axis=0), grid)
    return Speech(pitch_hz, voicing, _bands(power, pitch_hz, voicing, grid), power.sum(axis=-1))


def _pitch(power: Floats, grid: Grid) -> tuple[Floats, Floats]:
    """Pitch and voicing, (hops,) each, from (hops, bins): the smoothest of the likely paths.

    Periodicity is the autocorrelation over that of the window (Boersma 1993).
    """
    low = grid.bins_hz <= _PERIODIC_BELOW_HZ
    turns = 2 * np.pi * grid.bins_hz[low][:, None] / _PITCHES_HZ
    audible = power[:, low]
    total = audible.sum(axis=1, keepdims=True) + _FAINTEST
    repeated = (audible @ np.cos(turns)) / total / grid.window_repeats
    cost = 1.0 - np.minimum(repeated, 1.0) + _LOW_COST * np.log2(_PITCHES_HZ[-1] / _PITCHES_HZ)
    path = _cheapest(cost)
    strength = repeated[np.arange(len(cost)), path]
    voicing = np.clip((strength - _VOICED_FROM) / (_VOICED_FULLY - _VOICED_FROM), 0.0, 1.0)
    return _PITCHES_HZ[path].astype(np.float32), voicing.astype(np.float32)


def _cheapest(cost: Doubles) -> NDArray[np.intp]:
    """Viterbi: the pitch of each hop, (hops,), from (hops, pitches)."""
    leap = _LEAP_COST * np.abs(np.log2(_PITCHES_HZ[:, None] / _PITCHES_HZ))
    every = np.arange(len(_PITCHES_HZ))
    came_from = np.zeros(cost.shape, np.intp)
    total = cost[0]
    for hop in range(1, len(cost)):
        paths = total + leap
        came_from[hop] = paths.argmin(axis=1)
        total = paths[every, came_from[hop]] + cost[hop]
    path = np.full(len(cost), int(total.argmin()))
    for hop in range(len(cost) - 1, 0, -1):
        path[hop - 1] = came_from[hop, path[hop]]
    return path


def _bands(power: Floats, pitch_hz: Floats, voicing: Floats, grid: Grid) -> Floats:
    """Power about each band's centre, over a width of one harmonic so that no harmonic shows.

    The idea of smoothing over exactly the pitch is from CheapTrick (Morise 2015).
    """
    spacing_hz = np.gradient(grid.centres_hz)
    least_hz = np.where(voicing > 0, pitch_hz, _UNVOICED_WIDTH_HZ)
    half_hz = 0.5 * np.maximum(least_hz[:, None], spacing_hz)
    summed = np.concatenate(
        [np.zeros((*power.shape[:-1], 1)), np.cumsum(power, axis=-1, dtype=np.float64)], -1
    )
    bin_hz = grid.bins_hz[1]
    below, above = (
        np.clip((grid.centres_hz + side * half_hz) / bin_hz + 0.5, 0, len(grid.bins_hz)) for side in (-1, 1)
    )
    density = (_at(summed, above) - _at(summed, below)) / np.maximum(above - below, 1e-3)
    bands: Floats = np.log(np.maximum(density, _FAINTEST)).astype(np.float32)
    return bands


def _at(values: Doubles, places: Doubles) -> Doubles:
    """(channels, hops, places) between the columns of (channels, hops, columns), linearly."""
    whole = np.minimum(places.astype(np.intp), values.shape[-1] - 2)
    part = places - whole
    rows = np.arange(values.shape[1])[:, None]
    between: Doubles = values[:, rows, whole] * (1 - part) + values[:, rows, whole + 1] * part
    return between


class Synthesiser:
    """Puts hops together, block by block; what it returns lags by half of ``grid.size`` samples."""

    def __init__(self, grid: Grid, random: np.random.Generator) -> None:
        self._grid = grid
        self._random = random
        self._turn = 0.0
        self._excited: Floats | None = None
        self._ringing: Floats | None = None

    def put_together(self, speech: Speech) -> Floats:
        """(channels, hops x hop samples)."""
        grid, hops = self._grid, len(speech.pitch_hz)
        pulses, noise = grid.spectra(self._excite(speech.pitch_hz))
        voiced = speech.voicing[:, None] / (1 + (grid.bins_hz / _BREATH_HZ) ** 4).astype(np.float32)
        source = np.sqrt(voiced) * pulses * grid.dispersion + np.sqrt(1 - voiced) * noise
        shaped = source * np.exp(0.5 * (speech.bands @ grid.spread))
        made = np.square(np.abs(shaped)).sum(axis=-1)
        shaped *= np.sqrt(speech.power / (made + _FAINTEST))[..., None]
        whole = np.zeros((*shaped.shape[:-1], grid.size // 2 + 1), np.complex64)
        whole[..., : shaped.shape[-1]] = shaped
        return self._overlap_add(np.fft.irfft(whole, grid.size, axis=-1).astype(np.float32, copy=False), hops)

    def _excite(self, pitch_hz: Floats) -> Floats:
        """Pulses and noise of unit power, (2, samples), enough for the windows of these hops."""
        grid = self._grid
        ahead = grid.window_samples - grid.hop
        if self._excited is None:
            self._excited = self._pulses_and_noise(np.full(ahead, pitch_hz[0]))
        middle = np.arange(len(pitch_hz) * grid.hop) / grid.hop + 1.0
        fresh = self._pulses_and_noise(np.interp(middle, np.arange(len(pitch_hz)), pitch_hz))
        excited = np.concatenate([self._excited, fresh], axis=1)
        self._excited = excited[:, -ahead:]
        return excited

    def _pulses_and_noise(self, pitch_hz: Doubles) -> Floats:
        steps = pitch_hz / self._grid.rate_hz
        turns = self._turn + np.cumsum(steps)
        self._turn = float(turns[-1]) % 1.0
        late = np.mod(turns, 1.0) / steps
        begins = np.flatnonzero(late < 1.0)
        pulses = np.zeros(len(steps) + 1, np.float32)
        height = 1.0 / np.sqrt(steps[begins])
        pulses[begins + 1] += height * (1 - late[begins])
        pulses[begins] += height * late[begins]
        noise = self._random.standard_normal(len(steps), np.float32)
        return np.stack([pulses[:-1], noise])

    def _overlap_add(self, frames: Floats, hops: int) -> Floats:
        hop, size = self._grid.hop, self._grid.size
        shifted = np.roll(frames, (size - self._grid.window_samples) // 2, axis=-1)
        out = np.zeros((len(frames), hops * hop + size), np.float32)
        if self._ringing is not None:
            out[:, :size] = self._ringing
        for index in range(hops):
            out[:, index * hop : index * hop + size] += 0.5 * shifted[:, index]
        self._ringing = out[:, hops * hop :]
        return out[:, : hops * hop]
