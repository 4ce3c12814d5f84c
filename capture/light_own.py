"""The lamp that the reference meter stood under, known again by its tint and measured by comparison.

Two lights of one spectrum are compared rightly by whatever compares them: there is no spectral mismatch to correct
(ISO/CIE 19476:2014). So under a calibration's own lamp a camera, however unlike the eye, knows illuminance and CCT as well as
the meter did; its model, which has to serve under every lamp, does not. Three channels cannot prove that a lamp is the
same; but a room's lamp is seldom changed, and hardly one in a hundred of others has its tint. A little further off the
comparison gives way to the model by degrees, for a lamp that is dimmed or grows old shifts a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capture.light_card import Card, Floats
from capture.light_setup import OwnLight
from capture.spectrum import whites_of

# How far a tint, as the camera's matrix sees it, may lie from the lamp's: 30 K at 4500 K, and half of what the eye sees
# side by side. Of lamps of every kind 0.2 to 0.6 in a hundred lie as near for a camera that was calibrated on a chart, up to 1.6
# for one (Nikon 5100) by the card alone. The comparison ends at so many times that.
SAME_MIRED, SAME_DUV, OTHER = 1.5, 0.001, 2.0
# Rms of the logarithms of a chart's patches over the card, beside noise: 0.004 under the same lamp.
SAME_PATCHES = 0.006
# Expanded: what lens, lock and card change from the calibration on, relative; the same of the colour, in mired.
HOLDS_LUX, HOLDS_MIRED = 0.02, 1.5
# How wrong the camera's matrix may be about a small shift of the tint.
SHIFT_SHARE = 0.3


@dataclass(frozen=True)
class Comparison:
    """``share``: how much it counts against the model, 0..1. ``luminance`` in the calibration's unit.

    Uncertainties are expanded (k = 2): relative for luminance.
    """

    share: float
    luminance: float
    luminance_uncertainty: float
    cct_k: float
    duv: float
    cct_uncertainty_k: float
    duv_uncertainty: float


def compare(
    card: Card, own: Sequence[OwnLight], matrix: Floats, patches_apart: Sequence[float] = ()
) -> Comparison | None:
    """With the most alike of ``own``; None where none is. ``matrix`` (3, 3): linear R, G, B to XYZ, roughly.

    ``patches_apart``, of each of ``own``: where a chart is in view, what :func:`patches_apart_of` tells.
    """
    apart = patches_apart or [0.0] * len(own)
    found = [_compared(card, lamp, matrix, least) for lamp, least in zip(own, apart, strict=True)]
    return max(
        (each for each in found if each is not None), key=lambda comparison: comparison.share, default=None
    )


def patches_apart_of(values: Floats, noise: Floats, seen: Floats) -> float:
    """How unlike a chart (25, 3), the card first, is to what was ``seen`` under a lamp: 1 where it may still be the same.

    ``noise`` (24, 3): of the patches, relative. Lamps of one white differ on colours: by 0.02 and more where a camera's white
    would be 300 K wrong. nan: unusable.
    """
    ratio = np.log(values / seen)
    ratio = (ratio - ratio[0])[1:]
    usable = np.isfinite(ratio)
    if not usable.any():
        return 0.0
    allowed = np.hypot(SAME_PATCHES, noise[usable])
    return float(np.sqrt(np.mean((ratio[usable] / allowed) ** 2)))


def _compared(card: Card, lamp: OwnLight, matrix: Floats, least_apart: float) -> Comparison | None:
    seen = np.vstack([lamp.card, card.mean, card.mean + np.diag(card.step / np.sqrt(12)), card.quarters])
    found = whites_of(seen @ matrix.T)
    if not np.isfinite(found).all():
        return None
    mired, duv = 1e6 / found[:, 0], found[:, 1]
    shift, turn = float(mired[1] - mired[0]), float(duv[1] - duv[0])
    apart = max(abs(shift) / SAME_MIRED, abs(turn) / SAME_DUV, least_apart)
    share = float(np.clip((OTHER - apart) / (OTHER - 1), 0.0, 1.0))
    if not share:
        return None
    luminance, noise = _luminance(card, np.array(lamp.card), matrix[1])
    cct_k = 1e6 / (1e6 / lamp.cct_k + shift)
    off = [lamp.cct_uncertainty_k * 1e6 / lamp.cct_k**2, HOLDS_MIRED, SHIFT_SHARE * shift, *_noise(mired)]
    return Comparison(
        share,
        luminance,
        float(np.linalg.norm([lamp.lux_uncertainty, HOLDS_LUX, noise])),
        cct_k,
        lamp.duv + turn,
        float(np.linalg.norm(off)) * cct_k**2 / 1e6,
        float(np.linalg.norm([lamp.duv_uncertainty, SHIFT_SHARE * turn, *_noise(duv)])),
    )


def _luminance(card: Card, one: Floats, row: Floats) -> tuple[float, float]:
    """Of the card, where ``one`` is its colour at a luminance of 1, and the expanded noise of that, relative."""
    quarters = card.quarters @ row / (one @ row)
    value = float(quarters.mean())
    stepped = float(card.step @ np.abs(row / (one @ row))) / np.sqrt(12)
    return value, 2 * float(np.hypot(quarters.std(ddof=1) / 2, stepped)) / value


def _noise(found: Floats) -> tuple[float, float]:
    """Expanded: of the steps of 8 bits, and between the card's quarters."""
    return 2 * float(np.linalg.norm(found[2:5] - found[1])), float(found[5:].std(ddof=1))
