"""Whose face may stay visible: only that of an enrolled, consenting expert, and only beyond doubt.

Encodings of anybody else exist in memory while they are compared: they are not returned, stored or logged.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

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
from processing.suspects import structure
from processing.tracks import Track

Encoding = NDArray[np.float64]
Part = TypeVar("Part")

# A look is good enough to recognise by when the detector is this sure, the face this high and this much structure in it:
# of an audience in the dark (0 to 3) and of blurred faces the network tells only that they are dark or blurred, and ten
# strangers among them lay 0.1 to 0.35 apart.
GOOD_SCORE, GOOD_HEIGHT_PX, GOOD_STRUCTURE = 0.6, 48, 10.0
# No fewer looks than this must agree; one good look in so many is compared (each takes dlib about 0.13 s), and
# a track that nobody could be recognised in for this long may have passed to another person.
LOOKS_NEEDED, ONE_LOOK_IN, LOOKS_AT_MOST, UNSEEN_S = 3, 8, 400, 6.0
# Judged is the mean of so many looks that follow one another: what differs from look to look falls out of it. Of one
# person it lay up to 0.39 from a single picture of another moment (0.35 from a photograph where the looks themselves lay 0.40
# to 0.56), of strangers whose looks are good 0.42 and more: 16,390 pairs on 24 clips and 15 photographs. The limit
# is the setting's 0.40; no single look may be further away than that and this doubt; and this share of the looks that were
# chosen has to be good.
LOOKS_TOGETHER, DOUBT, GOOD_SHARE = 4, 0.18, 0.6
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
    if y1 - y0 < GOOD_HEIGHT_PX or structure(grey, box) < GOOD_STRUCTURE:
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
    candidates = {track.id: looks for track in undecided if (looks := _good_looks(track, unseen))}
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
                if structure(picture.luma(), box) < GOOD_STRUCTURE:
                    judge.pass_over()
                else:
                    judge.hear(_encode(picture.pixels, box))
            progress(picture.index / max(last, 1))
        if picture.index >= last:
            break
    progress(1.0)


class _Judge:
    """Weighs the looks of one track against the templates; the encodings last as long as the comparison."""

    def __init__(self, templates: Iterable[Encoding], looks: int, settings: VisionSettings) -> None:
        self._templates = list(templates)
        self._near = settings.keep_distance
        self._possible = [True] * len(self._templates)
        self._heard: list[Encoding] = []
        self._passed_over = 0
        self._looks = looks

    def hear(self, encoding: Encoding) -> None:
        self._heard.append(encoding)
        for number, template in enumerate(self._templates):
            self._possible[number] &= _distance(template, encoding) <= self._near + DOUBT

    def pass_over(self) -> None:
        """A look that is not good enough tells nothing."""
        self._passed_over += 1

    @property
    def settled(self) -> bool:
        """True when no further look can make this anybody enrolled."""
        return not any(self._possible)

    @property
    def agrees(self) -> bool:
        heard = len(self._heard)
        if heard + self._passed_over < self._looks or heard < max(LOOKS_NEEDED, GOOD_SHARE * self._looks):
            return False
        means = [np.mean(part, axis=0) for part in _split(self._heard, max(1, heard // LOOKS_TOGETHER))]
        return any(
            possible and all(_distance(template, mean) <= self._near for mean in means)
            for possible, template in zip(self._possible, self._templates, strict=True)
        )


def _distance(template: Encoding, encoding: Encoding) -> float:
    return float(np.linalg.norm(template - encoding))


def _good_looks(track: Track, unseen_frames: float) -> list[Seen]:
    """Looks spread over the track's whole life, the surest of each stretch; empty when they are too few."""
    good = [
        look
        for look in track.looks
        if look.score >= GOOD_SCORE and look.box[3] - look.box[1] >= GOOD_HEIGHT_PX
    ]
    marks = [track.first_frame, *(look.frame for look in good), track.last_frame]
    if len(good) < LOOKS_NEEDED or any(b - a > unseen_frames for a, b in pairwise(marks)):
        return []
    stretches = min(LOOKS_AT_MOST, max(LOOKS_NEEDED * 2, len(good) // ONE_LOOK_IN), len(good))
    return [max(part, key=lambda look: look.score) for part in _split(good, stretches)]


def _split(looks: list[Part], parts: int) -> list[list[Part]]:
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
