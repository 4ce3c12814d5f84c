"""The faces kept visible, compared with those who consented to be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from config.settings import VisionSettings
from processing.detectors import iou
from processing.frames import Picture
from processing.geometry import Box
from processing.identity import DOUBT
from processing.recognise import LOOK_HEIGHT_PX, LOOK_SCORE, distance_to
from processing.suspects import Moment, moment_of
from processing.tracks import Track

# A detection that lies over a kept face by this much (IoU) is that face; one beside it is not excused.
KEPT_IOU = 0.2
# A kept face is compared with the templates this often, when a detector is sure of it and it is high enough.
COMPARE_EVERY_S = 4.0
# So many comparisons in a row beyond doubt make a stranger: a single one may be a turned head.
STRANGE_IN_A_ROW = 2


class Guests:
    """Compares kept faces, as our output shows them, with those who consented; keeps no encoding."""

    def __init__(
        self, kept: Sequence[Track], templates: Sequence[bytes], settings: VisionSettings, fps: float
    ) -> None:
        self._kept = [track for track in kept if track.decision == "keep"] if templates else []
        self._templates = templates
        self._limit = settings.keep_distance + DOUBT
        self._pause = max(1, round(COMPARE_EVERY_S * fps))
        self._due = {track.id: track.first_frame for track in self._kept}
        self._in_a_row = dict.fromkeys(self._due, 0)
        self.strangers: list[Moment] = []

    def meet(self, picture: Picture, found: Sequence[tuple[Box, float]]) -> None:
        sure = np.asarray([box for box, score in found if score >= LOOK_SCORE], float).reshape(-1, 4)
        for track in self._kept:
            box = track.box_at(picture.index)
            if box is None or picture.index < self._due[track.id] or box[3] - box[1] < LOOK_HEIGHT_PX:
                continue
            if (iou(sure, np.asarray(box)) > KEPT_IOU).any():
                self._due[track.id] = picture.index + self._pause
                self._compare(track, picture, box)

    def _compare(self, track: Track, picture: Picture, box: Box) -> None:
        nearest = min(distance_to(template, picture.pixels, box) for template in self._templates)
        self._in_a_row[track.id] = self._in_a_row[track.id] + 1 if nearest > self._limit else 0
        if self._in_a_row[track.id] >= STRANGE_IN_A_ROW:
            self.strangers.append(moment_of(picture, box, "stranger-kept", min(1.0, nearest)))
