"""A grey card in a picture: its linear colour, and the proof that it is a card, still, even, and in one light.

Whatever could make a reading wrong raises :class:`Unusable` with the reason: a measurement is refused rather than
guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capture.light_setup import Region

Refusal = Literal["no_card", "clipped", "too_dark", "uneven", "mixed_light", "unsteady", "not_white"]
Floats = NDArray[np.float64]
Pictures = NDArray[np.uint8]
Response = Literal["srgb", "bt709"] | float

INSET = 0.1  # of the card's region, against its own border
BLOCKS = 8  # the card is compared with itself in 8 x 8 blocks
BLOCK_MIN_PX = 2
WITNESS_MIN_PX = 6
CLIPPED_CODE = 254
CLIPPED_SHARE = 0.005
LINEAR_MIN = 0.01  # below, one 8-bit step is more than 3 % of the value
EVEN_SPREAD = 0.15  # (max - min) / mean luminance over the card
TEXTURE_SPREAD = 0.30  # standard deviation / mean inside a block; camera noise stays well below
QUARTER_SPREAD = (
    0.008  # of r = R/(R+G+B), g or b between the card's quarters; two kinds of light differ by 0.05
)
# Of r, g or b from one side of the whole picture to the other, as far as the card shows it; lenses reach 0.02.
PICTURE_SPREAD = 0.04
DRIFT_SIGMAS = 6.0
STEADY_SPREAD = 0.05  # of the luminance between frames
STEADY_TINT = 0.01  # of r, g or b between frames
WITNESS_SPREAD = 0.012  # of r, g or b between the card and another neutral thing
EDGE_STEP = 0.08  # relative luminance, or 1/4 of it in r or b, across the card's border


class Unusable(Exception):
    """The picture cannot carry the measurement."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Card:
    """Linear, unbalanced R, G, B of the card: ``mean`` (3,), of its quarters (4, 3), and of one 8-bit ``step`` (3,).

    ``surround`` is the card's luminance over that of what lies around it.
    """

    mean: Floats
    quarters: Floats
    step: Floats
    surround: float


def find_card(
    pictures: Pictures, region: Region, response: Response, witnesses: tuple[Region, ...] = ()
) -> Card:
    """The card in ``region`` of (n, h, w, 3) pictures of one moment. Raises Unusable."""
    still = _patch(pictures, region, response)
    blocks = _blocks(still, BLOCKS)
    _prove_even(still, blocks)
    _prove_one_light(blocks, region)
    quarters = blocks.reshape(2, BLOCKS // 2, 2, BLOCKS // 2, 3).mean(axis=(1, 3)).reshape(4, 3)
    mean = quarters.mean(axis=0)
    for witness in witnesses:
        other = _patch(pictures, witness, response, WITNESS_MIN_PX).mean(axis=(0, 1))
        if np.abs(shares_of(other) - shares_of(mean)).max() > WITNESS_SPREAD:
            raise Unusable("mixed_light")
    for picture in (pictures[0], pictures[-1]):
        if not _has_border(linear(_around(picture, region)[0], response), _around(picture, region)[1]):
            raise Unusable("no_card")
    return Card(mean, quarters, code_step(mean, response), _surround(pictures[0], region, response))


def code_step(light: Floats, response: Response) -> Floats:
    """How much linear light one 8-bit step is, at ``light``."""
    codes = encode(light, response)
    return linear(np.clip(codes + 0.5, 0, 255), response) - linear(np.clip(codes - 0.5, 0, 255), response)


def linear(codes: NDArray[Any], response: Response) -> Floats:
    """8-bit codes to linear 0..1: IEC 61966-2-1 (sRGB), ITU-R BT.709-6 (1.2), or a power law."""
    table = _to_linear(np.arange(256, dtype=np.float64) / 255, response)
    if codes.dtype == np.uint8:
        return np.asarray(table[codes], dtype=np.float64)
    return _to_linear(np.asarray(codes, dtype=np.float64) / 255, response)


def encode(light: Floats, response: Response) -> Floats:
    """The inverse of :func:`linear`, codes 0..255, not rounded."""
    signal = np.linspace(0, 1, 4097)
    return np.asarray(255 * np.interp(light, _to_linear(signal, response), signal), dtype=np.float64)


def _to_linear(signal: Floats, response: Response) -> Floats:
    if response == "srgb":
        return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    if response == "bt709":
        return np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))
    return np.asarray(signal ** float(response), dtype=np.float64)


def cut(pictures: Pictures, region: Region, inset: float = INSET) -> Pictures:
    """The region of (n, h, w, 3) pictures, without ``inset`` of its size at each border."""
    height, width = pictures.shape[1:3]
    x0, y0, x1, y1 = np.array(region) * (width, height, width, height)
    dx, dy = inset * (x1 - x0), inset * (y1 - y0)
    found: Pictures = pictures[:, round(y0 + dy) : round(y1 - dy), round(x0 + dx) : round(x1 - dx)]
    return found


def _patch(
    pictures: Pictures, region: Region, response: Response, side_px: int = BLOCKS * BLOCK_MIN_PX
) -> Floats:
    """Linear colour (h, w, 3) of the region, averaged over frames that must agree and must not be cut off."""
    codes = cut(pictures, region)
    if min(codes.shape[1:3]) < side_px:
        raise Unusable("no_card")
    if ((codes >= CLIPPED_CODE).mean(axis=(0, 1, 2)) > CLIPPED_SHARE).any():
        raise Unusable("clipped")
    light = linear(codes, response)
    per_frame = light.mean(axis=(1, 2))
    brightness = per_frame.mean(axis=1)
    if brightness.mean() < LINEAR_MIN:
        raise Unusable("too_dark")
    if ((codes == 0).mean(axis=(0, 1, 2)) > CLIPPED_SHARE).any():
        raise Unusable("clipped")
    if np.ptp(brightness) > STEADY_SPREAD * brightness.mean():
        raise Unusable("unsteady")
    if np.ptp(shares_of(per_frame), axis=0).max() > STEADY_TINT:
        raise Unusable("unsteady")
    return np.asarray(light.mean(axis=0), dtype=np.float64)


def shares_of(colours: Floats) -> Floats:
    """r, g and b of linear R, G, B (..., 3)."""
    return np.asarray(colours / np.maximum(colours.sum(axis=-1, keepdims=True), 1e-9), dtype=np.float64)


def _blocks(still: Floats, count: int) -> Floats:
    """Means (count * count, 3) over a grid of blocks, row by row."""
    bands = np.array_split(still, count, axis=0)
    return np.array([b.mean(axis=(0, 1)) for band in bands for b in np.array_split(band, count, axis=1)])


def _prove_even(still: Floats, blocks: Floats) -> None:
    """A card is smooth and evenly lit, all of it. Raises Unusable."""
    brightness = blocks.mean(axis=1)
    texture = [
        block.mean(axis=2).std()
        for band in np.array_split(still, BLOCKS, axis=0)
        for block in np.array_split(band, BLOCKS, axis=1)
    ]
    if np.max(texture / brightness) > TEXTURE_SPREAD:
        raise Unusable("no_card")
    # Sixteenths, because the noise of a small block is a light of its own.
    coarse = brightness.reshape(4, BLOCKS // 4, 4, BLOCKS // 4).mean(axis=(1, 3))
    if np.ptp(coarse) > EVEN_SPREAD * coarse.mean():
        shares = shares_of(blocks.reshape(2, BLOCKS // 2, 2, BLOCKS // 2, 3).mean(axis=(1, 3)))
        raise Unusable("mixed_light" if np.ptp(shares, axis=(0, 1)).max() > QUARTER_SPREAD else "uneven")


def _prove_one_light(blocks: Floats, region: Region) -> None:
    """Two lights of different colour from different sides tint the card from side to side. Raises Unusable.

    A plane is laid through the blocks' shares of R, G and B; where it certainly slopes (against its own residuals),
    and would change the white too much within the card or across the picture, the light is mixed.
    """
    quarters = blocks.reshape(2, BLOCKS // 2, 2, BLOCKS // 2, 3).mean(axis=(1, 3)).reshape(4, 3)
    if np.ptp(shares_of(quarters), axis=0).max() > QUARTER_SPREAD:
        raise Unusable("mixed_light")
    y, x = (axis.ravel() for axis in np.mgrid[-0.5 : 0.5 : BLOCKS * 1j, -0.5 : 0.5 : BLOCKS * 1j])
    design = np.column_stack([np.ones_like(x), x, y])
    shares = shares_of(blocks)
    fit = np.linalg.lstsq(design, shares, rcond=None)[0]
    noise = (shares - design @ fit).std(axis=0, ddof=3) / np.sqrt((x**2).sum())
    for slope, size in ((fit[1], region[2] - region[0]), (fit[2], region[3] - region[1])):
        certain = np.abs(slope) > DRIFT_SIGMAS * noise + 1e-4
        if (certain & (np.abs(slope) / size > PICTURE_SPREAD)).any():
            raise Unusable("mixed_light")


def _around(picture: Pictures, region: Region) -> tuple[Pictures, tuple[int, int, int, int]]:
    """The card with as much around it as it is large, and its place (x0, y0, x1, y1) in there, in pixels."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = (round(v) for v in np.array(region) * (width, height, width, height))
    left, top = max(0, 2 * x0 - x1), max(0, 2 * y0 - y1)
    wide: Pictures = picture[top : 2 * y1 - y0, left : 2 * x1 - x0]
    return wide, (x0 - left, y0 - top, x1 - left, y1 - top)


def _surround(picture: Pictures, region: Region, response: Response) -> float:
    wide, (x0, y0, x1, y1) = _around(picture, region)
    light = linear(wide, response).sum(axis=2)
    outside = np.ones(light.shape, dtype=bool)
    dx, dy = (x1 - x0) // 4, (y1 - y0) // 4
    outside[max(0, y0 - dy) : y1 + dy, max(0, x0 - dx) : x1 + dx] = False
    inside = light[y0 + dy : y1 - dy, x0 + dx : x1 - dx]
    if not outside.any() or inside.size == 0:
        return 1.0
    return float(np.median(inside) / max(float(np.median(light[outside])), 1e-6))


def _has_border(scene: Floats, place: tuple[int, int, int, int]) -> bool:
    """Whether the scene changes abruptly around the region, as it does at the border of a card.

    Looks outwards from just inside the region by its own size. A bare wall or table has no such step; all sides
    that lie in the frame but one (something may touch the card there), and at least two, must show it.
    """
    x0, y0, x1, y1 = place
    tall, wide = y1 - y0, x1 - x0
    sideways = np.swapaxes(scene, 0, 1)
    sides = [
        (scene[max(0, y0 - tall) : y0 + tall // 4, x0:x1][::-1], tall),
        (scene[y1 - tall // 4 : y1 + tall, x0:x1], tall),
        (sideways[max(0, x0 - wide) : x0 + wide // 4, y0:y1][::-1], wide),
        (sideways[x1 - wide // 4 : x1 + wide, y0:y1], wide),
    ]
    found = [_steps(outward, size // 8) for outward, size in sides if len(outward) >= size // 2]
    return sum(found) >= max(2, len(found) - 1)


def _steps(outward: Floats, strip: int) -> bool:
    """Whether (distance, along, 3), averaged in strips, changes abruptly within two of them."""
    along = outward.shape[1]
    count = len(outward) // strip
    middle = outward[: count * strip, along // 5 : along - along // 5]
    strips = middle.reshape(count, -1, 3).mean(axis=1) + 1e-6
    total = strips.sum(axis=1)
    share = strips / total[:, None]
    change = np.abs(total[2:] - total[:-2]) / np.maximum(total[2:], total[:-2])
    tint = np.abs(share[2:] - share[:-2]).max(axis=1)
    return bool((change > EDGE_STEP).any() or (tint > EDGE_STEP / 4).any())
