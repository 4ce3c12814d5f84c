"""Whose face may stay visible: only that of an enrolled, consenting expert, and only beyond doubt.

Encodings of anybody else exist in memory while they are compared: they are not returned, stored or logged.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from config.errors import FaceCountWrong, MediaRejected, ModelMissing, PhotoTooPoor
from config.settings import VisionSettings
from processing.chains import Seen
from processing.detectors import CenterFaceDetector
from processing.frames import Picture8, read_pictures, video_facts
from processing.geometry import Box, overlap
from processing.identity import LOOKS_TOGETHER, LOOKS_WHOLE, Encoding, Identity, distance
from processing.media import Progress
from processing.suspects import contrast, structure
from processing.tracks import Track

# A look is taken when the detector is this sure and the face this high ...
LOOK_SCORE, LOOK_HEIGHT_PX = 0.6, 48
# ... and somebody can be known by it when there is this much structure and contrast in it: of an audience in the dark and of
# blurred faces (structure 0 to 14) the network tells only that they are dark or blurred, and ten strangers among them lay
# 0.1 to 0.35 apart; noise alone makes structure, but no contrast (1 to 5; good faces 14 and more).
GOOD_STRUCTURE, GOOD_CONTRAST = 20.0, 8.0
# A photograph has more to give.
PHOTO_STRUCTURE, PHOTO_HEIGHT_PX = 40.0, 64
# One look in so many is compared (each takes dlib about 0.13 s), never fewer or more than these, nor fewer than a face in
# sight is judged by; a track that nobody could be recognised in for this long may have passed to another person.
LOOKS_NEEDED, ONE_LOOK_IN, LOOKS_AT_MOST, UNSEEN_S = 6, 8, 400, 6.0
# From look to look a face in sight lies over itself by this much (IoU), and the next look is not later than this: the
# talking heads and the performer of the test clips never lay less than 0.66 over, people who walk past do.
SIGHT_IOU, SIGHT_S = 0.6, 0.25
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
    return distance(_template(template), _encode(picture_rgb, box))


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
    fps = video_facts(video).fps
    judges: dict[int, Identity] = {}
    due: dict[int, list[tuple[int, Box]]] = {}
    for track in (track for track in tracks if track.reason == "default"):
        in_sight = _in_sight(track, fps)
        if looks := _sure_looks(track, fps, LOOKS_WHOLE if in_sight else LOOKS_NEEDED):
            judges[track.id] = Identity(known, len(looks), settings, in_sight=in_sight)
        for seen in looks:
            due.setdefault(seen.frame, []).append((track.id, seen.box))
    _compare(video, due, judges, progress)
    return [
        replace(track, decision="keep", reason="enrolled-expert")
        if track.id in judges and judges[track.id].agrees
        else track
        for track in tracks
    ]


def _compare(
    video: Path, due: dict[int, list[tuple[int, Box]]], judges: dict[int, Identity], progress: Progress
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


def _longest_gap(frames: Sequence[int]) -> int:
    return max(after - before for before, after in pairwise(frames))


def _good(grey: Picture8, box: Box, least_structure: float) -> bool:
    """Whether there is enough in the face at ``box`` of an (H, W) picture to know somebody by."""
    return structure(grey, box) >= least_structure and contrast(grey, box) >= GOOD_CONTRAST


def _in_sight(track: Track, fps: float) -> bool:
    """Whether the face never got lost, even for a moment in which somebody else could have taken its place."""
    return all(
        after.frame - before.frame <= SIGHT_S * fps and overlap(before.box, after.box) >= SIGHT_IOU
        for before, after in pairwise(track.looks)
    )


def _sure_looks(track: Track, fps: float, least: int) -> list[Seen]:
    """Looks spread over the track's whole life, the surest of each stretch; empty when they are too few."""
    sure = [
        look
        for look in track.looks
        if look.score >= LOOK_SCORE and look.box[3] - look.box[1] >= LOOK_HEIGHT_PX
    ]
    marks = [track.first_frame, *(look.frame for look in sure), track.last_frame]
    if len(sure) < LOOKS_TOGETHER or _longest_gap(marks) > UNSEEN_S * fps:
        return []
    stretches = min(LOOKS_AT_MOST, max(least, len(sure) // ONE_LOOK_IN), len(sure))
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
