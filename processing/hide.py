"""A face, or a region somebody drew, destroyed in the pixels: a few cells of colour, whatever its size."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from processing.frames import Picture8
from processing.geometry import Box
from processing.overrides import Polygon

Style = Literal["mosaic", "blur", "solid"]
Planes = tuple[Picture8, Picture8, Picture8]

# No more than this many cells across the whole protected area, which is wider than the face, are left of it.
CELLS = 5
# Cells that differ by less (standard deviation in grey levels) are drawn as one: in a face that sits in the dark
# the rounding to whole grey levels alone would leave as much structure as the face had.
DIM_CONTRAST = 10.0
# The drawn shape is |x|^4 + |y|^4 < 1 around the area's middle; its soft edge reaches this far outside it.
SOFT_EDGE = 1.08
# Nothing within this share of the way to each side is at the edge: the shape's corners lie beyond it.
SOLID_SHARE = 0.5**0.25
# Covers come in sizes this many to a doubling at least. Those used last are remembered: to make the cover of a face that
# fills half a 720p picture anew for every frame took longer than everything else of the rendering.
STEPS, REMEMBERED_BYTES = 32, 48 * 2**20
# Pixels per cell while the cells are smoothed into each other.
FINE = 16
# A region is hidden whole, corners included: its soft edge lies outside it and is this share of its shorter side wide.
EDGE_SHARE, EDGE_MIN_PX, EDGE_MAX_PX = 0.05, 2.0, 16.0
# Every pixel that the outline touches is this near (measured between middles) to one that counts as inside.
TOUCHED_PX = 1.5
_FRACTION_BITS = 4  # of OpenCV's coordinates


def hide(planes: Planes, box: Box, style: Style) -> None:
    """Destroy what is inside ``box`` (pixels of the Y plane) in place, with a soft edge around it."""
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    size = (_stepped(box[2] - box[0]), _stepped(box[3] - box[1]))
    for some, scale in ((planes[:1], 1), (planes[1:], 2)):
        height, width = some[0].shape
        cover = _rounded(middle, size, scale, (height, width))
        if cover is not None:
            for plane in some:
                _draw(plane, cover, style)


def _stepped(side_px: float) -> int:
    """The side, enlarged to one of few lengths (by 3 % in the mean), so that a face's cover can be drawn again."""
    # Where the cover comes to lie is rounded to whole pixels of the chroma planes.
    side_px = max(side_px, 4.0) + 2.0
    step = 1 << max(1, int(math.log2(max(1.0, side_px / STEPS))))
    return math.ceil(side_px / step) * step


@dataclass(frozen=True)
class _Cover:
    """Which part of a plane is touched, how opaque (0 to 1) what hides it is there, and 1 less that.

    ``solid``: rows and columns of that part in which it is wholly opaque; most of it, and quicker drawn.
    """

    rows: slice
    columns: slice
    cells: tuple[int, int]
    alpha: NDArray[np.float32]
    clear: NDArray[np.float32]
    solid: tuple[slice, slice] = (slice(0, 0), slice(0, 0))


def _rounded(
    middle: tuple[float, float], size: tuple[int, int], scale: int, shape: tuple[int, int]
) -> _Cover | None:
    (wide, high), (half_w, half_h) = size, (size[0] * SOFT_EDGE / 2, size[1] * SOFT_EDGE / 2)
    left, top = round((middle[0] - half_w) / 2) * 2 // scale, round((middle[1] - half_h) / 2) * 2 // scale
    alpha, clear = _remembered.opaque(wide // scale, high // scale)
    x0, x1 = max(0, left), min(shape[1], left + alpha.shape[1])
    y0, y1 = max(0, top), min(shape[0], top + alpha.shape[0])
    if x0 >= x1 or y0 >= y1:
        return None
    # A face cut by the picture's edge has as many cells less as is missing of it.
    cells = (_cells(x1 - x0, half_w / scale), _cells(y1 - y0, half_h / scale))
    seen = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    solid = (_solid(alpha.shape[0], seen[0]), _solid(alpha.shape[1], seen[1]))
    return _Cover(slice(y0, y1), slice(x0, x1), cells, alpha[seen], clear[seen], solid)


def _solid(reach_px: int, seen: slice) -> slice:
    """Where a cover that reaches so far is wholly opaque, counted from the first of its pixels that are ``seen``."""
    soft_px = math.ceil(reach_px * (1 - SOLID_SHARE / SOFT_EDGE) / 2) + 1
    first = max(soft_px - seen.start, 0)
    return slice(first, max(first, min(reach_px - soft_px, seen.stop) - seen.start))


_Opacity = tuple[NDArray[np.float32], NDArray[np.float32]]


class _Remembered:
    """The covers that were used last, no more than fit into so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._left_bytes = most_bytes
        self._covers: OrderedDict[tuple[int, int], _Opacity] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def opaque(self, width: int, height: int) -> _Opacity:
        cover = self._covers.get((width, height)) or _opaque(width, height)
        with self._one_at_a_time:
            if (width, height) not in self._covers:
                self._covers[width, height] = cover
                self._left_bytes -= _bytes(cover)
            self._covers.move_to_end((width, height))
            while self._left_bytes < 0:
                _, oldest = self._covers.popitem(last=False)
                self._left_bytes += _bytes(oldest)
            return cover


_remembered = _Remembered(REMEMBERED_BYTES)


def _bytes(cover: _Opacity) -> int:
    return cover[0].nbytes + cover[1].nbytes


def _opaque(width: int, height: int) -> _Opacity:
    """How opaque a cover of this size and its soft edge are, and 1 less that."""
    edge = SOFT_EDGE**4
    across = (edge - _distances(width)) / (edge - 1.0)
    alpha = np.clip(across[None, :] - _distances(height)[:, None] / (edge - 1.0), 0.0, 1.0, dtype=np.float32)
    return alpha, 1.0 - alpha


def _distances(side_px: int) -> NDArray[np.float32]:
    """Fourth powers of the distance from the middle in halves of ``side_px``, as far as the soft edge reaches."""
    reach = math.ceil(side_px * SOFT_EDGE)
    return (((2 * np.arange(reach) + 1 - side_px * SOFT_EDGE) / side_px) ** 4).astype(np.float32)


def hide_polygon(planes: Planes, corners: Polygon, style: Style) -> bool:
    """Destroy everything inside a polygon (pixels of the Y plane) in place, with a soft edge outside it.

    An outline that crosses itself encloses whatever it goes around. Returns whether any of it is in the picture.
    """
    visible = False
    for some, scale in ((planes[:1], 1.0), (planes[1:], 0.5)):
        height, width = some[0].shape
        cover = _outlined(corners, scale, (height, width))
        if cover is None:
            continue
        for plane in some:
            _draw(plane, cover, style)
        visible = True
    return visible


# A paper rests on the desk for an hour: its cover is made once. A 1080p picture's takes up to 16 MB.
@lru_cache(maxsize=8)
def _outlined(corners: Polygon, scale: float, shape: tuple[int, int]) -> _Cover | None:
    outline = np.asarray(corners, np.float64)
    edge_px = scale * np.clip(EDGE_SHARE * np.ptp(outline, axis=0).min(), EDGE_MIN_PX, EDGE_MAX_PX)
    outline, margin = outline * scale, edge_px + TOUCHED_PX
    (low_x, low_y), (high_x, high_y) = outline.min(axis=0) - margin, outline.max(axis=0) + margin
    x0, x1 = _clip(low_x, high_x, shape[1])
    y0, y1 = _clip(low_y, high_y, shape[0])
    if x0 >= x1 or y0 >= y1:
        return None
    inside = _inside(outline - (x0, y0), (y1 - y0, x1 - x0))
    if not inside.any():
        return None
    away_px = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    alpha = np.clip(1.0 - (away_px - TOUCHED_PX) / np.float32(edge_px), 0.0, 1.0)
    cells = (_cells(x1 - x0, (high_x - low_x) / 2), _cells(y1 - y0, (high_y - low_y) / 2))
    return _Cover(slice(y0, y1), slice(x0, x1), cells, alpha, 1.0 - alpha)


def _inside(outline: NDArray[np.float64], shape: tuple[int, int]) -> Picture8:
    """1 where the outline goes around the pixel's middle (winding number, not parity: no holes) or passes it."""
    height, width = shape
    rows = np.arange(height) + 0.5
    turns = np.zeros((height, width + 1), np.int8)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        crossed = np.flatnonzero((ay <= rows) != (by <= rows))
        x = ax + (rows[crossed] - ay) / (by - ay or 1.0) * (bx - ax)
        turns[crossed, np.clip(np.ceil(x - 0.5), 0, width).astype(int)] += 1 if by > ay else -1
    around = np.cumsum(turns, axis=1, dtype=np.int8)[:, :width] != 0
    inside: Picture8 = np.ascontiguousarray(around, np.uint8)
    nodes = np.rint((outline - 0.5) * 2**_FRACTION_BITS).astype(np.int32)
    cv2.polylines(inside, [nodes], True, 1, shift=_FRACTION_BITS)
    return inside


def _clip(low: float, high: float, limit: int) -> tuple[int, int]:
    return max(0, int(np.floor(low))), min(limit, int(np.ceil(high)))


def _cells(visible_px: int, half_px: float) -> int:
    return max(1, min(CELLS, int(CELLS * visible_px / (2 * half_px))))


def _draw(plane: Picture8, cover: _Cover, style: Style) -> None:
    """Cover part of ``plane`` in place, where ``alpha`` is 1 wholly."""
    region = plane[cover.rows, cover.columns]
    hidden, (rows, columns) = _obscure(region, cover.cells, style), cover.solid
    region[cover.solid] = hidden[cover.solid]
    across = slice(None)
    for soft in (
        (slice(0, rows.start), across),
        (slice(rows.stop, None), across),
        (rows, slice(0, columns.start)),
        (rows, slice(columns.stop, None)),
    ):
        if region[soft].size:
            cv2.blendLinear(
                hidden[soft], region[soft], cover.alpha[soft], cover.clear[soft], dst=region[soft]
            )


def _obscure(region: Picture8, cells: tuple[int, int], style: Style) -> Picture8:
    size = (region.shape[1], region.shape[0])
    coarse = cv2.resize(_quartered(region), cells, interpolation=cv2.INTER_AREA)
    if style == "solid" or cv2.meanStdDev(coarse)[1].item() < DIM_CONTRAST:
        return np.full(region.shape, round(float(coarse.mean())), np.uint8)
    if style == "mosaic":
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    # Smoothed while it is small, which costs nothing and looks the same at any size.
    smooth = cv2.resize(coarse, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_LINEAR)
    smooth = cv2.blur(smooth, (2 * FINE + 1, 2 * FINE + 1), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _quartered(region: Picture8) -> Picture8:
    """The means of 4x4 pixels each, which is quick because they are whole; up to three rows and columns count for nothing."""
    rows, columns = region.shape[0] // 4, region.shape[1] // 4
    if not rows or not columns:
        return region
    whole = region[: 4 * rows, : 4 * columns]
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
