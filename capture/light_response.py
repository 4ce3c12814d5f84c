"""A camera's response: the curve from linear light to 8-bit codes, found from known ratios of light."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from capture.light_card import Floats, Response, linear
from config.errors import CalibrationRejected

CODES_USED = (12, 250)  # darker: too few steps; lighter: near the end of the scale
GAMMAS = np.round(np.arange(1.0, 3.01, 0.05), 2)
ERROR_MAX = 0.05
SRGB_PREFERRED = 0.005


def find_response(series: Sequence[tuple[Floats, Floats]]) -> tuple[Response, float | None]:
    """The curve that makes known ratios of light come out, and its rms error; (sRGB, None) where nothing is known.

    ``series`` are codes (n,) and the relative light (n,) that gave them, such as a chart's greys or one card at
    several exposures. Raises CalibrationRejected where no usual curve fits.
    """
    used = [
        (codes[keep], light[keep])
        for codes, light in series
        if (keep := (codes >= CODES_USED[0]) & (codes <= CODES_USED[1])).sum() >= 3
    ]
    if not used:
        return "srgb", None
    candidates: list[Response] = ["srgb", "bt709", *(float(gamma) for gamma in GAMMAS)]
    errors = [_error(used, each) for each in candidates]
    errors[0] -= SRGB_PREFERRED  # equally good within the noise: the usual one
    best = int(np.argmin(errors))
    error = errors[best] + (SRGB_PREFERRED if best == 0 else 0.0)
    if error > ERROR_MAX:
        raise CalibrationRejected(flaw="response_unknown", detail=f"{error:.0%}")
    return candidates[best], error


def _error(series: Sequence[tuple[Floats, Floats]], response: Response) -> float:
    parts = []
    for codes, light in series:
        ratio = np.log(linear(codes, response) / light)
        parts.append(ratio - ratio.mean())
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))
