"""Calibrate a camera as a light meter: a grey card, and better a ColorChecker too, beside a reference meter.

Exposure and white balance must be locked first, or nothing that follows means anything. From the pictures come the
camera's response curve (from the chart's neutral row, or the same card under several lights), its matrix to CIE XYZ
(from the chart's 24 patches, whose spectral reflectances are published, or from several lights), and its gain (from
the meter's lux). The chart's reflectances are the BabelColor averages (Pascale 2012) in colour-science.

The matrix is fitted by least squares with the grey card weighted so that its white is kept (Finlayson and Drew,
"Constrained least-squares regression in color spaces", 1997). What the patches look like under the light needs the
light's spectrum: the meter's file where there is one; otherwise, of daylight, a black body and the CIE's standard
lamps (CIE 15:2018) near the meter's CCT, the one that explains the chart best, for a wider uncertainty.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from capture.light_camera import SRGB_TO_XYZ
from capture.light_card import (
    CLIPPED_CODE,
    CLIPPED_SHARE,
    Card,
    Floats,
    Pictures,
    Response,
    Unusable,
    cut,
    find_card,
    linear,
)
from capture.light_setup import Calibration, Light, Region, Row
from capture.spectrum import GRID_NM, observer, on_grid, whites_of
from capture.spectrum_file import Spectrum
from config.errors import CalibrationRejected

Lamp = Literal["daylight", "incandescent", "led", "fluorescent"]
FAMILIES: dict[Lamp, str] = {
    "daylight": "daylight",
    "incandescent": "black body",
    "led": "LED",
    "fluorescent": "FL",
}
# Only what lights rooms: no sodium lamps, no three narrow LEDs.
NOT_IN_ROOMS = ("HP", "LED-RGB")
# A line or LED spectrum is believed where it explains the chart this much better than a smooth one.
SMOOTH = ("black body", "daylight")
SMOOTH_PREFERRED = 0.5
COLUMNS, ROWS = 6, 4
PATCH_INSET = 0.3  # of a patch, against the black lines between them
NEUTRAL = slice(18, 24)
CODES_USED = (12, 250)  # darker: too few steps; lighter: near the end of the scale
GAMMAS = np.round(np.arange(1.0, 3.01, 0.05), 2)
RESPONSE_ERROR_MAX = 0.05
SRGB_PREFERRED = 0.005
PATCHES_MIN = 14
CHART_ERROR_MAX = 0.12
LOCK_ERROR_MAX = 0.10
CARD_WEIGHT = 30.0
PRIOR_WEIGHT = 0.02
CANDIDATES_MIRED = 25.0
DISTINCT_MIRED = 15.0
# Expanded uncertainties (k = 2) in kelvin at 4500 K, Duv and relative lux, as measured on rendered scenes of the CIE's
# lamps. How far a camera is from seeing as the eye does, the chart's residual tells: from BEST to KNOWN.
BEST = (60.0, 0.002, 0.02)
KNOWN = (150.0, 0.008, 0.06)
GUESSED = (400.0, 0.010, 0.08)
SEVERAL_LIGHTS = (250.0, 0.008, 0.10)
ONE_LIGHT = (300.0, 0.010, 0.15)
ONE_LIGHT_SLOPE = 0.6
# What usual lamps' Duv of 0.004 does to the colours of other lights, in kelvin and Duv.
UNKNOWN_DUV = (80.0, 0.004)
CHART_ERROR_BEST, CHART_ERROR_KNOWN = 0.006, 0.018


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


@dataclass(frozen=True)
class View:
    """Pictures (n, h, w, 3) of one moment beside the meter's reading, taken with that exposure."""

    pictures: Pictures
    meter: Meter
    exposure_s: float = 1.0
    f_number: float = 1.0
    iso: float = 1.0

    @property
    def gain(self) -> float:
        """N^2/(t*ISO): from linear pixel to luminance, but for k."""
        return self.f_number**2 / (self.exposure_s * self.iso)


@dataclass(frozen=True)
class Calibrated:
    """The calibration and how well it fits: rms error of the response, of the chart's 24 patches, of the lux."""

    calibration: Calibration
    response_error: float | None
    chart_error: float | None
    lux_error: float | None
    assumed_light: str | None


def calibrate(
    views: Sequence[View], light: Light, chart: Region | None = None, response: Response | None = None
) -> Calibrated:
    """Make a meter of the camera that took ``views``, all with one lens setting and locked white balance.

    ``chart`` is the region of an upright ColorChecker (dark skin top left, white bottom left); ``response`` where
    it is known already. The exposure of the last view is the one that checks will be made with. Raises
    CalibrationRejected with the flaw.
    """
    if not views or light.card is None:
        raise CalibrationRejected(flaw="no_card_region", detail="–")
    response_error = None
    charts = [_Chart.of(view, chart) for view in views] if chart is not None else []
    if response is None:
        response, response_error = _find_response(views, light.card, charts, light.reflectance)
    cards = [_card(view, light, response) for view in views]
    whites = [_white(view.meter) for view in views]
    # The luminance of the card in each picture's own scale, up to k.
    levels = np.array([view.meter.lux * light.reflectance / view.gain for view in views])
    targets = np.array(whites) * (levels / levels.mean())[:, None]
    pixels = np.array([card.mean for card in cards])
    if charts:
        fit = _fit_chart([view.meter for view in views], pixels, charts, response, targets)
    else:
        fit = _fit_cards(pixels, targets)
    gains = [
        view.meter.lux * light.reflectance / np.pi / (fit.matrix[1] @ card.mean * view.gain)
        for view, card in zip(views, cards, strict=True)
    ]
    k = float(np.exp(np.mean(np.log(gains))))
    lux_error = float(np.max(np.abs(np.array(gains) / k - 1))) if len(views) > 1 else None
    if lux_error is not None and lux_error > LOCK_ERROR_MAX:
        raise CalibrationRejected(flaw="not_locked", detail=f"{lux_error:.0%}")
    cct_u, duv_u, lux_u = fit.uncertainty
    if not all(view.meter.is_white_known for view in views):
        cct_u, duv_u = float(np.hypot(cct_u, UNKNOWN_DUV[0])), float(np.hypot(duv_u, UNKNOWN_DUV[1]))
    last, meter = views[-1], views[-1].meter
    a, b, c = (_row(row) for row in fit.matrix)
    return Calibrated(
        Calibration(
            exposure_s=last.exposure_s,
            f_number=last.f_number,
            iso=last.iso,
            k=k,
            response=response,
            matrix=(a, b, c),
            lux_uncertainty=min(
                0.99, float(np.linalg.norm([lux_u, meter.lux_uncertainty, lux_error or 0.0]))
            ),
            cct_uncertainty_k=float(np.hypot(cct_u, meter.cct_uncertainty_k)),
            duv_uncertainty=duv_u,
            reference_cct_k=_cct_of(whites[-1]) if fit.slope else None,
            cct_slope=fit.slope,
            surround=cards[-1].surround,
            calibrated_on=datetime.now(UTC).date(),
        ),
        response_error,
        fit.chart_error,
        lux_error,
        fit.assumed,
    )


def _row(row: Floats) -> Row:
    x, y, z = (float(f"{value:.6g}") for value in row)
    return x, y, z


@dataclass(frozen=True)
class _Fit:
    """``matrix`` (3, 3) from linear pixel to XYZ, the luminance of sRGB white about 1."""

    matrix: Floats
    uncertainty: tuple[float, float, float]
    slope: float = 0.0
    chart_error: float | None = None
    assumed: str | None = None


@dataclass(frozen=True)
class _Chart:
    """The 8-bit pixels (n, 3) of each of a chart's 24 patches, row by row; ``whole`` (24,): not cut off."""

    pixels: list[Pictures]
    whole: NDArray[np.bool_]

    @classmethod
    def of(cls, view: View, region: Region) -> _Chart:
        found = []
        x0, y0, x1, y1 = region
        for row in range(ROWS):
            for column in range(COLUMNS):
                place = (
                    x0 + (x1 - x0) * column / COLUMNS,
                    y0 + (y1 - y0) * row / ROWS,
                    x0 + (x1 - x0) * (column + 1) / COLUMNS,
                    y0 + (y1 - y0) * (row + 1) / ROWS,
                )
                pixels = cut(view.pictures, place, PATCH_INSET)
                if pixels.size < 3 * 16:
                    raise CalibrationRejected(flaw="chart_too_small", detail="–")
                found.append(pixels.reshape(-1, 3))
        neutral = [float(patch.mean()) for patch in found[NEUTRAL]]
        if any(a <= b for a, b in pairwise(neutral)):
            raise CalibrationRejected(flaw="no_chart", detail="–")
        whole = np.array([_share_cut_off(patch) <= CLIPPED_SHARE for patch in found])
        if whole.sum() < PATCHES_MIN or not whole[NEUTRAL].sum() >= 3:
            raise CalibrationRejected(flaw="chart_clipped", detail=f"{whole.sum()} / 24")
        return cls(found, whole)

    def light(self, response: Response) -> Floats:
        """Linear colour (24, 3)."""
        return np.array([linear(patch, response).mean(axis=0) for patch in self.pixels])

    def codes(self) -> Floats:
        return np.array([patch.mean(axis=0) for patch in self.pixels])


def _share_cut_off(patch: Pictures) -> float:
    """The share of pixels (n, 3) at either end of the scale, in the worst channel."""
    return float(((patch >= CLIPPED_CODE) | (patch == 0)).mean(axis=0).max())


def _card(view: View, light: Light, response: Response) -> Card:
    assert light.card is not None
    try:
        return find_card(view.pictures, light.card, response, light.witnesses)
    except Unusable as error:
        raise CalibrationRejected(flaw=error.reason, detail="–") from error


def _find_response(
    views: Sequence[View], card: Region, charts: Sequence[_Chart], reflectance: float
) -> tuple[Response, float | None]:
    """The curve that makes known ratios of light come out; (sRGB, None) where nothing is known."""
    series: list[tuple[Floats, Floats]] = []  # codes (n,), relative light (n,)
    neutrals = _lightness(_reflectances()[NEUTRAL])
    for chart in charts:
        series += [(codes, neutrals) for codes in chart.codes()[NEUTRAL].T]
    levels = [view.meter.lux / view.gain for view in views]
    if len(views) >= 3 and max(levels) > 2 * min(levels):
        codes = np.array([cut(view.pictures, card).mean(axis=(0, 1, 2)) for view in views])
        series.append((codes[:, 1], np.array(levels)))
    series = [
        (codes[keep], light[keep])
        for codes, light in series
        if (keep := (codes >= CODES_USED[0]) & (codes <= CODES_USED[1])).sum() >= 3
    ]
    if not series:
        return "srgb", None
    candidates: list[Response] = ["srgb", "bt709", *(float(gamma) for gamma in GAMMAS)]
    errors = [_response_error(series, each) for each in candidates]
    errors[0] -= SRGB_PREFERRED  # equally good within the noise: the usual one
    best = int(np.argmin(errors))
    error = errors[best] + (SRGB_PREFERRED if best == 0 else 0.0)
    if error > RESPONSE_ERROR_MAX:
        raise CalibrationRejected(flaw="response_unknown", detail=f"{error:.0%}")
    return candidates[best], error


def _response_error(series: Sequence[tuple[Floats, Floats]], response: Response) -> float:
    parts = []
    for codes, light in series:
        ratio = np.log(linear(codes, response) / light)
        parts.append(ratio - ratio.mean())
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))


def _fit_cards(pixels: Floats, targets: Floats) -> _Fit:
    """The card alone, (n, 3) pixels and XYZ, under one light or several: near an sRGB camera with other gains."""
    scale = targets[:, 1:2]
    pixels, whites = pixels / scale, targets / scale
    pixels = pixels / pixels.mean()
    gains = np.mean((whites @ _inverse().T) / pixels, axis=0)
    start = SRGB_TO_XYZ * gains
    mired = np.sort([1e6 / _cct_of(white) for white in whites])
    distinct = 1 + int((np.diff(mired) > DISTINCT_MIRED).sum())
    if distinct == 1:
        return _Fit(_scaled(start), ONE_LIGHT, ONE_LIGHT_SLOPE)
    rows = np.vstack([pixels, PRIOR_WEIGHT * np.eye(3)])
    matrix = np.linalg.lstsq(rows, np.vstack([whites, PRIOR_WEIGHT * start.T]), rcond=None)[0].T
    return _Fit(_scaled(matrix), SEVERAL_LIGHTS, 0.0 if distinct >= 3 else ONE_LIGHT_SLOPE / 2)


def _scaled(matrix: Floats) -> Floats:
    """Whose brightest pixel (1, 1, 1) has the luminance 1, so that k is comparable from camera to camera."""
    return np.asarray(matrix / abs(float(matrix[1].sum())), dtype=np.float64)


def _inverse() -> Floats:
    return np.asarray(np.linalg.inv(SRGB_TO_XYZ), dtype=np.float64)


def _fit_chart(
    meters: Sequence[Meter], cards: Floats, charts: Sequence[_Chart], response: Response, targets: Floats
) -> _Fit:
    """``cards`` (n, 3) in linear pixels; ``targets`` (n, 3), XYZ of the cards' whites."""
    pixels, colours, weights, guessed = [], [], [], []
    for meter, card, chart, target in zip(meters, cards, charts, targets, strict=True):
        name, relative, seen = _explain(meter, chart.light(response) / card, chart.whole)
        guessed += [name] if name else []
        pixels += [relative * card / target[1], card[None] / target[1]]
        colours += [seen * target / target[1], target[None] / target[1]]
        weights += [np.ones((len(seen), 1)), np.full((1, 1), CARD_WEIGHT)]
    p, x, w = np.vstack(pixels), np.vstack(colours), np.vstack(weights)
    matrix = np.linalg.lstsq(p * w, x * w, rcond=None)[0].T
    error = _chart_error(p, x, w, matrix)
    if error > CHART_ERROR_MAX:
        raise CalibrationRejected(flaw="chart_unlike", detail=f"{error:.0%}")
    # A guessed spectrum that explains the chart as well as the noise allows was no bad guess.
    sure = not guessed or error < CHART_ERROR_BEST
    return _Fit(_scaled(matrix), _chart_uncertainty(error, sure), 0.0, error, ", ".join(guessed) or None)


def _chart_uncertainty(error: float, sure: bool) -> tuple[float, float, float]:
    """Grows with what the matrix could not explain, and beyond what it explains for a usual camera."""
    worst = KNOWN if sure else GUESSED
    share = float(np.clip((error - CHART_ERROR_BEST) / (CHART_ERROR_KNOWN - CHART_ERROR_BEST), 0, 1))
    excess = max(1.0, error / (2 * CHART_ERROR_KNOWN))
    if not sure:
        share = 1.0
    cct_k, duv, lux = (excess * (low + share * (high - low)) for low, high in zip(BEST, worst, strict=True))
    return cct_k, duv, lux


def _explain(meter: Meter, patches: Floats, whole: NDArray[np.bool_]) -> tuple[str | None, Floats, Floats]:
    """Patches (24, 3) relative to the card, channel by channel, set beside what the light makes of a chart.

    Returns the assumed light (None where it was measured), and the whole patches' pixels and XYZ relative to white.
    """
    reflectances = _reflectances()
    # The chart may get a little more or less light than the card: its greys tell.
    grey = whole.copy()
    grey[: NEUTRAL.start] = False
    pixels = patches[whole] / np.median(patches[grey, 1] / _lightness(reflectances[grey]))
    reflectances = reflectances[whole]
    weights = np.vstack([np.ones((len(pixels), 1)), [[CARD_WEIGHT]]])
    p = np.vstack([pixels, np.ones(3)])
    best: tuple[float, str, Floats] | None = None
    for name, spectrum in _lights(meter).items():
        colours = (reflectances * spectrum) @ observer() / (spectrum @ observer())
        x = np.vstack([colours, np.ones(3)])
        matrix = np.linalg.lstsq(p * weights, x * weights, rcond=None)[0].T
        error = _chart_error(p, x, weights, matrix) * (SMOOTH_PREFERRED if name in SMOOTH else 1.0)
        if best is None or error < best[0]:
            best = error, name, colours
    if best is None:
        raise CalibrationRejected(flaw="no_such_lamp", detail=f"{meter.lamp}, {meter.cct_k:.0f} K")
    return (None if meter.is_known else best[1]), pixels, best[2]


def _chart_error(p: Floats, x: Floats, w: Floats, matrix: Floats) -> float:
    """Root mean square of the luminance and colour error of the patches, relative to white."""
    chart = w[:, 0] < CARD_WEIGHT
    return float(np.sqrt(np.mean((p @ matrix.T - x)[chart] ** 2))) / float(np.sqrt(np.mean(x[chart] ** 2)))


def _lights(meter: Meter) -> dict[str, Floats]:
    """Spectra (471,) that the light may have."""
    import colour

    if meter.spectrum is not None:
        return {"measured": on_grid(meter.spectrum.wavelengths_nm, meter.spectrum.power)}
    found: dict[str, Floats] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = colour.SpectralShape(360, 830, 1)
        found["black body"] = np.asarray(colour.sd_blackbody(meter.cct_k, shape).values, dtype=np.float64)
        if 4000 <= meter.cct_k <= 25_000:
            daylight = colour.sd_CIE_illuminant_D_series(colour.temperature.CCT_to_xy_CIE_D(meter.cct_k))
            found["daylight"] = on_grid(np.asarray(daylight.wavelengths), np.asarray(daylight.values))
        for name, light in colour.SDS_ILLUMINANTS.items():
            if not name.startswith(("FL", "LED")) or name.startswith(NOT_IN_ROOMS):
                continue
            grid = on_grid(np.asarray(light.wavelengths), np.asarray(light.values))
            if abs(1e6 / _cct_of(grid @ observer()) - 1e6 / meter.cct_k) < CANDIDATES_MIRED:
                found[name] = grid
    if meter.lamp is None:
        return found
    return {name: grid for name, grid in found.items() if name.startswith(FAMILIES[meter.lamp])}


def _reflectances() -> Floats:
    """Spectral reflectances of the ColorChecker's patches on the grid, (24, 471)."""
    import colour

    patches = colour.SDS_COLOURCHECKERS["BabelColor Average"].values()
    return np.array([np.interp(GRID_NM, each.wavelengths, each.values) for each in patches])


def _lightness(reflectances: Floats) -> Floats:
    """Luminous reflectance (n,) under equal energy."""
    visible = observer()[:, 1]
    return np.asarray(reflectances @ visible / visible.sum(), dtype=np.float64)


def _white(meter: Meter) -> Floats:
    """XYZ of the metered light, Y = 1."""
    import colour

    if meter.spectrum is not None:
        xyz = on_grid(meter.spectrum.wavelengths_nm, meter.spectrum.power) @ observer()
        return np.asarray(xyz / xyz[1], dtype=np.float64)
    if meter.lamp == "daylight" and meter.duv is None and 4000 <= meter.cct_k <= 25_000:
        xy = colour.temperature.CCT_to_xy_CIE_D(meter.cct_k)
        return np.asarray(colour.xy_to_XYZ(xy), dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        uv = colour.temperature.CCT_to_uv_Ohno2013(np.array([meter.cct_k, meter.duv or 0.0]))
    return np.asarray(colour.xy_to_XYZ(colour.UCS_uv_to_xy(uv)), dtype=np.float64)


def _cct_of(xyz: Floats) -> float:
    return float(whites_of(np.asarray(xyz, dtype=np.float64)[None])[0, 0])
