"""A calibrated camera's model: from the card, and the chart where it lies beside it, to the light's white.

Every camera that the calibration left possible is shown every lamp that may light a room; the linear map from what they
see to the lamp's XYZ with the least mean squared error is the meter (linear minimum mean square error estimation: Kay,
"Fundamentals of Statistical Signal Processing", 1993, 12.3). How wrong it is for lamps whose white looks like the one
that was found is its uncertainty: where lamps that look alike to this camera are not, it grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from capture.light_card import Floats
from capture.light_chart import NEUTRAL, neutral_lightness, surfaces
from capture.light_lamps import room_lamps
from capture.light_sensitivity import Sight, likely_cameras
from capture.spectrum import observer, on_grid, uv_of, whites_of

SPECTRUM_NM = np.arange(380.0, 781.0, 5.0)
NOISE = 0.003  # of a value: flare, uneven light, a chart that is not the published one
NOISE_FLOOR = 0.0003  # of white
NEIGHBOURS = 300
COVERAGE = 0.98
UNSEEN = 1.6  # lamps that are not in the library are told worse than those that are
# A room's own lamp is the likeliest: the share of the calibration's views among all that the map is fitted to. What it
# costs elsewhere is in the uncertainty, which the library alone tells.
OWN_LAMP = 0.3
UV_STEP = 1e-4
LIKENESS = 0.999
LIKENESS_EVERY = 7
LIKENESS_FACTOR = 3.0


@dataclass(frozen=True)
class White:
    """XYZ (3,) in the calibration's unit; expanded uncertainties (k = 2) in mired, Duv, and relative luminance.

    ``weights`` (m, 3) took the values to XYZ. ``is_familiar``: whether some lamp of the library may look like this.
    """

    xyz: Floats
    mired: float
    duv: float
    luminance: float
    is_familiar: bool


@dataclass(frozen=True, eq=False)
class Model:
    """``values`` (n, 25, 3): white and the chart's 24 patches as cameras see them under lamps of ``whites`` (n, 3).

    ``own_values`` (v, 25, 3), nan where nothing usable was, and ``own_whites`` (v, 3): the same of the calibration's views.
    """

    values: Floats
    whites: Floats
    own_values: Floats
    own_whites: Floats

    def white(self, seen: Floats, spread: Floats) -> White:
        """The light behind ``seen`` (25, 3), nan where nothing usable was; ``spread`` is its standard uncertainty."""
        used = np.isfinite(seen)
        z, squares, cross = _moments(self, used.tobytes())
        target = beside_card(seen[None], used)[0][used]
        scale = float(np.median(target / np.maximum(z.mean(axis=0), 1e-9)))
        doubt = (NOISE * np.abs(target)) ** 2 + (NOISE_FLOOR * target[:3].mean()) ** 2 + spread[used] ** 2
        moment = squares + np.diag(doubt / scale**2)
        weights = np.linalg.solve(moment, cross)
        xyz = target @ weights
        some = z[::LIKENESS_EVERY]
        likeness = _distance(some, moment) / np.maximum((some @ weights)[:, 1], 1e-9) ** 2
        limit = LIKENESS_FACTOR * np.quantile(likeness, LIKENESS)
        own = float(_distance(target[None], moment)[0]) / max(xyz[1], 1e-9) ** 2
        near = _nearest(z, target / scale, doubt / scale**2)
        slopes = _slopes(xyz)
        mired, duv, luminance = _errors(z[near] @ weights, self.whites[near], slopes)
        noise = weights * spread[used][:, None]
        noise_mired, noise_duv = np.linalg.norm((uv_of(xyz + noise) - uv_of(xyz)) @ slopes, axis=0)
        noise_luminance = float(np.linalg.norm(noise[:, 1]) / max(xyz[1], 1e-9))
        return White(
            xyz,
            float(np.hypot(mired, 2 * noise_mired)),
            float(np.hypot(duv, 2 * noise_duv)),
            float(np.hypot(luminance, 2 * noise_luminance)),
            own <= limit,
        )


@lru_cache(maxsize=2)
def _moments(model: Model, used: bytes) -> tuple[Floats, Floats, Floats]:
    """What of ``values`` is used, (n, m), and its mean products with itself (m, m) and with the whites (m, 3)."""
    chosen = np.frombuffer(used, dtype=bool).reshape(25, 3)
    z = beside_card(model.values, chosen)[:, chosen]
    squares, cross = z.T @ z / len(z), z.T @ model.whites / len(z)
    own = beside_card(model.own_values, chosen)[:, chosen]
    whole = np.isfinite(own).all(axis=1)
    if whole.any():
        own, whites, share = own[whole], model.own_whites[whole], OWN_LAMP
        squares = (1 - share) * squares + share * own.T @ own / len(own)
        cross = (1 - share) * cross + share * own.T @ whites / len(own)
    return z, squares, cross


def beside_card(values: Floats, used: NDArray[np.bool_]) -> Floats:
    """(n, 25, 3), the chart brought to the card's illuminance: its greys tell how much more or less light it gets."""
    greys = 1 + np.arange(24)[NEUTRAL]
    whole = used[greys].all(axis=1)
    if not whole.any():
        return values
    seen = values[:, greys[whole]].sum(axis=2)
    white = values[:, 0].sum(axis=1)[:, None] * neutral_lightness()[whole]
    found = values.copy()
    found[:, 1:] *= np.mean(white / seen, axis=1)[:, None, None]
    return found


@lru_cache(maxsize=4)
def model_from(
    seen: tuple[tuple[float, ...], ...], spectra: tuple[tuple[tuple[float, ...], ...], ...]
) -> Model:
    """The model behind a calibration's ``seen`` and ``spectra``; takes about a second the first time."""
    views: list[list[Sight]] = []
    scale = float(np.mean([values[:3] for values in seen]))
    for values, candidates in zip(seen, spectra, strict=True):
        rows = np.array(values).reshape(-1, 3)
        rows = np.where(rows > 0, rows, np.nan) / scale
        lights = [on_grid(SPECTRUM_NM, np.array(each)) for each in candidates]
        views.append([Sight(rows, surfaces(), light / (light @ observer()[:, 1])) for light in lights])
    lamps = room_lamps()
    values_seen = [
        scale * np.stack([lamps @ (surfaces() * curve).T for curve in camera.T], axis=2)
        for camera in likely_cameras(views)
    ]
    return Model(
        np.concatenate(values_seen),
        np.tile(lamps @ observer(), (len(values_seen), 1)),
        scale * np.array([view[0].values for view in views]),
        np.array([view[0].spectrum @ observer() for view in views]),
    )


def _distance(z: Floats, moment: Floats) -> Floats:
    return np.asarray((z * np.linalg.solve(moment, z.T).T).sum(axis=1), dtype=np.float64)


def _nearest(z: Floats, target: Floats, variance: Floats) -> NDArray[np.intp]:
    """Which of ``z`` (n, m) look most like ``target`` (m,), measured in its own noise, brightness apart."""
    looks = z * (target.sum() / z.sum(axis=1))[:, None]
    return np.argpartition(((looks - target) ** 2 / variance).sum(axis=1), NEIGHBOURS)[:NEIGHBOURS]


def _errors(found: Floats, true: Floats, slopes: Floats) -> tuple[float, float, float]:
    """In mired, Duv and relative luminance: what 98 in 100 stay below, and a share more for lamps unseen."""
    colour = np.abs((uv_of(found) - uv_of(true)) @ slopes)
    luminance = np.abs(found[:, 1] / true[:, 1] - 1)
    mired, duv, share = UNSEEN * np.quantile(np.column_stack([colour, luminance]), COVERAGE, axis=0)
    return float(mired), float(duv), float(share)


def _slopes(xyz: Floats) -> Floats:
    """How mired and Duv change with u and v, (2, 2), at the white ``xyz``; infinite where there is no CCT."""
    steps = np.vstack([np.zeros(2), UV_STEP * np.eye(2)]) + uv_of(xyz)
    u, v = steps.T
    # Back to XYZ with Y = 1: CIE 1960 UCS is a projective map.
    near = np.column_stack([1.5 * u / v, np.ones(3), (4 - u - 10 * v) / (2 * v)])
    found = whites_of(near)
    told = np.column_stack([1e6 / found[:, 0], found[:, 1]])
    slopes = (told[1:] - told[0]) / UV_STEP
    return np.where(np.isfinite(slopes), slopes, np.inf)
