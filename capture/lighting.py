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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.frames import Frames, read_image
from capture.light_camera import CameraReading, read_card
from capture.light_card import Unusable
from capture.light_setup import Light
from capture.light_verdict import Reading, Reason, Source, Table, Verdict
from capture.sensor import SensorReading, read_sensor
from capture.spectrum import SpectralReading, measure_spectrum
from capture.spectrum_file import Spectrum, load_spectrum
from config.errors import SpectrumRejected
from config.settings import CaptureSettings

__all__ = ["LightCheck", "Reading", "Reason", "Source", "Verdict", "check_light"]

# A certificate states a nominal CCT; ANSI C78.377-2017 lets a lamp differ by about this share.
NOMINAL_CCT_SHARE = 0.055
CLOCKS_DIFFER = timedelta(days=1)


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
        return {"verdict": self.verdict} | asdict(self) | {"lamps": list(self.lamps)}


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
    table = Table(limits)
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


def _camera(
    frames: NDArray[np.uint8] | None, light: Light, locked: bool | None, table: Table
) -> CameraReading | None:
    reason: Reason
    if frames is None and not light.camera:
        return None
    try:
        if frames is None:
            reason = "no_picture"
        elif light.calibration is None:
            reason = "uncalibrated"
        elif locked is False:
            reason = "not_locked"
        else:
            found = read_card(frames if frames.ndim == 4 else frames[None], light)
            table.measured("illuminance", "camera", found.lux, found.lux_uncertainty)
            table.measured("cct", "camera", found.cct_k, found.cct_uncertainty_k)
            table.measured("duv", "camera", found.duv, found.duv_uncertainty)
            return found
    except Unusable as error:
        reason = error.reason
    for quantity in ("illuminance", "cct", "duv"):
        table.refused(quantity, reason, "camera")
    if reason == "mixed_light":
        table.refused("cri", reason, "camera")
        for quantity in ("cct", "duv", "cri"):
            table.bar(quantity)
    return None


def _sensor(light: Light, sensor: SensorReading | None, table: Table) -> None:
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
    table: Table,
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
    light: Light, camera: CameraReading | None, limits: CaptureSettings, at: datetime, table: Table
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
    if camera is None:
        return False
    return abs(camera.cct_k - cct_k) > math.hypot(camera.cct_uncertainty_k, uncertainty_k)


def _stale(dated: datetime | None, at: datetime, age: timedelta) -> Reason | None:
    if dated is None:
        return "undated"
    return None if -CLOCKS_DIFFER <= at - dated <= age else "out_of_date"
