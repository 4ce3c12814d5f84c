"""The attack on our own output: look for faces in it with other means than those that hid them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from config.settings import VisionSettings
from processing.chains import Box
from processing.faces import Boxes, CenterFaceDetector, Detector, YuNetDetector, iou
from processing.frames import Picture, Picture8, read_pictures, video_facts
from processing.media import Progress
from processing.tracks import Track

Kind = Literal["visible-face", "frames-missing"]

# Every second frame is examined, so that a leak of two frames cannot fall between; every 16th more closely.
EXAMINE_EVERY, CLOSELY_EVERY = 2, 16
# The pictures given to the attackers: other scales than those pass one looked at.
ATTACK_PX, CLOSE_PX = 320, 560
# Scores that count as a face: below those that start a track, above what hands and cloth reach (measured).
CENTERFACE_SCORE, YUNET_SCORE, HOG_SCORE = 0.32, 0.6, 0.3
# A face is recognisable when more than this share of the original's structure is left in its middle ...
STRUCTURE_LEFT, MIDDLE_SHARE, PROBE_PX = 0.25, 0.6, 48
# ... or, without the original, more than this mean square of the Laplacian (blurred faces and bare walls stay below 60).
STRUCTURE_BOUND = 100.0
# A detection that lies over a kept face by this much (IoU) is that face; one beside it is not excused.
KEPT_IOU = 0.2


@dataclass(frozen=True)
class Moment:
    """A frame in which something was found, ``box`` in displayed pixels."""

    frame: int
    time_s: float
    box: Box
    kind: Kind
    score: float


@dataclass(frozen=True)
class VerificationReport:
    """What the attack found; it fails when there is any moment."""

    attackers: tuple[str, ...]
    examined_frames: int
    moments: tuple[Moment, ...]

    @property
    def verdict(self) -> Literal["pass", "fail"]:
        return "fail" if self.moments else "pass"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


class _HogDetector:
    """dlib's frontal detector: weak on turned heads, but it shares nothing with a neural network."""

    name = "hog"

    def __init__(self) -> None:
        import dlib

        self._model = dlib.get_frontal_face_detector()

    def detect(self, frame_rgb: Picture8) -> Boxes:
        found, scores, _ = self._model.run(frame_rgb, 0, HOG_SCORE)
        rows = [(r.left(), r.top(), r.right(), r.bottom(), s) for r, s in zip(found, scores, strict=True)]
        return np.asarray(rows, np.float32).reshape(-1, 5)


def attack(
    video: Path,
    tracks: Sequence[Track],
    settings: VisionSettings,
    progress: Progress,
    original: Path | None = None,
) -> VerificationReport:
    """Search our own output ``video`` for faces that are neither kept nor beyond recognition.

    With ``original`` a detection counts when over a quarter of the original's structure is left there; and a
    number of frames other than the original's fails as well. Raises what reading the videos raises.
    """
    often, closely = _attackers(settings)
    kept = [track for track in tracks if track.decision == "keep"]
    frames = max(1, video_facts(video).frames)
    moments: list[Moment] = []
    examined = 0
    for ours, theirs in _side_by_side(video, original):
        if ours is None or (original is not None and theirs is None):
            moments.append(_missing(ours or theirs))
            break
        if ours.index % EXAMINE_EVERY == 0:
            examined += 1
            found = _detections(ours, often, ATTACK_PX)
            if ours.index % CLOSELY_EVERY == 0:
                found += _detections(ours, closely, CLOSE_PX)
            moments += _leaks(ours, theirs, found, kept)
            progress(min(1.0, ours.index / frames))
    progress(1.0)
    names = tuple(sorted({detector.name for detector in (*often, *closely)}))
    return VerificationReport(names, examined, tuple(moments))


def _attackers(settings: VisionSettings) -> tuple[list[Detector], list[Detector]]:
    """Those that look at every examined frame and those that look closely at some.

    The detector that did not drive the blur goes first; where there is no other, the same one at other scales.
    """
    hog = _HogDetector()
    if settings.detector == "centerface" and settings.yunet_path:
        yunet = YuNetDetector(Path(settings.yunet_path), YUNET_SCORE)
        return [yunet], [yunet, hog]
    centerface = CenterFaceDetector(CENTERFACE_SCORE)
    return [centerface], [centerface, hog]


def _side_by_side(video: Path, original: Path | None) -> Iterator[tuple[Picture | None, Picture | None]]:
    if original is None:
        return ((picture, None) for picture in read_pictures(video))
    return zip_longest(read_pictures(video), read_pictures(original))


def _missing(picture: Picture | None) -> Moment:
    frame, time_s = (picture.index, picture.time_s) if picture else (0, 0.0)
    return Moment(frame, round(time_s, 3), (0.0, 0.0, 0.0, 0.0), "frames-missing", 1.0)


def _detections(picture: Picture, detectors: Sequence[Detector], longest_px: int) -> list[tuple[Box, float]]:
    small = picture.rgb(longest_px)
    scale_x, scale_y = picture.size_px[0] / small.shape[1], picture.size_px[1] / small.shape[0]
    found = []
    for detector in detectors:
        for x0, y0, x1, y1, score in detector.detect(small).astype(float).tolist():
            found.append(((x0 * scale_x, y0 * scale_y, x1 * scale_x, y1 * scale_y), score))
    return found


def _leaks(
    ours: Picture, theirs: Picture | None, found: Sequence[tuple[Box, float]], kept: Sequence[Track]
) -> list[Moment]:
    faces = [face for track in kept if (face := track.box_at(ours.index)) is not None]
    excused = np.asarray(faces, float).reshape(-1, 4)
    suspects = [(box, score) for box, score in found if not (iou(excused, np.asarray(box)) > KEPT_IOU).any()]
    if not suspects:
        return []
    after = _grey(ours)
    before = _grey(theirs) if theirs is not None else None
    moments = []
    for box, score in suspects:
        left = structure(after, box)
        bound = STRUCTURE_BOUND if before is None else STRUCTURE_LEFT * structure(before, box)
        if left > bound:
            place = (round(box[0], 1), round(box[1], 1), round(box[2], 1), round(box[3], 1))
            moments.append(Moment(ours.index, round(ours.time_s, 3), place, "visible-face", round(score, 3)))
    return moments


def _grey(picture: Picture) -> Picture8:
    return np.asarray(cv2.cvtColor(picture.rgb(), cv2.COLOR_RGB2GRAY), np.uint8)


def structure(grey: Picture8, box: Box) -> float:
    """Mean square of the Laplacian of the box's middle 60 %, resampled to 48x48: fine detail one knows a face by."""
    height, width = grey.shape
    trim_x, trim_y = (box[2] - box[0]) * (1 - MIDDLE_SHARE) / 2, (box[3] - box[1]) * (1 - MIDDLE_SHARE) / 2
    x0, x1 = int(max(0, box[0] + trim_x)), int(min(width, box[2] - trim_x))
    y0, y1 = int(max(0, box[1] + trim_y)), int(min(height, box[3] - trim_y))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return 0.0
    probe = cv2.resize(grey[y0:y1, x0:x1], (PROBE_PX, PROBE_PX), interpolation=cv2.INTER_AREA)
    return float(np.mean(np.square(cv2.Laplacian(probe, cv2.CV_32F))))
