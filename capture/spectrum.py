"""What a spectrum says about light: illuminance, CCT and Duv, and the colour rendering index Ra.

CCT and Duv after Ohno, "Practical Use and Calculation of CCT and Duv", LEUKOS 10 (2014); Ra after CIE 13.3-1995;
illuminance with Km = 683 lm/W (CIE S 010); all with the CIE 1931 2 degree observer, by colour-science.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from capture.spectrum_file import Floats, Spectrum

KM_LM_PER_W = 683.002
STEP_NM = 5.0
# CIE 13.3-1995, 5.3: beyond this distance from the reference the index loses its meaning.
LOCUS_DISTANCE_MAX = 5.4e-3
GRID_NM = np.arange(360.0, 831.0)
# Expanded uncertainties (k = 2) of a hand-held spectrometer, after the data sheets of the usual ones.
LUX_SHARE, CCT_SHARE, DUV, RA = 0.05, 0.01, 0.0015, 1.5
# What a coarse sampling may add, per nm beyond 5: half of what 10 nm did to the CIE's fluorescent lamps.
CCT_SHARE_PER_NM, RA_PER_NM = 0.001, 0.2


@dataclass(frozen=True)
class SpectralReading:
    """Values and their expanded uncertainties (k = 2). ``lux`` only where the file is absolute or states it.

    ``white`` is whether the light is near enough to its reference for ``ra`` to mean something; ``ra_differs``
    says that the file's own Ra is further away than both uncertainties allow.
    """

    cct_k: float
    duv: float
    ra: float
    lux: float | None
    cct_uncertainty_k: float
    duv_uncertainty: float
    ra_uncertainty: float
    lux_uncertainty: float
    white: bool
    ra_differs: bool


def measure_spectrum(spectrum: Spectrum) -> SpectralReading | None:
    """The colorimetry of ``spectrum``; None when it is no shade of white at all, so that it has no CCT."""
    grid = on_grid(spectrum.wavelengths_nm, spectrum.power)
    xyz = grid @ observer()
    cct_k, duv = (float(value) for value in whites_of(xyz[None])[0])
    coarse = max(0.0, float(np.diff(spectrum.wavelengths_nm).mean()) - STEP_NM)
    ra = _ra(grid)
    if not np.isfinite([cct_k, duv, ra]).all():
        return None
    lux = spectrum.stated.get("lux")
    if lux is None and spectrum.absolute:
        lux = float(KM_LM_PER_W * xyz[1])
    ra_spread = RA + RA_PER_NM * coarse
    stated = spectrum.stated.get("ra")
    return SpectralReading(
        cct_k=cct_k,
        duv=duv,
        ra=ra,
        lux=lux,
        cct_uncertainty_k=cct_k * (CCT_SHARE + CCT_SHARE_PER_NM * coarse),
        duv_uncertainty=DUV,
        ra_uncertainty=ra_spread,
        lux_uncertainty=LUX_SHARE * (lux or 0.0),
        white=abs(duv) <= LOCUS_DISTANCE_MAX,
        ra_differs=stated is not None and abs(ra - stated) > 2 * ra_spread,
    )


def on_grid(wavelengths_nm: Floats, power: Floats) -> Floats:
    """The spectrum (n,) averaged over each nanometre of 360..830 (471,), zero beyond its ends.

    Averaged, not picked: a line between two grid points keeps its energy whatever the file's steps are.
    """
    edges = np.append(GRID_NM - 0.5, GRID_NM[-1] + 0.5)
    points = np.union1d(np.clip(edges, wavelengths_nm[0], wavelengths_nm[-1]), wavelengths_nm)
    values = np.interp(points, wavelengths_nm, power)
    summed = np.concatenate([[0.0], np.cumsum(np.diff(points) * (values[1:] + values[:-1]) / 2)])
    averaged: Floats = np.diff(np.interp(edges, points, summed))
    return averaged


@cache
def observer() -> Floats:
    """Colour-matching functions of the CIE 1931 2 degree observer on the grid, (471, 3)."""
    import colour

    functions = colour.MSDS_CMFS["CIE 1931 2 Degree Standard Observer"]
    found = np.array(functions[GRID_NM], dtype=np.float64)
    found.flags.writeable = False
    return found


def uv_of(xyz: Floats) -> Floats:
    """CIE 1960 u, v (..., 2) of XYZ (..., 3)."""
    x, y, z = np.moveaxis(xyz, -1, 0)
    total = x + 15 * y + 3 * z
    return np.asarray(np.stack([4 * x / total, 6 * y / total], axis=-1), dtype=np.float64)


def whites_of(xyz: Floats) -> Floats:
    """(CCT in K, Duv) of each XYZ of (n, 3) after Ohno (2014), as (n, 2); nan where there is none."""
    from colour.temperature import XYZ_to_CCT_Ohno2013

    found = np.full((len(xyz), 2), np.nan)
    usable = np.isfinite(xyz).all(axis=1) & (xyz > 0).all(axis=1)
    if usable.any():
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found[usable] = XYZ_to_CCT_Ohno2013(xyz[usable])
    return found


def _ra(grid: Floats) -> float:
    import colour

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = colour.SpectralShape(360, 830, 1)
        light = colour.SpectralDistribution(dict(zip(shape.wavelengths, grid, strict=True)))
        found: Any = colour.colour_rendering_index(light)
    return float(found)
