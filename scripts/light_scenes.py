"""Rendered consulting-room scenes whose light is known: spectra times reflectances, through a camera, to 8 bits."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from capture.frames import Frames
from capture.light_setup import Region
from capture.spectrum import GRID_NM, observer, on_grid, whites_of
from capture.spectrum_file import Spectrum

HEIGHT, WIDTH = 240, 360
CARD: Region = (0.05, 0.60, 0.30, 0.92)
CHART: Region = (0.40, 0.10, 0.95, 0.65)
SRGB = np.linalg.inv([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
LIGHTS = (
    "A", "D50", "D55", "D65", "FL1", "FL2", "FL3", "FL4", "FL5", "FL6", "FL7", "FL8", "FL9", "FL10", "FL11", "FL12",
    "LED-B1", "LED-B2", "LED-B3", "LED-B4", "LED-B5", "LED-BH1", "LED-V1", "LED-V2",
)  # fmt: skip

# Further ones of the CIE: daylight and fluorescent lamps of 15:2018 that nobody calibrates with.
FURTHER = ("D75", *(f"FL3.{number}" for number in range(1, 16)))


@cache
def light_of(name: str) -> Any:
    """A CIE illuminant on the grid, (471,), normalised to Y = 1."""
    import colour

    found = colour.SDS_ILLUMINANTS[name]
    grid = on_grid(np.asarray(found.wavelengths), np.asarray(found.values))
    return grid / (grid @ observer())[1]


def spectrum_of(grid: Any, name: str = "lamp") -> Spectrum:
    return Spectrum(name, GRID_NM[20:421], grid[20:421])


def truth(grid: Any) -> tuple[float, float]:
    """CCT in K and Duv."""
    cct_k, duv = whites_of((grid @ observer())[None])[0]
    return float(cct_k), float(duv)


@cache
def camera(name: str) -> Any:
    """Spectral sensitivities (471, 3) of an sRGB camera or one that was measured, balanced for D50.

    "nikon" and "sigma" are cameras (Darrodi et al. 2015), "cones" and "maxwell" other people's eyes.
    """
    import colour

    if name == "srgb":
        return observer() @ SRGB.T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            "nikon": lambda: colour.MSDS_CAMERA_SENSITIVITIES["Nikon 5100 (NPL)"],
            "sigma": lambda: colour.MSDS_CAMERA_SENSITIVITIES["Sigma SDMerill (NPL)"],
            "cones": lambda: colour.MSDS_CMFS["Stockman & Sharpe 2 Degree Cone Fundamentals"],
            "maxwell": lambda: colour.MSDS_CMFS["Stiles & Burch 1959 10 Degree RGB CMFs"],
        }[name]()
        values = np.nan_to_num(found.values)
    curves = np.column_stack(
        [np.interp(GRID_NM, found.wavelengths, values[:, i], left=0, right=0) for i in range(3)]
    )
    return curves / (light_of("D50") @ curves)


@cache
def chart() -> Any:
    """Spectral reflectances of the ColorChecker, (24, 471)."""
    import colour

    patches = colour.SDS_COLOURCHECKERS["BabelColor Average"].values()
    return np.array([np.interp(GRID_NM, each.wavelengths, each.values) for each in patches])


def encode(light: Any, response: str | float = "srgb") -> Any:
    clipped = np.clip(light, 0, 1)
    if response == "srgb":
        signal = np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)
    elif response == "bt709":
        signal = np.where(clipped < 0.018, clipped * 4.5, 1.099 * clipped**0.45 - 0.099)
    else:
        signal = clipped ** (1 / float(response))
    return signal * 255


def render(
    grid: Any,
    lux: float = 800.0,
    *,
    seen_by: str = "srgb",
    response: str | float = "srgb",
    noise: float = 1.0,
    card: float | None = 0.18,
    with_chart: bool = True,
    second: Any = None,
    gain: float = 1.0,
    frames: int = 1,
    seed: int = 1,
) -> Frames:
    """Pictures (frames, 240, 360, 3) of a desk under ``lux`` of a light (471,) of Y = 1.

    800 lx on white give a linear 0.8 where ``gain`` is 1. ``second`` is another light that takes over from left to
    right. ``card`` is its reflectance, None for no card; ``noise`` is in 8-bit codes, read-out and shot noise alike.
    """
    sensitivities = camera(seen_by)
    across = np.linspace(0, 1, WIDTH)[None, :, None]
    picture = np.zeros((HEIGHT, WIDTH, 3))
    for light, share in ((grid, 1.0 if second is None else 1 - across), (second, across)):
        if light is not None:
            picture = picture + share * _lit(light, sensitivities, card, with_chart)
    codes = encode(picture * lux / 1000 * gain, response)
    rng = np.random.default_rng(seed)
    noisy = [codes + rng.normal(0, noise, codes.shape) if noise else codes for _ in range(frames)]
    return np.asarray(np.round(np.clip(noisy, 0, 255)), dtype=np.uint8)


def _lit(light: Any, sensitivities: Any, card: float | None, with_chart: bool) -> Any:
    def seen(reflectance: Any) -> Any:
        return (reflectance * light) @ sensitivities

    # A wooden desk: the redder the lighter.
    picture = np.ones((HEIGHT, WIDTH, 3)) * seen(0.25 + 0.25 * (GRID_NM - 380) / 400)
    if card is not None:
        picture[_place(CARD)] = seen(card)
    if with_chart:
        picture[_place(CHART)] = seen(0.03)
        x0, y0, x1, y1 = CHART
        for index, patch in enumerate(chart()):
            row, column = divmod(index, 6)
            wide, tall = (x1 - x0) / 6, (y1 - y0) / 4
            left, top = x0 + wide * (column + 0.1), y0 + tall * (row + 0.1)
            picture[_place((left, top, left + 0.8 * wide, top + 0.8 * tall))] = seen(patch)
    return picture


def _place(region: Region) -> tuple[slice, slice]:
    x0, y0, x1, y1 = region
    return slice(round(y0 * HEIGHT), round(y1 * HEIGHT)), slice(round(x0 * WIDTH), round(x1 * WIDTH))
