"""Calibrate a camera as a light meter: a grey card, and better a ColorChecker too, beside a reference meter.

Exposure and white balance must be locked first, or nothing that follows means anything. From the pictures come the
camera's response curve (from the chart's neutral row, or the same card under several lights), what it saw of card and
chart (from which :mod:`capture.light_model` measures later), and its gain (from the meter's lux).

What the patches look like under the light needs the light's spectrum: the meter's file where there is one; otherwise,
of daylight, a black body and the CIE's standard lamps (CIE 15:2018) near the meter's CCT, those that explain the chart
best. With a card alone the camera is taken for an sRGB camera with other gains, for a wide uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from capture.light_camera import SRGB_TO_XYZ, STATED_AT_K, to_xyz
from capture.light_card import Card, Floats, Pictures, Response, Unusable, cut, find_card
from capture.light_chart import NEUTRAL, Chart, neutral_lightness, surfaces
from capture.light_model import SPECTRUM_NM, Model, White, beside_card, model_from
from capture.light_own import compare
from capture.light_reference import Meter, cct_of, spectra_of, white_of
from capture.light_response import find_response
from capture.light_sensitivity import BELIEVED, Sight, log_likelihood
from capture.light_setup import Calibration, Light, OwnLight, Region, Row
from capture.spectrum import GRID_NM, observer, on_grid, whites_of
from config.errors import CalibrationRejected

CHART_ERROR_MAX = 0.12
LOCK_ERROR_MAX = 0.10
LEVELS_RATIO = 2.0  # between the brightest and the darkest view, for them to tell of the response
PRIOR_WEIGHT = 0.02
DISTINCT_MIRED = 15.0
CARD_WEIGHT = 30.0  # of the white against one patch, so that it is kept
CANDIDATES = 3
# In log likelihood: a line or LED spectrum is believed where it explains the chart much better than a smooth one.
SMOOTH = ("black body", "daylight")
SMOOTH_PREFERRED = 4.0
# Expanded uncertainties (k = 2) of a card alone, in kelvin at 4500 K, Duv and relative lux, as measured on rendered
# scenes of the CIE's lamps.
SEVERAL_LIGHTS = (250.0, 0.008, 0.10)
ONE_LIGHT = (300.0, 0.010, 0.15)
ONE_LIGHT_SLOPE = 0.6
# What usual lamps' Duv of 0.004 does to the colours of other lights, in kelvin and Duv.
UNKNOWN_DUV = (80.0, 0.004)
METER_DUV = 0.001
NO_UNCERTAINTY = (0.0, 0.0, 0.0)


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
    """The calibration and how well it fits: rms error of the response, of the chart's 24 patches, of the lux.

    ``chart_error`` is what no matrix explains: how far the camera is from seeing as the eye does.
    ``cct_uncertainty_k`` (at 4500 K) and ``lux_uncertainty`` are a check's, expanded, under lamps that look like that of
    the last view without being it; ``own_cct_uncertainty_k`` and ``own_lux_uncertainty`` under that lamp itself.
    """

    calibration: Calibration
    response_error: float | None
    chart_error: float | None
    lux_error: float | None
    assumed_light: str | None
    cct_uncertainty_k: float
    lux_uncertainty: float
    own_cct_uncertainty_k: float
    own_lux_uncertainty: float


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
    pixels = np.array([card.mean for card in cards])
    if charts:
        fit = _fit_chart([view.meter for view in views], pixels, charts, response, levels / levels.mean())
    else:
        fit = _fit_cards(pixels, np.array(whites) * (levels / levels.mean())[:, None])
    gains = levels / np.pi / fit.luminances
    k = float(np.exp(np.mean(np.log(gains))))
    lux_error = float(np.max(np.abs(np.array(gains) / k - 1))) if len(views) > 1 else None
    if lux_error is not None and lux_error > LOCK_ERROR_MAX:
        raise CalibrationRejected(flaw="not_locked", detail=f"{lux_error:.0%}")
    cct_u, duv_u, lux_u = fit.uncertainty
    if not all(view.meter.is_white_known for view in views):
        cct_u, duv_u = float(np.hypot(cct_u, UNKNOWN_DUV[0])), float(np.hypot(duv_u, UNKNOWN_DUV[1]))
    last, meter = views[-1], views[-1].meter
    # The meter's kelvins are at its own CCT.
    meter_k = meter.cct_uncertainty_k * (STATED_AT_K / meter.cct_k) ** 2
    a, b, c = (_row(row) for row in fit.matrix)
    setup = Calibration(
        exposure_s=last.exposure_s,
        f_number=last.f_number,
        iso=last.iso,
        k=k,
        response=response,
        matrix=(a, b, c),
        lux_uncertainty=min(0.99, float(np.linalg.norm([lux_u, meter.lux_uncertainty, lux_error or 0.0]))),
        cct_uncertainty_k=float(np.hypot(cct_u, meter_k)),
        duv_uncertainty=float(np.hypot(duv_u, METER_DUV)),
        reference_cct_k=cct_of(whites[-1]) if fit.slope else None,
        cct_slope=fit.slope,
        surround=cards[-1].surround,
        chart=chart,
        seen=fit.seen,
        spectra=fit.spectra,
        own=tuple(
            _own(view.meter, white, card, level / (np.pi * k), lux_error or 0.0)
            for view, white, card, level in zip(views, whites, cards, levels, strict=True)
        ),
        calibrated_on=datetime.now(UTC).date(),
    )
    own = compare(cards[-1], setup.own[-1:], to_xyz(setup))
    if own is None:
        raise CalibrationRejected(flaw="not_white", detail="–")
    return Calibrated(
        setup,
        response_error,
        fit.chart_error,
        lux_error,
        fit.assumed,
        float(np.hypot(setup.cct_uncertainty_k, fit.model_k)),
        float(np.hypot(setup.lux_uncertainty, fit.model_lux)),
        own.cct_uncertainty_k,
        own.luminance_uncertainty,
    )


def _own(meter: Meter, white: Floats, card: Card, luminance: float, lux_error: float) -> OwnLight:
    """``luminance`` of the card, in the unit of k."""
    duv = float(whites_of(white[None])[0][1])
    red, green, blue = (float(f"{value:.6g}") for value in card.mean / luminance)
    return OwnLight(
        card=(red, green, blue),
        cct_k=meter.cct_k,
        duv=round(duv, 6),
        lux_uncertainty=min(0.99, float(np.hypot(meter.lux_uncertainty, lux_error))),
        cct_uncertainty_k=meter.cct_uncertainty_k,
        duv_uncertainty=METER_DUV if meter.is_white_known else float(np.hypot(METER_DUV, UNKNOWN_DUV[1])),
    )


def _row(row: Floats) -> Row:
    x, y, z = (float(f"{value:.6g}") for value in row)
    return x, y, z


@dataclass(frozen=True)
class _Fit:
    """``matrix`` (3, 3) from linear pixel to XYZ; ``luminances`` (n,) of the views' cards, as a check would tell them.

    ``model_k`` and ``model_lux`` are what a check adds to ``uncertainty`` by itself.
    """

    matrix: Floats
    luminances: Floats
    uncertainty: tuple[float, float, float]
    slope: float = 0.0
    chart_error: float | None = None
    assumed: str | None = None
    seen: tuple[tuple[float, ...], ...] = ()
    spectra: tuple[tuple[tuple[float, ...], ...], ...] = ()
    model_k: float = 0.0
    model_lux: float = 0.0


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
    raw, scale = pixels, targets[:, 1:2]
    pixels, whites = pixels / scale, targets / scale
    pixels = pixels / pixels.mean()
    gains = np.mean((whites @ _inverse().T) / pixels, axis=0)
    start = SRGB_TO_XYZ * gains
    mired = np.sort([1e6 / cct_of(white) for white in whites])
    distinct = 1 + int((np.diff(mired) > DISTINCT_MIRED).sum())
    if distinct == 1:
        return _Fit(_scaled(start), raw @ _scaled(start)[1], ONE_LIGHT, ONE_LIGHT_SLOPE)
    rows = np.vstack([pixels, PRIOR_WEIGHT * np.eye(3)])
    matrix = np.linalg.lstsq(rows, np.vstack([whites, PRIOR_WEIGHT * start.T]), rcond=None)[0].T
    found = _scaled(matrix)
    return _Fit(found, raw @ found[1], SEVERAL_LIGHTS, 0.0 if distinct >= 3 else ONE_LIGHT_SLOPE / 2)


def _scaled(matrix: Floats) -> Floats:
    """Whose brightest pixel (1, 1, 1) has the luminance 1, so that k is comparable from camera to camera."""
    return np.asarray(matrix / abs(float(matrix[1].sum())), dtype=np.float64)


def _inverse() -> Floats:
    return np.asarray(np.linalg.inv(SRGB_TO_XYZ), dtype=np.float64)


def _fit_chart(
    meters: Sequence[Meter], cards: Floats, charts: Sequence[Chart], response: Response, levels: Floats
) -> _Fit:
    """``cards`` (n, 3) in linear pixels; ``levels`` (n,) their luminances."""
    seen, spectra, names, luminances = [], [], [], []
    for meter, card, chart, level in zip(meters, cards, charts, levels, strict=True):
        values = np.vstack([card, chart.light(response)])
        values = beside_card(values[None], np.isfinite(values))[0] / level
        chosen = _candidates(meter, values)
        seen.append(tuple(_rounded(np.nan_to_num(values).ravel())))
        spectra.append(tuple(_sampled(spectrum) for spectrum in chosen.values()))
        names += [] if meter.is_known else [next(iter(chosen))]
    matrix, error = _matrix(seen, spectra)
    if error > CHART_ERROR_MAX:
        raise CalibrationRejected(flaw="chart_unlike", detail=f"{error:.0%}")
    model = model_from(tuple(seen), tuple(spectra))
    for card, chart in zip(cards, charts, strict=True):
        white = _asked(model, chart, response, np.vstack([card, chart.light(response)]))
        luminances.append(white.xyz[1])
    return _Fit(
        matrix,
        np.array(luminances),
        NO_UNCERTAINTY,
        chart_error=error,
        assumed=", ".join(names) or None,
        seen=tuple(seen),
        spectra=tuple(spectra),
        model_k=white.mired * STATED_AT_K**2 / 1e6,
        model_lux=white.luminance,
    )


def _asked(model: Model, chart: Chart, response: Response, values: Floats) -> White:
    return model.white(values, np.vstack([np.zeros(3), chart.spread(response)]))


def _candidates(meter: Meter, values: Floats) -> dict[str, Floats]:
    """The spectra (471,) that explain what was seen (25, 3), the likeliest first."""
    found = spectra_of(meter)
    if not found:
        raise CalibrationRejected(flaw="no_such_lamp", detail=f"{meter.lamp}, {meter.cct_k:.0f} K")
    if len(found) == 1:
        return found
    scaled = values / values[0].mean()
    marks = {
        name: log_likelihood([Sight(scaled, surfaces(), spectrum)])
        + (SMOOTH_PREFERRED if name in SMOOTH else 0.0)
        for name, spectrum in found.items()
    }
    best = sorted(marks, key=lambda name: -marks[name])[:CANDIDATES]
    return {name: found[name] for name in best if marks[name] > marks[best[0]] - BELIEVED}


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _sampled(spectrum: Floats) -> tuple[float, ...]:
    """Every 5 nm, averaged over 5 nm so that no line is lost; the largest 1."""
    found = np.array([spectrum[np.abs(GRID_NM - at) <= 2].mean() for at in SPECTRUM_NM])
    return tuple(_rounded(found / found.max()))


def _matrix(
    seen: Sequence[tuple[float, ...]], spectra: Sequence[tuple[tuple[float, ...], ...]]
) -> tuple[Floats, float]:
    """The one that explains the charts best, the card's white kept, and its rms error.

    Weighted least squares (Finlayson and Drew, "Constrained least-squares regression in color spaces", 1997).
    """
    pixels, colours, weights = [], [], []
    for values, candidates in zip(seen, spectra, strict=True):
        rows = np.array(values).reshape(-1, 3)
        whole = (rows > 0).all(axis=1)
        colour = (surfaces() * on_grid(SPECTRUM_NM, np.array(candidates[0]))) @ observer()
        pixels.append(rows[whole])
        colours.append(colour[whole] / colour[0, 1])
        weights.append(np.where(np.arange(25) == 0, CARD_WEIGHT, 1.0)[whole, None])
    p, x, w = np.vstack(pixels), np.vstack(colours), np.vstack(weights)
    matrix = np.linalg.lstsq(p * w, x * w, rcond=None)[0].T
    chart = w[:, 0] < CARD_WEIGHT
    error = np.sqrt(np.mean((p @ matrix.T - x)[chart] ** 2)) / np.sqrt(np.mean(x[chart] ** 2))
    return _scaled(matrix), float(error)
