"""The first light check: a grey card in the scene, seen by a calibrated camera; or a lux sensor beside it.

Luminance of the card  L = k*p*N^2/(t*ISO)  (k from calibration, p linear pixel 0..1, N f-number, t exposure);
illuminance of a matt card of reflectance rho  E = pi*L/rho  (Lambert). Correlated colour temperature and Duv after
Ohno, "Practical Use and Calculation of CCT and Duv", LEUKOS 10 (2014), by colour-science.

A verdict is guard-banded by the whole expanded uncertainty (JCGM 106:2012, 8.3.2): *pass* only when value and
uncertainty lie inside the limits, *fail* only when they lie outside, *indeterminate* for everything between and for
every picture that cannot carry the measurement. A camera cannot measure colour rendering at all: CRI comes from the
lamp's certificate or stays indeterminate.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capture.frames import Frames, read_image
from capture.rig import Light
from config.settings import CaptureSettings

Verdict = Literal["pass", "indeterminate", "fail"]
Source = Literal["camera", "sensor", "certificate", "none"]
# Why a reading got its verdict; the words are in the message catalogue under light.reason.<code>.
Reason = Literal[
    "in_limits", "near_limit", "too_dim", "too_bright", "too_warm", "too_cool", "poor_rendering",
    "needs_certificate", "not_measured", "uncalibrated", "no_card", "clipped", "too_dark", "uneven",
    "mixed_light", "unsteady", "not_white",
]  # fmt: skip
Floats = NDArray[np.float64]

CRI_MIN = 90.0  # the programme's requirement for a consulting room
DUV_MAX = 0.02  # beyond this a colour is not a shade of white and its CCT says nothing
CARD_INSET = 0.1  # of the card's region, against its own border
BLOCKS = 4  # the card is compared with itself in 4 x 4 blocks
CLIPPED_SHARE = 0.005
LINEAR_MIN = 0.01  # below, one 8-bit step is more than 3 % of the value
EVEN_SPREAD = 0.15  # (max - min) / mean luminance over the card
TEXTURE_SPREAD = 0.30  # standard deviation / mean inside a block; camera noise stays well below
COLOUR_SPREAD = (
    0.008  # of r = R/(R+G+B), g or b between the card's quarters; two kinds of light differ by 0.05
)
STEADY_SPREAD = 0.05  # between frames
EDGE_STEP = 0.08  # relative luminance, or 1/4 of it in r or b, across the card's border


@dataclass(frozen=True)
class Reading:
    """One judged quantity. ``uncertainty`` is expanded (k = 2), in the unit of ``value``."""

    verdict: Verdict
    reason: Reason
    source: Source
    unit: str
    value: float | None = None
    uncertainty: float | None = None


@dataclass(frozen=True)
class LightCheck:
    """Illuminance, CCT and CRI, each judged; ``duv`` (CIE 1960 uv, after Ohno) is told, not judged."""

    illuminance: Reading
    cct: Reading
    cri: Reading
    duv: float | None
    checked_at: str
    limits: dict[str, float]

    @property
    def verdict(self) -> Verdict:
        """The worst of the three."""
        given = {self.illuminance.verdict, self.cct.verdict, self.cri.verdict}
        if "fail" in given:
            return "fail"
        return "indeterminate" if "indeterminate" in given else "pass"

    def to_dict(self) -> dict[str, Any]:
        return {"verdict": self.verdict} | asdict(self)


class _Unusable(Exception):
    """The picture cannot carry the measurement."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def check_light(frames: Frames | Path | None, light: Light, limits: CaptureSettings) -> LightCheck:
    """Judge the light of a room.

    ``frames``: one RGB picture (h, w, 3) or several (n, h, w, 3), uint8; or an image file; or None when there is
    only a sensor. Whatever is missing or unusable makes a reading indeterminate with its reason, never a pass.
    Raises DeviceFailed when an image file cannot be read.
    """
    pictures = read_image(frames) if isinstance(frames, Path) else frames
    lux_low, lux_high = (limits.lux_target * (1 + sign * limits.lux_tolerance) for sign in (-1, 1))
    lux, cct, duv = _camera_readings(
        pictures, light, (lux_low, lux_high), (limits.cct_min_k, limits.cct_max_k)
    )
    if light.lux is not None:
        spread = light.lux * light.lux_uncertainty
        verdict, reason = _judge(light.lux, spread, lux_low, lux_high, ("too_dim", "too_bright"))
        lux = Reading(verdict, reason, "sensor", "lx", light.lux, spread)
    return LightCheck(
        illuminance=lux,
        cct=cct,
        cri=_cri(light),
        duv=duv,
        checked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        limits={
            "lux_low": lux_low,
            "lux_high": lux_high,
            "cct_min_k": limits.cct_min_k,
            "cct_max_k": limits.cct_max_k,
            "cri_min": CRI_MIN,
        },
    )


def _judge(
    value: float, uncertainty: float, low: float, high: float, words: tuple[Reason, Reason]
) -> tuple[Verdict, Reason]:
    if low <= value - uncertainty and value + uncertainty <= high:
        return "pass", "in_limits"
    if value + uncertainty < low:
        return "fail", words[0]
    if value - uncertainty > high:
        return "fail", words[1]
    return "indeterminate", "near_limit"


def _cri(light: Light) -> Reading:
    if light.cri is None:
        return Reading("indeterminate", "needs_certificate", "none", "Ra")
    verdict, reason = _judge(
        light.cri, light.cri_uncertainty, CRI_MIN, np.inf, ("poor_rendering", "in_limits")
    )
    return Reading(verdict, reason, "certificate", "Ra", light.cri, light.cri_uncertainty)


def _camera_readings(
    pictures: Frames | None, light: Light, lux_limits: tuple[float, float], cct_limits: tuple[float, float]
) -> tuple[Reading, Reading, float | None]:
    def neither(reason: Reason) -> tuple[Reading, Reading, None]:
        source: Source = "none" if reason == "not_measured" else "camera"
        return (
            Reading("indeterminate", reason, source, "lx"),
            Reading("indeterminate", reason, source, "K"),
            None,
        )

    if pictures is None:
        return neither("not_measured")
    if light.calibration is None:
        return neither("uncalibrated")
    if light.card is None:
        return neither("no_card")
    try:
        card = _Card.of(pictures if pictures.ndim == 4 else pictures[None], light)
        lux, lux_spread = card.lux(light)
        cct_k, duv, cct_spread_k = card.cct(light)
    except _Unusable as error:
        return neither(error.reason)
    lux_judged = _judge(lux, lux_spread, *lux_limits, ("too_dim", "too_bright"))
    if abs(duv) > DUV_MAX:
        cct = Reading("indeterminate", "not_white", "camera", "K")
    else:
        cct_judged = _judge(cct_k, cct_spread_k, *cct_limits, ("too_warm", "too_cool"))
        cct = Reading(*cct_judged, "camera", "K", cct_k, cct_spread_k)
    return Reading(*lux_judged, "camera", "lx", lux, lux_spread), cct, duv


@dataclass(frozen=True)
class _Card:
    """The card's linear colour: blocks (16, 3) of linear R, G, B, and the size of one 8-bit step in each channel."""

    blocks: Floats
    step: Floats

    @classmethod
    def of(cls, pictures: Frames, light: Light) -> _Card:
        """Cut the card out of (n, h, w, 3) pictures and prove it is usable. Raises _Unusable."""
        assert light.calibration is not None and light.card is not None
        height, width = pictures.shape[1:3]
        x0, y0, x1, y1 = np.array(light.card) * (width, height, width, height)
        dx, dy = CARD_INSET * (x1 - x0), CARD_INSET * (y1 - y0)
        rows, columns = slice(round(y0 + dy), round(y1 - dy)), slice(round(x0 + dx), round(x1 - dx))
        codes = pictures[:, rows, columns]
        if min(codes.shape[1:3]) < 2 * BLOCKS:
            raise _Unusable("no_card")
        if ((codes >= 254).mean(axis=(0, 1, 2)) > CLIPPED_SHARE).any():
            raise _Unusable("clipped")
        linear = _linear(codes, light.calibration.response, light.calibration.balance)
        per_frame = linear.mean(axis=(1, 2, 3))
        if per_frame.mean() < LINEAR_MIN:
            raise _Unusable("too_dark")
        if ((codes == 0).mean(axis=(0, 1, 2)) > CLIPPED_SHARE).any():
            raise _Unusable("clipped")
        if np.ptp(per_frame) > STEADY_SPREAD * per_frame.mean():
            raise _Unusable("unsteady")
        still = linear.mean(axis=0)
        blocks = _block_means(still)
        _prove_even(still, blocks)
        scene = _linear(pictures[0], light.calibration.response, light.calibration.balance)
        if not _has_border(scene, (round(x0), round(y0), round(x1), round(y1))):
            raise _Unusable("no_card")
        mean_code = codes.mean(axis=(0, 1, 2), keepdims=True)
        edge = [
            _linear(np.clip(mean_code + shift, 0, 255), light.calibration.response, light.calibration.balance)
            for shift in (-0.5, 0.5)
        ]
        return cls(blocks, (edge[1] - edge[0]).reshape(3))

    def lux(self, light: Light) -> tuple[float, float]:
        """Illuminance and its expanded uncertainty, lx: calibration, unevenness and quantisation in quadrature."""
        setup = light.calibration
        assert setup is not None
        luminance = self.blocks @ _rgb_to_xyz()[1]
        pixel = float(luminance.mean())
        candela_m2 = setup.k * pixel * setup.f_number**2 / (setup.exposure_s * setup.iso)
        value = np.pi * candela_m2 / light.reflectance
        spread = 2 * luminance.std(ddof=1) / BLOCKS / pixel
        quantised = 2 * float(self.step @ _rgb_to_xyz()[1]) / np.sqrt(12) / pixel
        return float(value), float(value * np.hypot(setup.lux_uncertainty, np.hypot(spread, quantised)))

    def cct(self, light: Light) -> tuple[float, float, float]:
        """CCT in K, Duv, and the expanded uncertainty of the CCT in K."""
        from colour.temperature import XYZ_to_CCT_Ohno2013

        assert light.calibration is not None
        mean = self.blocks.mean(axis=0)
        shifted = mean + np.diag(self.step / np.sqrt(12))
        found = XYZ_to_CCT_Ohno2013(np.vstack([mean, shifted, self.blocks]) @ _rgb_to_xyz().T)
        cct_k, duv = found[0]
        quantised = 2 * np.linalg.norm(found[1:4, 0] - cct_k)
        spread = 2 * found[4:, 0].std(ddof=1) / BLOCKS
        total = np.linalg.norm([light.calibration.cct_uncertainty_k, quantised, spread])
        if not np.isfinite([cct_k, duv, total]).all():
            raise _Unusable("not_white")
        return float(cct_k), float(duv), float(total)


def _linear(codes: NDArray[Any], response: str | float, balance: tuple[float, float, float]) -> Floats:
    """8-bit codes to linear 0..1 (IEC 61966-2-1 or a power law), white-balanced."""
    signal = np.asarray(codes, dtype=np.float64) / 255
    if isinstance(response, str):
        linear = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    else:
        linear = signal**response
    return np.asarray(linear * np.array(balance), dtype=np.float64)


def _rgb_to_xyz() -> Floats:
    """Linear sRGB to CIE XYZ (IEC 61966-2-1), Y of white = 1."""
    return np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], dtype=np.float64
    )


def _block_means(still: Floats) -> Floats:
    return np.array(
        [
            block.mean(axis=(0, 1))
            for band in np.array_split(still, BLOCKS, axis=0)
            for block in np.array_split(band, BLOCKS, axis=1)
        ]
    )


def _prove_even(still: Floats, blocks: Floats) -> None:
    """A card is smooth, evenly lit and of one colour. Raises _Unusable."""
    light = blocks.mean(axis=1)
    texture = [
        block.mean(axis=2).std()
        for band in np.array_split(still, BLOCKS, axis=0)
        for block in np.array_split(band, BLOCKS, axis=1)
    ]
    if np.max(texture / light) > TEXTURE_SPREAD:
        raise _Unusable("no_card")
    # Quarters, because the noise of a small block is a colour of its own.
    quarters = blocks.reshape(2, BLOCKS // 2, 2, BLOCKS // 2, 3).mean(axis=(1, 3)).reshape(4, 3)
    share = quarters / quarters.sum(axis=1, keepdims=True)
    if np.ptp(share, axis=0).max() > COLOUR_SPREAD:
        raise _Unusable("mixed_light")
    if np.ptp(light) > EVEN_SPREAD * light.mean():
        raise _Unusable("uneven")


def _has_border(scene: Floats, region: tuple[int, int, int, int]) -> bool:
    """Whether the scene changes abruptly around the region, as it does at the border of a card.

    Looks outwards from just inside the region by its own size. A bare wall or table has no such step; all sides
    that lie in the frame but one (something may touch the card there), and at least two, must show it.
    """
    x0, y0, x1, y1 = region
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
