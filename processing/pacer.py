"""Which frames of a video are examined: more where the picture changes, and whatever a cut or a sudden change begins."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from processing.frames import Picture, Picture8

# A calm picture is examined this often; a change adds up until it forces a look, in grey levels of the most
# changed of 8x5 blocks: talking heads change by 2-10 a frame, walking by 15-40.
CALM_LOOK_S = 0.2
RESTLESS_SUM = 30.0
# Mean change between frames over mean brightness: cuts of the test clips 0.54-0.74, fastest motion 0.31.
CUT_CHANGE = 0.35
# A small face that is there for three frames hardly changes a block of 8x5, but where it appears one of 16x9 changes
# by this much more than this many times what has lately moved there and beside it (of which so much is left a frame
# later). People who move do not do that: looks of the test clips rose by 0-5 %.
FINE_BLOCKS, SUDDEN_CHANGE, SUDDEN_RATIO, MOTION_KEPT = (16, 9), 8.0, 2.0, 0.8


class Pacer:
    """Chooses the frames to examine: both sides of a cut, the last frame, and as often as things move."""

    def __init__(self, fps: float) -> None:
        self._calm_frames = max(1, round(CALM_LOOK_S * fps))
        self._before: Picture | None = None
        self._thumb: NDArray[np.float32] | None = None
        self._last_due = -1
        self._change = 0.0
        self._moving = np.zeros(FINE_BLOCKS[::-1], np.float32)
        self.cuts: list[int] = []

    def due(self, picture: Picture) -> Iterator[Picture]:
        thumb = _thumbnail(picture.luma())
        before, self._before = self._before, picture
        cut, sudden = self._note_change(thumb, picture.index)
        if cut and before is not None and before.index > self._last_due:
            yield before
        age = picture.index - self._last_due
        if self._last_due < 0 or cut or sudden or self._change > RESTLESS_SUM or age >= self._calm_frames:
            self._last_due, self._change = picture.index, 0.0
            yield picture

    def rest(self) -> Iterator[Picture]:
        if self._before is not None and self._before.index > self._last_due:
            yield self._before

    def _note_change(self, thumb: NDArray[np.float32], index: int) -> tuple[bool, bool]:
        """Whether a new shot begins, and whether something appeared or went where nothing moved."""
        previous, self._thumb = self._thumb, thumb
        if previous is None:
            return False, False
        change = np.abs(thumb - previous)
        self._change += float(cv2.resize(change, (8, 5), interpolation=cv2.INTER_AREA).max())
        # The 4 keeps noise in black pictures from counting as a cut.
        cut = float(change.mean()) > CUT_CHANGE * (4.0 + min(float(thumb.mean()), float(previous.mean())))
        if cut:
            self.cuts.append(index)
        return cut, self._sudden(change)

    def _sudden(self, change: NDArray[np.float32]) -> bool:
        blocks = np.asarray(cv2.resize(change, FINE_BLOCKS, interpolation=cv2.INTER_AREA), np.float32)
        sudden = bool((blocks - SUDDEN_RATIO * self._moving > SUDDEN_CHANGE).any())
        self._moving = np.maximum(MOTION_KEPT * self._moving, cv2.dilate(blocks, np.ones((3, 3), np.uint8)))
        return sudden


def _thumbnail(luma: Picture8) -> NDArray[np.float32]:
    step = max(1, min(luma.shape) // 180)
    small = np.ascontiguousarray(luma[::step, ::step])
    return cv2.resize(small, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
