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
    alpha = _mask(x0, x1, middle[0], half[0])[None, :] + _mask(y0, y1, middle[1], half[1])[:, None]
    edge = SOFT_EDGE**4
    alpha = np.clip((edge - alpha) / (edge - 1.0), 0.0, 1.0)
    region[:] = np.rint(region + alpha * (hidden - region)).astype(np.uint8)


def _clip(low: float, high: float, limit: int) -> tuple[int, int]:
    return max(0, int(np.floor(low))), min(limit, int(np.ceil(high)))


def _cells(visible_px: int, half_px: float) -> int:
    return max(1, min(CELLS, int(CELLS * visible_px / (2 * half_px * SOFT_EDGE))))


def _mask(low: int, high: int, middle: float, half: float) -> NDArray[np.float32]:
    return (((np.arange(low, high, dtype=np.float32) + 0.5 - middle) / half) ** 4).astype(np.float32)


def _obscure(region: Picture8, cells: tuple[int, int], style: Style) -> NDArray[np.float32]:
    size = (region.shape[1], region.shape[0])
    if style == "solid":
        return np.full(region.shape, region.mean(), np.float32)
    coarse = cv2.resize(region.astype(np.float32), cells, interpolation=cv2.INTER_AREA)
    if coarse.std() < DIM_CONTRAST:
        return np.full(region.shape, region.mean(), np.float32)
    if style == "mosaic":
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST), np.float32)
    smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    kernel = (_odd(2.0 * size[0] / cells[0]), _odd(2.0 * size[1] / cells[1]))
    return np.asarray(cv2.blur(smooth, kernel, borderType=cv2.BORDER_REPLICATE), np.float32)


def _odd(size: float) -> int:
    return 2 * int(size / 2) + 1
