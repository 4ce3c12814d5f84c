"""The attack on our own output: look for faces in it with other means than those that hid them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from config.settings import VisionSettings
from processing.chains import Box
from processing.detectors import Boxes, CenterFaceDetector, Detector, YuNetDetector, iou
from processing.frames import Picture, Picture8, read_pictures, video_facts
from processing.media import Progress, open_media
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
    expected = max(1, video_facts(video).frames)
    suspects: list[_Suspect] = []
    frames = 0
    for picture in read_pictures(video):
        frames = picture.index + 1
        if picture.index % EXAMINE_EVERY == 0:
            found = _detections(picture, often, ATTACK_PX)
            if picture.index % CLOSELY_EVERY == 0:
                found += _detections(picture, closely, CLOSE_PX)
            suspects += _suspects(picture, found, kept)
            progress(min(1.0, picture.index / expected))
    moments = [suspect.moment for suspect in _recognisable(suspects, original)]
    if original is not None and (lost := _lost_frame(frames, original)) is not None:
        moments.append(lost)
    progress(1.0)
    names = tuple(sorted({detector.name for detector in (*often, *closely)}))
    return VerificationReport(names, -(-frames // EXAMINE_EVERY), tuple(moments))


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


def _lost_frame(frames: int, original: Path) -> Moment | None:
    """The first frame that ``original`` has and we lack, or the other way round."""
    # Counting packets is enough when the numbers agree; where a packet need not be a picture, the pictures count.
    if _packets(original) == frames:
        return None
    count, first_beyond = 0, None
    for picture in read_pictures(original):
        count = picture.index + 1
        first_beyond = picture.time_s if picture.index == frames else first_beyond
    if count == frames:
        return None
    nowhere = (0.0, 0.0, 0.0, 0.0)
    return Moment(min(frames, count), round(first_beyond or 0.0, 3), nowhere, "frames-missing", 1.0)


def _packets(video: Path) -> int:
    with open_media(video) as container:
        return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)


def _detections(picture: Picture, detectors: Sequence[Detector], longest_px: int) -> list[tuple[Box, float]]:
    small = picture.rgb(longest_px)
    scale_x, scale_y = picture.size_px[0] / small.shape[1], picture.size_px[1] / small.shape[0]
    found = []
    for detector in detectors:
        for x0, y0, x1, y1, score in detector.detect(small).astype(float).tolist():
            found.append(((x0 * scale_x, y0 * scale_y, x1 * scale_x, y1 * scale_y), score))
    return found


@dataclass(frozen=True)
class _Suspect:
    """A face somebody found in our output, and how much of its structure is left there."""

    moment: Moment
    structure_left: float


def _suspects(picture: Picture, found: Sequence[tuple[Box, float]], kept: Sequence[Track]) -> list[_Suspect]:
    faces = [face for track in kept if (face := track.box_at(picture.index)) is not None]
    excused = np.asarray(faces, float).reshape(-1, 4)
    strange = [(box, score) for box, score in found if not (iou(excused, np.asarray(box)) > KEPT_IOU).any()]
    if not strange:
        return []
    grey = picture.luma()
    suspects = []
    for box, score in strange:
        place = (round(box[0], 1), round(box[1], 1), round(box[2], 1), round(box[3], 1))
        time_s = round(picture.time_s, 3)
        moment = Moment(picture.index, time_s, place, "visible-face", round(score, 3))
        suspects.append(_Suspect(moment, structure(grey, box)))
    return suspects


def _recognisable(suspects: Sequence[_Suspect], original: Path | None) -> list[_Suspect]:
    """Those of whom too much is left, compared with ``original`` where there is one.

    The original is decoded only as far as the last suspect: most outputs have none.
    """
    if original is None:
        return [suspect for suspect in suspects if suspect.structure_left > STRUCTURE_BOUND]
    waiting = [suspect for suspect in suspects if suspect.structure_left > 0]
    if not waiting:
        return []
    due: dict[int, list[_Suspect]] = {}
    for suspect in waiting:
        due.setdefault(suspect.moment.frame, []).append(suspect)
    recognisable = []
    for picture in read_pictures(original):
        if picture.index in due:
            grey = picture.luma()
            recognisable += [
                suspect
                for suspect in due.pop(picture.index)
                if suspect.structure_left > STRUCTURE_LEFT * structure(grey, suspect.moment.box)
            ]
        if not due:
            break
    # What our output shows where the original has no picture at all cannot be excused by it.
    return recognisable + [suspect for late in due.values() for suspect in late]


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
