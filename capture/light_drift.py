"""Light of two colours in one room, seen on what it falls on: a surface whose tint drifts from one side to the other.

One smooth surface (a table, a wall) has one colour. Where neighbouring cells of a picture differ hardly, but a whole
connected area differs from end to end as two kinds of white do, more than one light falls on it. The card alone may
stand where only one of them reaches.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from capture.light_card import CLIPPED_CODE, Floats, Pictures, Response, linear

COLUMNS = 48
SMOOTH_SPREAD = 0.15  # standard deviation / mean of the luminance in a cell
NEIGHBOUR_TINT = 0.015  # of R or B in R + G + B, between neighbouring cells of one surface
NEIGHBOUR_LIGHT = 0.12  # relative luminance
AREA_SHARE = 0.12  # of the picture
# Of R or B in R + G + B: daylight at 6500 K and a lamp at 4000 K differ by 0.09, a lens makes 0.02.
TINT_SPREAD = 0.05
DARK = 0.02
WORK_PX = 960


def is_tint_drifting(picture: Pictures, response: Response) -> bool:
    """Whether a large smooth surface of the picture (h, w, 3) changes its tint from end to end."""
    tints, brightness, smooth = _cells(picture, response)
    seen = ~smooth
    for start in zip(*np.nonzero(smooth), strict=True):
        if not seen[start]:
            area = _surface((int(start[0]), int(start[1])), tints, brightness, seen)
            if len(area) < AREA_SHARE * smooth.size:
                continue
            rows, columns = np.array(area).T
            low, high = np.percentile(tints[rows, columns], [3, 97], axis=0)
            if (high - low).max() > TINT_SPREAD:
                return True
    return False


def _cells(picture: Pictures, response: Response) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Tint (rows, columns, 2), luminance, and whether a cell is smooth, not dark and not cut off."""
    every = max(1, picture.shape[1] // WORK_PX)
    thinned = picture[::every, ::every]
    side = max(2, thinned.shape[1] // COLUMNS)
    rows, columns = thinned.shape[0] // side, thinned.shape[1] // side
    codes = thinned[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
    light = linear(codes, response)
    colour = light.mean(axis=(1, 3))
    brightness = colour.mean(axis=2)
    texture = light.mean(axis=4).std(axis=(1, 3)) / np.maximum(brightness, 1e-6)
    whole = ((codes < CLIPPED_CODE) & (codes > 0)).mean(axis=(1, 3)).min(axis=2) > 0.98
    tints = colour[:, :, [0, 2]] / np.maximum(colour.sum(axis=2, keepdims=True), 1e-6)
    return tints, brightness, (texture < SMOOTH_SPREAD) & (brightness > DARK) & whole


def _surface(
    start: tuple[int, int], tints: Floats, brightness: Floats, seen: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """The cells that hang together with ``start``; marks them in ``seen``."""
    rows, columns = seen.shape
    seen[start] = True
    area, waiting = [start], deque([start])
    while waiting:
        row, column = waiting.popleft()
        for y, x in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if not (0 <= y < rows and 0 <= x < columns) or seen[y, x]:
                continue
            here, there = brightness[row, column], brightness[y, x]
            if abs(here - there) > NEIGHBOUR_LIGHT * max(here, there):
                continue
            if np.abs(tints[row, column] - tints[y, x]).max() > NEIGHBOUR_TINT:
                continue
            seen[y, x] = True
            area.append((y, x))
            waiting.append((y, x))
    return area
