"""A few samples more or fewer in a stretch of sound, so that two clocks agree again, with nothing to be heard."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[Any]  # of whole numbers

_TAPS = 32
_BLOCK = 16_384


def stretched(sound: Sound, length: int) -> Sound:
    """``sound`` (samples, channels) of whole numbers as ``length`` samples, by band-limited interpolation.

    For changes of up to one per cent: a stronger one would need a low-pass first. Kernel: sinc under a squared cosine,
    32 taps (Smith, Physical Audio Signal Processing, "Windowed Sinc Interpolation").
    """
    if length == len(sound) or not len(sound):
        return sound
    limits = np.iinfo(sound.dtype)
    half = _TAPS // 2
    padded = np.pad(sound, ((half, half), (0, 0)), mode="edge").astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _TAPS, axis=0)
    out = np.empty((length, sound.shape[1]), sound.dtype)
    for begin in range(0, length, _BLOCK):
        at = np.arange(begin, min(begin + _BLOCK, length)) * (len(sound) / length)
        whole = np.minimum(at.astype(np.intp), len(sound) - 1)
        heard = np.einsum("nct,nt->nc", windows[whole + 1], _kernels(at - whole))
        out[begin : begin + len(at)] = np.clip(np.round(heard), limits.min, limits.max).astype(sound.dtype)
    return out


def _kernels(fractions: NDArray[Any]) -> NDArray[Any]:
    """(n, taps): the weight of every sample around each place."""
    distance = np.arange(_TAPS)[None, :] - (_TAPS // 2 - 1) - fractions[:, None]
    kernels = np.sinc(distance) * np.square(np.cos(np.pi * distance / (_TAPS + 2)))
    weights: NDArray[Any] = kernels / kernels.sum(axis=1, keepdims=True)
    return weights
