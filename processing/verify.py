"""The attack on our own output: look for faces in it with other means than those that hid them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

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
from processing.frames import Contents, Picture, read_often, read_pictures, video_contents
from processing.geometry import Box, overlap
from processing.guests import KEPT_IOU, Guests
from processing.media import Progress
from processing.networks import WORKERS
from processing.side_by_side import side_by_side
from processing.suspects import (
    STRUCTURE_FLOOR,
    Kind,
    Moment,
    Suspect,
    recognisable,
    structure,
    suspects_in,
)
from processing.tracks import Track

Care = Literal["gap", "often", "closely"]


# Every second frame is examined, so that a leak of two frames cannot fall between; every 32nd more closely.
EXAMINE_EVERY, CLOSELY_EVERY = 2, 32
# The pictures given to the attackers: other scales than those pass one looked at.
ATTACK_PX, CLOSE_PX = 256, 560
# Scores that count as a face: below those that start a track, above what hands and cloth reach (measured).
CENTERFACE_SCORE, YUNET_SCORE, HOG_SCORE = 0.32, 0.6, 0.3
# Protection of one place that pauses for no longer than this is a gap, not a face that went and another that came.
GAP_S, GAP_IOU = 0.5, 0.3
STRETCH = 64  # frames whose tracks are kept together


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
    contents = video_contents(video)
    # What a reviewer declared to be no face is left visible on purpose as well.
    kept = [track for track in tracks if track.decision != "blur"]
    hidden = [track for track in tracks if track.decision == "blur"]
    search = _Search(settings, kept, hidden, _gaps(hidden, contents.fps))
    guests = Guests(kept, templates, settings, contents.fps)
    suspects: list[Suspect] = []
    examined = 0
    for picture, found, suspected in side_by_side(search.examine, search.due(video, contents), WORKERS):
        guests.meet(picture, found)
        suspects += suspected
        examined += 1
        progress(min(1.0, picture.index / max(1, contents.packets)))
    moments = [suspect.moment for suspect in recognisable(suspects, original)] + guests.strangers
    if original is not None and (lost := _lost_frame(video, contents, original)) is not None:
        moments.append(lost)
    progress(1.0)
    return VerificationReport(search.attackers, examined, tuple(moments))


def open_attackers(settings: VisionSettings) -> tuple[list[Detector], list[Detector]]:
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


class _Search:
    """What is looked for in one picture of our output; several pictures may be examined at once."""

    def __init__(
        self,
        settings: VisionSettings,
        kept: Sequence[Track],
        hidden: Sequence[Track],
        gaps: Mapping[int, list[Box]],
    ) -> None:
        self._often, self._closely = open_attackers(settings)
        self._kept, self._hidden, self._gaps = _Present(kept), _Present(hidden), gaps

    @property
    def attackers(self) -> tuple[str, ...]:
        return tuple(sorted({detector.name for detector in (*self._often, *self._closely)}))

    def due(self, video: Path, contents: Contents) -> Iterator[tuple[Picture, Care]]:
        """The pictures to examine, and how: never EXAMINE_EVERY in a row are left out, and none in a gap."""
        last, last_closely = -EXAMINE_EVERY, -CLOSELY_EVERY
        pictures = read_often(video, contents, EXAMINE_EVERY, self._gaps)
        for picture, following in _with_following(pictures):
            if following - last > EXAMINE_EVERY:
                last = picture.index
                closely = last - last_closely >= CLOSELY_EVERY
                last_closely = last if closely else last_closely
                yield picture, "closely" if closely else "often"
            elif picture.index in self._gaps:
                yield picture, "gap"

    def examine(self, chosen: tuple[Picture, Care]) -> tuple[Picture, list[tuple[Box, float]], list[Suspect]]:
        """The faces found, and the places where too much may be visible."""
        picture, care = chosen
        claims: list[tuple[Kind, Box, float]] = [
            ("gap", box, 1.0) for box in self._gaps.get(picture.index, [])
        ]
        if care == "gap":
            return picture, [], suspects_in(picture, claims)
        found = _confirmed(picture, _visible(picture, self._often, ATTACK_PX), self._often)
        if care == "closely":
            found += _visible(picture, self._closely, CLOSE_PX)
        claims += [
            ("visible-face", box, score) for box, score in _strange(found, self._kept.boxes(picture.index))
        ]
        claims += [("area-visible", box, 1.0) for box in self._hidden.boxes(picture.index)]
        return picture, found, suspects_in(picture, claims)


def _with_following(pictures: Iterator[Picture]) -> Iterator[tuple[Picture, float]]:
    """Every picture with the number of the one that is given next: infinity after the last."""
    picture = next(pictures, None)
    while picture is not None:
        following = next(pictures, None)
        yield picture, math.inf if following is None else following.index
        picture = following


def _lost_frame(video: Path, contents: Contents, original: Path) -> Moment | None:
    """The first frame that ``original`` has and ``video`` lacks, or the other way round."""
    # Counting packets is enough when the numbers agree; where a packet need not be a picture, the pictures count.
    if video_contents(original).packets == contents.packets:
        return None
    frames = sum(1 for _ in read_pictures(video))
    count, first_beyond = 0, None
    for picture in read_pictures(original):
        count = picture.index + 1
        first_beyond = picture.time_s if picture.index == frames else first_beyond
    if count == frames:
        return None
    nowhere = (0.0, 0.0, 0.0, 0.0)
    return Moment(min(frames, count), round(first_beyond or 0.0, 3), nowhere, "frames-missing", 1.0)


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


class _Present:
    """Where the faces of tracks are, without asking every track of a long recording in each frame."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._alive: dict[int, list[Track]] = {}
        for track in tracks:
            for stretch in range(track.first_frame // STRETCH, track.last_frame // STRETCH + 1):
                self._alive.setdefault(stretch, []).append(track)

    def boxes(self, frame: int) -> list[Box]:
        alive = self._alive.get(frame // STRETCH, ())
        return [box for track in alive if (box := track.box_at(frame)) is not None]


def _strange(found: Sequence[tuple[Box, float]], kept: Sequence[Box]) -> list[tuple[Box, float]]:
    """The detections that are not a kept face."""
    excused = np.asarray(kept, float).reshape(-1, 4)
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
