"""The spectral sensitivities that a camera may have, after what it was seen to make of a chart under a known light.

A chart has too few patches to tell a whole curve: many cameras make the same picture of it. So the answer is not one
camera but a handful, drawn from a Gaussian process (Rasmussen and Williams, "Gaussian Processes for Machine Learning",
2006, 2.2). Before the chart, each channel is any combination of the eye's three curves, plus a deviation that varies as
the deviations of invented cameras do: three smooth bands with cross-talk behind an infrared filter. How far this camera
is from the eye, and how noisy its picture is, the likelihood of the chart decides (ibid., 5.4.1), softened, because a
chart's evidence is weaker than the number of its patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from capture.light_card import Floats
from capture.spectrum import GRID_NM, observer

KNOTS_NM = np.arange(380.0, 781.0, 10.0)
CAMERAS = 16
SEED = 7
INVENTED = 400
DEVIATIONS = (0.03, 0.1, 0.3, 1.0, 2.5)  # of an invented camera's deviation from the eye
NOISES = (0.002, 0.005, 0.01, 0.02)  # of a patch
NOISE_FLOOR_SHARE = 0.1  # of the same, of the mean patch
EYE_VARIANCE = 100.0
ROUGH, ROUGH_NM = 0.03, 20.0  # what the invented cameras are too regular for
SOFTENED = 0.25
BELIEVED = 8.0  # of log likelihood: what is this far below the best is not drawn


@dataclass(frozen=True)
class Sight:
    """``values`` (n, 3), linear, nan where cut off, of surfaces of ``reflectances`` (n, 471) under ``spectrum`` (471,)."""

    values: Floats
    reflectances: Floats
    spectrum: Floats


@dataclass(frozen=True)
class _Belief:
    log_likelihood: float
    means: list[Floats]
    roots: list[Floats]


def likely_cameras(views: Sequence[Sequence[Sight]]) -> Floats:
    """Sensitivities (16, 471, 3) of cameras that may have seen ``views``; each view under one of several spectra."""
    beliefs = [each for chosen in product(*views) for each in _beliefs(chosen)]
    best = max(each.log_likelihood for each in beliefs)
    kept = [each for each in beliefs if each.log_likelihood > best - BELIEVED]
    chances = np.exp(SOFTENED * (np.array([each.log_likelihood for each in kept]) - best))
    rng = np.random.default_rng(SEED)
    basis = np.hstack([_knots(), observer()])
    cameras = []
    for index in rng.choice(len(kept), CAMERAS, p=chances / chances.sum()):
        belief = kept[index]
        weights = [
            mean + root @ rng.normal(size=root.shape[1])
            for mean, root in zip(belief.means, belief.roots, strict=True)
        ]
        cameras.append(basis @ np.array(weights).T)
    return np.array(cameras)


def log_likelihood(sights: Sequence[Sight]) -> float:
    """Of the likeliest camera."""
    return max(each.log_likelihood for each in _beliefs(sights, draw=False))


def _beliefs(sights: Sequence[Sight], draw: bool = True) -> list[_Belief]:
    design = np.vstack([(each.reflectances * each.spectrum) @ _design() for each in sights])
    values = np.vstack([each.values for each in sights])
    found = []
    for deviation, noise in product(DEVIATIONS, NOISES):
        prior = _prior(deviation)
        belief = _Belief(0.0, [], [])
        total = 0.0
        for channel in range(3):
            seen = np.isfinite(values[:, channel])
            part, target = design[seen], values[seen, channel]
            spread = noise * (np.abs(target) + NOISE_FLOOR_SHARE * np.abs(target).mean())
            gain_root = np.linalg.cholesky(part @ prior @ part.T + np.diag(spread**2))
            white = np.linalg.solve(gain_root, target)
            total += float(-0.5 * white @ white - np.log(np.diag(gain_root)).sum())
            if draw:
                half = np.linalg.solve(gain_root, part @ prior)
                belief.means.append(half.T @ white)
                sizes, axes = np.linalg.eigh(prior - half.T @ half)
                belief.roots.append(axes * np.sqrt(np.clip(sizes, 0, None)))
        found.append(_Belief(total, belief.means, belief.roots))
    return found


@cache
def _knots() -> Floats:
    """Straight lines between the knots, (471, 41)."""
    each = [np.interp(GRID_NM, KNOTS_NM, unit, left=0, right=0) for unit in np.eye(len(KNOTS_NM))]
    return np.array(each).T


@cache
def _design() -> Floats:
    return np.hstack([_knots(), observer()])


@cache
def _prior(deviation: float) -> Floats:
    """Covariance (44, 44) of a channel's deviation at the knots and of its share of the eye's curves."""
    found = np.zeros((len(KNOTS_NM) + 3,) * 2)
    found[: len(KNOTS_NM), : len(KNOTS_NM)] = deviation**2 * (_invented() + _roughness())
    found[len(KNOTS_NM) :, len(KNOTS_NM) :] = EYE_VARIANCE * np.eye(3)
    return found


def _roughness() -> Floats:
    inside = 1 / (1 + np.exp((410 - KNOTS_NM) / 7)) / (1 + np.exp((KNOTS_NM - 695) / 9))
    apart = (KNOTS_NM[:, None] - KNOTS_NM) / ROUGH_NM
    return np.asarray(ROUGH**2 * inside[:, None] * inside * np.exp(-(apart**2) / 2), dtype=np.float64)


@cache
def _invented() -> Floats:
    """Second moment (41, 41) of what invented cameras, mixed to be like the eye, still differ from it."""
    rng = np.random.default_rng(SEED)
    eye = np.array([np.interp(KNOTS_NM, GRID_NM, curve) for curve in observer().T]).T
    left = []
    for _ in range(INVENTED):
        cut = 1 / (1 + np.exp((rng.uniform(395, 420) - KNOTS_NM) / rng.uniform(3, 8)))
        cut /= 1 + np.exp((KNOTS_NM - rng.uniform(660, 705)) / rng.uniform(4, 12))
        bands = [
            _band(rng, peaks, widths)
            + sum(
                rng.choice([0, 1]) * rng.uniform(0, 0.25) * _band(rng, (420, 680), (60, 160))
                for _ in range(2)
            )
            for peaks, widths in (((585, 620), (60, 110)), ((520, 550), (70, 120)), ((445, 470), (45, 90)))
        ]
        camera = np.array(bands).T * cut[:, None]
        left.append((camera @ np.linalg.lstsq(camera, eye, rcond=None)[0] - eye).T)
    rows = np.vstack(left)
    return np.asarray(rows.T @ rows / len(rows), dtype=np.float64)


def _band(rng: np.random.Generator, peaks_nm: tuple[float, float], widths_nm: tuple[float, float]) -> Floats:
    peak_nm = rng.uniform(*peaks_nm)
    width_nm = np.where(KNOTS_NM < peak_nm, *rng.uniform(*widths_nm, 2))
    return np.asarray(np.exp(-4 * np.log(2) * ((KNOTS_NM - peak_nm) / width_nm) ** 2), dtype=np.float64)
