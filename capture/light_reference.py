"""What a reference meter told of a light: its white, and the spectra that it may have.

Where the meter is no spectrometer, daylight (CIE 015:2018, 4.1.2), a black body and the CIE's illuminants of
fluorescent and LED lamps near its CCT stand for the spectrum.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

from capture.light_card import Floats
from capture.spectrum import GRID_NM, observer, on_grid, whites_of
from capture.spectrum_file import Spectrum

Lamp = Literal["daylight", "incandescent", "led", "fluorescent"]
FAMILIES: dict[Lamp, str] = {
    "daylight": "daylight",
    "incandescent": "black body",
    "led": "LED",
    "fluorescent": "FL",
}
# Only what lights rooms: no sodium lamps, no three narrow LEDs.
NOT_IN_ROOMS = ("HP", "LED-RGB")
CANDIDATES_MIRED = 25.0
DAYLIGHT_K = (4000.0, 25_000.0)


@dataclass(frozen=True)
class Meter:
    """What the reference meter showed at the card. Uncertainties expanded (k = 2): relative, and kelvin.

    ``spectrum`` where the meter is a spectrometer; ``cct_k`` and ``duv`` are then taken from it. ``lamp`` is what
    kind of light it is, where that is known: it tells spectrum and Duv well enough for daylight and incandescent
    lamps. A ``duv`` that nothing tells is taken for 0, for a wider uncertainty.
    """

    lux: float
    cct_k: float
    duv: float | None = None
    spectrum: Spectrum | None = None
    lux_uncertainty: float = 0.05
    cct_uncertainty_k: float = 50.0
    lamp: Lamp | None = None

    @property
    def is_known(self) -> bool:
        return self.spectrum is not None or self.lamp in ("daylight", "incandescent")

    @property
    def is_white_known(self) -> bool:
        return self.is_known or self.duv is not None


def spectra_of(meter: Meter) -> dict[str, Floats]:
    """Spectra (471,) that the light may have, each with the white that the meter showed, Y = 1."""
    import colour

    if meter.spectrum is not None:
        measured = on_grid(meter.spectrum.wavelengths_nm, meter.spectrum.power)
        return {"measured": measured / (measured @ observer()[:, 1])}
    found: dict[str, Floats] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = colour.SpectralShape(360, 830, 1)
        found["black body"] = np.asarray(colour.sd_blackbody(meter.cct_k, shape).values, dtype=np.float64)
        if DAYLIGHT_K[0] <= meter.cct_k <= DAYLIGHT_K[1]:
            daylight = colour.sd_CIE_illuminant_D_series(colour.temperature.CCT_to_xy_CIE_D(meter.cct_k))
            found["daylight"] = on_grid(np.asarray(daylight.wavelengths), np.asarray(daylight.values))
        for name, light in colour.SDS_ILLUMINANTS.items():
            if not name.startswith(("FL", "LED")) or name.startswith(NOT_IN_ROOMS):
                continue
            grid = on_grid(np.asarray(light.wavelengths), np.asarray(light.values))
            if abs(1e6 / cct_of(grid @ observer()) - 1e6 / meter.cct_k) < CANDIDATES_MIRED:
                found[name] = grid
    white = white_of(meter)
    return {
        name: _tinted(grid, white)
        for name, grid in found.items()
        if meter.lamp is None or name.startswith(FAMILIES[meter.lamp])
    }


def _tinted(spectrum: Floats, white: Floats) -> Floats:
    """The spectrum behind a smooth filter (a parabola over the wavelength) that gives it that white."""
    at = (GRID_NM - 560) / 200
    filters = spectrum * np.vstack([np.ones_like(at), at, at**2])
    found = np.linalg.solve((filters @ observer()).T, white) @ filters
    return np.asarray(np.clip(found, 0, None), dtype=np.float64)


def white_of(meter: Meter) -> Floats:
    """XYZ of the metered light, Y = 1."""
    import colour

    if meter.spectrum is not None:
        xyz = on_grid(meter.spectrum.wavelengths_nm, meter.spectrum.power) @ observer()
        return np.asarray(xyz / xyz[1], dtype=np.float64)
    if meter.lamp == "daylight" and meter.duv is None and DAYLIGHT_K[0] <= meter.cct_k <= DAYLIGHT_K[1]:
        xy = colour.temperature.CCT_to_xy_CIE_D(meter.cct_k)
        return np.asarray(colour.xy_to_XYZ(xy), dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        uv = colour.temperature.CCT_to_uv_Ohno2013(np.array([meter.cct_k, meter.duv or 0.0]))
    return np.asarray(colour.xy_to_XYZ(colour.UCS_uv_to_xy(uv)), dtype=np.float64)


def cct_of(xyz: Floats) -> float:
    """CCT in K of XYZ (3,)."""
    return float(whites_of(np.asarray(xyz, dtype=np.float64)[None])[0, 0])
