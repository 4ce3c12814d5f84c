"""Pass one: where faces may be, looked for on reduced frames, more often where the picture changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from config.settings import VisionSettings
from processing.chase import Chase
from processing.detectors import (
    CLOSER_IOU,
    CLOSER_MARGIN,
    SURE_SCORE,
    Boxes,
    Detector,
    found_closer,
    iou,
    lifted,
    open_second,
    seconded,
    seen_closer,
    start_score,
)
from processing.frames import Picture, Picture8, check_same_size, open_pictures
from processing.geometry import Box
from processing.media import Progress
from processing.networks import WORKERS
from processing.pacer import Pacer
from processing.side_by_side import side_by_side

# A face that fills the picture or is cut by its edge is found on a small picture when the large one misses
# it: the turned head of frames 47-80 of a 640x360 test clip scored under 0.15 at 640 px and 0.4 at 192 px.
# The size alternates because a face missed at one is often found at the other.
NEAR_LOOKS_PX = (320, 192)
NEAR_FACE_SHARE = 0.12
# On the smallest copy the picture goes on beyond its edges as in a mirror: half a face becomes a whole one. Of faces 20-40 %
# of which were in the picture YuNet started 21 of 39 tracks instead of 1, CenterFace 26 instead of 13. What is found
# there counts when this share of it is in the picture: the rest is a mirrored face.
MIRRORED_LOOK_PX, MIRROR_PX, MIRRORED_INSIDE = 192, 24, 0.4
SAME_BOX_IOU = 0.45
# No higher than this in the reduced picture, a face may score too low to start a track.
SMALL_FACE_PX = 18
# By how much a doubted detection stays below the score that starts a track.
BELOW = 0.01


@dataclass(frozen=True, slots=True)
class Look:
    """What was found in one examined frame: boxes (x0, y0, x1, y1, score) in displayed full-size pixels."""

    frame: int
    boxes: tuple[tuple[float, float, float, float, float], ...]


@dataclass(frozen=True)
class Detections:
    """Everything pass one learned. ``cuts`` are the first frames of new shots.

    ``doubted`` are detections, in ``looks`` with a score too low to start a track, that may yet be faces.
    """

    detector: str
    width_px: int
    height_px: int
    fps: float
    frames: int
    start_score: float
    cuts: tuple[int, ...] = ()
    looks: tuple[Look, ...] = field(default=())
    doubted: tuple[Look, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        looks, doubted = (
            [[look.frame, *map(list, look.boxes)] for look in some] for some in (self.looks, self.doubted)
        )
        return {**self.__dict__, "cuts": list(self.cuts), "looks": looks, "doubted": doubted}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Detections:
        looks, doubted = (
            tuple(
                Look(frame, tuple((x0, y0, x1, y1, score) for x0, y0, x1, y1, score in boxes))
                for frame, *boxes in some
            )
            for some in (raw["looks"], raw.get("doubted", ()))
        )
        return cls(**{**raw, "cuts": tuple(raw["cuts"]), "looks": looks, "doubted": doubted})


def detect_faces(video: Path, detector: Detector, settings: VisionSettings, progress: Progress) -> Detections:
    """Look through the whole video in flat memory. Raises NotMedia, NoVideo, EmptyMedia or Truncated."""
    facts, pictures = open_pictures(video)
    size_px = (facts.width_px, facts.height_px)
    pacer = Pacer(facts.fps)
    start = start_score(settings)
    doubt, chase = _Doubt(detector, settings), Chase(detector, start - BELOW)
    looks: list[Look] = []
    doubted: list[Look] = []
    count = 0

    def due() -> Iterator[tuple[Picture, int]]:
        nonlocal count
        turns = itertools.count()
        for picture in pictures:
            check_same_size(picture, size_px, video.name)
            yield from zip(pacer.due(picture), turns, strict=False)
            count = picture.index + 1
            if count % 25 == 0:
                progress(min(1.0, count / facts.frames))
        yield from zip(pacer.rest(), turns, strict=False)

    def look(chosen: tuple[Picture, int]) -> tuple[Picture, Boxes]:
        picture, turn = chosen
        return picture, _find(picture, detector, settings.detect_width_px, turn)

    def weighed(found: tuple[Picture, Boxes]) -> tuple[Picture, Boxes, Boxes]:
        picture, boxes = found
        boxes = chase.with_lost(picture, boxes)
        unconfirmed = doubt.weigh(picture, boxes)
        chase.go_on(boxes)
        return picture, boxes, unconfirmed

    # One look after the other is weighed, by the one before; in a thread of its own, so that nothing waits for it.
    for picture, boxes, unconfirmed in side_by_side(weighed, side_by_side(look, due(), WORKERS), 1):
        looks.append(_noted(picture, boxes))
        if len(unconfirmed):
            doubted.append(_noted(picture, unconfirmed))
    progress(1.0)
    return Detections(
        detector=detector.name,
        width_px=facts.width_px,
        height_px=facts.height_px,
        fps=facts.fps,
        frames=count,
        start_score=start,
        cuts=tuple(pacer.cuts),
        looks=tuple(looks),
        doubted=tuple(doubted),
    )


def _find(picture: Picture, detector: Detector, longest_px: int, turn: int) -> Boxes:
    """Boxes in full-size pixels from the reduced frame and from a still smaller copy for near faces."""
    reduced = picture.rgb(longest_px)
    height, width = reduced.shape[:2]
    boxes = detector.detect(reduced)
    near_px = NEAR_LOOKS_PX[turn % len(NEAR_LOOKS_PX)]
    shrink = near_px / max(height, width)
    if shrink < 1.0:
        small = _near_copy(reduced, shrink)
        near = _mirrored_look(small, detector) if near_px == MIRRORED_LOOK_PX else detector.detect(small)
        near[:, :4] /= shrink
        boxes = _merge(boxes, near[near[:, 3] - near[:, 1] >= NEAR_FACE_SHARE * height])
    full_width, full_height = picture.size_px
    boxes[:, [0, 2]] *= full_width / width
    boxes[:, [1, 3]] *= full_height / height
    return boxes


def _noted(picture: Picture, boxes: Boxes) -> Look:
    found = ((*np.round(box[:4].astype(float), 1).tolist(), round(float(box[4]), 3)) for box in boxes)
    return Look(picture.index, tuple((x0, y0, x1, y1, score) for x0, y0, x1, y1, score in found))


def _near_copy(picture_rgb: Picture8, shrink: float) -> Picture8:
    small = cv2.resize(picture_rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return lifted(np.asarray(small, np.uint8))


def _mirrored_look(picture_rgb: Picture8, detector: Detector) -> Boxes:
    """What is found in the picture and where it goes on beyond its edges as in a mirror, cut at its edges."""
    height, width = picture_rgb.shape[:2]
    wider = cv2.copyMakeBorder(picture_rgb, MIRROR_PX, MIRROR_PX, MIRROR_PX, MIRROR_PX, cv2.BORDER_REFLECT)
    boxes = detector.detect(np.asarray(wider, np.uint8))
    boxes[:, :4] -= MIRROR_PX
    inside = boxes.copy()
    inside[:, [0, 2]] = boxes[:, [0, 2]].clip(0, width)
    inside[:, [1, 3]] = boxes[:, [1, 3]].clip(0, height)
    return inside[_areas(inside) >= MIRRORED_INSIDE * _areas(boxes)]


def _areas(boxes: Boxes) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.float32)


class _Doubt:
    """Takes from detections that nothing confirms the right to start a track; they may still continue one.

    What lies where the look before was sure of a face needs no other confirmation.
    """

    def __init__(self, detector: Detector, settings: VisionSettings) -> None:
        self._detector = detector
        self._settings = settings
        self._start = start_score(settings)
        self._believed = np.empty((0, 5), np.float32)

    def weigh(self, picture: Picture, boxes: Boxes) -> Boxes:
        """Set the scores of doubtful ``boxes`` (full-size pixels) just below the one that starts a track.

        Returns those of them that are to be hidden for the moment all the same: all that are beside a face, because
        where people are a face is likelier than over a room's furniture, else those that only a second detector denies.
        """
        self._believe_small(picture, boxes)
        again = np.zeros(len(boxes), bool)
        denied = np.zeros(len(boxes), bool)
        for number, box in enumerate(boxes):
            if self._start <= box[4] < SURE_SCORE and not (iou(self._believed, box) > SAME_BOX_IOU).any():
                x0, y0, x1, y1 = box[:4].astype(float).tolist()
                again[number] = seen_closer(picture, (x0, y0, x1, y1), self._detector)
                denied[number] = not (again[number] and self._seconded(picture, (x0, y0, x1, y1)))
        boxes[denied, 4] = self._start - BELOW
        self._believed = boxes[boxes[:, 4] >= self._start]
        return boxes[denied & (again | bool(len(self._believed)))]

    def _believe_small(self, picture: Picture, boxes: Boxes) -> None:
        """Give faces that score low because they are small the right to start a track when a closer look is sure of them."""
        small_px = SMALL_FACE_PX * max(1.0, max(picture.size_px) / self._settings.detect_width_px)
        for box in boxes:
            weak = box[4] < self._start and max(box[2] - box[0], box[3] - box[1]) <= small_px
            if weak and not (iou(self._believed, box) > SAME_BOX_IOU).any():
                x0, y0, x1, y1 = box[:4].astype(float).tolist()
                closer = found_closer(picture, (x0, y0, x1, y1), CLOSER_MARGIN, self._detector)
                if (iou(closer[closer[:, 4] >= SURE_SCORE], box) > CLOSER_IOU).any():
                    box[4] = self._start

    def _seconded(self, picture: Picture, box: Box) -> bool:
        return self._second is None or seconded(picture, box, self._second)

    @cached_property
    def _second(self) -> Detector | None:
        """Opened when it is first needed: most recordings leave nothing in doubt."""
        return open_second(self._settings)


def _merge(boxes: Boxes, more: Boxes) -> Boxes:
    """Both sets without those of ``more`` that show a face of ``boxes`` again; the better score is kept.

    A small box inside a large one stays: it may be another person before a near face.
    """
    merged = boxes.copy()
    for box in more:
        same = iou(merged[: len(boxes)], box) > SAME_BOX_IOU
        if same.any():
            merged[: len(boxes)][same, 4] = np.maximum(merged[: len(boxes)][same, 4], box[4])
        else:
            merged = np.vstack([merged, box[None]])
    return merged
