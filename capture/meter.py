"""What one microphone delivers, as numbers: levels, noise floor, clipping, mains hum; in flat memory.

Levels are dBFS with 0 dB for an RMS of 1.0 (a full-scale sine is -3 dB), without the DC part. Time is counted in
samples, so that a gate fed faster than real time hears exactly what it would have heard live.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.1
FRAMES_KEPT = 600  # one minute
MAINS_HZ = 50
SILENT_DB = -140.0
# Where speech carries its energy, above rumble, mains hum and a fan's lowest tones.
SPEECH_HZ = (250.0, 4000.0)
# Pitch of men's to children's voices.
PITCH_HZ = (80.0, 400.0)
# One step of 16 bits: what a converter with nothing on its input may still toggle.
FLAT_SPAN = 1.01 / 32768
CLIPPED = 0.985
# A click or a crackle has its energy in an instant; speech stays below 16 dB (peak over RMS in 0.1 s).
IMPULSE_CREST_DB = 18.0
VOICED_SHARE = 0.45
_HARMONICS = np.arange(1, 11)
_HUM_SECONDS = (4, 15)  # needed, kept

Floats = NDArray[np.float32]


def decibel(power: float) -> float:
    """10 log10 of a mean square, not below -140 dB."""
    return float(10 * np.log10(max(power, 1e-14)))


@dataclass(frozen=True)
class Hum:
    """Mains hum that was there all the last seconds: its level, and how far it stands out of the noise beside it."""

    level_dbfs: float
    over_floor_db: float
    heard_s: int


class Meter:
    """Frames of 0.1 s of one microphone, the last minute of them. Not safe for two threads at once.

    ``speech_db`` (600,) is the level between 250 and 4000 Hz, ``rms_db`` (600,) the whole level, oldest first; NaN
    where nothing was delivered. ``tick`` counts frames since the gate began, missing ones too.
    """

    def __init__(self, tick: int = 0) -> None:
        self.tick = tick
        self.frames = 0
        self.peak = 0.0
        self.speech_db = np.full(FRAMES_KEPT, np.nan)
        self.rms_db = np.full(FRAMES_KEPT, np.nan)
        self.clipped = np.zeros(FRAMES_KEPT)
        self.flat = np.zeros(FRAMES_KEPT, dtype=bool)
        self.voiced = np.zeros(FRAMES_KEPT, dtype=bool)
        self.impulse = np.zeros(FRAMES_KEPT, dtype=bool)
        self._rate_hz = 0
        self._last_floor_db = SILENT_DB
        self._rest: Floats = np.zeros(0, dtype=np.float32)
        self._second: list[Floats] = []
        self._hums: list[NDArray[np.float64]] = []

    def feed(self, samples: Floats, rate_hz: int) -> int:
        """Take samples (n,) in -1..1; the number of whole frames that came of it."""
        if rate_hz != self._rate_hz:
            self._change_rate(rate_hz)
        length = round(rate_hz * FRAME_S)
        block = np.nan_to_num(np.asarray(samples, dtype=np.float32).reshape(-1), posinf=1.0, neginf=-1.0)
        waiting = np.concatenate((self._rest, block))
        whole = len(waiting) // length
        for frame in waiting[: whole * length].reshape(whole, length):
            self._take(frame)
        self._rest = waiting[whole * length :].copy()
        return whole

    def skip_to(self, tick: int) -> None:
        """Note that nothing was delivered up to ``tick``."""
        missing = min(tick - self.tick, FRAMES_KEPT)
        for _ in range(missing):
            self._push(np.nan, np.nan, 0.0, flat=False, voiced=False, impulse=False)
        self.tick = tick
        self._rest = self._rest[:0]
        self._second.clear()

    @property
    def floor_db(self) -> float:
        """The level that the speech band falls to in pauses: the tenth percentile of the last minute."""
        return _low(self.speech_db)

    @property
    def noise_floor_dbfs(self) -> float:
        """As :attr:`floor_db`, of the whole band."""
        return _low(self.rms_db)

    @property
    def clipping_share(self) -> float:
        """Share of the samples of the last 3 s at the converter's ceiling, 0..1."""
        return float(self.clipped[-30:].mean())

    @property
    def flat_s(self) -> float:
        """How long the signal has been one constant value (digital zero, or DC and nothing else)."""
        moving = np.flatnonzero(~self.flat)
        return FRAME_S * (FRAMES_KEPT - 1 - moving[-1] if moving.size else min(self.frames, FRAMES_KEPT))

    @property
    def hum(self) -> Hum | None:
        """None until four seconds were heard."""
        if len(self._hums) < _HUM_SECONDS[0]:
            return None
        # Speech crosses the mains' harmonics and leaves them; hum stays.
        lines, beside = np.min(self._hums, axis=0)
        standing_out = lines > 4 * beside
        lines = np.where(standing_out, lines, 0)
        # A steady tone that is no mains hum may lie on one of its higher harmonics.
        if lines[:3].sum() <= lines.sum() / 4:
            return Hum(SILENT_DB, 0.0, len(self._hums))
        level_db = decibel(float(lines.sum()))
        over_db = level_db - decibel(float(beside[standing_out].sum()))
        return Hum(level_db, over_db, len(self._hums))

    def _change_rate(self, rate_hz: int) -> None:
        length = round(rate_hz * FRAME_S)
        self._rate_hz = rate_hz
        self._rest = np.zeros(0, dtype=np.float32)
        self._second.clear()
        self._hums.clear()
        self._window = np.hanning(length).astype(np.float32)
        self._window_power = float(np.square(self._window).mean())
        self._long_window = np.hanning(length * 10).astype(np.float32)
        frequencies = np.fft.rfftfreq(length, 1 / rate_hz)
        low, high = np.searchsorted(frequencies, (SPEECH_HZ[0], min(SPEECH_HZ[1], rate_hz / 2)))
        self._band = slice(int(low), int(high))
        self._lags = slice(int(rate_hz / PITCH_HZ[1]), int(rate_hz / PITCH_HZ[0]))
        of_window = np.fft.irfft(np.square(np.abs(np.fft.rfft(self._window, 2 * length))))
        self._window_shape = of_window[self._lags] / of_window[0]

    def _take(self, frame: Floats) -> None:
        flat = bool(frame.max() - frame.min() <= FLAT_SPAN)
        clipped = float(np.count_nonzero(np.abs(frame) >= CLIPPED)) / len(frame)
        self.peak = float(np.abs(frame).max())
        steady = frame - frame.mean()
        power = float(np.square(steady).mean())
        crest_db = decibel(float(np.square(steady).max())) - decibel(power)
        spectrum = np.fft.rfft(steady * self._window)
        in_band = np.square(np.abs(spectrum[self._band]))
        scale = 2 / (len(frame) ** 2 * self._window_power)
        level_db = SILENT_DB if flat else decibel(float(in_band.sum()) * scale)
        self._push(
            level_db,
            SILENT_DB if flat else decibel(power),
            clipped,
            flat=flat,
            voiced=not flat and level_db > self._last_floor_db + 6 and self._is_voiced(in_band, len(frame)),
            impulse=crest_db > IMPULSE_CREST_DB,
        )
        self.tick += 1
        self.frames += 1
        self._second.append(steady)
        if len(self._second) == 10:
            self._hums = [*self._hums[1 - _HUM_SECONDS[1] :], self._measure_hum(np.concatenate(self._second))]
            self._second.clear()
            self._last_floor_db = self.floor_db

    def _push(
        self, speech_db: float, rms_db: float, clipped: float, *, flat: bool, voiced: bool, impulse: bool
    ) -> None:
        values = (speech_db, rms_db, clipped, flat, voiced, impulse)
        rows = (self.speech_db, self.rms_db, self.clipped, self.flat, self.voiced, self.impulse)
        for row, value in zip(rows, values, strict=True):
            row[:-1] = row[1:]
            row[-1] = value

    def _is_voiced(self, in_band: NDArray[np.floating], length: int) -> bool:
        """Whether the frame repeats itself at the pitch of a voice (autocorrelation of its speech band)."""
        power = np.zeros(length // 2 + 1)
        power[self._band] = in_band
        alike = np.fft.irfft(power, length)
        if alike[0] <= 0:
            return False
        return bool((alike[self._lags] / alike[0] / self._window_shape).max() > VOICED_SHARE)

    def _measure_hum(self, second: Floats) -> NDArray[np.float64]:
        """One second (rate_hz,): mean squares (2, 10) within 2 Hz of 50, 100 … 500 Hz, and of the noise beside them."""
        power = np.square(np.abs(np.fft.rfft(second * self._long_window)))
        scale = 2 / (len(second) ** 2 * float(np.square(self._long_window).mean()))
        centres = _HARMONICS * MAINS_HZ
        lines = [power[at - 2 : at + 3].sum() for at in centres]
        beside = [5 * np.median(np.r_[power[at - 15 : at - 5], power[at + 6 : at + 16]]) for at in centres]
        return np.array([lines, beside], dtype=np.float64) * scale


def _low(levels_db: NDArray[np.float64]) -> float:
    heard = levels_db[~np.isnan(levels_db)]
    return float(np.percentile(heard, 10)) if heard.size else SILENT_DB
