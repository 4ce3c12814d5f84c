"""The lamps that may light a room, as spectra: what a camera's light meter must tell apart.

Measured ones come from colour-science (RIT and NIST, light sources by Ohno 2005). Around them stand invented ones of
every family: black bodies (Planck), daylight (CIE 015:2018, 4.1.2), white LEDs of a blue or violet pump with one or two
phosphors, three narrow LEDs, and fluorescent lamps with the lines of mercury and of the usual phosphors; and mixtures
of any two. The CIE's own illuminants are not among them, so that accuracy under these is accuracy under lamps unseen.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np

from capture.light_card import Floats
from capture.spectrum import GRID_NM, observer, on_grid, uv_of

INVENTED = 640
SEED = 5
CCT_RANGE_K = (1900.0, 12_000.0)
DUV_MAX = 0.02
SECOND_RADIATION_NM_K = 1.4388e7
# Lines of mercury and of three-band phosphors: nm and relative power.
MERCURY_BLUE = ((404.7, 0.5), (435.8, 1.0))
MERCURY_GREEN = ((546.1, 1.0), (578.0, 0.35))
TERBIUM = (
    (487.0, 0.3), (491.0, 0.2), (543.5, 1.0), (546.1, 0.35), (550.0, 0.2), (578.0, 0.2), (585.0, 0.3), (590.0, 0.15),
)  # fmt: skip
EUROPIUM = ((611.0, 1.0), (620.0, 0.2), (630.0, 0.2), (650.0, 0.08), (696.0, 0.1), (707.0, 0.12))


@cache
def room_lamps() -> Floats:
    """Spectra (n, 471) on the grid, Y = 1; always the same ones."""
    rng = np.random.default_rng(SEED)
    families = (
        _black_body,
        _daylight,
        _blue_led,
        _blue_led,
        _blue_led,
        _violet_led,
        _three_leds,
        _triband,
        _broad,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [families[i % len(families)](rng) for i in range(INVENTED)] + _measured()
    lamps = np.array([lamp for lamp in found if _is_white(lamp)])
    first, second = rng.integers(0, len(lamps), (2, len(lamps) // 2))
    share = rng.uniform(0, 1, (len(first), 1))
    return np.vstack([lamps, share * lamps[first] + (1 - share) * lamps[second]])


def _is_white(lamp: Floats) -> bool:
    """Whether its CIE 1960 u, v lie near those of a black body of a room's range."""
    return bool(np.linalg.norm(_locus() - uv_of(lamp @ observer()), axis=1).min() < DUV_MAX)


@cache
def _locus() -> Floats:
    mired = np.linspace(1e6 / CCT_RANGE_K[1], 1e6 / CCT_RANGE_K[0], 200)
    return uv_of(np.array([_planck(1e6 / each) for each in mired]) @ observer())


def _planck(kelvin: float) -> Floats:
    return _of_luminance(GRID_NM**-5.0 / (np.exp(SECOND_RADIATION_NM_K / GRID_NM / kelvin) - 1))


def _of_luminance(power: Floats) -> Floats:
    return np.asarray(power / (power @ observer()[:, 1]), dtype=np.float64)


def _band(peak_nm: float, below_nm: float, above_nm: float | None = None) -> Floats:
    """A Gaussian band of Y = 1, with a full width at half maximum for each side."""
    width = np.where(GRID_NM < peak_nm, below_nm, above_nm or below_nm)
    return _of_luminance(np.exp(-4 * np.log(2) * ((GRID_NM - peak_nm) / width) ** 2))


def _lines(lines: tuple[tuple[float, float], ...], width_nm: float) -> Floats:
    return _of_luminance(
        sum(
            (power * np.exp(-4 * np.log(2) * ((GRID_NM - at) / width_nm) ** 2) for at, power in lines),
            0 * GRID_NM,
        )
    )


def _black_body(rng: np.random.Generator) -> Floats:
    return _planck(rng.uniform(2200, 7500))


def _daylight(rng: np.random.Generator) -> Floats:
    import colour

    xy = colour.temperature.CCT_to_xy_CIE_D(rng.uniform(4000, 9000))
    found = colour.sd_CIE_illuminant_D_series(xy)
    return _of_luminance(on_grid(np.asarray(found.wavelengths), np.asarray(found.values)))


def _blue_led(rng: np.random.Generator) -> Floats:
    pump = _band(rng.uniform(440, 465), rng.uniform(16, 26), rng.uniform(18, 32))
    phosphor = _band(rng.uniform(530, 590), rng.uniform(60, 110), rng.uniform(90, 150))
    red = _band(rng.uniform(600, 660), rng.uniform(50, 90), rng.uniform(60, 110))
    return _of_luminance(
        rng.uniform(0.005, 0.05) * pump + phosphor + rng.choice([0, 1]) * rng.uniform(0, 0.6) * red
    )


def _violet_led(rng: np.random.Generator) -> Floats:
    return _of_luminance(
        rng.uniform(0.0002, 0.002) * _band(rng.uniform(400, 425), rng.uniform(12, 22))
        + rng.uniform(0.01, 0.08) * _band(rng.uniform(445, 470), rng.uniform(30, 60))
        + rng.uniform(0.3, 0.8) * _band(rng.uniform(520, 550), rng.uniform(60, 110))
        + rng.uniform(0.2, 0.6) * _band(rng.uniform(610, 660), rng.uniform(60, 110))
    )


def _three_leds(rng: np.random.Generator) -> Floats:
    return _of_luminance(
        rng.uniform(0.02, 0.10) * _band(rng.uniform(445, 475), 25)
        + rng.uniform(0.4, 0.8) * _band(rng.uniform(515, 550), rng.uniform(28, 45))
        + rng.uniform(0.2, 0.5) * _band(rng.uniform(590, 635), rng.uniform(15, 25))
    )


def _triband(rng: np.random.Generator) -> Floats:
    width_nm = rng.uniform(2, 10)
    return _of_luminance(
        rng.uniform(0.01, 0.12) * _band(rng.uniform(447, 455), rng.uniform(45, 60))
        + rng.uniform(0.4, 0.9) * _lines(TERBIUM, width_nm)
        + rng.uniform(0.15, 0.5) * _lines(EUROPIUM, width_nm)
        + rng.uniform(0.002, 0.008) * _lines(MERCURY_BLUE, width_nm)
    )


def _broad(rng: np.random.Generator) -> Floats:
    width_nm = rng.uniform(4, 12)
    return _of_luminance(
        rng.uniform(0.05, 0.6) * _band(rng.uniform(470, 500), rng.uniform(90, 140))
        + rng.uniform(0.4, 1) * _band(rng.uniform(570, 600), rng.uniform(70, 120), rng.uniform(80, 130))
        + rng.choice([0, 1]) * rng.uniform(0, 0.3) * _band(rng.uniform(620, 660), 80)
        + rng.uniform(0.05, 0.2) * _lines(MERCURY_GREEN, width_nm)
        + rng.uniform(0.003, 0.012) * _lines(MERCURY_BLUE, width_nm)
    )


def _measured() -> list[Floats]:
    import colour

    return [
        _of_luminance(np.clip(on_grid(np.asarray(each.wavelengths), np.asarray(each.values)), 0, None))
        for each in colour.SDS_LIGHT_SOURCES.values()
    ]
