"""A ColorChecker in a picture: its patches.

The reflectances are the averages over 30 charts that BabelColor published (Pascale 2012), from colour-science.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.light_card import CLIPPED_CODE, CLIPPED_SHARE, Floats, Pictures, Response, code_step, cut, linear
from capture.light_setup import Region
from capture.spectrum import GRID_NM, observer
from config.errors import CalibrationRejected

COLUMNS, ROWS = 6, 4
PATCH_INSET = 0.3  # of a patch, against the black lines between them
PATCH_MIN_PX = 16
PATCHES_MIN = 14
NEUTRAL = slice(18, 24)
NEUTRALS_MIN = 3


@dataclass(frozen=True)
class Chart:
    """The 8-bit pixels (n, 3) of each of a chart's 24 patches, row by row; ``whole`` (24, 3): not cut off."""

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
                if pixels.size < 3 * PATCH_MIN_PX:
                    raise CalibrationRejected(flaw="chart_too_small", detail="–")
                found.append(pixels.reshape(-1, 3))
        neutral = [float(patch.mean()) for patch in found[NEUTRAL]]
        if any(a <= b for a, b in pairwise(neutral)):
            raise CalibrationRejected(flaw="no_chart", detail="–")
        whole = np.array([_share_cut_off(patch) <= CLIPPED_SHARE for patch in found])
        complete = np.asarray(whole.all(axis=1))
        if complete.sum() < PATCHES_MIN or complete[NEUTRAL].sum() < NEUTRALS_MIN:
            raise CalibrationRejected(flaw="chart_clipped", detail=f"{complete.sum()} / 24")
        return cls(found, whole)

    def light(self, response: Response) -> Floats:
        """Linear colour (24, 3), nan where it was cut off."""
        return np.where(self.whole, _means(self._linear(response)), np.nan)

    def spread(self, response: Response) -> Floats:
        """Standard uncertainty (24, 3) of :meth:`light`: noise, and an 8-bit step that no noise may have blurred."""
        patches = self._linear(response)
        noise = [patch.std(axis=0) / np.sqrt(len(patch)) for patch in patches]
        return np.asarray(
            np.hypot(noise, code_step(_means(patches), response) / np.sqrt(12)), dtype=np.float64
        )

    def codes(self) -> Floats:
        """Mean 8-bit codes (24, 3)."""
        return _means(self.pixels)

    def _linear(self, response: Response) -> list[Floats]:
        return [linear(patch, response) for patch in self.pixels]


def _means(patches: Sequence[NDArray[Any]]) -> Floats:
    """(24, 3) of pixels (n, 3) each."""
    return np.array([patch.mean(axis=0) for patch in patches])


def _share_cut_off(patch: Pictures) -> Floats:
    """The share of pixels (n, 3) at either end of the scale, in each channel."""
    return np.asarray(((patch >= CLIPPED_CODE) | (patch == 0)).mean(axis=0), dtype=np.float64)


@cache
def reflectances() -> Floats:
    """Spectral reflectances of the ColorChecker's patches on the grid, (24, 471)."""
    import colour

    patches = colour.SDS_COLOURCHECKERS["BabelColor Average"].values()
    return np.array([np.interp(GRID_NM, each.wavelengths, each.values) for each in patches])


@cache
def surfaces() -> Floats:
    """Spectral reflectances of white and of the chart's 24 patches, (25, 471): what a calibration's 75 numbers are of."""
    return np.vstack([np.ones_like(GRID_NM), reflectances()])


def neutral_lightness() -> Floats:
    """Luminous reflectance (6,) of the neutral patches under equal energy, white first."""
    visible = observer()[:, 1]
    return np.asarray(reflectances()[NEUTRAL] @ visible / visible.sum(), dtype=np.float64)
