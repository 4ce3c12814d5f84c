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

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from capture.light_camera import SRGB_TO_XYZ
from capture.light_card import Card, Floats, Pictures, Response, Unusable, cut, find_card
from capture.light_chart import CARD_WEIGHT, NEUTRAL, Chart, chart_error, explain, neutral_lightness
from capture.light_reference import Meter, cct_of, white_of
from capture.light_response import find_response
from capture.light_setup import Calibration, Light, Region, Row
from config.errors import CalibrationRejected

CHART_ERROR_MAX = 0.12
LOCK_ERROR_MAX = 0.10
LEVELS_RATIO = 2.0  # between the brightest and the darkest view, for them to tell of the response
PRIOR_WEIGHT = 0.02
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
    charts = [Chart.of(view.pictures, chart) for view in views] if chart is not None else []
    if response is None:
        response, response_error = find_response(_known_ratios(views, light.card, charts))
    cards = [_card(view, light, response) for view in views]
    whites = [white_of(view.meter) for view in views]
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
            reference_cct_k=cct_of(whites[-1]) if fit.slope else None,
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


def _known_ratios(
    views: Sequence[View], card: Region, charts: Sequence[Chart]
) -> list[tuple[Floats, Floats]]:
    """Codes (n,) and the relative light (n,) behind them."""
    series = [(codes, neutral_lightness()) for chart in charts for codes in chart.codes()[NEUTRAL].T]
    levels = np.array([view.meter.lux / view.gain for view in views])
    if len(views) >= 3 and levels.max() > LEVELS_RATIO * levels.min():
        series.append((np.array([cut(view.pictures, card)[..., 1].mean() for view in views]), levels))
    return series


def _card(view: View, light: Light, response: Response) -> Card:
    assert light.card is not None
    try:
        return find_card(view.pictures, light.card, response, light.witnesses)
    except Unusable as error:
        raise CalibrationRejected(flaw=error.reason, detail="–") from error


def _fit_cards(pixels: Floats, targets: Floats) -> _Fit:
    """The card alone, (n, 3) pixels and XYZ, under one light or several: near an sRGB camera with other gains."""
    scale = targets[:, 1:2]
    pixels, whites = pixels / scale, targets / scale
    pixels = pixels / pixels.mean()
    gains = np.mean((whites @ _inverse().T) / pixels, axis=0)
    start = SRGB_TO_XYZ * gains
    mired = np.sort([1e6 / cct_of(white) for white in whites])
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
    meters: Sequence[Meter], cards: Floats, charts: Sequence[Chart], response: Response, targets: Floats
) -> _Fit:
    """``cards`` (n, 3) in linear pixels; ``targets`` (n, 3), XYZ of the cards' whites."""
    pixels, colours, weights, guessed = [], [], [], []
    for meter, card, chart, target in zip(meters, cards, charts, targets, strict=True):
        name, relative, seen = explain(meter, chart.light(response) / card, chart.whole)
        guessed += [name] if name else []
        pixels += [relative * card / target[1], card[None] / target[1]]
        colours += [seen * target / target[1], target[None] / target[1]]
        weights += [np.ones((len(seen), 1)), np.full((1, 1), CARD_WEIGHT)]
    p, x, w = np.vstack(pixels), np.vstack(colours), np.vstack(weights)
    matrix = np.linalg.lstsq(p * w, x * w, rcond=None)[0].T
    error = chart_error(p, x, w, matrix)
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
