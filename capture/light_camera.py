"""A calibrated camera as a light meter.

Luminance of the card  L = k*Y*N^2/(t*ISO)  (k from calibration, Y linear luminance 0..1, N f-number, t exposure;
ISO 2721); illuminance of a matt card of reflectance rho  E = pi*L/rho  (Lambert). Its colour is the light's, for a
grey card; CCT and Duv after Ohno (2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capture.light_card import WITNESS_SPREAD, Card, Floats, Pictures, Unusable, find_card, shares_of
from capture.light_chart import NEUTRAL, Chart
from capture.light_drift import is_tint_drifting
from capture.light_model import White, beside_card, model_from
from capture.light_own import compare, patches_apart_of
from capture.light_setup import Calibration, Light
from capture.spectrum import whites_of
from config.errors import CalibrationRejected

# IEC 61966-2-1, linear sRGB to CIE XYZ, Y of white = 1.
SRGB_TO_XYZ: Floats = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], dtype=np.float64
)
DUV_MAX = 0.02  # beyond this a colour is not a shade of white: it is no grey card
CCT_RANGE_K = (1500.0, 20_000.0)
STATED_AT_K = 4500.0  # where the calibration's uncertainty is stated; elsewhere it is the same in mired
SURROUND_RATIO = 1.5  # between the card's contrast now and when it was calibrated


@dataclass(frozen=True)
class CameraReading:
    """Values and expanded uncertainties (k = 2)."""

    lux: float
    lux_uncertainty: float
    cct_k: float
    duv: float
    cct_uncertainty_k: float
    duv_uncertainty: float


def read_card(pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], light: Light) -> CameraReading:
    """What (n, h, w, 3) pictures of one moment say about the light. Raises Unusable.

    ``light`` has a calibration and a card.
    """
    setup = light.calibration
    if setup is None or light.card is None:
        raise Unusable("no_card")
    card = find_card(pictures, light.card, setup.response, light.witnesses)
    if setup.surround is not None:
        change = card.surround / setup.surround
        if not 1 / SURROUND_RATIO < change < SURROUND_RATIO:
            raise Unusable("no_card")
    if light.surroundings and is_tint_drifting(pictures[0], setup.response):
        raise Unusable("mixed_light")
    chart = _chart(pictures, setup)
    if setup.seen:
        lux, lux_spread, colour = _by_model(card, chart, setup, light.reflectance)
    else:
        matrix = to_xyz(setup)
        lux, lux_spread = _lux(card, matrix, setup, light.reflectance)
        colour = _colour(card, matrix, setup)
    if not np.isfinite(colour).all() or abs(colour[1]) > DUV_MAX:
        raise Unusable("not_white")
    if not CCT_RANGE_K[0] < colour[0] < CCT_RANGE_K[1]:
        raise Unusable("not_white")
    cct_k, duv, cct_spread_k, duv_spread = (float(value) for value in colour)
    found = CameraReading(lux, lux_spread, cct_k, duv, cct_spread_k, duv_spread)
    return _beside_own(found, card, chart, setup, light.reflectance)


def _beside_own(
    found: CameraReading, card: Card, chart: Chart | None, setup: Calibration, reflectance: float
) -> CameraReading:
    """What a comparison with the calibration's own light tells instead, as far as this light looks like that one.

    Where the model, which takes a chart into account, denies it, the model stands.
    """
    compared = compare(card, setup.own, to_xyz(setup), _patches_apart(card, chart, setup))
    if compared is None:
        return found
    lux = _illuminance(compared.luminance, setup, reflectance)
    values = np.array([lux, compared.cct_k, compared.duv])
    spreads = np.array(
        [lux * compared.luminance_uncertainty, compared.cct_uncertainty_k, compared.duv_uncertainty]
    )
    model = np.array([found.lux, found.cct_k, found.duv])
    model_spreads = np.array([found.lux_uncertainty, found.cct_uncertainty_k, found.duv_uncertainty])
    if (np.abs(values - model) > np.hypot(spreads, model_spreads)).any():
        return found
    share = compared.share
    lux, cct_k, duv = (share * values + (1 - share) * model).tolist()
    lux_spread, cct_spread_k, duv_spread = (share * spreads + (1 - share) * model_spreads).tolist()
    return CameraReading(lux, lux_spread, cct_k, duv, cct_spread_k, duv_spread)


def _patches_apart(card: Card, chart: Chart | None, setup: Calibration) -> list[float]:
    """Of each view of the calibration; nothing where there is no chart to compare."""
    if chart is None or len(setup.seen) != len(setup.own):
        return []
    patches = chart.light(setup.response)
    noise = chart.spread(setup.response) / patches
    values = np.vstack([card.mean, patches])
    values = beside_card(values[None], np.isfinite(values))[0]
    views = [np.array(each).reshape(25, 3) for each in setup.seen]
    return [patches_apart_of(values, noise, np.where(each > 0, each, np.nan)) for each in views]


def _by_model(
    card: Card, chart: Chart | None, setup: Calibration, reflectance: float
) -> tuple[float, float, Floats]:
    """Illuminance and its expanded uncertainty, lx; CCT, Duv and theirs (4,)."""
    white = _white(card, chart, setup)
    lux = _illuminance(float(white.xyz[1]), setup, reflectance)
    lux_spread = lux * float(np.hypot(setup.lux_uncertainty, white.luminance))
    cct_k, duv = whites_of(white.xyz[None])[0]
    mired = np.hypot(white.mired, setup.cct_uncertainty_k * 1e6 / STATED_AT_K**2)
    cct_spread_k = mired * cct_k**2 / 1e6
    return lux, lux_spread, np.array([cct_k, duv, cct_spread_k, np.hypot(white.duv, setup.duv_uncertainty)])


def _white(card: Card, chart: Chart | None, setup: Calibration) -> White:
    """By the chart too where it is in view, and looks as it may under some light; else by the card alone."""
    model = model_from(setup.seen, setup.spectra)
    values, spread = np.full((25, 3), np.nan), np.zeros((25, 3))
    values[0] = card.mean
    spread[0] = np.hypot(card.quarters.std(axis=0, ddof=1) / 2, card.step / np.sqrt(12))
    if chart is not None:
        with_chart = np.vstack([values[:1], chart.light(setup.response)])
        _prove_same_light(card, with_chart[1:])
        found = model.white(with_chart, np.vstack([spread[:1], chart.spread(setup.response)]))
        if found.is_familiar:
            return found
    return model.white(values, spread)


def _chart(pictures: Pictures, setup: Calibration) -> Chart | None:
    """The chart where it lay when the camera was calibrated."""
    try:
        return None if setup.chart is None else Chart.of(pictures, setup.chart)
    except CalibrationRejected:
        return None


def _prove_same_light(card: Card, patches: Floats) -> None:
    """The chart's greys have the card's colour. Raises Unusable."""
    greys = shares_of(patches[NEUTRAL])
    if np.nanmax(np.abs(np.nanmedian(greys, axis=0) - shares_of(card.mean))) > WITNESS_SPREAD:
        raise Unusable("mixed_light")


def to_xyz(setup: Calibration) -> Floats:
    """Linear R, G, B of this camera to XYZ, (3, 3)."""
    matrix = SRGB_TO_XYZ if setup.matrix is None else np.array(setup.matrix, dtype=np.float64)
    return np.asarray(matrix * np.array(setup.balance), dtype=np.float64)


def _illuminance(luminance: float, setup: Calibration, reflectance: float) -> float:
    """lx, of the card's luminance in the calibration's unit."""
    return np.pi * setup.k * luminance * setup.f_number**2 / (setup.exposure_s * setup.iso) / reflectance


def _lux(card: Card, matrix: Floats, setup: Calibration, reflectance: float) -> tuple[float, float]:
    """Illuminance and its expanded uncertainty, lx: calibration, unevenness and quantisation in quadrature."""
    quarters = card.quarters @ matrix[1]
    pixel = float(quarters.mean())
    if pixel <= 0:
        raise Unusable("not_white")
    value = _illuminance(pixel, setup, reflectance)
    spread = 2 * float(quarters.std(ddof=1)) / 2 / pixel
    quantised = 2 * float(card.step @ np.abs(matrix[1])) / np.sqrt(12) / pixel
    return value, float(value * np.linalg.norm([setup.lux_uncertainty, spread, quantised]))


def _colour(card: Card, matrix: Floats, setup: Calibration) -> Floats:
    """CCT in K, Duv, and the expanded uncertainties of both, (4,); nan where there are none."""
    shifted = card.mean + np.diag(card.step / np.sqrt(12))
    found = whites_of(np.vstack([card.mean, shifted, card.quarters]) @ matrix.T)
    cct_k, duv = found[0]
    quantised = 2 * np.linalg.norm(found[1:4] - found[0], axis=0)
    spread = found[4:].std(axis=0, ddof=1)
    away = 0.0
    if setup.reference_cct_k is not None:
        away = setup.cct_slope * abs(cct_k - setup.reference_cct_k)
    calibrated = [(setup.cct_uncertainty_k + away) * (cct_k / STATED_AT_K) ** 2, setup.duv_uncertainty]
    return np.append([cct_k, duv], np.linalg.norm([calibrated, quantised, spread], axis=0))
