"""Many channels of one file as one: every microphone in it is heard, whatever way round it was wired."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[Any]

_SOUNDS = 1e-8  # mean square, -80 dBFS
_OPPOSED = -0.5  # correlation with the first channel that sounds


class Downmix:
    """Adds channels up at the level of one; remembers what it has heard of each, for sound comes in blocks.

    A surround layout's fixed weights would drop the microphone that lies where a subwoofer's channel is, and two
    wires soldered the wrong way round would cancel out. Channels that never sounded do not count.
    """

    def __init__(self, channels: int) -> None:
        self._products = np.zeros((channels, channels))
        self._sounding = np.zeros(channels, bool)

    def __call__(self, planes: Planes) -> NDArray[np.int16]:
        """int16 (samples,) of floats (channels, samples) in -1..1."""
        if planes.shape[1]:
            self._products += planes @ planes.T
            self._sounding |= np.square(planes).mean(axis=1) > _SOUNDS
        mixed = self._signs() @ planes / max(1, int(self._sounding.sum()))
        return np.clip(np.round(mixed * 32768), -32768, 32767).astype(np.int16)

    def _signs(self) -> NDArray[np.float32]:
        signs = np.ones(len(self._sounding), np.float32)
        if self._sounding.any():
            first = int(self._sounding.argmax())
            powers = np.diag(self._products)
            alike = self._products[first] / (np.sqrt(powers[first] * powers) + 1e-12)
            signs[alike < _OPPOSED] = -1.0
        return signs
