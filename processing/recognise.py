"""Whose face may stay visible: only that of an enrolled, consenting expert, and only beyond doubt.

Encodings of anybody else exist in memory while they are compared: they are not returned, stored or logged.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from config.errors import FaceCountWrong, MediaRejected, ModelMissing, PhotoTooPoor
from config.settings import VisionSettings
from processing.chains import Seen
from processing.detectors import CenterFaceDetector
from processing.frames import Picture8, read_pictures, video_facts
from processing.geometry import Box
from processing.media import Progress
from processing.suspects import contrast, structure
from processing.tracks import Track

Encoding = NDArray[np.float64]

# A look is taken when the detector is this sure and the face this high ...
LOOK_SCORE, LOOK_HEIGHT_PX = 0.6, 48
# ... and somebody can be known by it when there is this much structure and contrast in it: of an audience in the dark and of
# blurred faces (structure 0 to 14) the network tells only that they are dark or blurred, and ten strangers among them lay
# 0.1 to 0.35 apart; noise alone makes structure, but no contrast (1 to 5; good faces 14 and more).
GOOD_STRUCTURE, GOOD_CONTRAST = 20.0, 8.0
# A photograph has more to give.
PHOTO_STRUCTURE, PHOTO_HEIGHT_PX = 40.0, 64
# One look in so many is compared (each takes dlib about 0.13 s), never fewer or more than these; a track that nobody could be
# recognised in for this long may have passed to another person.
LOOKS_NEEDED, ONE_LOOK_IN, LOOKS_AT_MOST, UNSEEN_S = 6, 8, 400, 6.0
# Judged are the means of so many looks that follow one another: what differs from look to look falls out of them. A
# person's lay up to 0.42 from a single picture of another moment in 46 of 49 tracks, and 0.34 to 0.41 from a photograph where
# the looks themselves lay 0.40 to 0.56; of 16,390 pairs of strangers whose looks are good the nearest had one
# at 0.43, by photographs 0.48. The limit is the setting's 0.42; no single look may be further away than that and
# this doubt; and no two looks in a row may be too poor to tell.
LOOKS_TOGETHER, DOUBT, POOR_IN_A_ROW = 3, 0.16, 2
# A photograph's face is found at this score; a photograph is reduced to this size.
PHOTO_SCORE, PHOTO_PX = 0.5, 640
_TEMPLATE_BYTES = 128 * 8


def make_template(photo: Path) -> bytes:
    """The dlib 128-d encoding of the one face on ``photo``, as 128 little-endian float64.

    Raises MediaRejected when the file is no picture, FaceCountWrong when it does not show exactly one face, and
    PhotoTooPoor when that is too small, dark or blurred to know somebody by.
    """
    raw = np.frombuffer(photo.read_bytes(), np.uint8)
    decoded = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if decoded is None:
        raise MediaRejected(name=photo.name, detail="not a picture")
    scale = min(1.0, PHOTO_PX / max(decoded.shape[:2]))
    small = cv2.resize(decoded, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.ascontiguousarray(small[:, :, ::-1], np.uint8)
    boxes = CenterFaceDetector(PHOTO_SCORE).detect(picture)
    if len(boxes) != 1:
        raise FaceCountWrong(name=photo.name, faces=len(boxes))
    x0, y0, x1, y1 = (float(value) for value in boxes[0, :4])
    box = (x0, y0, x1, y1)
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    if y1 - y0 < PHOTO_HEIGHT_PX or not _good(grey, box, PHOTO_STRUCTURE):
        raise PhotoTooPoor(name=photo.name)
    return _encode(picture, box).astype("<f8").tobytes()


def distance_to(template: bytes, picture_rgb: Picture8, box: Box) -> float:
    """dlib distance between a template and the face at ``box`` of an (H, W, 3) picture; the encoding is dropped."""
    return _distance(_template(template), _encode(picture_rgb, box))


def keep_enrolled(
    video: Path,
    tracks: Sequence[Track],
    templates: Sequence[bytes],
    settings: VisionSettings,
    progress: Progress,
) -> list[Track]:
    """The tracks, those of an enrolled person marked to be kept; any doubt leaves a track blurred.

    ``templates`` come from :func:`make_template`. Raises MediaRejected for one of another size, and what
    reading the video raises.
    """
    if not templates:
        return list(tracks)
    known = [_template(raw) for raw in templates]
    unseen = UNSEEN_S * video_facts(video).fps
    undecided = [track for track in tracks if track.reason == "default"]
    candidates = {track.id: looks for track in undecided if (looks := _sure_looks(track, unseen))}
    judges = {track_id: _Judge(known, len(looks), settings) for track_id, looks in candidates.items()}
    due: dict[int, list[tuple[int, Box]]] = {}
    for track_id, looks in candidates.items():
        for seen in looks:
            due.setdefault(seen.frame, []).append((track_id, seen.box))
    _compare(video, due, judges, progress)
    return [
        replace(track, decision="keep", reason="enrolled-expert")
        if track.id in judges and judges[track.id].agrees
        else track
        for track in tracks
    ]


def _compare(
    video: Path, due: dict[int, list[tuple[int, Box]]], judges: dict[int, _Judge], progress: Progress
) -> None:
    last = max(due, default=-1)
    if last < 0:
        progress(1.0)
        return
    for picture in read_pictures(video):
        waiting = [(judges[track_id], box) for track_id, box in due.get(picture.index, [])]
        if any(not judge.settled for judge, _ in waiting):
            for judge, box in waiting:
                if judge.settled:
                    continue
                if _good(picture.luma(), box, GOOD_STRUCTURE):
                    judge.hear(_encode(picture.pixels, box))
                else:
                    judge.pass_over()
            progress(picture.index / max(last, 1))
        if picture.index >= last:
            break
    progress(1.0)


class _Judge:
    """Weighs the looks of one track against the templates; of encodings it holds the few last ones."""

    def __init__(self, templates: Iterable[Encoding], looks: int, settings: VisionSettings) -> None:
        self._templates = list(templates)
        self._near = settings.keep_distance
        self._possible = [True] * len(self._templates)
        self._last: deque[Encoding] = deque(maxlen=LOOKS_TOGETHER)
        self._poor_in_a_row = 0
        self._looks_left = looks

    def hear(self, encoding: Encoding) -> None:
        self._looks_left -= 1
        self._poor_in_a_row = 0
        self._last.append(encoding)
        together = np.mean(self._last, axis=0)
        for number, template in enumerate(self._templates):
            self._possible[number] &= _distance(template, encoding) <= self._near + DOUBT
            if len(self._last) == LOOKS_TOGETHER:
                self._possible[number] &= _distance(template, together) <= self._near
        self._forget_when_settled()

    def pass_over(self) -> None:
        """A look that is too poor tells nothing; where several are, somebody else may be."""
        self._looks_left -= 1
        self._poor_in_a_row += 1
        if self._poor_in_a_row >= POOR_IN_A_ROW:
            self._possible = [False] * len(self._templates)
        self._forget_when_settled()

    def _forget_when_settled(self) -> None:
        if self.settled:
            self._last.clear()

    @property
    def settled(self) -> bool:
        """True when no further look can make this anybody enrolled."""
        return not any(self._possible)

    @property
    def agrees(self) -> bool:
        return not self.settled and self._looks_left <= 0 and len(self._last) == LOOKS_TOGETHER


def _longest_gap(frames: Sequence[int]) -> int:
    return max(after - before for before, after in pairwise(frames))


def _good(grey: Picture8, box: Box, least_structure: float) -> bool:
    """Whether there is enough in the face at ``box`` of an (H, W) picture to know somebody by."""
    return structure(grey, box) >= least_structure and contrast(grey, box) >= GOOD_CONTRAST


def _distance(template: Encoding, encoding: Encoding) -> float:
    return float(np.linalg.norm(template - encoding))


def _sure_looks(track: Track, unseen_frames: float) -> list[Seen]:
    """Looks spread over the track's whole life, the surest of each stretch; empty when they are too few."""
    sure = [
        look
        for look in track.looks
        if look.score >= LOOK_SCORE and look.box[3] - look.box[1] >= LOOK_HEIGHT_PX
    ]
    marks = [track.first_frame, *(look.frame for look in sure), track.last_frame]
    if len(sure) < LOOKS_TOGETHER or _longest_gap(marks) > unseen_frames:
        return []
    stretches = min(LOOKS_AT_MOST, max(LOOKS_NEEDED, len(sure) // ONE_LOOK_IN), len(sure))
    return [max(part, key=lambda look: look.score) for part in _split(sure, stretches)]


def _split(looks: list[Seen], parts: int) -> list[list[Seen]]:
    edges = [round(number * len(looks) / parts) for number in range(parts + 1)]
    return [looks[a:b] for a, b in pairwise(edges)]


def _template(raw: bytes) -> Encoding:
    if len(raw) != _TEMPLATE_BYTES:
        raise MediaRejected(name="template", detail=f"{len(raw)} bytes are not {_TEMPLATE_BYTES}")
    return np.frombuffer(raw, "<f8").astype(np.float64)


def _encode(picture_rgb: Picture8, box: Box) -> Encoding:
    """(128,) dlib encoding of the face at ``box``."""
    import dlib

    place, encode = _dlib_models()
    x0, y0, x1, y1 = box
    side = x1 - x0
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2 + 0.05 * (y1 - y0)
    square = dlib.rectangle(
        int(middle_x - side / 2), int(middle_y - side / 2), int(middle_x + side / 2), int(middle_y + side / 2)
    )
    return np.asarray(encode.compute_face_descriptor(picture_rgb, place(picture_rgb, square), 1), np.float64)


@lru_cache(maxsize=1)
def _dlib_models() -> tuple[Any, Any]:
    """The 5-point landmarks and the encoder that ``face_recognition`` uses for an encoding by default.

    Taken from its model package directly: importing face_recognition also loads 100 MB of landmarks and a
    detector that are not needed here (1.9 s in every step).
    """
    import dlib

    package = importlib.util.find_spec("face_recognition_models")
    if package is None or package.origin is None:
        raise ModelMissing(model="face_recognition_models", path="models")
    models = Path(package.origin).with_name("models")
    place = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
    return place, dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))
