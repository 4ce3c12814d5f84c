"""The light check: every source that a room has, judged together.

A verdict is guard-banded by the whole expanded uncertainty (JCGM 106:2012, 8.3.2): *pass* only when value and
uncertainty lie inside the limits, *fail* only when they lie outside, *indeterminate* for everything between and for
whatever cannot carry the measurement.

Which source counts:

- Illuminance: sensor, spectrometer file of this half-day, camera. CCT and Duv: the file, the camera. Ra: the file,
  the lamp's certificate; a camera cannot measure it.
- Of several, the one with the smallest uncertainty is told. Two that differ by more than both uncertainties together
  (|En| > 1, ISO/IEC 17043:2023, annex B) make the quantity indeterminate: one of them is wrong, nobody knows which.
- Ra was measured in another moment. Where today's CCT is not that of the file or certificate, other light is in the
  room, and Ra is indeterminate. So is all colour where the camera sees light of two colours.
- A reading beyond its age (settings) keeps its value and loses its verdict.

Duv has limits of its own (ANSI C78.377-2017 gives a nominal white +-0.006). A Duv that fails makes the room fail;
one that cannot be judged does not hold it back, for the programme asks for illuminance, CCT and Ra only.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from capture.frames import Frames, read_image
from capture.light_camera import CameraReading, read_card
from capture.light_card import Unusable
from capture.light_setup import Light
from capture.sensor import SensorReading, read_sensor
from capture.spectrum import SpectralReading, measure_spectrum
from capture.spectrum_file import Spectrum, load_spectrum
from config.errors import SpectrumRejected
from config.settings import CaptureSettings

Verdict = Literal["pass", "indeterminate", "fail"]
Source = Literal["camera", "sensor", "spectrum", "certificate", "none"]
# Why a reading got its verdict; the words are in the message catalogue under light.reason.<code>.
Reason = Literal[
    "in_limits", "near_limit", "too_dim", "too_bright", "too_warm", "too_cool", "too_green", "too_pink",
    "poor_rendering", "needs_certificate", "not_measured", "uncalibrated", "no_card", "clipped", "too_dark", "uneven",
    "mixed_light", "unsteady", "not_white", "contradiction", "other_light", "out_of_date", "undated",
    "not_locked", "sensor_silent", "sensor_garbage", "bad_spectrum",
]  # fmt: skip
# A certificate states a nominal CCT; ANSI C78.377-2017 lets a lamp differ by about this share.
NOMINAL_CCT_SHARE = 0.055
CLOCKS_DIFFER = timedelta(days=1)


@dataclass(frozen=True)
class Reading:
    """One judged quantity. ``uncertainty`` is expanded (k = 2), in the unit of ``value``."""

    verdict: Verdict
    reason: Reason
    source: Source
    unit: str
    value: float | None = None
    uncertainty: float | None = None


@dataclass(frozen=True)
class LightCheck:
    """Illuminance, CCT, Duv (CIE 1960 uv, after Ohno) and CRI (Ra), each judged.

    ``lamps`` are the names of the lamps that advice may speak of.
    """

    illuminance: Reading
    cct: Reading
    cri: Reading
    duv: Reading
    checked_at: str
    limits: dict[str, float]
    lamps: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of illuminance, CCT and CRI; a Duv that fails counts too."""
        given = {self.illuminance.verdict, self.cct.verdict, self.cri.verdict}
        if "fail" in given or self.duv.verdict == "fail":
            return "fail"
        return "indeterminate" if "indeterminate" in given else "pass"

    def to_dict(self) -> dict[str, Any]:
        return {"verdict": self.verdict} | asdict(self)


def check_light(
    pictures: Frames | Path | None,
    light: Light,
    limits: CaptureSettings,
    spectrum: Spectrum | None = None,
    sensor: SensorReading | None = None,
    now: datetime | None = None,
    locked: bool | None = None,
) -> LightCheck:
    """Judge the light of a room.

    ``pictures``: one RGB picture (h, w, 3) or several (n, h, w, 3) of one moment, uint8; or an image file; or None.
    ``spectrum`` and ``sensor``: where they are not given, the sensor and the file that ``light`` names are read,
    within seconds. ``locked`` is what :func:`capture.light_lock.is_locked` says of the camera; False refuses its
    pictures. Whatever is missing or unusable makes a reading indeterminate with its reason, never a pass.
    Raises DeviceFailed when an image file cannot be read.
    """
    at = now or datetime.now(UTC)
    frames = read_image(pictures) if isinstance(pictures, Path) else pictures
    if sensor is None and light.sensor is not None:
        sensor = read_sensor(light.sensor)
    table = _Table(limits)
    camera = _camera(frames, light, locked, table)
    _sensor(light, sensor, table)
    broken = False
    if spectrum is None and light.spectrum:
        try:
            spectrum = load_spectrum(Path(light.spectrum))
        except SpectrumRejected:
            broken = True
    _spectrum(spectrum, broken, camera, limits, at, table)
    _certificate(light, camera, limits, at, table)
    return LightCheck(
        illuminance=table.settle("illuminance"),
        cct=table.settle("cct"),
        cri=table.settle("cri"),
        duv=table.settle("duv"),
        checked_at=at.isoformat(timespec="seconds"),
        limits=table.limits,
        lamps=light.lamps,
    )


class _Table:
    """What each source says about each quantity, and the limits."""

    UNITS: ClassVar = {"illuminance": "lx", "cct": "K", "duv": "Duv", "cri": "Ra"}

    def __init__(self, limits: CaptureSettings) -> None:
        low, high = (limits.lux_target * (1 + sign * limits.lux_tolerance) for sign in (-1, 1))
        self.limits = {
            "lux_low": low,
            "lux_high": high,
            "lux_target": limits.lux_target,
            "cct_min_k": limits.cct_min_k,
            "cct_max_k": limits.cct_max_k,
            "duv_max": limits.duv_max,
            "cri_min": limits.cri_min,
        }
        self._bounds: dict[str, tuple[float, float, Reason, Reason]] = {
            "illuminance": (low, high, "too_dim", "too_bright"),
            "cct": (limits.cct_min_k, limits.cct_max_k, "too_warm", "too_cool"),
            "duv": (-limits.duv_max, limits.duv_max, "too_pink", "too_green"),
            "cri": (limits.cri_min, math.inf, "poor_rendering", "in_limits"),
        }
        self._measured: dict[str, list[Reading]] = {name: [] for name in self.UNITS}
        self._refused: dict[str, list[Reading]] = {name: [] for name in self.UNITS}
        self._barred: set[str] = set()

    def measured(self, quantity: str, source: Source, value: float, uncertainty: float) -> None:
        low, high, under, over = self._bounds[quantity]
        verdict: Verdict = "indeterminate"
        reason: Reason = "near_limit"
        if not math.isfinite(value) or not math.isfinite(uncertainty):
            self.refused(quantity, "not_measured", source)
            return
        if low <= value - uncertainty and value + uncertainty <= high:
            verdict, reason = "pass", "in_limits"
        elif value + uncertainty < low:
            verdict, reason = "fail", under
        elif value - uncertainty > high:
            verdict, reason = "fail", over
        unit = self.UNITS[quantity]
        self._measured[quantity].append(Reading(verdict, reason, source, unit, value, uncertainty))

    def refused(
        self,
        quantity: str,
        reason: Reason,
        source: Source,
        value: float | None = None,
        uncertainty: float | None = None,
    ) -> None:
        given = Reading("indeterminate", reason, source, self.UNITS[quantity], value, uncertainty)
        self._refused[quantity].append(given)

    def bar(self, quantity: str) -> None:
        """Whatever other sources say, the first refusal stands."""
        self._barred.add(quantity)

    def settle(self, quantity: str) -> Reading:
        given, refused = self._measured[quantity], self._refused[quantity]
        if quantity in self._barred or not given:
            if refused:
                return refused[0]
            reason: Reason = "needs_certificate" if quantity == "cri" else "not_measured"
            return Reading("indeterminate", reason, "none", self.UNITS[quantity])
        best = min(given, key=lambda reading: reading.uncertainty or 0.0)
        if any(_differ(best, other) for other in given):
            return Reading(
                "indeterminate", "contradiction", best.source, best.unit, best.value, best.uncertainty
            )
        return best


def _differ(one: Reading, other: Reading) -> bool:
    apart = abs((one.value or 0.0) - (other.value or 0.0))
    return apart > math.hypot(one.uncertainty or 0.0, other.uncertainty or 0.0)


def _camera(
    frames: NDArray[np.uint8] | None, light: Light, locked: bool | None, table: _Table
) -> CameraReading | None:
    reason: Reason
    if frames is None:
        return None
    try:
        if light.calibration is None:
            reason = "uncalibrated"
        elif locked is False:
            reason = "not_locked"
        else:
            found = read_card(frames if frames.ndim == 4 else frames[None], light)
            table.measured("illuminance", "camera", found.lux, found.lux_uncertainty)
            if found.cct_k is not None and found.duv is not None:
                table.measured("cct", "camera", found.cct_k, found.cct_uncertainty_k)
                table.measured("duv", "camera", found.duv, found.duv_uncertainty)
                return found
            table.refused("cct", "not_white", "camera")
            table.refused("duv", "not_white", "camera")
            return None
    except Unusable as error:
        reason = error.reason
    for quantity in ("illuminance", "cct", "duv"):
        table.refused(quantity, reason, "camera")
    if reason == "mixed_light":
        table.refused("cri", reason, "camera")
        for quantity in ("cct", "duv", "cri"):
            table.bar(quantity)
    return None


def _sensor(light: Light, sensor: SensorReading | None, table: _Table) -> None:
    if light.lux is not None:
        table.measured("illuminance", "sensor", light.lux, light.lux * light.lux_uncertainty)
    if sensor is not None and sensor.lux is not None:
        table.measured("illuminance", "sensor", sensor.lux, sensor.lux * sensor.uncertainty)
    elif sensor is not None:
        table.refused("illuminance", sensor.problem or "sensor_garbage", "sensor")


def _spectrum(
    spectrum: Spectrum | None,
    broken: bool,
    camera: CameraReading | None,
    limits: CaptureSettings,
    at: datetime,
    table: _Table,
) -> None:
    found = measure_spectrum(spectrum) if spectrum is not None else None
    if spectrum is None or found is None:
        if broken or spectrum is not None:
            reason: Reason = "bad_spectrum" if broken else "not_white"
            for quantity in ("cct", "duv", "cri"):
                table.refused(quantity, reason, "spectrum")
        return
    dated = spectrum.measured_at or spectrum.file_time
    fresh = timedelta(hours=limits.light_reading_max_age_h)
    now_values = [
        ("cct", found.cct_k, found.cct_uncertainty_k),
        ("duv", found.duv, found.duv_uncertainty),
    ]
    if found.lux is not None:
        now_values.append(("illuminance", found.lux, found.lux_uncertainty))
    stale = _stale(dated, at, fresh)
    for quantity, value, spread in now_values:
        if stale is None:
            table.measured(quantity, "spectrum", value, spread)
        else:
            table.refused(quantity, stale, "spectrum", value, spread)
    refusal = _stale(dated, at, timedelta(days=limits.spectrum_max_age_days)) or _ra_refusal(
        found, camera, limits
    )
    if refusal is None:
        table.measured("cri", "spectrum", found.ra, found.ra_uncertainty)
    else:
        table.refused("cri", refusal, "spectrum", found.ra, found.ra_uncertainty)
        if refusal in ("contradiction", "other_light"):
            table.bar("cri")


def _ra_refusal(
    found: SpectralReading, camera: CameraReading | None, limits: CaptureSettings
) -> Reason | None:
    if found.ra_differs:
        return "contradiction"
    if not found.white and found.ra + found.ra_uncertainty >= limits.cri_min:
        return "not_white"
    return "other_light" if _is_other(camera, found.cct_k, found.cct_uncertainty_k) else None


def _certificate(
    light: Light, camera: CameraReading | None, limits: CaptureSettings, at: datetime, table: _Table
) -> None:
    if light.cri is None:
        return
    reason: Reason | None = None
    if light.cri_date is not None:
        dated = datetime.combine(light.cri_date, time(), UTC)
        reason = _stale(dated, at, timedelta(days=limits.certificate_max_age_days))
    if reason is None and light.lamp_cct_k is not None:
        tolerance_k = NOMINAL_CCT_SHARE * light.lamp_cct_k
        reason = "other_light" if _is_other(camera, light.lamp_cct_k, tolerance_k) else None
    if reason is None:
        table.measured("cri", "certificate", light.cri, light.cri_uncertainty)
    else:
        table.refused("cri", reason, "certificate", light.cri, light.cri_uncertainty)


def _is_other(camera: CameraReading | None, cct_k: float, uncertainty_k: float) -> bool:
    """Whether the light that the camera sees is certainly not the one of that CCT."""
    if camera is None or camera.cct_k is None:
        return False
    return abs(camera.cct_k - cct_k) > math.hypot(camera.cct_uncertainty_k, uncertainty_k)


def _stale(dated: datetime | None, at: datetime, age: timedelta) -> Reason | None:
    if dated is None:
        return "undated"
    return None if -CLOCKS_DIFFER <= at - dated <= age else "out_of_date"
