"""Places in our output where a face may be seen, and how much there is to know it by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from processing.frames import Picture, Picture8, read_pictures
from processing.geometry import Box

Kind = Literal["visible-face", "area-visible", "gap", "stranger-kept", "frames-missing"]

# A face is recognisable when more than this share of the original's structure is left in its middle ...
STRUCTURE_LEFT, MIDDLE_SHARE, PROBE_PX, COARSE_PX = 0.25, 0.6, 48, 12
# ... or, without the original, more than this mean square of the Laplacian (blurred faces and bare walls stay below 60).
STRUCTURE_BOUND = 100.0
# With less than this left there is nothing to recognise, whatever the original looked like: a quarter of the
# structure of a face that is just recognisable (20).
STRUCTURE_FLOOR = 5.0


@dataclass(frozen=True)
class Moment:
    """A frame in which something was found, ``box`` in displayed pixels."""

    frame: int
    time_s: float
    box: Box
    kind: Kind
    score: float


@dataclass(frozen=True)
class Suspect:
    """A place in our output where a face may be seen, and how much structure is left there."""

    moment: Moment
    structure_left: float


def suspects_in(picture: Picture, claims: Sequence[tuple[Kind, Box, float]]) -> list[Suspect]:
    if not claims:
        return []
    grey = picture.luma()
    suspects = []
    for kind, box, score in claims:
        left = structure(grey, box)
        if left > (STRUCTURE_FLOOR if kind == "visible-face" else STRUCTURE_BOUND):
            suspects.append(Suspect(moment_of(picture, box, kind, score), left))
    return suspects


def moment_of(picture: Picture, box: Box, kind: Kind, score: float) -> Moment:
    place = (round(box[0], 1), round(box[1], 1), round(box[2], 1), round(box[3], 1))
    return Moment(picture.index, round(picture.time_s, 3), place, kind, round(score, 3))


def recognisable(suspects: Sequence[Suspect], original: Path | None) -> list[Suspect]:
    """Those of whom too much is left, compared with ``original`` where there is one.

    The original is decoded only as far as the last suspect: most outputs have none.
    """
    if original is None:
        return [suspect for suspect in suspects if suspect.structure_left > STRUCTURE_BOUND]
    due: dict[int, list[Suspect]] = {}
    for suspect in suspects:
        due.setdefault(suspect.moment.frame, []).append(suspect)
    seen: list[Suspect] = []
    if not due:
        return seen
    for picture in read_pictures(original):
        if picture.index in due:
            grey = picture.luma()
            seen += [
                suspect
                for suspect in due.pop(picture.index)
                if suspect.structure_left > STRUCTURE_LEFT * structure(grey, suspect.moment.box)
            ]
        if not due:
            break
    # What our output shows where the original has no picture at all cannot be excused by it.
    return seen + [suspect for late in due.values() for suspect in late]


def structure(grey: Picture8, box: Box) -> float:
    """Mean square of the Laplacian of the box's middle 60 %, resampled to 48x48: fine detail one knows a face by."""
    probe = _middle(grey, box, PROBE_PX)
    return 0.0 if probe is None else float(np.mean(np.square(cv2.Laplacian(probe, cv2.CV_32F))))


def contrast(grey: Picture8, box: Box) -> float:
    """Standard deviation (grey levels) of the box's middle 60 %, resampled to 12x12, in which noise is gone."""
    coarse = _middle(grey, box, COARSE_PX)
    return 0.0 if coarse is None else float(coarse.std())


def _middle(grey: Picture8, box: Box, side_px: int) -> Picture8 | None:
    height, width = grey.shape
    trim_x, trim_y = (box[2] - box[0]) * (1 - MIDDLE_SHARE) / 2, (box[3] - box[1]) * (1 - MIDDLE_SHARE) / 2
    x0, x1 = int(max(0, box[0] + trim_x)), int(min(width, box[2] - trim_x))
    y0, y1 = int(max(0, box[1] + trim_y)), int(min(height, box[3] - trim_y))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    return np.asarray(
        cv2.resize(grey[y0:y1, x0:x1], (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8
    )
