"""The attack on our own output: look for faces in it with other means than those that hid them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from config.settings import VisionSettings
from processing.detectors import (
    SURE_SCORE,
    CenterFaceDetector,
    Detector,
    HogDetector,
    YuNetDetector,
    find,
    iou,
    seen_closer,
)
from processing.frames import Picture, Picture8, read_pictures, video_facts, video_stream
from processing.geometry import Box, overlap
from processing.media import Progress, open_media
from processing.networks import WORKERS
from processing.recognise import DOUBT, distance_to
from processing.side_by_side import side_by_side
from processing.tracks import Track

Kind = Literal["visible-face", "area-visible", "gap", "stranger-kept", "frames-missing"]

# Every second frame is examined, so that a leak of two frames cannot fall between; every 32nd more closely.
EXAMINE_EVERY, CLOSELY_EVERY = 2, 32
# The pictures given to the attackers: other scales than those pass one looked at.
ATTACK_PX, CLOSE_PX = 256, 560
# Scores that count as a face: below those that start a track, above what hands and cloth reach (measured).
CENTERFACE_SCORE, YUNET_SCORE, HOG_SCORE = 0.32, 0.6, 0.3
# A face is recognisable when more than this share of the original's structure is left in its middle ...
STRUCTURE_LEFT, MIDDLE_SHARE, PROBE_PX = 0.25, 0.6, 48
# ... or, without the original, more than this mean square of the Laplacian (blurred faces and bare walls stay below 60).
STRUCTURE_BOUND = 100.0
# With less than this left there is nothing to recognise, whatever the original looked like: a quarter of the
# structure of a face that is just recognisable (20).
STRUCTURE_FLOOR = 5.0
# A detection that lies over a kept face by this much (IoU) is that face; one beside it is not excused.
KEPT_IOU = 0.2
# Protection of one place that pauses for no longer than this is a gap, not a face that went and another that came.
GAP_S, GAP_IOU = 0.5, 0.3
# A kept face is compared with the templates this often, when a detector is this sure of it and it is this high.
COMPARE_EVERY_S, COMPARE_SCORE, COMPARE_HEIGHT_PX = 4.0, 0.6, 48
# So many comparisons in a row beyond doubt make a stranger: a single one may be a turned head.
STRANGE_IN_A_ROW = 2


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


def attack(
    video: Path,
    tracks: Sequence[Track],
    settings: VisionSettings,
    progress: Progress,
    original: Path | None = None,
    templates: Sequence[bytes] = (),
) -> VerificationReport:
    """Search our own output ``video`` for faces that are neither kept nor beyond recognition.

    Reported are faces that another detector finds, areas that should be hidden and show structure, pauses in the
    protection of one place, and kept faces that are none of ``templates``. With ``original`` a place counts when over a
    quarter of the original's structure is left there; and a number of frames other than the original's fails as
    well. Raises what reading the videos raises.
    """
    facts = video_facts(video)
    # What a reviewer declared to be no face is left visible on purpose as well.
    kept = [track for track in tracks if track.decision != "blur"]
    hidden = [track for track in tracks if track.decision == "blur"]
    search = _Search(settings, kept, hidden, _gaps(hidden, facts.fps))
    guests = _Guests(kept, templates, settings, facts.fps)
    suspects: list[_Suspect] = []
    frames = 0

    def due() -> Iterator[Picture]:
        nonlocal frames
        for picture in read_pictures(video):
            frames = picture.index + 1
            if search.is_due(picture):
                yield picture

    for picture, found, suspected in side_by_side(search.examine, due(), WORKERS):
        guests.meet(picture, found)
        suspects += suspected
        progress(min(1.0, picture.index / max(1, facts.frames)))
    moments = [suspect.moment for suspect in _recognisable(suspects, original)] + guests.strangers
    if original is not None and (lost := _lost_frame(frames, original)) is not None:
        moments.append(lost)
    progress(1.0)
    return VerificationReport(search.attackers, -(-frames // EXAMINE_EVERY), tuple(moments))


class _Search:
    """What is looked for in one picture of our output; several pictures may be examined at once."""

    def __init__(
        self,
        settings: VisionSettings,
        kept: Sequence[Track],
        hidden: Sequence[Track],
        gaps: Mapping[int, list[Box]],
    ) -> None:
        self._often, self._closely = _attackers(settings)
        self._kept, self._hidden, self._gaps = kept, hidden, gaps

    @property
    def attackers(self) -> tuple[str, ...]:
        return tuple(sorted({detector.name for detector in (*self._often, *self._closely)}))

    def is_due(self, picture: Picture) -> bool:
        return picture.index % EXAMINE_EVERY == 0 or picture.index in self._gaps

    def examine(self, picture: Picture) -> tuple[Picture, list[tuple[Box, float]], list[_Suspect]]:
        """The faces found, and the places where too much may be visible."""
        found: list[tuple[Box, float]] = []
        claims: list[tuple[Kind, Box, float]] = [
            ("gap", box, 1.0) for box in self._gaps.get(picture.index, [])
        ]
        if picture.index % EXAMINE_EVERY == 0:
            found = _confirmed(picture, _visible(picture, self._often, ATTACK_PX), self._often)
            if picture.index % CLOSELY_EVERY == 0:
                found += _visible(picture, self._closely, CLOSE_PX)
            claims += [("visible-face", box, score) for box, score in _strange(picture, found, self._kept)]
            claims += [("area-visible", box, 1.0) for box in _boxes(self._hidden, picture.index)]
        return picture, found, _suspects(picture, claims)


def _attackers(settings: VisionSettings) -> tuple[list[Detector], list[Detector]]:
    """Those that look at every examined frame and those that look closely at some.

    It is the network that did not drive the blur; where there is no other, the same one at other scales, and
    dlib's detector, which shares nothing with it. They need not be exact: nothing of theirs gets into the pixels.
    """
    if settings.detector == "centerface" and settings.yunet_path:
        other: Detector = YuNetDetector(Path(settings.yunet_path), YUNET_SCORE, exact=False)
        return [other], [other]
    centerface = CenterFaceDetector(CENTERFACE_SCORE, exact=False)
    if settings.detector == "yunet":
        return [centerface], [centerface]
    return [centerface], [centerface, HogDetector(HOG_SCORE)]


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
        return sum(1 for packet in container.demux(video_stream(container, video.name)) if packet.size)


def _visible(picture: Picture, detectors: Sequence[Detector], longest_px: int) -> list[tuple[Box, float]]:
    """What is found where anything is left to be seen; detectors also find the blur over a face."""
    rows = [row for detector in detectors for row in find(picture, detector, longest_px).tolist()]
    grey = picture.luma()
    found = [((x0, y0, x1, y1), score) for x0, y0, x1, y1, score in rows]
    return [(box, score) for box, score in found if structure(grey, box) > STRUCTURE_FLOOR]


def _confirmed(
    picture: Picture, found: Sequence[tuple[Box, float]], detectors: Sequence[Detector]
) -> list[tuple[Box, float]]:
    """The detections that are sure, or are found again on a closer look: a fold of cloth is not, a face is."""
    return [
        (box, score)
        for box, score in found
        if score >= SURE_SCORE or any(seen_closer(picture, box, detector) for detector in detectors)
    ]


def _boxes(tracks: Sequence[Track], frame: int) -> list[Box]:
    return [box for track in tracks if (box := track.box_at(frame)) is not None]


def _strange(
    picture: Picture, found: Sequence[tuple[Box, float]], kept: Sequence[Track]
) -> list[tuple[Box, float]]:
    """The detections that are not a kept face."""
    excused = np.asarray(_boxes(kept, picture.index), float).reshape(-1, 4)
    return [(box, score) for box, score in found if not (iou(excused, np.asarray(box)) > KEPT_IOU).any()]


def _gaps(hidden: Sequence[Track], fps: float) -> dict[int, list[Box]]:
    """Frames between the end of one protection and the beginning of the next one in the same place."""
    longest = max(1, round(GAP_S * fps))
    gaps: dict[int, list[Box]] = {}
    starts = sorted(hidden, key=lambda track: track.first_frame)
    firsts = [track.first_frame for track in starts]
    for ended in hidden:
        end = ended.last_frame
        for track in starts[bisect_right(firsts, end + 1) : bisect_right(firsts, end + 1 + longest)]:
            if overlap(ended.areas[-1].box, track.areas[0].box) > GAP_IOU:
                for frame in range(end + 1, track.first_frame):
                    gaps.setdefault(frame, []).append(track.looks[0].box)
    return gaps


@dataclass(frozen=True)
class _Suspect:
    """A place in our output where a face may be seen, and how much structure is left there."""

    moment: Moment
    structure_left: float


def _suspects(picture: Picture, claims: Sequence[tuple[Kind, Box, float]]) -> list[_Suspect]:
    if not claims:
        return []
    grey = picture.luma()
    suspects = []
    for kind, box, score in claims:
        left = structure(grey, box)
        if left > (STRUCTURE_FLOOR if kind == "visible-face" else STRUCTURE_BOUND):
            suspects.append(_Suspect(_moment(picture, box, kind, score), left))
    return suspects


def _moment(picture: Picture, box: Box, kind: Kind, score: float) -> Moment:
    place = (round(box[0], 1), round(box[1], 1), round(box[2], 1), round(box[3], 1))
    return Moment(picture.index, round(picture.time_s, 3), place, kind, round(score, 3))


class _Guests:
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
        sure = np.asarray([box for box, score in found if score >= COMPARE_SCORE], float).reshape(-1, 4)
        for track in self._kept:
            box = track.box_at(picture.index)
            if box is None or picture.index < self._due[track.id] or box[3] - box[1] < COMPARE_HEIGHT_PX:
                continue
            if (iou(sure, np.asarray(box)) > KEPT_IOU).any():
                self._due[track.id] = picture.index + self._pause
                self._compare(track, picture, box)

    def _compare(self, track: Track, picture: Picture, box: Box) -> None:
        nearest = min(distance_to(template, picture.pixels, box) for template in self._templates)
        self._in_a_row[track.id] = self._in_a_row[track.id] + 1 if nearest > self._limit else 0
        if self._in_a_row[track.id] >= STRANGE_IN_A_ROW:
            self.strangers.append(_moment(picture, box, "stranger-kept", min(1.0, nearest)))


def _recognisable(suspects: Sequence[_Suspect], original: Path | None) -> list[_Suspect]:
    """Those of whom too much is left, compared with ``original`` where there is one.

    The original is decoded only as far as the last suspect: most outputs have none.
    """
    if original is None:
        return [suspect for suspect in suspects if suspect.structure_left > STRUCTURE_BOUND]
    due: dict[int, list[_Suspect]] = {}
    for suspect in suspects:
        due.setdefault(suspect.moment.frame, []).append(suspect)
    recognisable: list[_Suspect] = []
    if not due:
        return recognisable
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
