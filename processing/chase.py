"""Faces that were there a moment ago and are not found any more: looked for again, closely, where they were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.detectors import CLOSER_IOU, Boxes, Detector, found_closer, iou
from processing.frames import Picture

# A face is not lost while one is found within so many box sizes of it. It may have gone further, and then somebody else
# may be where it was; what is smaller or larger than by this is not it.
REACH, LOST_REACH, SMALLEST = 0.8, 1.5, 0.45


class Chase:
    """Keeps sight of faces that the reduced picture shows too small, or too much turned, to find them in it.

    ``continuing``: the score given to what is found so, which may go on with a track but not start one.
    """

    def __init__(self, detector: Detector, continuing: float) -> None:
        self._detector = detector
        self._continuing = continuing
        self._seen = np.empty((0, 5), np.float32)

    def with_lost(self, picture: Picture, boxes: Boxes) -> Boxes:
        """``boxes`` (full-size pixels) of this look and those of the faces in view that it missed."""
        found = boxes
        for face in self._seen:
            if not _same(boxes, face).any():
                x0, y0, x1, y1 = face[:4].astype(float).tolist()
                again = found_closer(picture, (x0, y0, x1, y1), LOST_REACH, self._detector)
                again = again[_same(again, face, LOST_REACH)]
                if len(again):
                    best = again[again[:, 4].argmax()]
                    if not (iou(found, best) > CLOSER_IOU).any():
                        best[4] = min(best[4], self._continuing)
                        found = np.vstack([found, best[None]])
        return found

    def go_on(self, boxes: Boxes) -> None:
        """From now on those of ``boxes`` are in view that are surely faces or were in view before."""
        known = np.array(
            [box[4] > self._continuing or _same(self._seen, box, LOST_REACH).any() for box in boxes], bool
        )
        self._seen = boxes[known]


def _same(boxes: Boxes, face: NDArray[np.float32], reach: float = REACH) -> NDArray[np.bool_]:
    """(n,) which of ``boxes`` may be ``face`` a look earlier or later."""
    sides, side = (boxes[:, 2:4] - boxes[:, :2]).mean(axis=1), float((face[2:4] - face[:2]).mean())
    away = np.hypot(*((boxes[:, :2] + boxes[:, 2:4] - face[:2] - face[2:4]) / 2).T)
    alike = np.minimum(sides, side) >= SMALLEST * np.maximum(sides, side)
    return np.asarray(alike & (away <= reach * np.maximum(sides, side)))
