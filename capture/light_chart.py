"""A ColorChecker in a picture: its patches, and what a light makes of them.

The reflectances are the averages over 30 charts that BabelColor published (Pascale 2012), from colour-science.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from capture.light_card import CLIPPED_CODE, CLIPPED_SHARE, Floats, Pictures, Response, cut, linear
from capture.light_reference import Meter, spectra_of
from capture.light_setup import Region
from capture.spectrum import GRID_NM, observer
from config.errors import CalibrationRejected

COLUMNS, ROWS = 6, 4
PATCH_INSET = 0.3  # of a patch, against the black lines between them
PATCHES_MIN = 14
NEUTRAL = slice(18, 24)
CARD_WEIGHT = 30.0  # of the white against one patch, so that it is kept
# A line or LED spectrum is believed where it explains the chart this much better than a smooth one.
SMOOTH = ("black body", "daylight")
SMOOTH_PREFERRED = 0.5


@dataclass(frozen=True)
class Chart:
    """The 8-bit pixels (n, 3) of each of a chart's 24 patches, row by row; ``whole`` (24,): not cut off."""

    pixels: list[Pictures]
    whole: NDArray[np.bool_]

    @classmethod
    def of(cls, pictures: Pictures, region: Region) -> Chart:
        """The upright chart in ``region`` of (n, h, w, 3). Raises CalibrationRejected."""
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
                pixels = cut(pictures, place, PATCH_INSET)
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
        """Mean 8-bit codes (24, 3)."""
        return np.array([patch.mean(axis=0) for patch in self.pixels])


def _share_cut_off(patch: Pictures) -> float:
    """The share of pixels (n, 3) at either end of the scale, in the worst channel."""
    return float(((patch >= CLIPPED_CODE) | (patch == 0)).mean(axis=0).max())


def explain(meter: Meter, patches: Floats, whole: NDArray[np.bool_]) -> tuple[str | None, Floats, Floats]:
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
    for name, spectrum in spectra_of(meter).items():
        colours = (reflectances * spectrum) @ observer() / (spectrum @ observer())
        x = np.vstack([colours, np.ones(3)])
        matrix = np.linalg.lstsq(p * weights, x * weights, rcond=None)[0].T
        error = chart_error(p, x, weights, matrix) * (SMOOTH_PREFERRED if name in SMOOTH else 1.0)
        if best is None or error < best[0]:
            best = error, name, colours
    if best is None:
        raise CalibrationRejected(flaw="no_such_lamp", detail=f"{meter.lamp}, {meter.cct_k:.0f} K")
    return (None if meter.is_known else best[1]), pixels, best[2]


def chart_error(p: Floats, x: Floats, w: Floats, matrix: Floats) -> float:
    """Root mean square of the luminance and colour error of the patches, relative to white."""
    chart = w[:, 0] < CARD_WEIGHT
    return float(np.sqrt(np.mean((p @ matrix.T - x)[chart] ** 2))) / float(np.sqrt(np.mean(x[chart] ** 2)))


def _reflectances() -> Floats:
    """Spectral reflectances of the ColorChecker's patches on the grid, (24, 471)."""
    import colour

    patches = colour.SDS_COLOURCHECKERS["BabelColor Average"].values()
    return np.array([np.interp(GRID_NM, each.wavelengths, each.values) for each in patches])


def neutral_lightness() -> Floats:
    """Luminous reflectance (6,) of the neutral patches, white first."""
    return _lightness(_reflectances()[NEUTRAL])


def _lightness(reflectances: Floats) -> Floats:
    """Luminous reflectance (n,) under equal energy."""
    visible = observer()[:, 1]
    return np.asarray(reflectances @ visible / visible.sum(), dtype=np.float64)
