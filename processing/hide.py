"""A face destroyed in the pixels: a few cells of colour with a soft edge, whatever its size."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from processing.chains import Box
from processing.frames import Picture8

Style = Literal["mosaic", "blur", "solid"]
Planes = tuple[Picture8, Picture8, Picture8]

# No more than this many cells across the whole protected area, which is wider than the face, are left of it.
CELLS = 5
# Cells that differ by less (standard deviation in grey levels) are drawn as one: in a face that sits in the dark
# the rounding to whole grey levels alone would leave as much structure as the face had.
DIM_CONTRAST = 10.0
# The drawn shape is |x|^4 + |y|^4 < 1 around the area's middle; its soft edge reaches this far outside it.
SOFT_EDGE = 1.18
# Pixels per cell while the cells are smoothed into each other.
FINE = 16


def hide(planes: Planes, box: Box, style: Style) -> None:
    """Destroy what is inside ``box`` (pixels of the Y plane) in place, with a soft edge around it."""
    middle_x, middle_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half_w, half_h = max((box[2] - box[0]) / 2, 2.0), max((box[3] - box[1]) / 2, 2.0)
    for plane, scale in zip(planes, (1.0, 0.5, 0.5), strict=True):
        middle = (middle_x * scale, middle_y * scale)
        half = (half_w * scale, half_h * scale)
        _hide_in_plane(plane, middle, half, style)


def _hide_in_plane(
    plane: Picture8, middle: tuple[float, float], half: tuple[float, float], style: Style
) -> None:
    height, width = plane.shape
    x0, x1 = _clip(middle[0] - half[0] * SOFT_EDGE, middle[0] + half[0] * SOFT_EDGE, width)
    y0, y1 = _clip(middle[1] - half[1] * SOFT_EDGE, middle[1] + half[1] * SOFT_EDGE, height)
    if x0 >= x1 or y0 >= y1:
        return
    region = plane[y0:y1, x0:x1]
    # A face cut by the picture's edge has as many cells less as is missing of it.
    cells = (_cells(x1 - x0, half[0]), _cells(y1 - y0, half[1]))
    hidden = _obscure(region, cells, style)
    edge = SOFT_EDGE**4
    across = (edge - _distance(x0, x1, middle[0], half[0])) / (edge - 1.0)
    down = _distance(y0, y1, middle[1], half[1]) / (edge - 1.0)
    alpha = across[None, :] - down[:, None]
    np.clip(alpha, 0.0, 1.0, out=alpha)
    region[:] = cv2.blendLinear(hidden, region, alpha, 1.0 - alpha)


def _clip(low: float, high: float, limit: int) -> tuple[int, int]:
    return max(0, int(np.floor(low))), min(limit, int(np.ceil(high)))


def _cells(visible_px: int, half_px: float) -> int:
    return max(1, min(CELLS, int(CELLS * visible_px / (2 * half_px * SOFT_EDGE))))


def _distance(low: int, high: int, middle: float, half: float) -> NDArray[np.float32]:
    return (((np.arange(low, high, dtype=np.float32) + 0.5 - middle) / half) ** 4).astype(np.float32)


def _obscure(region: Picture8, cells: tuple[int, int], style: Style) -> Picture8:
    size = (region.shape[1], region.shape[0])
    # In two steps, because the mean of many pixels is quick only when every cell has the same number of them.
    quarter = (-(-size[0] // 4), -(-size[1] // 4))
    coarse = cv2.resize(region, quarter, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(coarse, cells, interpolation=cv2.INTER_AREA)
    if style == "solid" or coarse.std() < DIM_CONTRAST:
        return np.full(region.shape, round(float(coarse.mean())), np.uint8)
    if style == "mosaic":
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    # Smoothed while it is small, which costs nothing and looks the same at any size.
    smooth = cv2.resize(coarse, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_LINEAR)
    smooth = cv2.blur(smooth, (2 * FINE + 1, 2 * FINE + 1), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR), np.uint8)
